//! When tokens are requested. All rules of time are in this module and its submodules.

use crate::issuer::RenewalTime;
use crate::issuer::{Cause, ROUNDING};
use crate::state::TokenRecord;
use crate::time::{MINUTE, Moment, Now, SECOND, earlier, later};
use expiry_poll::ExpiryPoll;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

pub mod crowd;
mod early_renewal;
mod endpoint_load;
pub mod expiry_poll;
mod extension;
mod hand_over;
pub mod rate_limiter;
pub mod retry;

pub use endpoint_load::EndpointLoad;

const DAY: Duration = Duration::from_secs(86_400);

/// The longest default refresh lead.
const LONGEST_DEFAULT_LEAD: Duration = Duration::from_secs(300);
/// The first interval of an expiry poll; each further interval is twice as long.
const FIRST_STEP: Duration = Duration::from_millis(100);
/// Interval between requests to an issuer whose tokens live too short to be of use.
const SHORT_LIVED_PAUSE: Duration = MINUTE;
/// The longest delay of the first request at an expiry for what a slow response left open.
const LONGEST_UNCERTAINTY: Duration = Duration::from_millis(200);
/// How long after an expiry Ready stays True while every answer is the same token.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long before its expiry a token is refreshed or checked.
///
/// `refresh_before` as the spec says, by default the smaller of 5 minutes and a tenth of the validity (of the reported
/// lifetime where none was asked for); never more than half of the reported lifetime.
pub fn refresh_lead(refresh_before: Option<Duration>, validity: Option<Duration>, lifetime: Duration) -> Duration {
    let length = validity.filter(|validity| !validity.is_zero()).unwrap_or(lifetime);
    refresh_before.unwrap_or(LONGEST_DEFAULT_LEAD.min(length / 10)).min(lifetime / 2)
}

/// This process' own knowledge of a token, on the monotonic axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedExpiry {
    /// The fingerprint of the token.
    pub fingerprint: String,
    /// When the last request that returned this token was sent.
    pub answered: Now,
    /// When it expires; none = never.
    pub expires: Option<Moment>,
    /// When it was to expire according to the first response in this process.
    pub first_expires: Option<Moment>,
    /// How long the request took that brought it; none where `expires` comes from a later response.
    pub round_trip: Option<Duration>,
}

/// The lifetime of a token on the monotonic axis: the earlier of the stored expiry and the expiry that this process
/// saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenLifetime {
    /// When the last request that returned this token was sent.
    pub answered: Moment,
    /// When it expires; none = never.
    pub expires: Option<Moment>,
    /// Every expiry that was ever reported.
    ends: Vec<End>,
    /// How long the request took that brought it, as far as this process knows.
    round_trip: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    at: Moment,
    /// From the last response to this expiry, on the axis that it was reported on; negative once a request was sent at
    /// it.
    since_answer: SignedDuration,
}

impl TokenLifetime {
    /// The life of `record`, with `observed` where that speaks of the same token.
    pub fn of(record: &TokenRecord, fingerprint: &str, observed: Option<&ObservedExpiry>, now: Now) -> Self {
        let own = observed.filter(|observed| observed.fingerprint == fingerprint);
        // Each axis is compared with itself: a wall clock that stepped since the last response shifts all of its times.
        let answered = own.map_or(record.issue_time, |own| own.answered.wall);
        let stored = [record.first_expiration_time, record.expiration_time].into_iter().flatten();
        let stored = stored.map(|end| End { at: now.moment_of(end), since_answer: end.duration_since(answered) });
        let seen = own.into_iter().flat_map(|own| {
            let ends = [own.first_expires, own.expires].into_iter().flatten();
            ends.map(|end| End { at: end, since_answer: end - own.answered.mono })
        });
        let expires = record.expiration_time.map(|time| now.moment_of(time));
        Self {
            answered: own.map_or_else(|| now.moment_of(record.issue_time), |own| own.answered.mono),
            expires: earlier_of(expires, own.and_then(|own| own.expires)),
            ends: stored.chain(seen).collect(),
            round_trip: own.and_then(|own| own.round_trip),
        }
    }

    /// The earliest expiry, known or first reported, at which no request was sent yet.
    pub fn unasked_end(&self) -> Option<Moment> {
        let ahead = self.ends.iter().filter(|end| !end.since_answer.is_negative());
        // A response with "no time left" is followed by another request, but not in the same instant.
        ahead.map(|end| if end.since_answer.is_zero() { end.at + FIRST_STEP } else { end.at }).min()
    }

