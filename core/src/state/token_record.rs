//! A token as the issuer returned it, updated by further responses.

use super::{UnknownFields, UnrecordedResponse};
use crate::fingerprint::fingerprint;
use crate::issuer::{Cause, Pair, ROUNDING, TokenResponse, expiry_moves};
use crate::issuer::{Kind, Omissions, Renewal};
use crate::redacted::{self, Redacted};
use crate::time::{Now, later};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far in the future a stored issue time may be before the wall clock is distrusted.
const CLOCK_DOUBT: Duration = Duration::from_secs(60);

/// A token with a shorter lifetime than this, in seconds, is useless, unless little more was requested ...
const SHORTEST_LIFE: u64 = 10;
/// ... and so is a token with less than this part of the requested lifetime.
const SMALLEST_PART: u64 = 100;

/// A token as the issuer returned it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRecord {
    /// The kind of the credential that it was issued to.
    pub kind: Kind,
    /// The token.
    #[serde(with = "redacted::exposed")]
    pub token: Redacted,
    /// The refresh token, for a session.
    #[serde(default, with = "redacted::exposed_option", skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Redacted>,
    /// The issuer has ended the session.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// When the request that brought it was sent.
    pub issue_time: Timestamp,
    /// When it expires as far as is known; none = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<Timestamp>,
    /// When it was to expire according to its first response: a request is always sent then, whatever later responses
    /// say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_expiration_time: Option<Timestamp>,
    /// The lifetime in seconds that its first response reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_seconds: Option<u64>,
    /// The requested lifetime in seconds, 0 = never expires; none where it cannot be requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_seconds: Option<u64>,
    /// It lives too short to be of use, and so did the token before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub short_lived: bool,
    /// The check before its expiry has been made.
    #[serde(default)]
    pub checked: bool,
    /// A consumer was refused with it, and the issuer said that it lives.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rejected: bool,
    /// No response has brought it: a lost state was made anew from the token Secret, and whose it is is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub found: bool,
    /// Time of the last daily check of a long-lived token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_check_time: Option<Timestamp>,
    /// The fingerprint of the previous token: a response with that token is a stale cache, no rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// What its last response lacked.
    #[serde(default, skip_serializing_if = "Omissions::is_empty")]
    pub omissions: Omissions,
    /// Fields added by a newer version of the same format.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// Relation of a returned token to the known token.
