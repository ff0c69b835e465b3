//! Ends a response that is longer than what a process with little memory can hold.

use super::trim::{DocumentTooLarge, LARGEST_DOCUMENT};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::BoxError;

/// The body of a response, as far as it may be read.
pub(super) struct Bounded<B> {
    body: B,
    left: usize,
}

/// Bounds a response.
pub(super) fn bounded<B>(response: http::Response<B>) -> http::Response<Bounded<B>> {
    response.map(|body| Bounded { body, left: LARGEST_DOCUMENT })
}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin> Bounded<B> {
    fn take(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BoxError> {
        let length = frame.data_ref().map_or(0, Bytes::len);
        self.left = self.left.checked_sub(length).ok_or(DocumentTooLarge)?;
        Ok(frame)
    }
}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin> HttpBody for Bounded<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        frame.map(|frame| Some(frame?.map_err(Into::into).and_then(|frame| self.take(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
