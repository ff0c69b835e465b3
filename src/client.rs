//! The client for the API server: configuration, connections, errors, and permissions.

pub mod admission_policy;
pub mod connection;
pub mod error;
pub mod kubeconfig;
pub mod proxy;
