//! Metrics, readiness and liveness over plain http. No secret passes here; who may ask is a NetworkPolicy's to say.

use crate::context::Context;
use crate::reconcile::longest_pass;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// As OpenMetrics asks for.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Nothing can listen there.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on --listen {address}: {cause}")]
pub struct ListenError {
    /// As given.
    address: SocketAddr,
    /// Why.
    cause: std::io::Error,
}

/// Opens the port, and answers there for as long as the returned future is polled.
///
/// # Errors
/// When it is taken, or may not be opened.
pub async fn serve(address: SocketAddr, context: Arc<Context>) -> Result<impl Future<Output = ()> + Send, ListenError> {
    let listener = TcpListener::bind(address).await.map_err(|cause| ListenError { address, cause })?;
    tracing::info!(address = %listener.local_addr().unwrap_or(address), "listens for probes and for metrics");
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .with_state(context);
    Ok(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "probes and metrics are served no longer");
        }
    })
}

async fn metrics(State(context): State<Arc<Context>>) -> Response {
    ([(header::CONTENT_TYPE, OPENMETRICS)], context.metrics.encode(context.clock.now())).into_response()
}

async fn alive(State(context): State<Arc<Context>>) -> Response {
    told(context.progress().stuck(context.clock.now().mono, longest_pass(context.call_timeout)))
}

async fn ready(State(context): State<Arc<Context>>) -> Response {
    told(context.progress().not_ready())
}

fn told(problem: Option<String>) -> Response {
    match problem {
        None => (StatusCode::OK, "ok\n").into_response(),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem + "\n").into_response(),
    }
}
