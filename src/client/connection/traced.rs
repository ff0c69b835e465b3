//! A span for each request that belongs to one: the wait for its turn among the requests in flight is in it.

use crate::telemetry::traces;
use futures::future::BoxFuture;
use std::task::{Context, Poll};
use tower::Service;
use tracing::{Instrument, Span};

/// A service whose requests have spans.
#[derive(Clone)]
pub(super) struct Traced<S>(pub(super) S);

impl<S, A, B> Service<http::Request<A>> for Traced<S>
where
    S: Service<http::Request<A>, Response = http::Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<A>) -> Self::Future {
        // A request of no pass, as for an Event, has none.
        let span = match Span::current() {
            parent if parent.is_disabled() => parent,
            _ => traces::request(request.method().as_str(), request.uri().path()),
        };
        let sent = self.0.call(request);
        let noted = span.clone();
        Box::pin(
            async move {
                let result = sent.await;
                match &result {
                    Ok(response) => drop(noted.record("http.response.status_code", response.status().as_u16())),
                    Err(_) => drop(noted.record("otel.status_code", "error")),
                }
                result
            }
            .instrument(span),
        )
    }
}