    /// True when a request sent at `sent` came after an expiry of this token.
    pub fn has_ended_by(&self, sent: Moment) -> bool {
        self.ends.iter().any(|end| end.at <= sent)
    }

    /// True when a request sent at `sent` is the first at or after an expiry of this token.
    pub fn is_first_at_an_end(&self, sent: Moment) -> bool {
        self.ends.iter().any(|end| end.at <= sent && !end.since_answer.is_negative())
    }

    /// True while `sent` is so close after an expiry that the token may still be live for the rest of the second.
    pub fn is_barely_over(&self, sent: Moment) -> bool {
        self.ends.iter().any(|end| end.at <= sent && sent < end.at + ROUNDING)
    }
}

fn earlier_of(a: Option<Moment>, b: Option<Moment>) -> Option<Moment> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The timing set by the spec and the settings, and by the load of the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// `spec.refreshBefore`.
    pub refresh_before: Option<Duration>,
    /// `spec.application.validity`, zero = never expires; none where the request names none.
    pub validity: Option<Duration>,
    /// How long before its end the token is replaced by that of a standby; none without a standby.
    pub hand_over_lead: Option<Duration>,
    /// Interval between two checks of a long-lived token.
    pub daily_check: Duration,
    /// Spreads the moments of different resources: a function of the UID.
    pub spread: u64,
    /// Spread the ends of many tokens of one endpoint.
    pub spread_validity: bool,
    /// Load of the endpoint.
    pub load: EndpointLoad,
}

/// A moment for a request, and its cause. It may be in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Why.
    pub cause: Cause,
    /// When.
    pub at: Moment,
}

impl RefreshPolicy {
    /// The next moment at which time alone requires a request; none for a token that needs no refresh or check.
    pub fn next_due(
        &self,
        record: &TokenRecord,
        lifetime: &TokenLifetime,
        poll: Option<&ExpiryPoll>,
        now: Now,
    ) -> Option<Due> {
        let stepped = poll.and_then(|poll| poll.next);
        let pause = record.is_short_lived().then(|| lifetime.answered + SHORT_LIVED_PAUSE);
        let ended = lifetime.unasked_end().map(|end| end + self.uncertainty(lifetime));
        let boundary = earlier_of(ended, stepped).map(|at| pause.map_or(at, |pause| pause.max(at)));
        let boundary = boundary.map(|at| Due { cause: Cause::Boundary, at });
        let check = self.check_at(record, lifetime, now).map(|at| Due { cause: Cause::Check, at });
        let daily = self.daily_check_at(record, lifetime, now).map(|at| Due { cause: Cause::DailyCheck, at });
        let doubt = record.is_from_the_future(now).then_some(Due { cause: Cause::ClockDoubt, at: now.mono });
        let all = [doubt, boundary, check, daily].into_iter().flatten();
        all.clone().find(|due| due.at <= now.mono).or_else(|| all.min_by_key(|due| due.at))
    }

    /// How long after its known expiry a token may end. Its lifetime counts from the work of the issuer, its known expiry
    /// as if it counted from the request: between them lies the request's way. What every request needs on that way the
    /// next request needs as well; all else is at most what this request took longer than the fastest. A request sent so
    /// long after the expiry comes after the end, however the time was spent.
    fn uncertainty(&self, lifetime: &TokenLifetime) -> Duration {
        let both = lifetime.round_trip.zip(self.load.shortest_round_trip);
        both.map_or(Duration::ZERO, |(own, shortest)| own.saturating_sub(shortest)).min(LONGEST_UNCERTAINTY)
    }

    /// Once per token, and not when its last response is younger than the refresh lead; nor while tokens that end need
    /// the endpoint more. A token that is reported to live longer than requested is checked when the requested time is
    /// over.
    fn check_at(&self, record: &TokenRecord, lifetime: &TokenLifetime, now: Now) -> Option<Moment> {
        match self.check(record)? {
            Check::At(end) => Some(now.moment_of(end)),
            Check::HalfWay(lead) => {
                Self::half_way(record, lead).map(|at| now.moment_of(at)).filter(|at| !self.must_wait(*at, now))
            }
            Check::Before(lead) => {
                let at = lifetime.expires? - lead;
                let is_worthwhile = match record.renewal().may_come_early {
                    // It may bring the next token, so it is the request that counts.
                    true => lifetime.answered < at,
                    false => lifetime.answered + lead < at && !self.must_wait(at, now),
                };
                is_worthwhile.then_some(at)
            }
        }
    }

