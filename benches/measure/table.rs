//! Figures beside their targets, as text. Pure.

use std::fmt::{Display, Write};

use jiff::Timestamp;

use crate::record::Seen;
use crate::requests::Requests;
use crate::resources::Rest;

/// The requests of an operator: what they are called here, their resource and verbs by the API server's count.
const REQUESTS: [(&str, &str, [&str; 2]); 5] = [
    ("Secret writes", "secrets", ["PUT", "POST"]),
    ("Secret reads", "secrets", ["GET", "LIST"]),
    ("status writes", "syniversetokens/status", ["PUT", "PATCH"]),
    ("resource reads", "syniversetokens", ["GET", "LIST"]),
    ("Events", "events", ["POST", "PATCH"]),
];

/// What a figure should be.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    None,
    Below(i64),
    AtMost(i64),
    AtLeast(i64),
}

impl Target {
    fn verdict(self, values: &[i64]) -> String {
        let (holds, wanted) = match self {
            Self::None => return String::new(),
            Self::Below(limit) => (values.iter().all(|value| *value < limit), format!("< {limit}")),
            Self::AtMost(limit) => (values.iter().all(|value| *value <= limit), format!("<= {limit}")),
            Self::AtLeast(limit) => (values.iter().all(|value| *value >= limit), format!(">= {limit}")),
        };
        format!("{wanted:<8} {}", if holds { "met" } else { "MISSED" })
    }
}

/// A table that grows downwards, a column for each run.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) text: String,
}

impl Table {
    /// An empty line and a title, with the names of the columns.
    pub(crate) fn heading<const N: usize>(&mut self, title: &str, columns: [&str; N]) {
        self.text.push('\n');
        self.line(title, columns, "target".to_owned());
    }

    /// Median, 95 of 100 and the most of one value for each of many.
    pub(crate) fn spread<const N: usize>(&mut self, name: &str, runs: [&Vec<i64>; N], targets: [Target; 3]) {
        for ((what, percent), target) in [("median", 50), ("p95", 95), ("max", 100)].into_iter().zip(targets) {
            self.row(&format!("{name}, {what}"), runs.map(|run| percentile(run, percent)), target);
        }
    }

    /// One figure of each run.
    pub(crate) fn row<const N: usize>(&mut self, name: &str, values: [i64; N], target: Target) {
        self.line(name, values, target.verdict(&values));
    }

    /// The requests of each run, by the API server's count, for each of so many rotations.
    pub(crate) fn requests<const N: usize>(&mut self, runs: [(&Requests, usize); N]) {
        for (what, resource, verbs) in REQUESTS {
            let each = runs.map(|(requests, among)| requests.count(resource, &verbs) as f64 / among as f64);
            self.line(what, each.map(|each| format!("{each:.2}")), String::new());
        }
    }

    /// What happened while nothing was due.
    pub(crate) fn rest(&mut self, rest: &Rest) {
        self.heading(&format!("at rest for {:?}", rest.time), [""]);
        self.row("issuer calls", [rest.calls as i64], Target::AtMost(0));
        self.row("writes seen", [rest.writes as i64], Target::AtMost(0));
        let requests = rest.requests.of_an_operator();
        let total: u64 = requests.iter().map(|(_, count)| count).sum();
        self.row("requests of any kind, reads included", [total as i64], Target::None);
        for (what, count) in requests {
            self.line(&format!("  {what}"), [count.to_string()], String::new());
        }
    }

    fn line<const N: usize>(&mut self, name: &str, values: [impl Display; N], verdict: String) {
        let mut line = format!("{name:<48}");
        for value in values {
            // Writing to a String cannot fail.
            let _ = write!(line, "{value:>8}");
        }
        self.text.push_str(format!("{line:<66}  {verdict}").trim_end());
        self.text.push('\n');
    }
}

/// The value that so many of 100 do not exceed.
fn percentile(values: &[i64], percent: usize) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

/// The times from when a token had settled in the Secret until the next one has: what is spent in one of these is the
/// cost of that rotation.
pub(crate) fn windows(seen: &Seen) -> impl Iterator<Item = (Timestamp, Timestamp)> {
    let changes = seen.tokens.iter().zip(seen.tokens.iter().skip(1));
    changes.map(|(old, new)| (old.since + crate::SETTLED, new.since + crate::SETTLED))
}

/// How many of these instants lie in that time.
pub(crate) fn within((from, to): (Timestamp, Timestamp), instants: &[Timestamp]) -> i64 {
    instants.iter().filter(|instant| from < **instant && **instant <= to).count() as i64
}
