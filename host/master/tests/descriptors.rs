//! A process without free files: connections wait, no processor burns, and all goes on afterwards.
//! A program of its own, because the limit is the whole process's.

use mezzo_master::{Config, Master, Parts};
use mezzo_wasm::CompileCommand;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io::{Read, Seek};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// Longer than anything takes: it only ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(60);
/// For so long the processor's time is measured.
const MEASURED: Duration = Duration::from_secs(1);

/// The processor's time of this process, in hundredths of a second.
fn cpu(stat: &mut File) -> u64 {
    let mut text = String::new();
    stat.rewind().expect("it can be read again");
    stat.read_to_string(&mut text).expect("it can be read");
    // Behind the name, which may hold anything; user and system time are fields 14 and 15.
    let (_, rest) = text.rsplit_once(") ").expect("a name in parentheses");
    let fields = rest.split(' ').skip(11).take(2);
    fields
        .map(|field| field.parse::<u64>().expect("a number"))
        .sum()
}

async fn first_bytes(socket: TcpSocket, address: SocketAddr, ask: &[u8]) -> Vec<u8> {
    let mut stream = socket.connect(address).await.expect("connect");
    stream.write_all(ask).await.expect("it is sent");
    let mut bytes = vec![0; 12];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut bytes));
    read.await.expect("it is served").expect("bytes");
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn without_free_files_connections_wait_and_no_processor_burns() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::new(folder.path().into());
    config.listen = "127.0.0.1:0".parse().expect("an address");
    config.agents_listen = config.listen;
    let parts = Parts {
        compile: CompileCommand {
            program: "/bin/false".into(),
            args: Vec::new(),
        },
        bundled: Vec::new(),
    };
    let master = Master::start(config, parts).await.expect("a master");
    let (http, agents) = (master.address(), master.agents_address());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let ended = tokio::spawn(master.run(async move {
        let _ = stopped.await;
    }));

    let sockets = [TcpSocket::new_v4(), TcpSocket::new_v4()];
    let [person, agent] = sockets.map(|socket| socket.expect("a socket"));
    let mut stat = File::open("/proc/self/stat").expect("Linux");
    let limit = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(0),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, none).expect("it is lowered");
    let ask = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let person = tokio::spawn(first_bytes(person, http, ask));
    let agent = tokio::spawn(first_bytes(agent, agents, b""));
    let before = cpu(&mut stat);
    tokio::time::sleep(MEASURED).await;
    let used = cpu(&mut stat) - before;
    assert!(
        !person.is_finished() && !agent.is_finished(),
        "there was a file after all"
    );
    setrlimit(Resource::Nofile, limit).expect("it is raised");
    assert!(used < 50, "{used} hundredths of a second of processor time");

    assert_eq!(person.await.expect("no panic"), b"HTTP/1.1 200");
    let settings = agent.await.expect("no panic");
    assert_eq!(settings.get(3), Some(&4), "{settings:?}");
    let _ = stop.send(());
    ended.await.expect("no panic").expect("a clean end");
}
