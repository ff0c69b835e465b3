//! What a real Prometheus and its promtool make of the metrics and of the alerts: `make test-prometheus`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alerts;
mod dashboard;
mod firing;
mod fleet;
mod promtool;
mod scraping;
mod server;
#[path = "../support/mod.rs"]
mod support;
