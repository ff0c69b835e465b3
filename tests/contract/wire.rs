//! A server that writes to the socket whatever a test wants, as no HTTP library would.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What a server does on one connection, request by request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Writes these bytes once a request has come.
    Say(Vec<u8>),
    /// Writes these bytes although no request has come since the last ones.
    SayUnasked(Vec<u8>),
    /// Closes the connection with RST once a request has come.
    Reset,
    /// Closes it with FIN at once.
    Close,
    /// Nothing any more.
    Silence,
}

/// A server with a script for each of its connections; after the last one it closes what it accepts.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Wire {
    /// Listens on a port of loopback.
    pub(crate) async fn playing(scripts: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let (mut scripts, heads) = (VecDeque::from(scripts), Arc::clone(&log));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let script = scripts.pop_front().unwrap_or_else(|| vec![Act::Close]);
                open.spawn(play(stream, script, Arc::clone(&heads)));
            }
        });
        Self { address, log, _serving: serving }
    }

    /// The same answer on every one of `connections` connections, which stay open.
    pub(crate) async fn saying(answer: impl Into<Vec<u8>>, connections: usize) -> Self {
        Self::playing(vec![vec![Act::Say(answer.into()), Act::Silence]; connections]).await
    }

    /// Where the API is.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}/apptoken-refresh", self.address)
    }

    /// The first line of each request that has come.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

/// An answer of the application API with this token.
pub(crate) fn granting(token: &str) -> Vec<u8> {
    answer("", &format!(r#"{{"accessToken":"{token}","validityTime":600}}"#))
}

/// An answer with these further header lines, each with its end.
pub(crate) fn answer(headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn play(mut stream: TcpStream, script: Vec<Act>, log: Arc<Mutex<Vec<String>>>) {
    for act in script {
        match act {
            Act::SayUnasked(bytes) => stream.write_all(&bytes).await.unwrap(),
            Act::Close => return,
            Act::Silence => std::future::pending::<()>().await,
            Act::Say(_) | Act::Reset => {
                let Some(head) = request(&mut stream).await else { return };
                log.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
                match act {
                    Act::Say(bytes) => stream.write_all(&bytes).await.unwrap(),
                    _ => return stream.set_zero_linger().unwrap(),
                }
            }
        }
    }
}

/// One request, head and body; none when the connection ends before it is whole.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(head.to_owned());
            }
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}
