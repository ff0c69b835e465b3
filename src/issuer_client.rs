//! The client for issuers.

pub mod http;
pub mod transport;

use futures::future::BoxFuture;
use syniverse_token_core::issuer::{Failure, TokenRequest, TokenResponse};

/// The client for issuers.
pub trait Issuer: Send + Sync {
    /// Sends a request and reads the response, within the call timeout. It never repeats a request by itself.
    fn send<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Result<TokenResponse, Failure>>;
}
