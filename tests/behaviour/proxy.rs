//! The proxy on the way to the API server, as the environment names it.

use crate::support::*;
use harness::Operator;
use std::process::Command;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A proxy that nobody finds: `.invalid` never resolves (RFC 6761).
const NOWHERE: &str = "http://proxy.invalid:3128";

/// A proxy for CONNECT that keeps to whom it was asked to connect.
struct Proxy {
    url: String,
    targets: Arc<Mutex<Vec<String>>>,
    /// Ends with the proxy.
    _accepting: JoinSet<()>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let targets = Arc::new(Mutex::new(Vec::new()));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&targets)));
        Self { url, targets, _accepting: accepting }
    }

    fn targets(&self) -> Vec<String> {
        self.targets.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, targets: Arc<Mutex<Vec<String>>>) {
    let mut tunnels = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let targets = Arc::clone(&targets);
        tunnels.spawn(async move {
            // A tunnel that breaks is noticed by those who use it.
            let _broken = tunnel(client, targets).await;
        });
    }
}

async fn tunnel(mut client: TcpStream, targets: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let target = String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().to_owned();
    targets.lock().unwrap().push(target.clone());
    let mut server = TcpStream::connect(target).await.ok()?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
    copy_bidirectional(&mut client, &mut server).await.ok().map(drop)
}

/// An operator with these variables in its environment.
fn operator(stage: &Stage, variables: &[(&str, &str)]) -> Operator {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syniverse-token-operator"));
    command.args(["run", "--insecure-endpoints", "--endpoint-host=*", "--namespace", stage.namespace.name()]);
    command.env("KUBECONFIG", stage.kubeconfig()).envs(variables.iter().copied());
    Operator::start(command).unwrap()
}

#[tokio::test]
async fn an_api_server_that_no_proxy_names_is_reached_directly_and_issuers_always_are() {
    let stage = Stage::dark().await;
    let _operator = operator(&stage, &[("HTTPS_PROXY", NOWHERE), ("HTTP_PROXY", NOWHERE), ("NO_PROXY", "127.0.0.1")]);
    stage.issued("1h").await;
}

#[tokio::test]
async fn the_api_server_is_reached_through_the_proxy_of_the_environment_and_issuers_are_not() {
    let (stage, proxy) = (Stage::dark().await, Proxy::start().await);
    let _operator =
        operator(&stage, &[("HTTPS_PROXY", &proxy.url), ("HTTP_PROXY", NOWHERE), ("NO_PROXY", "localhost,.svc")]);
    stage.issued("1h").await;
    let issuer = stage.simulator.url("").trim_start_matches("http://").to_owned();
    let targets = proxy.targets();
    assert!(!targets.is_empty() && !targets.contains(&issuer), "{targets:?}");
}
