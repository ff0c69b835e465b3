//! The issuers' address: it accepts connections, refuses them for a while, and accepts again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::issuers::Issuers;
use crate::server::serve;

/// Pause after the system refused to accept a connection, for want of file descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// Connections waiting to be accepted.
const BACKLOG: u32 = 1024;

/// The issuers' address, which can refuse connections for a while and come back.
#[derive(Debug)]
pub(crate) struct Port {
    address: SocketAddr,
    issuers: Arc<Issuers>,
    tls: Option<Arc<ServerConfig>>,
    state: tokio::sync::Mutex<Option<State>>,
}

/// Held while down: a bound socket that does not listen keeps the port ours, and connections are refused.
#[derive(Debug)]
enum State {
    Up { stop: oneshot::Sender<()>, accepting: JoinHandle<()> },
    Down(TcpSocket),
}

impl Port {
    /// Binds an address, still down. Port 0 takes a free one.
    pub(crate) fn bind(address: SocketAddr, issuers: Arc<Issuers>, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let socket = reserve(address)?;
        let address = socket.local_addr()?;
        Ok(Self { address, issuers, tls, state: tokio::sync::Mutex::new(Some(State::Down(socket))) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Accepts connections; nothing happens when it does already.
    pub(crate) async fn up(&self) -> io::Result<()> {
        let mut state = self.state.lock().await;
        let socket = match state.take() {
            up @ Some(State::Up { .. }) => {
                *state = up;
                return Ok(());
            }
            Some(State::Down(socket)) => socket,
            None => reserve(self.address)?,
        };
        let (stop, stopped) = oneshot::channel();
        let listener = socket.listen(BACKLOG)?;
        let accepting = tokio::spawn(accept(listener, stopped, self.issuers.clone(), self.tls.clone()));
        *state = Some(State::Up { stop, accepting });
        Ok(())
    }

    /// Closes every connection and refuses new ones; nothing happens when it does already.
    pub(crate) async fn down(&self) -> io::Result<()> {
        let mut state = self.state.lock().await;
        match state.take() {
            Some(State::Up { stop, accepting }) => {
                drop(stop);
                let _ended = accepting.await;
                *state = Some(State::Down(reserve(self.address)?));
            }
            down => *state = down,
        }
        Ok(())
    }
}

fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts connections until it is stopped, then closes all of them.
async fn accept(
    listener: TcpListener,
    mut stopped: oneshot::Receiver<()>,
    issuers: Arc<Issuers>,
    tls: Option<Arc<ServerConfig>>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            _ = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, issuers.clone(), tls.clone()))),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}
