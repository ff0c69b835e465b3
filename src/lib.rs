//! syniverse-token-operator: keeps a live Syniverse access token in a Kubernetes Secret.
//!
//! ```text
//! watch event (resource, token Secret, state Secret, credentials Secret)    controller: watches, secret_index, wake
//!   -> observe    reads everything one decision needs         [client]      controller::observe
//!   -> plan       facts and the present -> one step           [pure]        syniverse_token_core::plan
//!   -> apply      does the step, chooses nothing              [client]      controller::apply, issuer_client
//!   -> ... until the plan says wait                           [client]      controller::reconcile
//!   -> status     what to say, written only when it changed   [pure]        syniverse_token_core::status
//!   -> report     one log line, metrics, perhaps an Event                   controller::report, telemetry::metrics
//! ```
//! Everything that decides is in the crate `syniverse-token-core`, which cannot reach the world. Here is the world: the
//! command line in [`cli`], the settings of `run` in [`settings`], the ways to the API server in [`client`], the HTTP client for issuers in [`issuer_client`],
//! the controller in [`controller`], logs and metrics in [`telemetry`].

pub mod cli;
pub mod client;
pub mod clock;
pub mod controller;
pub mod issuer_client;
pub mod settings;
pub mod telemetry;
