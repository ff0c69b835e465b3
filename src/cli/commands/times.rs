//! Times for people: how long until, or the time itself.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use syniverse_token_core::api::parse_duration;

/// How times are shown.
#[derive(Clone, Debug)]
pub(super) struct Times {
    now: Timestamp,
    /// None = the time itself is shown, in UTC.
    zone: Option<TimeZone>,
}

impl Times {
    /// Times relative to this present, or in UTC.
    pub(super) fn at(now: Timestamp, is_utc: bool) -> Self {
        Self { now, zone: (!is_utc).then(TimeZone::system) }
    }

    /// The present.
    pub(super) fn present(&self) -> Timestamp {
        self.now
    }

    /// What is left until then; negative when it is over.
    pub(super) fn until(&self, time: Timestamp) -> SignedDuration {
        time.duration_since(self.now)
    }

    /// How long a token lives that ends then: `5h12m`, `dead 4m`.
    pub(super) fn left(&self, end: Timestamp) -> String {
        let left = self.until(end);
        match &self.zone {
            None => utc(end),
            Some(_) if left.is_negative() || left.is_zero() => format!("dead {}", brief(-left)),
            Some(_) => brief(left),
        }
    }

    /// How long ago it was.
    pub(super) fn ago(&self, time: Timestamp) -> String {
        if self.zone.is_some() { format!("{} ago", brief(-self.until(time))) } else { utc(time) }
    }

    /// The time of day, with the date where that is another day.
    pub(super) fn clock(&self, time: Timestamp) -> String {
        let Some(zone) = &self.zone else { return utc(time) };
        let (then, today) = (time.to_zoned(zone.clone()), self.now.to_zoned(zone.clone()));
        let form = match (then.date() == today.date(), self.until(time).abs() < SignedDuration::from_mins(10)) {
            (true, true) => "%H:%M:%S",
            (true, false) => "%H:%M",
            (false, _) => "%Y-%m-%d %H:%M",
        };
        then.strftime(form).to_string()
    }
}

fn utc(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

/// Reads a duration of an argument.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("a duration such as 30s, 2m or 48h")
}

/// A duration in its two largest units: `3d4h`, `5h12m`, `38m`, `42s`. None that is negative.
pub(super) fn brief(duration: SignedDuration) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let seconds = duration.as_secs().max(0);
    let first = UNITS.iter().position(|(length, _)| seconds >= *length).unwrap_or(3);
    let (length, unit) = UNITS[first];
    let rest = UNITS.get(first + 1).map(|(part, unit)| (seconds % length / part, unit)).filter(|(rest, _)| *rest > 0);
    // Nobody counts the seconds of a quarter of an hour.
    let rest = rest.filter(|_| !(600..3_600).contains(&seconds));
    let rest = rest.map(|(rest, unit)| format!("{rest}{unit}")).unwrap_or_default();
    format!("{}{unit}{rest}", seconds / length)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_two_units_at_most() {
        for (seconds, shown) in [
            (-5, "0s"),
            (42, "42s"),
            (61, "1m1s"),
            (38 * 60 + 20, "38m"),
            (5 * 3600 + 12 * 60 + 9, "5h12m"),
            (3 * 86_400 + 4 * 3600, "3d4h"),
        ] {
            assert_eq!(brief(SignedDuration::from_secs(seconds)), shown);
        }
    }

    #[test]
    fn a_token_that_is_over_is_dead_and_a_day_that_is_not_today_is_named() {
        let now = "2026-01-01T12:00:00Z".parse().unwrap();
        let times = Times { now, zone: Some(TimeZone::UTC) };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(times.left(at("2026-01-01T11:56:00Z")), "dead 4m");
        assert_eq!(times.left(at("2026-01-01T17:12:00Z")), "5h12m");
        assert_eq!(times.clock(at("2026-01-01T17:12:00Z")), "17:12");
        assert_eq!(times.clock(at("2026-01-01T12:00:09Z")), "12:00:09");
        assert_eq!(times.clock(at("2026-01-02T17:12:00Z")), "2026-01-02 17:12");
        let utc = Times { now, zone: None };
        assert_eq!(utc.left(at("2026-01-01T11:56:00Z")), "2026-01-01T11:56:00Z");
    }
}
