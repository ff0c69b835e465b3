//! Client credentials at real OAuth 2.0 servers that need a runtime of their own: `make test-oauth-servers`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod keycloak;
mod oidc_provider;
mod promises;
#[path = "../support/mod.rs"]
mod support;
