//! The ports for metrics and for probes under readers of every manner, in plain TCP. The API server is away meanwhile.

use crate::replicas::free_address;
use crate::support::PATIENCE;
use futures::future::join_all;
use harness::{Operator, Scratch, wait_for};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// More than either port takes at a time.
const CROWD: usize = 200;
/// As long as a kubelet waits by default.
const KUBELET_WAITS: Duration = Duration::from_secs(1);
/// A connection is closed after 10 s; a machine that is busy may be late.
const CLOSED_WITHIN: Duration = Duration::from_secs(15);

struct Ports {
    metrics: SocketAddr,
    health: SocketAddr,
    operator: Operator,
    _scratch: Scratch,
}

impl Ports {
    /// Those of an operator whose API server is away.
    async fn open() -> Self {
        let (metrics, health, scratch) = (free_address(), free_address(), Scratch::new().unwrap());
        let flags = [format!("--listen={metrics}"), format!("--health-listen={health}")];
        let operator = Operator::start(operator(&scratch, &flags)).unwrap();
        let ports = Self { metrics, health, operator, _scratch: scratch };
        wait_for("the ports", PATIENCE, async || TcpStream::connect(health).await.ok()).await.unwrap();
        ports
    }

    fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.operator.id())).unwrap().count()
    }
}

