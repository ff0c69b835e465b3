//! What is asked of an issuer: one request, as its kind writes it, and what is to be known of it.

use super::reply::{Body, Reply};
use super::{Failure, Kind, TokenResponse};
use crate::redacted::Redacted;
use url::Url;

/// One question to an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenRequest {
    /// To the application issuer: may be repeated.
    Refresh(Refresh),
    /// To the session issuer: an answer kills the pair that it was asked with.
    Extend(Extend),
    /// To the session issuer: opens a session of its own.
    LogIn(LogIn),
}

impl TokenRequest {
    /// What its kind makes of it: the one place where the kinds of requests are told apart.
    pub fn wire(&self) -> &(dyn Wire + Sync) {
        match self {
            Self::Refresh(refresh) => refresh,
            Self::Extend(extend) => extend,
            Self::LogIn(log_in) => log_in,
        }
    }

    /// The URL without query, as the spec gives it.
    pub fn endpoint(&self) -> &str {
        self.wire().endpoint()
    }
}

/// A request as its kind writes it, with what else is to be known of it.
pub trait Wire {
    /// The URL without query, as the spec gives it.
    fn endpoint(&self) -> &str;

    /// The kind of credential that it is made for.
    fn kind(&self) -> Kind;

    /// What is to be known of it, whatever its kind.
    fn properties(&self) -> Properties<'_>;

    /// The message to send to `endpoint`, which has been admitted.
    fn message(&self, endpoint: Url) -> Message;

    /// Reads what came back.
    ///
    /// # Errors
    /// Whatever gives no token, as [`super::FailureKind`] sorts it.
    fn read(&self, reply: &Reply) -> Result<TokenResponse, Failure>;
}

/// What is to be known of a request, whatever its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    /// The token that it uses up: dead, at the latest, once the answer is on its way.
    pub spends: Option<&'a Redacted>,
    /// The lifetime that it names for a new token, in seconds, 0 being one without end; none where it names none.
    pub lifetime_seconds: Option<u64>,
    /// The next token can be had only while the present one lives.
    pub is_before_expiry: bool,
    /// What makes requests of several resources requests for the same token: only one of them is sent at a time.
    pub shared_by: Option<&'a Redacted>,
}

/// A message over HTTP. Both the URL and the body may hold credentials.
#[derive(Clone, Debug)]
pub struct Message {
    /// How it is sent.
    pub method: Method,
    /// Where to, with its query.
    pub url: RedactedUrl,
    /// JSON, where there is a body.
    pub body: Option<Body>,
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

/// Asks for the live token of an application (`GET apptoken-refresh`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// The URL without query, as the spec gives it.
    pub endpoint: String,
    /// Names the application.
    pub consumer_key: Redacted,
    /// Proves that we may ask.
    pub consumer_secret: Redacted,
    /// A token this application has had.
    pub old_token: Redacted,
    /// The validity a new token shall have, in whole seconds; 0 = never expires.
    pub validity_seconds: u64,
}

/// Extends a session (`PUT /api/v2/auth/token`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extend {
    /// The URL, as the spec gives it.
    pub endpoint: String,
    /// The pair that dies with the answer.
    pub pair: Pair,
}

/// Opens a session (`POST /api/v2/auth/token`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIn {
    /// The URL, as the spec gives it.
    pub endpoint: String,
    /// Who.
    pub login: Login,
}

/// The two tokens of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The one that workloads use.
    pub token: Redacted,
    /// The one that, with the other, extends the session: once.
    pub refresh_token: Redacted,
}

/// What opens a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Names the account.
    pub username: Redacted,
    /// Proves that it is ours.
    pub password: Redacted,
}
