//! The commands for people, as they are called, on a real control plane.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod check;
mod command;
mod docs;
mod simulate;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
