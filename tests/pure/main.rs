//! What the sources, the metrics and the supply chain promise of themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod metrics;
mod size;
mod supply_chain;
mod wall;
