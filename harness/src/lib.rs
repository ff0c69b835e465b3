//! A real Kubernetes control plane, and real OAuth2 servers, on loopback for tests, benchmarks and the demo.
//!
//! Every process started here is tied to the life of the one that started it: whichever way a test ends, SIGKILL
//! included, its servers die and its files go. `shared` gives the control plane that a whole test run has in common;
//! `ControlPlane::start` one of its own to a test that takes the API server down.

mod authorization_server;
mod cluster;
mod control_plane;
mod error;
mod http;
mod hydra;
mod oauth2_server;
mod operator;
mod process;
mod ready;
mod scratch;
mod store;
mod tools;
mod wait;

pub use authorization_server::AuthorizationServer;
pub use cluster::{Cluster, Namespace};
pub use control_plane::{Backup, ControlPlane, KUBECONFIG_VARIABLE, shared};
pub use error::Error;
pub use hydra::{Hydra, HydraSettings, TokenFormat};
pub use oauth2_server::{ClientAuthentication, OAuth2Client, OAuth2Server};
pub use operator::Operator;
pub use process::Process;
pub use scratch::Scratch;
pub use store::Change;
pub use tools::{free_port, helm, prometheus};
pub use wait::wait_for;

/// What a harness call gives.
pub type Result<T> = std::result::Result<T, Error>;
