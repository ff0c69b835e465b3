//! Time as the core sees it: an argument, never a clock.

use jiff::{SignedDuration, Timestamp};
use std::ops::{Add, Sub};
use std::time::Duration;

/// One second.
pub const SECOND: Duration = Duration::from_secs(1);
/// One minute.
pub const MINUTE: Duration = Duration::from_secs(60);

/// A point on the monotonic axis of this process. Points before its start are negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(SignedDuration);

impl Moment {
    /// The moment `since_start` after the process started counting.
    pub fn after_start(since_start: Duration) -> Self {
        Self(signed(since_start))
    }

    /// The time from now until this moment; zero when it has passed.
    pub fn until(self, now: Moment) -> Duration {
        (self - now).try_into().unwrap_or(Duration::ZERO)
    }

    /// The whole second of this moment, so that a wall-clock time is always converted to the same moment.
    pub fn whole_second(self) -> Self {
        Self(SignedDuration::from_secs(self.0.as_secs()))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, rhs: Duration) -> Moment {
        Moment(self.0.saturating_add(signed(rhs)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;
    fn sub(self, rhs: Duration) -> Moment {
        Moment(self.0.saturating_sub(signed(rhs)))
    }
}

impl Sub for Moment {
    type Output = SignedDuration;
    fn sub(self, rhs: Moment) -> SignedDuration {
        self.0.saturating_sub(rhs.0)
    }
}

/// The current time on both axes, read once per pass and again when a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For deadlines set by this process: immune to steps of the wall clock.
    pub mono: Moment,
    /// For deadlines that outlive the process.
    pub wall: Timestamp,
}

impl Now {
    /// Where a stored wall-clock time lies on the monotonic axis, as the wall clock stands now.
    pub fn moment_of(&self, wall: Timestamp) -> Moment {
        Moment(self.mono.0.saturating_add(wall.duration_since(self.wall)))
    }
}

/// `wall + after`, held inside the calendar.
pub fn later(wall: Timestamp, after: Duration) -> Timestamp {
    wall.saturating_add(signed(after)).unwrap_or(Timestamp::MAX)
}

/// `wall - before`, held inside the calendar.
pub fn earlier(wall: Timestamp, before: Duration) -> Timestamp {
    wall.saturating_sub(signed(before)).unwrap_or(Timestamp::MIN)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(seconds: u64, wall: &str) -> Now {
        Now { mono: Moment::after_start(Duration::from_secs(seconds)), wall: wall.parse().unwrap() }
    }

    #[test]
    fn a_stored_time_maps_onto_the_monotonic_axis_before_and_after_now() {
        let now = at(100, "2026-01-01T00:00:10Z");
        assert_eq!(now.moment_of("2026-01-01T00:00:15Z".parse().unwrap()), now.mono + Duration::from_secs(5));
        assert_eq!(now.moment_of("2025-12-31T23:56:50Z".parse().unwrap()), now.mono - Duration::from_secs(200));
    }

    #[test]
    fn a_moment_that_has_passed_is_zero_away() {
        let now = at(100, "2026-01-01T00:00:00Z");
        assert_eq!((now.mono - Duration::from_secs(1)).until(now.mono), Duration::ZERO);
    }

    #[test]
    fn absurd_durations_saturate() {
        assert_eq!(later(Timestamp::now(), Duration::MAX), Timestamp::MAX);
    }
}
