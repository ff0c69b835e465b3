//! The operator as its users see it: the built binary on a real control plane, with a simulated issuer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod first_issue;
#[path = "../support/mod.rs"]
mod support;
