//! The deciding rooms, from outside: facts and the present in, decisions out. No client, no clock, no waiting.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client_credentials;
mod cluster;
mod lease;
mod memory;
mod migration;
mod plan;
mod propagation;
mod queue;
mod schedule;
mod secret_metadata;
mod secrets;
mod session;
mod standby;
mod state;
mod status;
mod turns;
mod wave;
