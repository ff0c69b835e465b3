//! Calls through a proxy.

use crate::stage::*;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use syniverse_token_core::issuer::FailureKind::{EndpointNotAllowed, Unavailable};
use syniverse_token_core::issuer::endpoint::EndpointRules;
use syniverse_token_core::redacted::Redacted;
use syniverse_token_operator::issuer_client::Issuer;
use syniverse_token_operator::issuer_client::http::HttpIssuer;
use syniverse_token_operator::issuer_client::transport::IssuerSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A proxy that tunnels every CONNECT to one target and keeps what it was told.
struct TunnelProxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    /// Ends with the proxy.
    _accepting: JoinSet<()>,
}

impl TunnelProxy {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, target, heads.clone()));
        Self { address, heads, _accepting: accepting }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, heads: Arc<Mutex<Vec<String>>>) {
    let mut tunnels = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        tunnels.spawn(tunnel(stream, target, heads.clone()));
    }
}

async fn tunnel(mut client: TcpStream, target: SocketAddr, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    let mut server = TcpStream::connect(target).await.unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let _ended_by_either_side = copy_bidirectional(&mut client, &mut server).await;
}

fn through(proxy: impl Into<String>, settings: IssuerSettings) -> IssuerSettings {
    let endpoints = EndpointRules { private: Vec::new(), ..settings.endpoints };
    IssuerSettings { endpoints, proxy: Some(Redacted::new(proxy)), ..settings }
}

fn port_of(endpoint: &str) -> u16 {
    reqwest::Url::parse(endpoint).unwrap().port().unwrap()
}

#[tokio::test]
async fn each_call_goes_through_a_tunnel_whose_keeper_learns_only_the_host() {
    let issuer = tls_issuer().await;
    let port = port_of(&issuer.endpoint());
    let proxy = TunnelProxy::to(SocketAddr::from(([127, 0, 0, 1], port))).await;
    // The rules refuse loopback: the proxy's own address is exempt, and it answers for the target's.
    let settings = through(format!("http://user:password@localhost:{}", proxy.address.port()), trusting(&issuer));
    let client = HttpIssuer::new(settings).unwrap();
    let request = ask(endpoint_at(&issuer, "localhost"));
    assert!(client.send(&request).await.is_ok());
    assert!(client.send(&request).await.is_ok());
    let heads = proxy.heads();
    assert_eq!(heads.len(), 2, "each call has a connection of its own");
    for head in heads {
        assert!(head.starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n")), "{head}");
        assert!(head.to_lowercase().contains("proxy-authorization: basic dxnlcjpwyxnzd29yza=="), "{head}");
        assert!(!head.contains("apptoken-refresh"));
    }
}

#[tokio::test]
async fn a_proxy_opens_no_way_to_a_literal_address_or_an_unlisted_host() {
    let issuer = tls_issuer().await;
    let proxy = TunnelProxy::to(SocketAddr::from(([127, 0, 0, 1], port_of(&issuer.endpoint())))).await;
    let settings = through(format!("http://{}", proxy.address), trusting(&issuer));
    let literal = call(settings.clone(), &ask(issuer.endpoint())).await;
    assert_eq!(kind_saying("--private-endpoints", literal), EndpointNotAllowed);
    let settings = IssuerSettings { endpoints: EndpointRules::default(), ..settings };
    let unlisted = call(settings, &ask(endpoint_at(&issuer, "localhost"))).await;
    assert_eq!(kind_saying("--endpoint-host localhost", unlisted), EndpointNotAllowed);
    assert!(proxy.heads().is_empty());
}

#[tokio::test]
async fn a_session_goes_through_the_tunnel_too() {
    let issuer = tls_issuer().await;
    let proxy = TunnelProxy::to(SocketAddr::from(([127, 0, 0, 1], port_of(&issuer.endpoint())))).await;
    let settings = through(format!("http://{}", proxy.address), trusting(&issuer));
    let endpoint = issuer.session_endpoint().replace("127.0.0.1", "localhost");
    assert!(call(settings.clone(), &extend(&endpoint)).await.is_ok());
    assert!(call(settings, &log_in(&endpoint)).await.is_ok());
    assert!(proxy.heads().iter().all(|head| !head.contains("auth/token")), "{:?}", proxy.heads());
    assert_eq!(proxy.heads().len(), 2);
}

#[tokio::test]
async fn a_proxy_nobody_knows_is_told_from_the_endpoint() {
    // `.invalid` never resolves (RFC 6761).
    let settings = through("http://user:canary@proxy.invalid:3128", secure());
    let result = call(settings, &ask("https://issuer.invalid/")).await;
    assert_eq!(kind_saying("the proxy's host could not be resolved by DNS", result), Unavailable);
}

#[tokio::test]
async fn a_dead_proxy_is_named() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let settings = through(format!("http://user:canary@{address}"), secure());
    let result = call(settings, &ask("https://issuer.invalid/")).await;
    assert!(!format!("{result:?}").contains("canary"));
    assert_eq!(kind_saying("through the proxy", result), Unavailable);
}
