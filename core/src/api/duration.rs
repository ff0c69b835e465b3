//! The durations of the resource: `24h`, `90m`, `1h30m`, `0s`.

use std::time::Duration;

/// Pattern of the durations that the API server accepts; [`parse_duration`] accepts exactly the same.
pub(super) const PATTERN: &str = "^([0-9]{1,5}(h|m|s)){1,3}$";

/// Reads a duration such as `24h`, `90m`, `1h30m` or `0s`: one to three numbers of at most five digits, each followed
/// by `h`, `m` or `s`, in any order; they are added up. None for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let terms: Vec<&str> = text.split_inclusive(['h', 'm', 's']).collect();
    if !(1..=3).contains(&terms.len()) {
        return None;
    }
    terms.into_iter().map(parse_term).sum::<Option<u64>>().map(Duration::from_secs)
}

/// The seconds of one number with its unit.
fn parse_term(term: &str) -> Option<u64> {
    let unit = term.chars().last()?;
    let digits = term.strip_suffix(unit)?;
    if !(1..=5).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse::<u64>().ok()? * seconds_of(unit)?)
}

fn seconds_of(unit: char) -> Option<u64> {
    match unit {
        'h' => Some(3600),
        'm' => Some(60),
        's' => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_are_added_up() {
        let cases = [
            ("24h", 86_400),
            ("90m", 5_400),
            ("1h30m", 5_400),
            ("30m1h", 5_400),
            ("1h1h1h", 10_800),
            ("1h2m3s", 3_723),
            ("0s", 0),
            ("00060s", 60),
            ("99999h99999h99999h", 3 * 99_999 * 3_600),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "", "h", "24", "24 h", " 24h", "24h ", "24h\n", "1d", "1.5h", "-1h", "+1h", "1H", "100000s", "1h2m3s4s",
            "1hm", "1h30", "10ms", "1e3s", "٣s", "0", "∞", "1h,30m",
        ] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }
}
