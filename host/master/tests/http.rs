//! A real master on real sockets, asked over HTTP.

use mezzo_master::{Config, Master, Parts};
use mezzo_test_guests::{COUNTER, EVIL, HELLO, HOSTILE, core_module};
use mezzo_wasm::CompileCommand;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    token: String,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), mezzo_master::Error>>,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    fn words(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Running {
    async fn start(data: &Path) -> Running {
        let mut config = Config::new(data.to_path_buf());
        config.listen = "127.0.0.1:0".parse().expect("an address");
        config.agents_listen = config.listen;
        let compile = CompileCommand {
            program: env!("CARGO_BIN_EXE_mezzo-compile-child").into(),
            args: Vec::new(),
        };
        let parts = Parts {
            compile,
            bundled: Vec::new(),
        };
        let master = Master::start(config, parts).await.expect("a master");
        let token = std::fs::read_to_string(data.join("admin.token")).expect("a token");
        let address = master.address();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(master.run(async move {
            let _ = stopped.await;
        }));
        Running {
            address,
            token: token.trim().to_string(),
            stop,
            ended,
        }
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.ended.await.expect("no panic").expect("a clean end");
    }

    async fn open(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(body).await;
        stream
    }

    async fn raw(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = self.open(method, path, headers, body).await;
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
        let at = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(0);
        let head = String::from_utf8_lossy(&all[..at]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
        Answer {
            status: status.unwrap_or(0),
            head,
            body: all.split_off((at + 4).min(all.len())),
        }
    }

    fn auth(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.token)
    }

    async fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.raw(method, path, &self.auth(), body).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, b"").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.words());
        answer.json()
    }

    /// What an event stream brings until it holds `text`.
    async fn read_until(stream: &mut TcpStream, text: &str) {
        let mut seen = String::new();
        let mut buffer = [0; 4096];
        while !seen.contains(text) {
            let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer));
            let n = read.await.expect(text).expect("read");
            assert!(n > 0, "ended before {text:?}: {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frameworks_come_serve_change_stay_over_a_restart_and_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let made = master
        .ask("POST", "/api/v1/frameworks?name=c", COUNTER)
        .await;
    assert_eq!(made.status, 201, "{}", made.words());
    let taken = master.ask("POST", "/api/v1/frameworks?name=c", HELLO).await;
    assert_eq!(taken.status, 409, "{}", taken.words());

    let mut watch = master.open("GET", "/fw/c/watch", &master.auth(), b"").await;
    Running::read_until(&mut watch, "\r\n\r\n").await;
    let key = format!("{}idempotency-key: k1\r\n", master.auth());
    for _ in 0..2 {
        let added = master.raw("POST", "/fw/c/a", &key, b"").await;
        assert_eq!(
            (added.status, added.json()["value"].clone()),
            (200, json!(1))
        );
        assert!(
            added.head.contains("content-security-policy: sandbox"),
            "{}",
            added.head
        );
    }
    Running::read_until(&mut watch, "\"value\":1").await;
    drop(watch);
    let added = master.ask("POST", "/fw/c/a", br#"{"by":2}"#).await;
    assert_eq!(added.json()["value"], 3);
    assert_eq!(master.ask("GET", "/fw/none/", b"").await.status, 404);

    let path = "/api/v1/frameworks/c";
    let changed = master
        .ask("PATCH", path, br#"{"limits":{"turn_cpu_ms":300}}"#)
        .await;
    assert_eq!(
        changed.json()["limits"]["turn_cpu_ms"],
        300,
        "{}",
        changed.words()
    );
    let failed = master
        .ask("PUT", "/api/v1/frameworks/c/component", EVIL)
        .await;
    assert_eq!(
        (failed.status, failed.json()["error"]["code"].clone()),
        (422, json!("component"))
    );
    master.stop().await;

    let master = Running::start(folder.path()).await;
    assert_eq!(master.get(path).await["limits"]["turn_cpu_ms"], 300);
    assert_eq!(master.ask("POST", "/fw/c/a", b"").await.json()["value"], 4);
    let upgraded = master
        .ask("PUT", "/api/v1/frameworks/c/component", HELLO)
        .await;
    assert_eq!(upgraded.status, 200, "{}", upgraded.words());
    assert_eq!(
        master.get("/api/v1/components").await["components"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    assert_eq!(master.ask("DELETE", path, b"").await.status, 202);
    for _ in 0..100 {
        let left = master.get("/api/v1/components").await;
        if left["components"] == json!([]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    master.stop().await;
    assert_eq!(
        std::fs::read_dir(folder.path().join("components"))
            .map(Iterator::count)
            .ok(),
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_by_name_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let before = master.get("/api/v1/status").await["batch"].clone();
    let table: &[(&str, &str, &[u8], u16, &str)] = &[
        ("GET", "/api/v1/nothing", b"", 404, "not-found"),
        ("POST", "/api/v1/status", b"", 405, "method"),
        ("GET", "/api/v1/status?x=1", b"", 400, "invalid"),
        ("GET", "/api/v1/tasks?limmit=1", b"", 400, "invalid"),
        ("GET", "/api/v1/tasks?limit=-1", b"", 400, "invalid"),
        ("GET", "/api/v1/tasks?state=asleep", b"", 400, "invalid"),
        (
            "GET",
            "/api/v1/tasks/..%2F..%2Fetc/passwd",
            b"",
            400,
            "invalid",
        ),
        ("GET", "/api/v1/agents/-1", b"", 400, "invalid"),
        ("GET", "/api/v1/events?after=x", b"", 400, "invalid"),
        ("PUT", "/api/v1/roles/r", b"{\"weight\":", 400, "malformed"),
        ("PUT", "/api/v1/roles/r", b"{\"weight\":-2}", 400, "invalid"),
        ("PUT", "/api/v1/roles/r", b"{\"wait\":2}", 400, "invalid"),
        ("PUT", "/api/v1/roles/r", &[b' '; 2 << 20], 413, "too-large"),
        (
            "POST",
            "/api/v1/frameworks?name=..%2Fx",
            HELLO,
            400,
            "invalid",
        ),
        (
            "POST",
            "/api/v1/frameworks?name=x&limits=%7B%22turn_cpu%22%3A1%7D",
            HELLO,
            400,
            "invalid",
        ),
        (
            "POST",
            "/api/v1/frameworks?name=x&options=3",
            HELLO,
            400,
            "invalid",
        ),
        ("POST", "/api/v1/frameworks?name=x", b"", 400, "malformed"),
        (
            "POST",
            "/api/v1/frameworks?name=x",
            b"no wasm",
            422,
            "component",
        ),
        ("POST", "/api/v1/frameworks?name=x", EVIL, 422, "component"),
    ];
    for (method, path, body, status, code) in table {
        let answer = master.ask(method, path, body).await;
        let seen = (answer.status, answer.json()["error"]["code"].clone());
        assert_eq!(
            seen,
            (*status, json!(code)),
            "{method} {path}: {}",
            answer.words()
        );
    }
    let core = master
        .ask("POST", "/api/v1/frameworks?name=x", &core_module())
        .await;
    assert_eq!(core.status, 422, "{}", core.words());
    assert_eq!(
        master.get("/api/v1/components").await["components"],
        json!([])
    );
    assert_eq!(master.get("/api/v1/status").await["batch"], before);
    assert_eq!(
        master.raw("GET", "/api/v1/status", "", b"").await.status,
        401
    );
    assert_eq!(master.raw("GET", "/readyz", "", b"").await.status, 200);
    let metrics = master.raw("GET", "/metrics", "", b"").await;
    assert!(
        metrics.words().contains("mezzo_registry_full 0"),
        "{}",
        metrics.words()
    );
    let huge = format!("x: {}\r\n", "y".repeat(10 << 20));
    let huge = master.raw("GET", "/healthz", &huge, b"").await.status;
    assert!(huge == 431 || huge == 0, "cut off or refused, not {huge}");
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traps_of_the_web_api_have_a_number_and_close_it_at_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let path = "/api/v1/frameworks?name=h&options=%7B%22misbehave%22%3A%22trap-in-web%22%7D&limits=%7B%22web_faults_max%22%3A2%7D";
    let made = master.ask("POST", path, HOSTILE).await;
    assert_eq!(made.status, 201, "{}", made.words());
    for _ in 0..2 {
        let answer = master.ask("GET", "/fw/h/", b"").await;
        assert_eq!(answer.status, 500, "{}", answer.words());
        assert!(
            answer.json()["error"]["fault"].is_u64(),
            "{}",
            answer.words()
        );
    }
    assert_eq!(master.ask("GET", "/fw/h/", b"").await.status, 503);
    assert_eq!(master.get("/api/v1/frameworks/h").await["web_closed"], true);
    assert_eq!(
        master
            .ask("POST", "/api/v1/frameworks/h/resume", b"")
            .await
            .status,
        204
    );
    master.stop().await;
}
