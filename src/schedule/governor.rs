//! Below all schedules: how many calls one resource may make, whatever the causes.

use super::{MINUTE, SECOND};
use crate::moment::Moment;
use crate::state::Issued;
use std::time::Duration;

/// A bucket of calls per resource, in memory only.
#[derive(Clone, Debug, PartialEq)]
pub struct Governor {
    calls: f64,
    counted: Moment,
}

/// How long it takes for one more call to be allowed: a tenth of the life that the last new token was given, at least a
/// second and at most a minute; a minute before the first token.
pub fn refill(issued: Option<&Issued>) -> Duration {
    let lifetime = issued.and_then(|issued| issued.lifetime_seconds);
    lifetime.map_or(MINUTE, |seconds| Duration::from_secs(seconds / 10).clamp(SECOND, MINUTE))
}

impl Governor {
    /// How many calls may come in a burst.
    const BURST: f64 = 40.0;

    /// A full bucket.
    pub fn new(now: Moment) -> Self {
        Self { calls: Self::BURST, counted: now }
    }

    /// Counts a call.
    pub fn called(&mut self, now: Moment, refill: Duration) {
        self.calls = self.available(now, refill) - 1.0;
        self.counted = now;
    }

    /// Takes a count back: the call came to nobody who could mind. Its retry has a delay of its own.
    pub fn reached_nobody(&mut self) {
        self.calls = (self.calls + 1.0).min(Self::BURST);
    }

    /// The earliest moment for the next call.
    pub fn ready_at(&self, now: Moment, refill: Duration) -> Moment {
        let missing = 1.0 - self.available(now, refill);
        if missing <= 0.0 { now } else { now + refill.mul_f64(missing) + Duration::from_millis(1) }
    }

    fn available(&self, now: Moment, refill: Duration) -> f64 {
        let passed = now.until(self.counted);
        (self.calls + passed.as_secs_f64() / refill.as_secs_f64()).min(Self::BURST)
    }
}