/// An operator with these flags whose API server is away.
fn operator(scratch: &Scratch, flags: &[String]) -> Command {
    let kubeconfig = scratch.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: away\n\
         clusters: [{{name: away, cluster: {{server: \"http://{}\"}}}}]\n\
         users: [{{name: away, user: {{}}}}]\n\
         contexts: [{{name: away, context: {{cluster: away, user: away}}}}]\n",
        free_address()
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_syniverse-token-operator"));
    command.arg("run").args(flags).env("KUBECONFIG", kubeconfig);
    command
}

/// Head and body of what is answered to these bytes, until the connection is closed.
async fn answer(address: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A reset after the answer is an end too: what was sent in excess is not read.
    drop(stream.read_to_end(&mut bytes).await);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("no end of the head") + 4;
    let body = bytes.split_off(end);
    (String::from_utf8(bytes).unwrap(), body)
}

async fn get(address: SocketAddr, path: &str, headers: &str) -> (String, Vec<u8>) {
    answer(address, &format!("GET {path} HTTP/1.1\r\nHost: operator\r\n{headers}\r\n")).await
}

async fn text(address: SocketAddr, headers: &str) -> (String, String) {
    let (head, body) = get(address, "/metrics", headers).await;
    (head, String::from_utf8(body).unwrap())
}

/// So many connections on which nothing is said.
async fn idle(address: SocketAddr) -> Vec<TcpStream> {
    join_all((0..CROWD).map(|_| async move { TcpStream::connect(address).await.unwrap() })).await
}

async fn assert_probe_is_answered(ports: &Ports) {
    let (head, body) = timeout(KUBELET_WAITS, get(ports.health, "/healthz", "")).await.expect("no answer in time");
    assert!(head.starts_with("HTTP/1.1 200 ") && body == b"ok\n", "{head}");
}

/// How long the other side takes to close.
async fn closed(mut stream: TcpStream) -> Duration {
    let begin = Instant::now();
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the connection stays open");
    begin.elapsed()
}

#[tokio::test]
async fn crowds_that_only_hold_connections_keep_no_probe_waiting_and_go() {
    let ports = Ports::open().await;
    let before = ports.open_files();
    let metrics = idle(ports.metrics).await;
    assert_probe_is_answered(&ports).await;
    let health = idle(ports.health).await;
    assert_probe_is_answered(&ports).await;
    let open = ports.open_files();
    // Besides, it tries to reach its API server.
    assert!(open < before + 64 + 64 + 40, "{open} files are open, and were {before}");
    let begin = Instant::now();
    let first = metrics.into_iter().take(64).chain(health);
    let longest = join_all(first.map(closed)).await.into_iter().max().unwrap();
    assert!(longest < CLOSED_WITHIN, "{longest:?}");
    assert!(begin.elapsed() < CLOSED_WITHIN);
}

#[tokio::test]
async fn a_head_that_comes_in_drops_is_given_up() {
    let ports = Ports::open().await;
    let mut slow = TcpStream::connect(ports.metrics).await.unwrap();
    let begin = Instant::now();
    slow.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
    let (mut from, mut to) = slow.into_split();
    let dripping = async {
        while to.write_all(b"X-Drop: 1\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut rest = Vec::new();
    let ended = async { drop(from.read_to_end(&mut rest).await) };
    tokio::select! { () = dripping => {}, () = ended => {} }
    assert!(begin.elapsed() < CLOSED_WITHIN, "{:?}", begin.elapsed());
    assert_probe_is_answered(&ports).await;
}

#[tokio::test]
async fn each_of_a_crowd_of_readers_gets_its_page_and_probes_are_answered_meanwhile() {
    let ports = Ports::open().await;
    let readers = join_all((0..CROWD).map(|_| text(ports.metrics, "")));
    let probes = async {
        for _ in 0..10 {
            assert_probe_is_answered(&ports).await;
        }
    };
    let (pages, ()) = tokio::join!(timeout(PATIENCE, readers), probes);
    for (head, page) in pages.unwrap() {
        assert!(
            head.starts_with("HTTP/1.1 200 ") && page.contains("syniverse_token_leader{shard=\"1/1\"} 1"),
            "{head}{page}"
        );
    }
}

#[tokio::test]
async fn readers_get_the_format_and_the_encoding_that_they_ask_for() {
    let ports = Ports::open().await;
    let (head, classic) = text(ports.metrics, "").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    assert!(classic.contains("# TYPE syniverse_token_dead_seconds_total counter\n") && !classic.contains("# EOF"));
    assert!(classic.contains("\nprocess_cpu_seconds_total ") && classic.contains("\nprocess_open_fds "), "{classic}");
    let (head, openmetrics) = text(ports.metrics, "Accept: application/openmetrics-text;version=1.0.0;q=0.5\r\n").await;
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"), "{head}");
    assert!(openmetrics.contains("# TYPE syniverse_token_dead_seconds counter\n") && openmetrics.ends_with("# EOF\n"));
    let (head, packed) = get(ports.metrics, "/metrics", "Accept-Encoding: gzip\r\n").await;
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    let mut page = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut page).unwrap();
    assert!(page.contains("\nprocess_cpu_seconds_total ") && packed.len() * 4 < page.len());
}

#[tokio::test]
async fn what_is_asked_for_in_other_ways_gets_its_usual_answer() {
    let ports = Ports::open().await;
    let large = format!("GET /metrics HTTP/1.1\r\nX-Large: {}\r\n\r\n", "x".repeat(20_000));
    for (address, request, status) in [
        (ports.metrics, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 "),
        (ports.health, "HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 "),
        (ports.metrics, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 "),
        (ports.health, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 "),
        (ports.metrics, "GET /../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 "),
        (ports.metrics, "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 "),
        (ports.health, "DELETE /readyz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 "),
        (ports.metrics, "no http\r\n\r\n", "HTTP/1.1 400 "),
        (ports.metrics, &large, "HTTP/1.1 431 "),
    ] {
        let (head, body) = answer(address, request).await;
        assert!(head.starts_with(status) && body.is_empty(), "{request}: {head}{}", String::from_utf8_lossy(&body));
    }
    let (head, body) = answer(ports.metrics, "GET /metrics HTTP/1.0\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.0 200 ") && !body.is_empty(), "{head}");
    let (head, body) = get(ports.health, "/readyz", "").await;
    let said = String::from_utf8(body).unwrap();
    assert!(
        head.starts_with("HTTP/1.1 503 ") && said.contains("watches have not completed their first list"),
        "{head}{said}"
    );
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_its_flag() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    for flag in ["--listen", "--health-listen"] {
        let scratch = Scratch::new().unwrap();
        let mut command = operator(&scratch, &[format!("{flag}={address}")]);
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
        let said = String::from_utf8(ended.await.unwrap().stderr).unwrap();
        assert!(said.contains(&format!("failed to listen on {flag} {address}")), "{said}");
    }
}
