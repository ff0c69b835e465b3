//! A limit of the requests in flight, until the last byte of the response was read: responses that were not read yet would
//! take up memory beyond it.

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body as HttpBody, Frame, SizeHint};
use kube::client::Body;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

type Request = http::Request<Body>;

/// A service with a limit of the requests in flight.
#[derive(Clone)]
pub(super) struct InFlight<S> {
    service: S,
    permits: Arc<Semaphore>,
}

impl<S> InFlight<S> {
    /// Limits the requests to `service` to so many at a time. It is always ready.
    pub(super) fn new(service: S, limit: usize) -> Self {
        Self { service, permits: Arc::new(Semaphore::new(limit)) }
    }
}

impl<S, B> Service<Request> for InFlight<S>
where
    S: Service<Request, Response = http::Response<B>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Held<B>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (mut service, permits) = (self.service.clone(), Arc::clone(&self.permits));
        Box::pin(async move {
            // None only for closed permits, which these never are.
            let permit = permits.acquire_owned().await.ok();
            let response = service.call(request).await?;
            Ok(response.map(|body| Held { body, permit }))
        })
    }
}

/// A body that holds a permit until its end.
pub(super) struct Held<B> {
    body: B,
    permit: Option<OwnedSemaphorePermit>,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Held<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) {
            self.permit = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::convert::Infallible;
    use tower::service_fn;

    #[tokio::test]
    async fn a_response_counts_until_it_was_read_or_dropped() {
        let answer = |_| async { Ok::<_, Infallible>(http::Response::new(Body::from(b"read".to_vec()))) };
        let mut limited = InFlight::new(service_fn(answer), 2);
        let mut ask = || limited.call(Request::new(Body::empty()));
        let (read, dropped) = (ask().await.unwrap(), ask().await.unwrap());
        let mut third = ask();
        assert!((&mut third).now_or_never().is_none(), "two are in flight");
        let mut body = read.into_body();
        while std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_some() {
            assert!((&mut third).now_or_never().is_none(), "nor was it read to its end");
        }
        assert!((&mut third).now_or_never().is_some());
        let mut fourth = ask();
        drop(dropped);
        assert!((&mut fourth).now_or_never().is_some());
    }
}
