//! A collector of traces: what OpenTelemetry's own does with a batch, kept in memory.

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use harness::wait_for;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::PATIENCE;

/// A collector on the loopback, until it is dropped.
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    spans: Arc<Mutex<Vec<Span>>>,
    server: AbortHandle,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
        let received = Arc::clone(&spans);
        let collect = move |body: Bytes| async move {
            let Ok(batch) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
            let found = batch.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            received.lock().unwrap().extend(found.flat_map(|scope| scope.spans));
            StatusCode::OK
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/v1/traces", post(collect));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }).abort_handle();
        Self { endpoint, spans, server }
    }

    /// All spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    /// Waits until there is a span that is as `holds` says.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Span) -> bool) -> Span {
        let found = async || self.spans().into_iter().find(|span| holds(span));
        wait_for(&format!("a span: {what}"), PATIENCE, found).await.unwrap()
    }

    /// The spans right below `parent`.
    pub(crate) fn children(&self, parent: &Span) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.parent_span_id == parent.span_id).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The attributes of a span, as text.
pub(crate) fn attributes(span: &Span) -> BTreeMap<String, String> {
    let text = |value: &any_value::Value| match value {
        any_value::Value::StringValue(text) => text.clone(),
        other => format!("{other:?}"),
    };
    let pair = |(key, value): (&String, &any_value::Value)| (key.clone(), text(value));
    let present = span.attributes.iter().filter_map(|it| Some((&it.key, it.value.as_ref()?.value.as_ref()?)));
    present.map(pair).collect()
}
