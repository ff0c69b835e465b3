//! Requests to an issuer: their wire form by kind, and their properties.

use super::reply::{Body, Reply};
use super::{Failure, Kind, TokenResponse};
use crate::api::ClientAuthentication;
use crate::redacted::Redacted;
use std::collections::BTreeMap;
use url::Url;

/// A request to an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenRequest {
    /// Requests the live token of an application: may be repeated.
    Refresh(Refresh),
    /// Extends a session: a response invalidates the pair in the request.
    Extend(Extend),
    /// Opens a new session.
    LogIn(LogIn),
    /// Requests a token for client credentials: may be repeated.
    ClientCredentials(ClientCredentials),
}

impl TokenRequest {
    /// The wire form of the request: the only place that distinguishes the kinds of requests.
    pub fn wire(&self) -> &(dyn Wire + Sync) {
        match self {
            Self::Refresh(refresh) => refresh,
            Self::Extend(extend) => extend,
            Self::LogIn(log_in) => log_in,
            Self::ClientCredentials(client) => client,
        }
    }

    /// The URL without query, as the spec gives it.
    pub fn endpoint(&self) -> &str {
        self.wire().endpoint()
    }
}

/// A request in its wire form, with its properties.
pub trait Wire {
    /// The URL without query, as the spec gives it.
    fn endpoint(&self) -> &str;

    /// The kind of credential that it is made for.
    fn kind(&self) -> Kind;

    /// Properties of the request, whatever its kind.
    fn properties(&self) -> Properties<'_>;

    /// The message to send to `endpoint`, which has been admitted.
    fn message(&self, endpoint: Url) -> Message;

    /// Reads what came back.
    ///
    /// # Errors
    /// Everything that gives no token, as [`super::FailureKind`] sorts it.
    fn read(&self, reply: &Reply) -> Result<TokenResponse, Failure>;
}

/// Properties of a request, whatever its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    /// The token that it consumes: dead, at the latest, once the response is on its way.
    pub spends: Option<&'a Redacted>,
    /// The lifetime that it requests for a new token, in seconds, 0 = never expires; none where it requests none.
    pub lifetime_seconds: Option<u64>,
    /// The next token can be obtained only while the current token is live.
    pub is_before_expiry: bool,
    /// Identifies requests of several resources for the same token, with its secret: only a single such request is in
    /// flight at a time. Whoever knows the identifier alone delays nobody who knows the secret.
    pub shared: Option<SharedBy<'a>>,
}

/// What several resources have in common that ask for the same token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedBy<'a> {
    /// Identifies the application or client, and what is asked of it.
    pub identifier: &'a Redacted,
    /// Its secret.
    pub secret: &'a Redacted,
}

/// A message over HTTP. URL, header and content may hold credentials.
#[derive(Clone, Debug)]
pub struct Message {
    /// How it is sent.
    pub method: Method,
    /// Where to, with its query.
    pub url: RedactedUrl,
    /// The value of the header Authorization.
    pub authorization: Option<Redacted>,
    /// The body with its media type, where there is a body.
    pub content: Option<Content>,
}

/// The body of a message, by its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// JSON.
    Json(Body),
    /// A form.
    Form(Body),
}

impl Content {
    /// The value of the header Content-Type.
    pub const fn media_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json",
            Self::Form(_) => "application/x-www-form-urlencoded",
        }
    }

    /// The bytes to be sent.
    pub fn into_body(self) -> Body {
        match self {
            Self::Json(body) | Self::Form(body) => body,
        }
    }
}

/// The methods that issuers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
}

/// A URL whose query may hold credentials: it cannot be printed.
#[derive(Clone)]
pub struct RedactedUrl(pub Url);

impl std::fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Requests the live token of an application (`GET apptoken-refresh`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// The URL without query, as the spec gives it.
    pub endpoint: String,
    /// Names the application.
    pub consumer_key: Redacted,
    /// The secret that authenticates the application.
    pub consumer_secret: Redacted,
    /// A former token of the application.
    pub old_token: Redacted,
    /// The validity of a new token, in whole seconds; 0 = never expires.
    pub validity_seconds: u64,
}

/// Extends a session (`PUT /api/v2/auth/token`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extend {
    /// The URL, as the spec gives it.
    pub endpoint: String,
    /// The pair that the response invalidates.
    pub pair: Pair,
}

/// Opens a session (`POST /api/v2/auth/token`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIn {
    /// The URL, as the spec gives it.
    pub endpoint: String,
    /// The login.
    pub login: Login,
}

/// Requests a token for client credentials (`POST` of a form).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The URL, as the spec gives it.
    pub endpoint: String,
    /// Names the client.
    pub client_id: Redacted,
    /// The secret that authenticates the client.
    pub client_secret: Redacted,
    /// Where the two travel.
    pub authentication: ClientAuthentication,
    /// The scopes asked for, separated by blanks; empty = none.
    pub scope: String,
    /// The audience; none = not sent.
    pub audience: Option<String>,
    /// Further form fields.
    pub endpoint_params: BTreeMap<String, String>,
    /// Identifies requests for the same token: some issuers keep one for each client and set of scopes.
    pub shared_by: Redacted,
}

/// The two tokens of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The token that workloads use.
    pub token: Redacted,
    /// The token that, together with the other, extends the session once.
    pub refresh_token: Redacted,
}

/// The login that opens a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Names the account.
    pub username: Redacted,
    /// The secret of the account.
    pub password: Redacted,
}
