//! What a test of the whole operator starts from: a namespace of a real control plane, an issuer simulator of its own,
//! and the built operator limited to that namespace.

#![allow(dead_code, unused_imports, reason = "each test crate uses a part of it")]

mod account;
mod collector;
mod delivery;
mod dice;
mod scene;
mod stage;
mod writes;

pub(crate) use account::Account;
pub(crate) use collector::{Collector, attributes};
pub(crate) use delivery::*;
pub(crate) use dice::Dice;
pub(crate) use scene::{CLIENT, CLIENT_CREDENTIALS, LIFESPAN, Scene, scope};
pub(crate) use stage::*;
pub(crate) use writes::Writes;
