//! The ways to the API server: where it is, how it is reached, what its errors mean, and what it allows.

pub mod admission_policy;
pub mod connection;
pub mod error;
pub mod kubeconfig;
pub mod proxy;
