//! What an operator says over plain HTTP: its metrics and its answers to probes.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the operator answers, headers included; none if it does not.
pub(crate) async fn page(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let question = format!("GET {path} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// Whether its watches have shown everything.
pub(crate) async fn is_ready(health: SocketAddr) -> bool {
    page(health, "/readyz").await.is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// An address on loopback that nobody uses.
///
/// # Errors
/// If there is none.
pub(crate) fn free_address() -> harness::Result<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], harness::free_port()?)))
}