    fn must_wait(&self, at: Moment, now: Now) -> bool {
        self.load.is_busy && at <= now.mono
    }

    /// The same from stored data alone.
    fn check_time(&self, record: &TokenRecord) -> Option<Timestamp> {
        match self.check(record)? {
            Check::At(end) => Some(end),
            Check::HalfWay(lead) => Self::half_way(record, lead),
            Check::Before(lead) => {
                let time = earlier(record.expiration_time?, lead);
                let least = if record.renewal().may_come_early { Duration::ZERO } else { lead };
                (later(record.issue_time, least) < time).then_some(time)
            }
        }
    }

    fn check(&self, record: &TokenRecord) -> Option<Check> {
        if record.checked || record.is_short_lived() {
            return None;
        }
        let lifetime = Duration::from_secs(record.lifetime_seconds.unwrap_or_default());
        let lead = || match record.renewal().may_come_early {
            true => self.early_lead(record, lifetime),
            false => refresh_lead(self.refresh_before, self.validity, lifetime),
        };
        let hand_over_lead = self.hand_over_lead.filter(|_| record.earliest_end().is_some());
        Some(match (hand_over_lead, record.asked_end()) {
            (Some(lead), _) => Check::HalfWay(lead),
            (None, Some(end)) => Check::At(end),
            (None, None) => Check::Before(lead()),
        })
    }

    /// The first slot of this resource's daily grid after the last check, for a token with more than a day to live.
    fn daily_check_at(&self, record: &TokenRecord, lifetime: &TokenLifetime, now: Now) -> Option<Moment> {
        // A check dated in the future was made while the clock was wrong: it would delay the next check as far.
        let looked =
            record.daily_check_time.filter(|time| *time <= later(now.wall, MINUTE)).unwrap_or(record.issue_time);
        let at = now.moment_of(next_slot(looked, self.daily_check, self.spread));
        lifetime.expires.is_none_or(|expires| at + DAY < expires).then_some(at)
    }

    fn daily_slot(&self, record: &TokenRecord) -> Timestamp {
        next_slot(record.daily_check_time.unwrap_or(record.issue_time), self.daily_check, self.spread)
    }

    /// The next planned request as the status shows it: from stored data alone, so that it is the same in every pass.
    pub fn planned_time(&self, record: &TokenRecord) -> Option<Timestamp> {
        match record.renewal().when {
            RenewalTime::AfterExpiry => self.planned_after_expiry(record),
            RenewalTime::BeforeExpiry => Some(self.planned_extension(record)),
        }
    }

    fn planned_after_expiry(&self, record: &TokenRecord) -> Option<Timestamp> {
        let slot = Some(self.daily_slot(record)).filter(|slot| {
            let expires = record.expiration_time;
            expires.is_none_or(|expires| later(*slot, DAY) < expires)
        });
        let ends = [record.first_expiration_time, record.expiration_time].into_iter().flatten();
        let pause = record.is_short_lived().then(|| later(record.issue_time, SHORT_LIVED_PAUSE));
        let end = match self.hand_over_lead {
            Some(lead) => Self::planned_hand_over(record, lead),
            None => ends.min().filter(|_| record.expiration_time.is_some()).max(pause),
        };
        [self.check_time(record), end, slot].into_iter().flatten().min()
    }
}

/// When the one check of a token is due.
enum Check {
    /// When it would be over if the issuer counted in other units than it says.
    At(Timestamp),
    /// So long before its end, unless it is hardly older than that then.
    Before(Duration),
    /// Half way to the moment so long before its end, at which the standby takes over.
    HalfWay(Duration),
}

/// The first point of the grid `offset + n * interval` that lies after `after`; the offset comes from `spread`.
fn next_slot(after: Timestamp, interval: Duration, spread: u64) -> Timestamp {
    let interval = interval.max(SECOND).as_secs();
    let offset = spread % interval;
    let seconds = u64::try_from(after.as_second()).unwrap_or_default();
    let slots = seconds.saturating_sub(offset) / interval + 1;
    later(Timestamp::UNIX_EPOCH, Duration::from_secs(slots.saturating_mul(interval).saturating_add(offset)))
}
