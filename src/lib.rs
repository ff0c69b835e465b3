//! syniverse-token-operator: keeps a live Syniverse access token in a Kubernetes Secret.

pub mod api;
pub mod issuer;
pub mod redacted;
pub mod settings;
pub mod telemetry;
