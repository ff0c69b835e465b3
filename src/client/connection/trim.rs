//! Removes from lists and watches, while they are read, the metadata that is not read: labels, annotations and managed
//! fields are most of what an object weighs, whoever it belongs to, and 500 objects come in one response.

use super::json_filter::JsonFilter;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_body::{Body as HttpBody, Frame, SizeHint};
use kube::client::Body;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::BoxError;

/// The largest document taken, which is a page of a list or an event of a watch, without what is removed. The library
/// holds it three times while it decodes it. A single object is smaller: etcd takes 1.5 MiB, of which each byte
/// may become six in JSON.
pub(super) const LARGEST_DOCUMENT: usize = 12 << 20;

/// A page that is too large: a smaller one must be asked for.
#[derive(Debug, thiserror::Error)]
#[error("the API server sent more than {} MiB at once", LARGEST_DOCUMENT >> 20)]
pub struct DocumentTooLarge;

/// The body of a response without the metadata that is not read.
pub(super) struct Trimmed {
    body: Body,
    filter: Option<JsonFilter>,
}

/// Trims a response, unless it is an error.
pub(super) fn trimmed(response: http::Response<Body>) -> http::Response<Trimmed> {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|value| value.starts_with("application/json"));
    let filter = (is_json && response.status().is_success()).then(JsonFilter::default);
    response.map(|body| Trimmed { body, filter })
}

impl Trimmed {
    fn trim(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BoxError> {
        let Some(filter) = &mut self.filter else { return Ok(frame) };
        let frame = frame.map_data(|bytes| Bytes::from(filter.push(&bytes)));
        if filter.document_length() > LARGEST_DOCUMENT { Err(DocumentTooLarge.into()) } else { Ok(frame) }
    }
}

impl HttpBody for Trimmed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        frame.map(|frame| Some(frame?.map_err(BoxError::from).and_then(|frame| self.trim(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
