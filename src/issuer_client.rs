//! The client for issuers.

pub mod http;
pub mod transport;

use futures::future::BoxFuture;
use syniverse_token_core::issuer::{Answer, Ask, Failure};

/// The side of the operator that talks to issuers.
pub trait Issuer: Send + Sync {
    /// Sends one question and reads its answer, within the call timeout. It never repeats a request by itself.
    fn ask<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, Failure>>;
}
