//! A request that is not answered soon is sent once more over a new connection, and the first response counts. If it
//! comes over the new connection, the old connections have gone silent and are no longer used.
//!
//! Repeating a write is safe: each is fenced by a resourceVersion, or by a name that can be created only once, so that
//! the second of two returns a conflict, which makes the caller read again.

use super::connect;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::Request;
use kube::client::Body;
use kube::{Client, Config};
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Responses take some milliseconds. A request that takes longer than this is sent a second time, so that a rotation is
/// late by at most 3 s.
const PATIENCE: Duration = Duration::from_secs(2);
/// Concurrent second attempts: an API server that is slow, but not silent, is not sent everything twice.
const SECOND_ATTEMPTS: usize = 8;

type Response = http::Response<Body>;

/// A client that renews its connections.
#[derive(Clone)]
pub(super) struct Renewal(Arc<Shared>);

struct Shared {
    config: Config,
    reused_within: Duration,
    current: RwLock<Line>,
    second_attempts: Semaphore,
}

/// The connections in use, counted.
#[derive(Clone)]
struct Line {
    number: u64,
    client: Client,
}

impl Renewal {
    pub(super) fn of(config: Config, reused_within: Duration) -> kube::Result<Self> {
        let current = RwLock::new(Line { number: 0, client: connect(&config, reused_within)? });
        let second_attempts = Semaphore::new(SECOND_ATTEMPTS);
        Ok(Self(Arc::new(Shared { config, reused_within, current, second_attempts })))
    }
}

impl Shared {
    fn current(&self) -> Line {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn send(&self, request: Request<Body>) -> kube::Result<Response> {
        let (line, again) = (self.current(), copy_of(&request));
        let mut first = pin!(line.client.send(request));
        if let Ok(answer) = timeout(PATIENCE, &mut first).await {
            return answer;
        }
        let Some(again) = again else { return first.await };
        tokio::select! {
            Ok(answer) = &mut first => Ok(answer),
            answer = self.send_anew(again, line.number) => answer,
        }
    }

    /// Over a connection other than that one.
    async fn send_anew(&self, request: Request<Body>, silent: u64) -> kube::Result<Response> {
        let _turn = self.second_attempts.acquire().await;
        let current = self.current();
        if current.number != silent {
            return current.client.send(request).await;
        }
        let client = connect(&self.config, self.reused_within)?;
        let answer = client.send(request).await?;
        self.renew(Line { number: silent + 1, client });
        Ok(answer)
    }

    fn renew(&self, line: Line) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.number < line.number {
            *current = line;
            tracing::warn!(
                "a connection to the API server was silent for {PATIENCE:?}; continuing over a new \
                connection"
            );
        }
    }
}

/// None for a body that can be read only once; the operator sends no such body.
fn copy_of(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

impl tower::Service<Request<Body>> for Renewal {
    type Response = Response;
    type Error = kube::Error;
    type Future = BoxFuture<'static, kube::Result<Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<kube::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        async move { shared.send(request).await }.boxed()
    }
}
