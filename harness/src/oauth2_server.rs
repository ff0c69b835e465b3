//! What all OAuth2 servers of tests have in common.

use std::future::Future;

use serde_json::Value;

use crate::{
    Result,
    http::{FORM, Listener},
};

/// A client that may get tokens with `grant_type=client_credentials`.
#[derive(Clone, Copy, Debug)]
pub struct OAuth2Client<'a> {
    /// Its `client_id`.
    pub id: &'a str,
    /// Its `client_secret`, of at least six characters.
    pub secret: &'a str,
    /// What it may ask for as `scope`.
    pub scopes: &'a [&'a str],
    /// The one way in which it may show its secret, for servers that register one.
    pub authentication: ClientAuthentication,
}

/// The way in which a client shows its secret to the token endpoint (RFC 6749, 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// In the header `Authorization: Basic`, id and secret being form-encoded first (`client_secret_basic`).
    Basic,
    /// In the request's body (`client_secret_post`).
    Body,
}

impl ClientAuthentication {
    /// Its name in a registration (RFC 7591, 2): `token_endpoint_auth_method`.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Basic => "client_secret_basic",
            Self::Body => "client_secret_post",
        }
    }
}

/// A server that gives tokens to clients, and says what it knows of a token.
pub trait OAuth2Server: Sync {
    /// Where clients get tokens: `http://127.0.0.1:12345/oauth2/token`.
    fn token_url(&self) -> String;

    /// What the server knows of a token (RFC 7662): `active`, and if it is `client_id`, `scope`, `exp` and more.
    ///
    /// # Errors
    /// If the server does not answer, as it does when it is stopped.
    fn introspect(&self, token: &str) -> impl Future<Output = Result<Value>> + Send;

    /// Whether a token is alive: issued by this server and neither at its end nor revoked.
    ///
    /// # Errors
    /// As `introspect`.
    fn is_active(&self, token: &str) -> impl Future<Output = Result<bool>> + Send {
        async { Ok(self.introspect(token).await?["active"] == true) }
    }
}

/// Servers that several tests share.
impl<S: OAuth2Server> OAuth2Server for &S {
    fn token_url(&self) -> String {
        (*self).token_url()
    }

    async fn introspect(&self, token: &str) -> Result<Value> {
        (*self).introspect(token).await
    }
}

/// Asks an introspection endpoint about a token, with further fields of the form that say who asks.
pub(crate) async fn introspect(at: Listener, path: &str, token: &str, asker: &[(&str, &str)]) -> Result<Value> {
    let doing = "introspect a token";
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("token", token).extend_pairs(asker).finish();
    let body = at.post(path, FORM, &form, doing).await?;
    serde_json::from_str(&body).map_err(|_| at.refusal(doing, body))
}
