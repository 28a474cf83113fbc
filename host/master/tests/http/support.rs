//! A master for one test, and how it is asked.

use mezzo_master::{Config, Master, Parts};
use mezzo_wasm::CompileCommand;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than anything takes: it only ends a test that would hang.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The compiler's process.
pub const COMPILER: &str = env!("CARGO_BIN_EXE_mezzo-compile-child");

pub struct Running {
    address: SocketAddr,
    pub agents_address: SocketAddr,
    pub token: String,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), mezzo_master::Error>>,
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// All that comes on a connection until its end.
    pub async fn of(mut stream: impl AsyncRead + Unpin) -> Answer {
        let mut all = Vec::new();
        let read = stream.read_to_end(&mut all);
        let _ = tokio::time::timeout(PATIENCE, read).await.expect("an end");
        let at = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(0);
        let head = String::from_utf8_lossy(&all[..at]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
        Answer {
            status: status.unwrap_or(0),
            head,
            body: all.split_off((at + 4).min(all.len())),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn words(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Running {
    pub async fn start(data: &Path) -> Running {
        Running::with(data, |_, _| ()).await
    }

    /// With other settings, or another compiler.
    pub async fn with(
        data: &Path,
        change: impl FnOnce(&mut Config, &mut CompileCommand),
    ) -> Running {
        let mut config = Config::new(data.to_path_buf());
        config.listen = "127.0.0.1:0".parse().expect("an address");
        config.agents_listen = config.listen;
        let mut compile = CompileCommand {
            program: COMPILER.into(),
            args: Vec::new(),
        };
        change(&mut config, &mut compile);
        let parts = Parts {
            compile,
            bundled: Vec::new(),
        };
        let master = Master::start(config, parts).await.expect("a master");
        let token = std::fs::read_to_string(data.join("admin.token")).expect("a token");
        let (address, agents_address) = (master.address(), master.agents_address());
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(master.run(async move {
            let _ = stopped.await;
        }));
        Running {
            address,
            agents_address,
            token: token.trim().to_string(),
            stop,
            ended,
        }
    }

    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.ended.await.expect("no panic").expect("a clean end");
    }

    pub async fn open(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(body).await;
        stream
    }

    pub async fn raw(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let stream = self.open(method, path, headers, body).await;
        Answer::of(stream).await
    }

    pub fn auth(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.token)
    }

    pub async fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.raw(method, path, &self.auth(), body).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, b"").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.words());
        answer.json()
    }

    /// A connection with nothing on it.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connect")
    }

    /// Asks on and on until the answer is as it should be.
    pub async fn until(&self, path: &str, what: &str, mut good: impl FnMut(&Answer) -> bool) {
        let look = async {
            while !good(&self.ask("GET", path, b"").await) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect(what);
    }

    /// What an event stream brings until it holds `text`.
    pub async fn read_until(stream: &mut TcpStream, text: &str) -> String {
        let mut seen = String::new();
        let mut buffer = [0; 4096];
        while !seen.contains(text) {
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer));
            let n = read.await.expect(text).expect("read");
            assert!(n > 0, "ended before {text:?}: {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        seen
    }
}

/// The same component under another digest: it has a section more that says nothing.
pub fn variant(component: &[u8], number: u8) -> Vec<u8> {
    let mut bytes = component.to_vec();
    // A custom section of three bytes: the length of its name, and the name.
    bytes.extend([0, 3, 2, b'v', b'a' + number]);
    bytes
}
