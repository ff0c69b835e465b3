//! How the issuers behave where the documents leave it open, and how their clocks go wrong.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// Behaviour that holds for every call until it is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Switches {
    /// How a remaining time becomes whole seconds.
    pub rounding: Rounding,
    /// How an old token is met that the application never had.
    pub unknown_old_token: UnknownOldToken,
    /// Each refresh makes a new token, as some other issuers do; the one before is dead at that instant.
    pub always_new: bool,
    /// For how long after its end an application's token still comes back, in milliseconds; it is dead all the same.
    pub linger_millis: u64,
    /// Seconds added to the remaining time reported for an existing token.
    pub jump_seconds: i64,
    /// How much later an answer comes, as over a network.
    pub latency: Latency,
    /// Seconds added to the Date header.
    pub date_skew_seconds: i64,
    /// HTTP status of a failure of the session API; no document names one.
    pub session_failure_status: u16,
    /// The token endpoint for client credentials.
    pub clients: ClientSwitches,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            rounding: Rounding::Down,
            unknown_old_token: UnknownOldToken::Accept,
            always_new: false,
            linger_millis: 0,
            jump_seconds: 0,
            latency: Latency::default(),
            date_skew_seconds: 0,
            session_failure_status: 200,
            clients: ClientSwitches::default(),
        }
    }
}

/// How the token endpoint for client credentials behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ClientSwitches {
    /// What becomes of the token that a client already has.
    pub mode: TokenMode,
    /// Scopes are restricted: every token has the scope `default`, and is the same whatever was asked for.
    pub restricted_scopes: bool,
    /// How a scope is met that the client may not have.
    pub unknown_scope: UnknownScope,
    /// The code for a wrong secret.
    pub wrong_secret: WrongSecret,
    /// Without a `validity_period` the answer is a server error, as Syniverse documents it.
    pub needs_validity_period: bool,
    /// Seconds added to each `expires_in`, as a gateway with an allowance for clocks does.
    pub skew_seconds: i64,
}

/// What becomes of the token that a client already has for a set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenMode {
    /// It is given again for as long as it lives.
    #[default]
    Opaque,
    /// A new token is given; the one before lives on.
    Jwt,
    /// A new token is given; the one before is dead at that instant.
    JwtRevoking,
}

/// How a scope is met that the client may not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnknownScope {
    /// With `invalid_scope`.
    #[default]
    Refuse,
    /// It is left out of the token.
    LeaveOut,
}

/// The code for a wrong secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WrongSecret {
    /// `invalid_client`, as RFC 6749 has it.
    #[default]
    InvalidClient,
    /// `unauthorized_client`, as Keycloak has it.
    UnauthorizedClient,
}

/// Times of which each is as likely as the next: half of one passes before the issuer works, and half after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Latency {
    /// The shortest, in milliseconds.
    pub least_millis: u64,
    /// The longest, in milliseconds.
    pub most_millis: u64,
}

impl Latency {
    /// The time that these random bits stand for; none while all of them are zero.
    pub(crate) fn of(self, bits: impl FnOnce() -> u64) -> Duration {
        if self.most_millis == 0 {
            return Duration::ZERO;
        }
        let least = self.least_millis.min(self.most_millis) * 1000;
        Duration::from_micros(least + bits() % (self.most_millis * 1000 - least + 1))
    }
}

/// How a remaining time becomes whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rounding {
    /// 1.9 s left is reported as 1.
    #[default]
    Down,
    /// 1.1 s left is reported as 2.
    Up,
}

/// How an old token is met that the application never had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnknownOldToken {
    /// With 200, as if it were known: the consumer key names the application.
    #[default]
    Accept,
    /// With 500.
    Reject,
}

impl Rounding {
    /// The whole seconds reported for a remaining time; negative after the end.
    pub(crate) fn whole_seconds(self, remaining: SignedDuration) -> i64 {
        let fraction = remaining.subsec_nanos();
        match self {
            Self::Down => remaining.as_secs() - i64::from(fraction < 0),
            Self::Up => remaining.as_secs() + i64::from(fraction > 0),
        }
    }
}
