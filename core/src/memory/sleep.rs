//! How long a resource needs no check.

use crate::time::{Moment, Now, later};
use jiff::Timestamp;
use std::time::Duration;

/// The longest time without a check of the clocks.
const LONGEST: Duration = Duration::from_secs(60);

/// How long nothing needs a check, unless something changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sleep {
    until: Option<(Moment, Timestamp)>,
}

impl Sleep {
    /// Until `wake`, on whichever axis that comes first; none = until something changes.
    pub fn until(wake: Option<Moment>, now: Now) -> Self {
        Self { until: wake.map(|wake| (wake, later(now.wall, wake.until(now.mono)))) }
    }

    /// How much of it is left; none = until something changes. Never more than a minute: the wall clock may have
    /// stepped, or the machine slept.
    pub fn left(&self, now: Now) -> Option<Duration> {
        let (moment, time) = self.until?;
        Some(moment.until(now.mono).min(now.moment_of(time).until(now.mono)).min(LONGEST))
    }

    /// True when it is over.
    pub fn is_over(&self, now: Now) -> bool {
        self.left(now).is_some_and(|left| left.is_zero())
    }
}
