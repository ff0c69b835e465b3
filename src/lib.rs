//! syniverse-token-operator: keeps a live Syniverse access token in a Kubernetes Secret.
//!
//! ```text
//! watch event (resource, token Secret, state Secret, credentials Secret)    controller, watches, index, wake
//!   -> observe    reads everything one decision needs         [client]      observe (facts: what it found)
//!   -> plan       facts and the present -> one step           [pure]        plan, schedule, secrets, credentials, intent
//!   -> apply      does the step, chooses nothing              [client]      apply, issuer
//!   -> ... until the plan says wait                           [client]      reconcile
//!   -> status     what to say, written only when it changed   [pure]        status, verdict, reason
//!   -> report     one log line, metrics, perhaps an Event                   report, metrics (pass: what was done)
//! ```
//! The nouns are in [`api`], [`facts`], [`issuer`], [`moment`] and [`reason`]; what every pass is given is [`context`].
//! What others make of what we say is found by [`own_status`]; [`revision`] tells which of two versions came later.
//! Which labels and annotations a spec may choose is in [`secret_metadata`].
//! What survives the process is in [`state`]; what does not, in [`memory`]; what resources know of each other, in [`fleet`].
//! Which of several processes may do all this is decided in [`lease`] and carried out by [`election`]. How they fare is
//! told by [`admin`], from [`metrics`], [`progress`] and [`process`]. The ways to the API server are in [`connection`];
//! and begin in [`kubeconfig`] with its [`proxy`]; whether the account is bound there as the chart says, is found by
//! [`admission_policy`].

pub mod admin;
pub mod admission_policy;
pub mod api;
pub mod apply;
pub mod clock;
pub mod connection;
pub mod context;
pub mod controller;
pub mod credentials;
pub mod election;
pub mod error;
pub mod facts;
pub mod fingerprint;
pub mod fleet;
pub mod index;
pub mod intent;
pub mod issuer;
pub mod kubeconfig;
pub mod lease;
pub mod memory;
pub mod metrics;
pub mod moment;
pub mod observe;
pub mod own_status;
pub mod pass;
pub mod plan;
pub mod process;
pub mod progress;
pub mod proxy;
pub mod reason;
pub mod reconcile;
pub mod redacted;
pub mod report;
pub mod revision;
pub mod schedule;
pub mod secret_metadata;
pub mod secrets;
pub mod settings;
pub mod state;
pub mod status;
pub mod telemetry;
pub mod verdict;
pub mod wake;
pub mod watches;
