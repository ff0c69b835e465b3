//! What we ask of an issuer, and what it can answer: the nouns that the pure rooms and the HTTP client share.

use crate::redacted::Redacted;
use crate::time::Moment;
use jiff::Timestamp;
use reply::{Body, Reply};
use std::time::Duration;
use url::Url;

pub mod address;
pub mod application;
pub mod body;
pub mod endpoint;
pub mod host_list;
mod renewal;
pub mod reply;
pub mod session;

pub use renewal::{Kind, Renewal, RenewalTime};

/// Answers are whole seconds, rounded either way: a difference up to this is none.
pub const ROUNDING: Duration = Duration::from_secs(2);

/// Why the issuer is asked. There is no other cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is no token yet.
    FirstIssue,
    /// A value that goes into the call changed; its name.
    Changed(&'static str),
    /// The refresh annotation has a new value.
    Requested,
    /// Another resource of the same application saw a rotation.
    RotatedElsewhere,
    /// The session ends soon.
    Extension,
    /// The session has ended.
    Ended,
    /// The token is at its end.
    Boundary,
    /// The check before the end.
    Check,
    /// The daily check of a long-lived token.
    DailyCheck,
    /// The wall clock stands before the issue time: it is not believed.
    ClockDoubt,
}

impl Cause {
    /// Every cause there is; a change of whatever.
    pub const ALL: [Self; 10] = [
        Self::FirstIssue,
        Self::Changed(""),
        Self::Requested,
        Self::RotatedElsewhere,
        Self::Extension,
        Self::Ended,
        Self::Boundary,
        Self::Check,
        Self::DailyCheck,
        Self::ClockDoubt,
    ];

    /// The word for logs and Events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstIssue => "first-issue",
            Self::Changed(_) => "changed",
            Self::Requested => "requested",
            Self::RotatedElsewhere => "rotated-elsewhere",
            Self::Extension => "extension",
            Self::Ended => "ended",
            Self::Boundary => "boundary",
            Self::Check => "check",
            Self::DailyCheck => "daily-check",
            Self::ClockDoubt => "clock-doubt",
        }
    }
}

/// One question to an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To the application issuer: may be repeated.
    Refresh(Refresh),
    /// To the session issuer: an answer kills the pair that it was asked with.
    Extend(Extend),
    /// To the session issuer: opens a session of its own.
    LogIn(LogIn),
}

impl Ask {
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
    /// Whatever gives no token, as [`FailureKind`] sorts it.
    fn read(&self, reply: &Reply) -> Result<Answer, Failure>;
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

/// How long the issuer says a token still lives, counted from the moment the request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It does not expire: `validityTime` was absent, null or above 100 years, or no more than zero where validity 0 was
    /// asked for.
    Never,
    /// Whole seconds; 0 when the issuer reported zero or less (the token is at its very end).
    Seconds(u64),
}

impl Lifetime {
    /// None = for ever.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Seconds(seconds) => Some(Duration::from_secs(seconds)),
        }
    }
}

/// A token as the issuer gave it: the one that lives, or a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The live token.
    pub token: Redacted,
    /// What extends it, where it is one of a session.
    pub refresh_token: Option<Redacted>,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// The issuer's `Date` header: for measuring clock skew, never for arithmetic on expiries.
    pub date: Option<Timestamp>,
}

/// True when an answer for the same token, sent at `sent`, moves the expiry that was `known` (none = never).
///
/// An earlier expiry counts at once; a later one is followed, unless the answer is so short that it only says "at its
/// end" (otherwise a token that is returned after its end would seem to live on from answer to answer).
pub fn expiry_moves(known: Option<Moment>, sent: Moment, lifetime: Lifetime) -> bool {
    match (known, lifetime) {
        (None, Lifetime::Never) => false,
        (None, Lifetime::Seconds(_)) | (Some(_), Lifetime::Never) => true,
        (Some(known), Lifetime::Seconds(seconds)) => {
            let reported = sent + Duration::from_secs(seconds);
            reported + ROUNDING < known || (reported > known + ROUNDING && seconds >= ROUNDING.as_secs())
        }
    }
}

/// What kind of failure it was: decides the reason, the retry, and whether the endpoint is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Our settings forbid this endpoint (host, address or scheme); nothing was sent.
    EndpointNotAllowed,
    /// The request itself is wrong, as whoever answers it says (a 4xx other than 408 and 429, or a redirect): it says
    /// nothing about the endpoint, and a retry alone will not help.
    Rejected,
    /// An answer to this resource alone: a 500 with the API's envelope, which wrong credentials look like, or a failure of
    /// a session with a 4xx or with a code that we do not know.
    Refused,
    /// The session that was to be extended is over (`AUTH_1002`). No other failure ends one.
    Ended,
    /// The account that was to be logged in to is not known by this username and password (`AUTH_1001`).
    LoginRefused,
    /// Not reachable, timed out, throttled, another 5xx, or a 2xx without what the API promises: the endpoint is to blame.
    Unavailable,
}

impl FailureKind {
    /// Every kind there is.
    pub const ALL: [Self; 6] =
        [Self::EndpointNotAllowed, Self::Rejected, Self::Refused, Self::Ended, Self::LoginRefused, Self::Unavailable];

    /// The word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndpointNotAllowed => "endpoint-not-allowed",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Ended => "ended",
            Self::LoginRefused => "login-refused",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A call that gave no token. Its text never holds a credential, a token, a URL query or a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// What kind.
    pub kind: FailureKind,
    /// One clause for people, such as `the issuer answered HTTP 500`.
    pub detail: String,
    /// The issuer's wish (`Retry-After`), bounded by the reader.
    pub retry_after: Option<Duration>,
}
