//! The deciding rooms, from outside: facts and the present in, decisions out. No client, no clock, no waiting.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "pure/facts.rs"]
mod facts;
#[path = "pure/fleet.rs"]
mod fleet;
#[path = "pure/lease.rs"]
mod lease;
#[path = "pure/memory.rs"]
mod memory;
#[path = "pure/metrics.rs"]
mod metrics;
#[path = "pure/plan.rs"]
mod plan;
#[path = "pure/schedule.rs"]
mod schedule;
#[path = "pure/secret_metadata.rs"]
mod secret_metadata;
#[path = "pure/secrets.rs"]
mod secrets;
#[path = "pure/session.rs"]
mod session;
#[path = "pure/state.rs"]
mod state;
#[path = "pure/status.rs"]
mod status;
#[path = "pure/supply_chain.rs"]
mod supply_chain;
#[path = "pure/wall.rs"]
mod wall;
