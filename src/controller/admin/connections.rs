//! Connections of a port: their number, and how long each may take.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// Concurrent connections of a port.
const MOST_CONNECTIONS: usize = 64;
/// A connection carries a single request and is closed after this time, whatever it waits for: a head that trickles in,
/// a request that never comes, or a reader that does not read. Prometheus gives up after 10 s by default, a kubelet
/// after one.
const LIFETIME: Duration = Duration::from_secs(10);
/// The largest head of a request, in bytes: Prometheus sends about 500.
const LARGEST_HEAD: usize = 16 * 1024;
/// A pause where no connection can be accepted, as when the file descriptors have run out.
const PAUSE: Duration = Duration::from_secs(1);

/// What happens to a connection above the limit.
pub(super) enum ConnectionLimit {
    /// The new connection waits until another has ended.
    Waiting(Arc<Semaphore>),
    /// The oldest connection is closed, so that a prompt request is answered at once, however many connections are
    /// idle.
    Replacing(VecDeque<AbortHandle>),
}

impl ConnectionLimit {
    pub(super) fn waiting() -> Self {
        Self::Waiting(Arc::new(Semaphore::new(MOST_CONNECTIONS)))
    }

    pub(super) fn replacing() -> Self {
        Self::Replacing(VecDeque::new())
    }

    async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        match self {
            // It is never closed.
            Self::Waiting(places) => Arc::clone(places).acquire_owned().await.ok(),
            Self::Replacing(_) => None,
        }
    }

    fn opened(&mut self, connection: AbortHandle) {
        let Self::Replacing(open) = self else { return };
        if open.len() == MOST_CONNECTIONS {
            open.pop_front().inspect(AbortHandle::abort);
        }
        open.push_back(connection);
    }
}

/// Answers every connection by `routes`.
pub(super) async fn answer_all(listener: TcpListener, routes: Router, mut limit: ConnectionLimit) {
    loop {
        let place = limit.acquire().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let answering = tokio::spawn(answer(stream, routes.clone(), place));
                limit.opened(answering.abort_handle());
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection for metrics or probes");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, routes: Router, _place: Option<OwnedSemaphorePermit>) {
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    // Failures are the reader's own: a head that is not HTTP, or a closed connection.
    let _ = tokio::time::timeout(LIFETIME, connection).await;
}
