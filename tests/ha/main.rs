//! Several replicas of which one acts, on a real control plane: whoever goes, another one takes over, and nobody acts twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../faults/history.rs"]
mod history;
mod ports;
mod probes;
mod propagation;
mod relay;
mod replicas;
mod shards;
mod silence;
#[path = "../support/mod.rs"]
mod support;
mod takeover;
