//! Below all schedules: how many calls, and how many repairs, one resource may make, whatever the causes.

use crate::state::TokenRecord;
use crate::time::{MINUTE, Moment, SECOND};
use std::time::Duration;

/// A bucket of permits, in memory only.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimiter {
    burst: f64,
    permits: f64,
    counted: Moment,
}

/// How many calls may come in a burst.
pub const CALLS: f64 = 40.0;
/// How many repairs may come in a burst; one more is allowed each [`REPAIR_REFILL`].
pub const REPAIRS: f64 = 10.0;
/// Between two repairs after a burst.
pub const REPAIR_REFILL: Duration = MINUTE;

/// The longest time until one more call is allowed.
pub const LONGEST_REFILL: Duration = MINUTE;

/// How long it takes for one more call to be allowed: a tenth of the life that the last new token was given, at least a
/// second and at most a minute; a minute before the first token, and after an application's with too little life to be of use.
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

    /// Takes away what is in it.
    pub fn empty(&mut self, now: Moment) {
        (self.permits, self.counted) = (0.0, now);
    }

    /// Takes a permit.
    pub fn take(&mut self, now: Moment, refill: Duration) {
        self.permits = self.available(now, refill) - 1.0;
        self.counted = now;
    }

    /// Gives a permit back, for a call that cost nobody anything, or whose retry has a delay of its own.
    pub fn give_back(&mut self) {
        self.permits = (self.permits + 1.0).min(self.burst);
    }

    /// True when nothing is missing.
    pub fn is_full(&self, now: Moment, refill: Duration) -> bool {
        self.available(now, refill) >= self.burst
    }

    /// When the next permit is there.
    pub fn ready_at(&self, now: Moment, refill: Duration) -> Moment {
        self.ready_for(0, now, refill)
    }

    /// When there is a permit for one who has this many others before him.
    pub fn ready_for(&self, others: usize, now: Moment, refill: Duration) -> Moment {
        let missing = others as f64 + 1.0 - self.available(now, refill);
        if missing <= 0.0 { now } else { now + refill.mul_f64(missing) + Duration::from_millis(1) }
    }

    fn available(&self, now: Moment, refill: Duration) -> f64 {
        let passed = now.until(self.counted);
        (self.permits + passed.as_secs_f64() / refill.as_secs_f64()).min(self.burst)
    }
}
