//! Serves metrics and probes over plain HTTP, each on its own port, so that many readers of metrics cannot delay the
//! kubelet's probes. No secret passes here; a NetworkPolicy restricts access.

use crate::controller::context::Context;
use crate::controller::reconcile::longest_pass;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use connections::{ConnectionLimit, answer_all};
use exposition::{Format, gzipped};
use pages::Pages;
use std::net::SocketAddr;
use std::sync::Arc;
use syniverse_token_core::queue::budget_use::BudgetUse;
use tokio::net::TcpListener;

mod connections;
mod exposition;
mod pages;

/// The port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {flag} {address}: {cause}")]
pub struct ListenError {
    /// The flag that gave the address.
    flag: &'static str,
    /// As given.
    address: SocketAddr,
    /// Why.
    cause: std::io::Error,
}

/// Opens the port for metrics, and serves it while the returned future is polled.
///
/// # Errors
/// When the port is taken, or may not be opened.
pub async fn metrics(
    address: SocketAddr,
    context: Arc<Context>,
) -> Result<impl Future<Output = ()> + Send, ListenError> {
    let listener = open("--listen", address).await?;
    let reading = Arc::new(MetricsState { context, pages: Pages::default() });
    let routes = Router::new().route("/metrics", get(read)).with_state(reading);
    Ok(answer_all(listener, routes, ConnectionLimit::waiting()))
}

/// Opens the port for probes, and serves it while the returned future is polled.
///
/// # Errors
/// When the port is taken, or may not be opened.
pub async fn probes(
    address: SocketAddr,
    context: Arc<Context>,
) -> Result<impl Future<Output = ()> + Send, ListenError> {
    let listener = open("--health-listen", address).await?;
    let routes = Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).with_state(context);
    Ok(answer_all(listener, routes, ConnectionLimit::replacing()))
}

async fn open(flag: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let listener = TcpListener::bind(address).await.map_err(|cause| ListenError { flag, address, cause })?;
    tracing::info!(flag, address = %listener.local_addr().unwrap_or(address), "listening");
    Ok(listener)
}

struct MetricsState {
    context: Arc<Context>,
    pages: Pages,
}

async fn read(State(reading): State<Arc<MetricsState>>, headers: HeaderMap) -> Response {
    let asked = |name: HeaderName| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.collect::<Vec<_>>().join(",")
    };
    let format = Format::wanted(&asked(header::ACCEPT));
    let gzip = gzipped(&asked(header::ACCEPT_ENCODING));
    let context = Arc::clone(&reading.context);
    let now = context.clock.now();
    let page = reading.pages.page((format, gzip), now.mono, move || {
        // What waited when the lead was lost is another process' business.
        let is_leader = context.leadership.is_leader();
        let used = if is_leader { context.queue().budget_use(now.mono) } else { BudgetUse::default() };
        context.metrics.set_budget_use(&used);
        let text = format.of(context.metrics.encode(now));
        if gzip { exposition::gzip(&text) } else { text.into() }
    });
    match page.await {
        Some(page) => page_response(format, gzip, page),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn page_response(format: Format, gzip: bool, page: Bytes) -> Response {
    let headers = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept, Accept-Encoding")];
    let mut response = (headers, page).into_response();
    if gzip {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

async fn alive(State(context): State<Arc<Context>>) -> Response {
    probe_response(context.progress().stuck(context.clock.now().mono, longest_pass(context.call_timeout)))
}

async fn ready(State(context): State<Arc<Context>>) -> Response {
    probe_response(context.progress().not_ready())
}

fn probe_response(problem: Option<String>) -> Response {
    match problem {
        None => (StatusCode::OK, "ok\n").into_response(),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem + "\n").into_response(),
    }
}
