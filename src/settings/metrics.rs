//! Metrics: where they are served, and which series they have.

use clap::{Args, ValueEnum};
use std::net::SocketAddr;

/// The flags of metrics.
#[derive(Args)]
pub(super) struct MetricsArguments {
    /// Address to serve metrics on, over plain http, such as 0.0.0.0:8080 [default: none]
    #[arg(long, value_name = "ADDRESS:PORT", env = "SYNIVERSE_TOKEN_OPERATOR_LISTEN")]
    pub(super) listen: Option<SocketAddr>,
    /// Which tokens have series of their own in the metrics: 10,000 make a page of 2 MB at each scrape. Totals are
    /// served in any case
    #[arg(long, value_name = "WHICH", env = "SYNIVERSE_TOKEN_OPERATOR_TOKEN_METRICS", default_value = "all")]
    pub(super) token_metrics: TokenSeries,
}

/// The resources with series of their own in the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TokenSeries {
    /// Every resource
    #[default]
    All,
    /// Those that are not Ready, whose reason is failing or stalled, or whose token has expired
    Failing,
    /// None
    None,
}
