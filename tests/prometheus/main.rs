//! What a real Prometheus and its promtool make of the metrics and of the alerts: `make test-prometheus`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alerts;
mod promtool;
mod scraping;
#[path = "../support/mod.rs"]
mod support;
