//! The deciding half of syniverse-token-operator: when and how tokens are requested, and what is written. No client, no
//! HTTP, no clock, no randomness and no async runtime: its `Cargo.toml` is the wall.
//!
//! ```text
//! observe  -> Observed    what one decision needs                       observed
//! plan     -> Plan        facts and the present -> one step             plan, schedule, secrets, credential, intent
//! effects  -> Memory      what follows from a step                      memory, state
//! status   -> Status      what the resource says, written when changed  status, messages, reason
//! ```
//! A token that is in its Secret is delivered to those who use it, beside all that: [`propagation`].
//!
//! The nouns are in [`api`], [`issuer`], [`time`] and [`reason`]. What survives the process is in [`state`]; what does not,
//! in [`memory`]; what resources know of each other, in [`queue`]. Which process may act is decided in [`lease`] and [`shard`].

pub mod api;
pub mod credential;
pub mod effects;
pub mod fingerprint;
pub mod intent;
pub mod issuer;
pub mod lease;
pub mod memory;
pub mod messages;
pub mod observed;
pub mod packed_json;
pub mod plan;
pub mod propagation;
pub mod queue;
pub mod reason;
pub mod reconcile_report;
pub mod redacted;
pub mod revision;
pub mod schedule;
pub mod secret_metadata;
pub mod secrets;
pub mod shard;
pub mod state;
pub mod status;
pub mod time;
pub mod validated;
