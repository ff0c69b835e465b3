//! The operator as its users see it: the built binary on a real control plane, with a simulated issuer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod causes;
mod client_credentials;
mod consent;
mod content;
mod delivery;
mod ending;
mod first_issue;
mod hydra;
mod limited;
mod ownership;
mod proxy;
mod refused;
mod repair;
mod rotation;
mod saying;
mod sessions;
mod sharing;
mod standby;
#[path = "../support/mod.rs"]
mod support;
mod suspension;
mod traces;
