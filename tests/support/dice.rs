//! Chance that can be had again.

use jiff::Timestamp;
use std::time::Duration;

/// Numbers that follow from a seed.
pub(crate) struct Dice(u64);

impl Dice {
    /// From the number in `SEED`, else from the clock; says which.
    pub(crate) fn thrown() -> Self {
        let given = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| Timestamp::now().as_microsecond().unsigned_abs());
        println!("the same moments again: SEED={seed}");
        Self(seed)
    }

    /// Other dice, which follow from these.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A time shorter than `limit`, in whole milliseconds.
    pub(crate) fn shorter_than(&mut self, limit: Duration) -> Duration {
        Duration::from_millis(self.below(u64::try_from(limit.as_millis()).unwrap()))
    }

    fn next(&mut self) -> u64 {
        // Knuth's multiplier; the high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}
