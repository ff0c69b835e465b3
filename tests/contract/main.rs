//! The HTTP client against a simulated issuer: every answer, every failure, every guard, and silence throughout.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod client_credentials;
mod connections;
mod failures;
mod network;
mod proxy;
mod sessions;
mod silence;
mod stage;
mod wire;