#[derive(Clone, Copy, Debug)]
pub enum TokenChange<'a> {
    /// The known token.
    Same(&'a TokenRecord),
    /// The previous token: a stale cache.
    Previous(&'a TokenRecord),
    /// A new token.
    New,
}

impl<'a> TokenChange<'a> {
    /// By `response`, while `known` was the token. A session is given a new pair by every answer.
    pub fn of(response: &TokenResponse, known: Option<&'a TokenRecord>) -> Self {
        match known {
            _ if response.refresh_token.is_some() => Self::New,
            Some(known) if response.token == known.token => Self::Same(known),
            Some(known) if known.previous.as_ref() == Some(&fingerprint(&response.token)) => Self::Previous(known),
            _ => Self::New,
        }
    }
}

impl TokenRecord {
    /// A token of which only the time of its request and its expiry are known; none = never.
    pub fn new(kind: Kind, token: Redacted, issue_time: Timestamp, expiration_time: Option<Timestamp>) -> Self {
        Self {
            kind,
            token,
            refresh_token: None,
            ended: false,
            issue_time,
            expiration_time,
            first_expiration_time: expiration_time,
            lifetime_seconds: None,
            asked_seconds: None,
            short_lived: false,
            checked: false,
            rejected: false,
            found: false,
            daily_check_time: None,
            previous: None,
            omissions: Omissions::default(),
            unknown: UnknownFields::default(),
        }
    }

    /// A new token, after `known`.
    pub(super) fn fresh(
        response: &TokenResponse,
        unrecorded: &UnrecordedResponse,
        known: Option<&TokenRecord>,
    ) -> Self {
        let fresh = Self {
            refresh_token: response.refresh_token.clone(),
            lifetime_seconds: response.lifetime.duration().map(|lifetime| lifetime.as_secs()),
            asked_seconds: unrecorded.asked_seconds,
            previous: known.map(|known| fingerprint(&known.token)),
            omissions: response.omissions.clone(),
            ..Self::new(
                unrecorded.kind,
                response.token.clone(),
                unrecorded.sent.wall,
                expiration(response, unrecorded.sent),
            )
        };
        let short_lived = fresh.was_given_too_little() && known.is_some_and(Self::was_given_too_little);
        Self { short_lived, ..fresh }
    }

    /// A requested lifetime is never too short, and a lifetime corrected by a later response does not count. That of a
    /// session cannot be requested: treated as a request for an endless lifetime.
    fn was_given_too_little(&self) -> bool {
        let asked = self.asked_seconds.or((!self.renewal().names_lifetime).then_some(0));
        let (Some(given), Some(asked)) = (self.lifetime_seconds, asked) else { return false };
        let shortest = if asked == 0 { SHORTEST_LIFE } else { SHORTEST_LIFE.min(asked / 2).max(asked / SMALLEST_PART) };
        let is_uncorrected = self.expiration_time.is_some_and(|end| Some(end) <= self.first_expiration_time);
        given < shortest && is_uncorrected
    }

    /// True while each new token lives too short to be of use. Keeping up with an application's tokens would keep the
    /// issuer and the API server busy for no benefit; a session has to be kept up with, or it is lost.
    pub fn is_short_lived(&self) -> bool {
        self.short_lived && self.was_given_too_little()
    }

    /// When a token that is reported to live longer than requested would expire, should the report be wrong: the issuer
    /// may count in other units, or omit the expiry.
    pub fn asked_end(&self) -> Option<Timestamp> {
        let asked = Duration::from_secs(self.asked_seconds.filter(|asked| *asked > 0)?) + ROUNDING;
        let is_longer = self.lifetime_seconds.is_none_or(|given| given > asked.as_secs());
        is_longer.then(|| later(self.issue_time, asked))
    }

    /// The same token, updated with the expiry in the response.
    pub(super) fn corrected(&self, response: &TokenResponse, unrecorded: &UnrecordedResponse) -> Self {
        let mut next = self.checked_by(unrecorded);
        next.found = false;
        next.omissions.clone_from(&response.omissions);
        let known = self.expiration_time.map(|time| unrecorded.sent.moment_of(time));
        if expiry_moves(known, unrecorded.sent.mono, response.lifetime) {
            next.expiration_time = expiration(response, unrecorded.sent);
        }
        next
    }

    pub(super) fn checked_by(&self, unrecorded: &UnrecordedResponse) -> Self {
        let mut next = self.clone();
        if self.is_from_the_future(unrecorded.sent) {
            next.issue_time = unrecorded.sent.wall;
        }
        next.checked |= unrecorded.cause == Cause::Check;
        next.rejected |= unrecorded.cause == Cause::Rejected;
        if unrecorded.cause == Cause::DailyCheck {
            next.daily_check_time = Some(unrecorded.sent.wall);
        }
        next
    }

    /// The pair of a session that the issuer has not ended.
    pub fn pair(&self) -> Option<Pair> {
        self.any_pair().filter(|_| !self.ended)
    }

    /// The pair of a session, ended or not.
    pub fn any_pair(&self) -> Option<Pair> {
        Some(Pair { token: self.token.clone(), refresh_token: self.refresh_token.clone()? })
    }

    /// True while the credential is lost unless this token is renewed in time.
    pub fn must_be_renewed(&self) -> bool {
        self.renewal().is_lost_at_expiry && self.pair().is_some()
    }

    /// True for a token that had an expiry when it was new.
    pub fn expires(&self) -> bool {
        self.first_expiration_time.is_some()
    }

    /// The earliest end that was ever reported for it; none if it never ends.
    pub fn earliest_end(&self) -> Option<Timestamp> {
        [self.first_expiration_time, self.expiration_time].into_iter().flatten().min()
    }

    /// How the next token is obtained.
    pub fn renewal(&self) -> Renewal {
        self.kind.renewal()
    }

    /// True when the wall clock is before the stored issue time by more than [`CLOCK_DOUBT`].
    pub fn is_from_the_future(&self, now: Now) -> bool {
        self.issue_time > later(now.wall, CLOCK_DOUBT)
    }
}

/// The instant before the request was sent, plus the lifetime reported.
fn expiration(response: &TokenResponse, sent: Now) -> Option<Timestamp> {
    response.lifetime.duration().map(|lifetime| later(sent.wall, lifetime))
}
