//! Requests to an issuer and its responses: the types that the core and the HTTP client share.

use crate::redacted::Redacted;
use crate::time::Moment;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub mod address;
pub mod application;
pub mod body;
pub mod client_credentials;
pub mod endpoint;
pub mod host_list;
mod renewal;
pub mod reply;
mod request;
pub mod session;

pub use renewal::{Kind, Renewal, RenewalTime};
pub use request::{
    ClientCredentials, Content, Extend, LogIn, Login, Message, Method, Pair, Properties, RedactedUrl, Refresh,
    SharedBy, TokenRequest, Wire,
};

/// Lifetimes are whole seconds, rounded either way: a difference up to this does not count.
pub const ROUNDING: Duration = Duration::from_secs(2);

/// Why a token is requested. There is no other cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is no token yet.
    FirstIssue,
    /// A value of the request changed; its name.
    Changed(&'static str),
    /// The refresh annotation has a new value.
    Requested,
    /// A consumer was refused with the token in the Secret.
    Rejected,
    /// Another resource of the same application received a new token.
    RotatedElsewhere,
    /// The session ends soon.
    Extension,
    /// The session has ended.
    Ended,
    /// The token is at its end.
    Boundary,
    /// The token ends within the refresh lead, and the standby takes over.
    HandOver,
    /// The check before the end.
    Check,
    /// The daily check of a long-lived token.
    DailyCheck,
    /// The wall clock is before the issue time, so it is not trusted.
    ClockDoubt,
}

impl Cause {
    /// Every cause; a change of any value.
    pub const ALL: [Self; 12] = [
        Self::FirstIssue,
        Self::Changed(""),
        Self::Requested,
        Self::Rejected,
        Self::RotatedElsewhere,
        Self::Extension,
        Self::Ended,
        Self::Boundary,
        Self::HandOver,
        Self::Check,
        Self::DailyCheck,
        Self::ClockDoubt,
    ];

    /// The name in logs and Events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstIssue => "first-issue",
            Self::Changed(_) => "changed",
            Self::Requested => "requested",
            Self::Rejected => "rejected",
            Self::RotatedElsewhere => "rotated-elsewhere",
            Self::Extension => "extension",
            Self::Ended => "ended",
            Self::Boundary => "boundary",
            Self::HandOver => "hand-over",
            Self::Check => "check",
            Self::DailyCheck => "daily-check",
            Self::ClockDoubt => "clock-doubt",
        }
    }
}

/// The remaining lifetime that the issuer reports, counted from the moment the request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It does not expire: the lifetime was above 100 years; or an application's was absent or null, or no more than
    /// zero where validity 0 was asked for.
    Never,
    /// Whole seconds; 0 when the issuer reported zero or less (the token is at its very end).
    Seconds(u64),
}

impl Lifetime {
    /// None = forever.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Seconds(seconds) => Some(Duration::from_secs(seconds)),
        }
    }
}

/// A token as the issuer returned it: the live token or a new token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenResponse {
    /// The live token.
    pub token: Redacted,
    /// The refresh token, for a session.
    pub refresh_token: Option<Redacted>,
    /// Its lifetime.
    pub lifetime: Lifetime,
    /// What the response lacks of what was to be expected.
    pub omissions: Omissions,
    /// The issuer's `Date` header: for measuring clock skew, never for arithmetic on expiries.
    pub date: Option<Timestamp>,
}

/// What a response with a token lacks of what was to be expected. The token is used all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Omissions {
    /// It reports no lifetime: one is assumed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lifetime: bool,
    /// The scopes that were asked for and not granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

impl Omissions {
    /// True when it lacks nothing.
    pub fn is_empty(&self) -> bool {
        !self.lifetime && self.scopes.is_empty()
    }
}

impl TokenResponse {
    /// The seconds by which the issuer's clock is ahead of ours, which shows `now`.
    pub fn clock_skew(&self, now: Timestamp) -> Option<i64> {
        Some(self.date?.as_second() - now.as_second())
    }
}

/// True when a response with the same token, requested at `sent`, moves the `known` expiry (none = never).
///
/// An earlier expiry counts at once; a later expiry is followed, unless the lifetime is so short that it only means "at
/// its end" (otherwise a token that is returned after its end would seem to live on from response to response).
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

/// Kind of a failure: decides the reason, the retry, and whether the endpoint is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Our settings forbid this endpoint (host, address or scheme); nothing was sent.
    EndpointNotAllowed,
    /// The request itself is rejected (a 4xx other than 408 and 429, or a redirect): this says nothing about the
    /// endpoint, and a retry alone will not help.
    Rejected,
    /// A refusal of this resource alone: a 500 with the API's envelope, as for wrong credentials, or a failure of a
    /// session with a 4xx or an unknown code.
    Refused,
    /// The session to be extended has ended (`AUTH_1002`). No other failure ends a session.
    Ended,
    /// The issuer does not accept this username and password (`AUTH_1001`).
    LoginRefused,
    /// Not reachable, timed out, throttled, another 5xx, or a 2xx without what the API promises: the endpoint is to blame.
    Unavailable,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::EndpointNotAllowed, Self::Rejected, Self::Refused, Self::Ended, Self::LoginRefused, Self::Unavailable];

    /// The name in metrics.
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

/// A request that returned no token. Its text never holds a credential, a token, a URL query or a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// Its kind.
    pub kind: FailureKind,
    /// A clause for people, such as `the issuer answered HTTP 500`.
    pub detail: String,
    /// The issuer's `Retry-After`, bounded by the reader.
    pub retry_after: Option<Duration>,
    /// The HTTP status that the issuer answered with, if it answered.
    pub status: Option<u16>,
}
