//! Messages about the standby, one of two credentials that take turns.

use crate::issuer::Kind;
use crate::reason::{Finding, Reason};
use crate::secrets::rfc3339;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The standby has no token to take over with, because of `problem`.
pub fn standby_failing(problem: &str) -> Finding {
    let message = format!("the standby cannot take over, so the next rotation leaves a gap: {problem}");
    Finding::new(Reason::StandbyFailing, message)
}

/// Both credentials are the same to the issuer.
pub fn standby_not_independent(kind: Kind) -> Finding {
    let remedy = match kind {
        Kind::Application => "put the consumer key of a second application into the Secret of spec.application.standby",
        Kind::ClientCredentials => {
            "give spec.clientCredentials.standby scopes that the issuer grants, or another client"
        }
        Kind::Session => "remove the standby",
    };
    let message = format!(
        "both credentials are the same to the issuer, so there is one live token at a time: {remedy}; the first goes on \
         alone"
    );
    Finding::new(Reason::StandbyNotIndependent, message)
}

/// A hand-over that comes late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortOverlap {
    /// How long both tokens will be live.
    pub overlap: Duration,
    /// How long they are otherwise.
    pub usual: Duration,
    /// From when on it is as usual again.
    pub whole_from: Timestamp,
}

/// The next hand-over comes late.
pub fn overlap_short(short: ShortOverlap) -> Finding {
    let seconds = |length: Duration| SignedDuration::from_secs(length.as_secs().try_into().unwrap_or(i64::MAX));
    let ShortOverlap { overlap, usual, whole_from } = short;
    let message = format!(
        "the tokens of both credentials end close together, so the next hand-over overlaps for {:#} instead of {:#}; it \
         is whole again from {}",
        seconds(overlap),
        seconds(usual),
        rfc3339(whole_from)
    );
    Finding::new(Reason::OverlapShort, message)
}
