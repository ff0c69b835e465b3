//! Everything that can go wrong around the operator, on a real control plane: kills, outages, bad inputs, issuers that
//! misbehave, rights that are missing; and that nothing secret shows whatever happens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod bad_inputs;
mod cast;
mod crashes;
mod delivery;
mod endings;
mod failures;
mod history;
mod hunt;
mod leaks;
mod leftovers;
mod oddities;
mod old_schema;
mod outages;
mod rights;
mod rivals;
mod set_back;
mod sizes;
#[path = "../support/mod.rs"]
mod support;
