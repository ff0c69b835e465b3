//! When failed requests and writes are retried.

use crate::fingerprint::spread;
use crate::issuer::FailureKind;
use crate::time::{MINUTE, Moment, SECOND};
use std::time::Duration;

/// Delay between requests that the issuer rejects and never accepted, or that the settings forbid.
const SLOW_RETRY: Duration = Duration::from_secs(300);
/// The longest delay between retries while a token is dead or urgent that could be obtained before.
const URGENT_RETRY: Duration = Duration::from_secs(4);
/// A token that ends within this is urgent.
pub const URGENT: Duration = MINUTE;
/// The longest delay between requests for a standby that has nothing to take over yet.
const IDLE_RETRY: Duration = Duration::from_secs(600);
/// The longest `Retry-After` that is granted while no token is dead or urgent ...
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);
/// ... and while a token is.
const URGENT_RETRY_AFTER: Duration = MINUTE;

/// A retry that must come before an expiry comes in this part of the time that is left.
const TRIES_LEFT: u32 = 4;

/// The longest granted `Retry-After`, in words.
pub const RETRY_AFTER_LIMITS: &str = "1 minute while a token is dead or due, 5 minutes otherwise";

/// The circumstances of a failed request that its retry depends on.
#[derive(Clone, Copy, Debug)]
pub struct FailedRequest {
    /// Kind of the failure.
    pub kind: FailureKind,
    /// Number of consecutive failures, from 1.
    pub count: u32,
    /// When it failed: delays count from here.
    pub failed_at: Moment,
    /// The issuer's `Retry-After`.
    pub retry_after: Option<Duration>,
    /// When the token in the Secret expires; none where it never does.
    pub expires: Option<Moment>,
    /// The next token can be obtained only before that: a session is extended while it is live.
    pub before_expiry: bool,
    /// The issuer may give the next token before that.
    pub may_come_early: bool,
    /// There is no live token, or it has less than a minute to live.
    pub urgent: bool,
    /// The endpoint counts as down.
    pub endpoint_down: bool,
    /// The issuer has issued a token to this resource for the same inputs: the request itself is not wrong.
    pub was_served: bool,
    /// A standby was asked that has something to take over from.
    pub is_hand_over: bool,
    /// It has nothing to take over until then.
    pub idle_until: Option<Moment>,
    /// Seed for jitter without randomness.
    pub spread: u64,
}

/// When to retry: growing with jitter from 1 s to 1 min, at most 4 s while it is urgent and the endpoint is down or has
/// served the same request before, at the expiry at the latest, at most 4 s into the last minute where the next token may
/// come before the expiry, and not before the granted part of the issuer's `Retry-After`. A standby that has nothing to take
/// over yet has up to 10 minutes. A request that must come before the expiry has several attempts in the time left. Errors of
/// configuration wait 5 minutes.
pub fn retry_at(failed: FailedRequest) -> Moment {
    let is_in_vain = match failed.kind {
        FailureKind::Rejected => !failed.was_served,
        // Retrying a refused login again and again would lock the account.
        FailureKind::EndpointNotAllowed | FailureKind::LoginRefused => true,
        FailureKind::Refused | FailureKind::Unavailable | FailureKind::Ended => false,
    };
    if let Some(opens) = failed.idle_until {
        let delay = Backoff { first: SECOND, longest: IDLE_RETRY }.after(failed.count, failed.spread);
        return failed.failed_at + delay.min(opens.until(failed.failed_at)).max(failed.granted_retry_after());
    }
    let is_known_good = failed.endpoint_down || failed.was_served || failed.is_hand_over;
    let longest = if failed.urgent && is_known_good { URGENT_RETRY } else { MINUTE };
    let growing = || Backoff { first: SECOND, longest }.after(failed.count, failed.spread);
    let delay = if is_in_vain { SLOW_RETRY } else { growing() };
    let tries = failed.time_left().filter(|_| failed.before_expiry).map(|left| (left / TRIES_LEFT).max(SECOND));
    let delay = tries.map_or(delay, |longest| delay.min(longest));
    let left = failed.time_left();
    let delay = left.map_or(delay, |left| delay.min(left));
    // The last minute is for several attempts, whatever the delay before it.
    let in_time = left.filter(|_| (failed.may_come_early || failed.is_hand_over) && !is_in_vain);
    let delay = in_time.map_or(delay, |left| delay.min(left.saturating_sub(MINUTE) + URGENT_RETRY));
    failed.failed_at + delay.max(failed.granted_retry_after())
}

impl FailedRequest {
    /// The granted part of the issuer's `Retry-After`, counted from the failure.
    pub fn granted_retry_after(&self) -> Duration {
        self.retry_after.unwrap_or_default().min(self.longest_retry_after())
    }

    /// Only a part of the `Retry-After` is granted.
    pub fn is_cut_short(&self) -> bool {
        self.retry_after.is_some_and(|wish| wish > self.granted_retry_after())
    }

    /// A `Retry-After` granted while the token was live ends with it, and a `Retry-After` that could cost a session
    /// leaves time for further attempts.
    fn longest_retry_after(&self) -> Duration {
        match self.time_left() {
            Some(left) if self.before_expiry => (left / 2).max(SECOND).min(LONGEST_RETRY_AFTER),
            _ if self.urgent => URGENT_RETRY_AFTER,
            left => left.map_or(LONGEST_RETRY_AFTER, |left| left.min(LONGEST_RETRY_AFTER)),
        }
    }

    /// Remaining lifetime of the token; none once it has expired, or if it never expires.
    fn time_left(&self) -> Option<Duration> {
        self.expires.map(|expires| expires.until(self.failed_at)).filter(|left| !left.is_zero())
    }
}

/// Backoff of consecutive failures.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// Never more than this.
    pub longest: Duration,
}

impl Backoff {
    /// `first`, doubling up to `longest`, each up to a quarter shorter or longer: a function of `count` (from 1) and of
    /// `spread_by`, so that different resources do not move in step.
    pub fn after(self, count: u32, spread_by: u64) -> Duration {
        let base = self.first.saturating_mul(1 << count.saturating_sub(1).min(16)).min(self.longest);
        let jitter = spread(&format!("{spread_by}/{count}")) % 501;
        base.mul_f64(0.75 + jitter as f64 / 1000.0).min(self.longest)
    }
}
