//! What we ask of an issuer, and what it can answer: the nouns that the pure rooms and the HTTP client share.

use crate::redacted::Redacted;
use crate::time::Moment;
use jiff::Timestamp;
use std::time::Duration;

pub mod address;
pub mod application;
pub mod body;
pub mod endpoint;
pub mod host_list;
mod renewal;
pub mod reply;
mod request;
pub mod session;

pub use renewal::{Kind, Renewal, RenewalTime};
pub use request::{Extend, LogIn, Login, Message, Method, Pair, Properties, RedactedUrl, Refresh, TokenRequest, Wire};

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
pub struct TokenResponse {
    /// The live token.
    pub token: Redacted,
    /// What extends it, where it is one of a session.
    pub refresh_token: Option<Redacted>,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// The issuer's `Date` header: for measuring clock skew, never for arithmetic on expiries.
    pub date: Option<Timestamp>,
}

impl TokenResponse {
    /// The seconds by which the issuer's clock is ahead of ours, which shows `now`.
    pub fn clock_skew(&self, now: Timestamp) -> Option<i64> {
        Some(self.date?.as_second() - now.as_second())
    }
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
