//! Both APIs and every fault, seen from the other end of a real connection.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod application;
mod caller;
mod client;
mod control;
mod faults;
mod session;
mod tls;
mod verify;
