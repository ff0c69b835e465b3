//! The proxy on the way to the API server, as the environment or the kubeconfig names it, beside kubectl.

use crate::support::*;
use harness::Operator;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, spawn_blocking};

/// A proxy that nobody finds: `.invalid` never resolves (RFC 6761).
const NOWHERE: &str = "http://proxy.invalid:3128";

/// What the API server is called where it must not be known to be on this machine.
const API_SERVER: &str = "api-server.invalid";

/// A proxy for CONNECT that keeps to whom it was asked to connect, and finds everyone on this machine.
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

    async fn carries_only_requests_to_the_api_server(&self, stage: &Stage) {
        stage.issued("1h").await;
        let issuer = stage.simulator.url("").trim_start_matches("http://").to_owned();
        let targets = self.targets.lock().unwrap();
        assert!(!targets.is_empty() && !targets.contains(&issuer), "{targets:?}");
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
    let port = target.rsplit_once(':').unwrap().1.parse().unwrap();
    targets.lock().unwrap().push(target);
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
    copy_bidirectional(&mut client, &mut server).await.ok().map(drop)
}

/// An operator with this kubeconfig, and with these variables in its environment.
fn operator(stage: &Stage, kubeconfig: &Path, variables: &[(&str, &str)]) -> Operator {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syniverse-token-operator"));
    command.args(["run", "--insecure-endpoints", "--endpoint-host=*", "--namespace", stage.namespace.name()]);
    command.env("KUBECONFIG", kubeconfig).envs(variables.iter().copied());
    Operator::start(command).unwrap()
}

/// The kubeconfig of the stage, with more about its cluster.
fn kubeconfig(stage: &Stage, more: &Value) -> PathBuf {
    let mut kubeconfig: Value = serde_json::from_slice(&std::fs::read(stage.kubeconfig()).unwrap()).unwrap();
    kubeconfig["clusters"][0]["cluster"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let file = stage.kubeconfig().with_file_name("kubeconfig-of-its-own");
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    file
}

/// The kubeconfig of the stage, with the API server under a name.
fn named(stage: &Stage) -> PathBuf {
    let kubeconfig: Value = serde_json::from_slice(&std::fs::read(stage.kubeconfig()).unwrap()).unwrap();
    let server = kubeconfig["clusters"][0]["cluster"]["server"].as_str().unwrap().replace("127.0.0.1", API_SERVER);
    self::kubeconfig(stage, &json!({"server": server, "tls-server-name": "127.0.0.1"}))
}

/// Checks that kubectl reaches the API server too.
async fn kubectl_works(stage: &Stage, kubeconfig: &Path, variables: &[(&str, &str)]) {
    let mut kubectl = stage.cluster.kubectl_command();
    kubectl.env("KUBECONFIG", kubeconfig).envs(variables.iter().copied());
    kubectl.args(["version", "--request-timeout=10s"]);
    // The proxy is served meanwhile.
    let output = spawn_blocking(move || kubectl.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{variables:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn an_api_server_on_this_machine_is_reached_directly_and_issuers_always_are() {
    let stage = Stage::dark().await;
    // With parts that name nothing.
    for (validity, no_proxy) in [("1h", ""), ("2h", " "), ("3h", "localhost,.svc,"), ("4h", "a,,10.0.0.0/99,http://b")]
    {
        let variables = [("HTTPS_PROXY", NOWHERE), ("HTTP_PROXY", NOWHERE), ("NO_PROXY", no_proxy)];
        kubectl_works(&stage, &stage.kubeconfig(), &variables).await;
        let operator = operator(&stage, &stage.kubeconfig(), &variables);
        stage.issued(validity).await;
        drop(operator);
    }
}

#[tokio::test]
async fn the_api_server_is_reached_through_the_proxy_of_the_environment_and_issuers_are_not() {
    let (stage, proxy) = (Stage::dark().await, Proxy::start().await);
    let kubeconfig = named(&stage);
    let variables = [("HTTPS_PROXY", proxy.url.as_str()), ("HTTP_PROXY", NOWHERE), ("NO_PROXY", "127.0.0.1,.svc,")];
    kubectl_works(&stage, &kubeconfig, &variables).await;
    let _operator = operator(&stage, &kubeconfig, &variables);
    proxy.carries_only_requests_to_the_api_server(&stage).await;
}

#[tokio::test]
async fn the_proxy_of_a_kubeconfig_is_used_whatever_the_environment_says() {
    let (stage, proxy) = (Stage::dark().await, Proxy::start().await);
    let kubeconfig = kubeconfig(&stage, &json!({"proxy-url": proxy.url}));
    let _operator = operator(&stage, &kubeconfig, &[("HTTPS_PROXY", NOWHERE), ("NO_PROXY", "127.0.0.1")]);
    proxy.carries_only_requests_to_the_api_server(&stage).await;
}
