//! Rate limits beneath all schedules: how many requests and repairs a resource may make, whatever the cause.

use crate::state::TokenRecord;
use crate::time::{MINUTE, Moment, SECOND};
use std::time::Duration;

/// A token bucket of permits, in memory only.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimiter {
    burst: f64,
    permits: f64,
    counted: Moment,
}

/// How many requests may come in a burst.
pub const CALLS: f64 = 40.0;
/// How many repairs may come in a burst; another is allowed each [`REPAIR_REFILL`].
pub const REPAIRS: f64 = 10.0;
/// Interval between repairs after a burst.
pub const REPAIR_REFILL: Duration = MINUTE;

/// The longest time until another request is allowed.
pub const LONGEST_REFILL: Duration = MINUTE;

/// How long it takes until another request is allowed: a tenth of the lifetime of the last new token, at least a second
/// and at most a minute; a minute before the first token, and after a token of an application that lives too short to
/// be of use.
pub fn refill(record: Option<&TokenRecord>) -> Duration {
    let record = record.filter(|record| record.renewal().is_lost_at_expiry || !record.is_short_lived());
    let lifetime = record.and_then(|record| record.lifetime_seconds);
    lifetime.map_or(LONGEST_REFILL, |seconds| Duration::from_secs(seconds / 10).clamp(SECOND, LONGEST_REFILL))
}

impl RateLimiter {
    /// A full bucket.
    pub fn new(burst: f64, now: Moment) -> Self {
        Self { burst, permits: burst, counted: now }
    }

    /// Takes all permits.
    pub fn empty(&mut self, now: Moment) {
        (self.permits, self.counted) = (0.0, now);
    }

    /// Takes a permit.
    pub fn take(&mut self, now: Moment, refill: Duration) {
        self.permits = self.available(now, refill) - 1.0;
        self.counted = now;
    }

    /// Returns a permit: the request never reached the issuer, or its retry has its own delay.
    pub fn give_back(&mut self) {
        self.permits = (self.permits + 1.0).min(self.burst);
    }

    /// The share of the burst that is used up: 0 to 1.
    pub fn used(&self, now: Moment, refill: Duration) -> f64 {
        (1.0 - self.available(now, refill) / self.burst).clamp(0.0, 1.0)
    }

    /// True when it is full.
    pub fn is_full(&self, now: Moment, refill: Duration) -> bool {
        self.available(now, refill) >= self.burst
    }

    /// When the next permit is available.
    pub fn ready_at(&self, now: Moment, refill: Duration) -> Moment {
        self.ready_for(0, now, refill)
    }

    /// When a permit is available for a request with this many others before it.
    pub fn ready_for(&self, others: usize, now: Moment, refill: Duration) -> Moment {
        let missing = others as f64 + 1.0 - self.available(now, refill);
        if missing <= 0.0 { now } else { now + refill.mul_f64(missing) + Duration::from_millis(1) }
    }

    fn available(&self, now: Moment, refill: Duration) -> f64 {
        let passed = now.until(self.counted);
        (self.permits + passed.as_secs_f64() / refill.as_secs_f64()).min(self.burst)
    }
}
