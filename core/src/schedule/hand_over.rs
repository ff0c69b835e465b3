//! When the standby takes over: two credentials take turns, so that the Secret always holds a live token.
//!
//! Of all ends that were ever reported for a token, and the one that was asked for, the earliest counts: a later report never
//! moves a hand-over back.

use super::{RefreshPolicy, TokenLifetime};
use crate::schedule::expiry_poll::ExpiryPoll;
use crate::state::TokenRecord;
use crate::time::{Moment, Now, earlier};
use jiff::Timestamp;
use std::time::Duration;

/// The longest default lead of a hand-over.
const LONGEST_DEFAULT_LEAD: Duration = Duration::from_secs(3600);
/// Gateways report up to 300 s too much. A lead of twice that has room for it; a shorter lead is worth a check.
const SAFE_LEAD: Duration = Duration::from_secs(600);

impl RefreshPolicy {
    /// How long before the end of the token in the Secret the standby is asked: `spec.refreshBefore`, by default a third
    /// of the validity (of the reported lifetime where none was asked for) and at most an hour. Never more than half of
    /// the validity or of the reported lifetime of either token: the token of the standby has to be over by then, as
    /// nothing new is to be had before.
    pub fn hand_over_lead(&self, active: &TokenRecord, standby: Option<&TokenRecord>) -> Duration {
        let lifetime = |record: &TokenRecord| record.lifetime_seconds.map(Duration::from_secs);
        let validity = self.validity.filter(|validity| !validity.is_zero());
        let length = validity.or_else(|| lifetime(active));
        let default = length.map_or(LONGEST_DEFAULT_LEAD, |length| LONGEST_DEFAULT_LEAD.min(length / 3));
        // Of a token that was found alive, what was left of it says nothing about the next one.
        let standby = standby.filter(|record| record.previous.is_some());
        let lengths = [validity, lifetime(active), standby.and_then(lifetime)].into_iter().flatten();
        lengths.fold(self.refresh_before.unwrap_or(default), |lead, length| lead.min(length / 2))
    }

    /// When the hand-over from the token of `record` opens; none for a token that never ends.
    pub fn hand_over_at(&self, record: &TokenRecord, lifetime: &TokenLifetime, now: Now) -> Option<Moment> {
        let reported = lifetime.earliest_end()?;
        let end = record.asked_end().map_or(reported, |asked| reported.min(now.moment_of(asked)));
        Some(end - self.hand_over_lead?)
    }

    /// The next moment at which a token that has not been replaced at its end is asked for again; none if it never ends.
    pub fn next_boundary(&self, lifetime: &TokenLifetime, poll: Option<&ExpiryPoll>) -> Option<Moment> {
        poll.and_then(|poll| poll.next).or_else(|| lifetime.unasked_end())
    }

    /// The same as the status shows it: from stored data alone.
    pub(super) fn planned_hand_over(record: &TokenRecord, lead: Duration) -> Option<Timestamp> {
        let reported = record.earliest_end()?;
        Some(earlier(record.asked_end().map_or(reported, |asked| reported.min(asked)), lead))
    }

    /// Half way between the birth of a token and its hand-over, where it is worth a check. Where the answer may be a new
    /// token it is not: that would put the hand-over off, again and again.
    pub(super) fn half_way(record: &TokenRecord, lead: Duration) -> Option<Timestamp> {
        let is_worthwhile = lead < SAFE_LEAD && !record.renewal().may_come_early;
        let opens = Self::planned_hand_over(record, lead).filter(|_| is_worthwhile)?;
        let until = Duration::try_from(opens.duration_since(record.issue_time)).ok()?;
        Some(earlier(opens, until / 2))
    }
}

impl TokenLifetime {
    /// The earliest end that was ever reported; none for a token that never ends.
    pub fn earliest_end(&self) -> Option<Moment> {
        self.ends.iter().map(|end| end.at).min()
    }
}
