//! From records to a table of figures beside their targets. Pure.

use std::fmt::{Display, Write};

use issuer_simulator::analysis::{self, Rotation};
use issuer_simulator::journal::Journal;
use jiff::Timestamp;

use crate::record::{Record, Seen};
use crate::requests::Requests;
use crate::{RESOURCES, REST, ROTATIONS, SETTLED};

/// The figures of all rotations with one way of rounding, one value per rotation.
#[derive(Default)]
pub(crate) struct Rotations {
    /// From the old token's death to the new one's arrival in the Secret as the API server told of it, in ms.
    lateness: Vec<i64>,
    /// The first part of it, in ms: until the issuer gave the new token.
    asking: Vec<i64>,
    calls: Vec<i64>,
    secret_writes: Vec<i64>,
    status_writes: Vec<i64>,
    requests: Requests,
}

/// What happened while nothing was due.
pub(crate) struct Rest {
    pub(crate) calls: usize,
    pub(crate) writes: usize,
    pub(crate) requests: Requests,
}

impl Rotations {
    /// Computes them. A rotation's costs are what was spent from when the one before had settled until it has.
    pub(crate) fn of(record: &Record, journal: &Journal, requests: Requests) -> Self {
        let mut figures = Self { requests, ..Self::default() };
        for (name, seen) in record.resources() {
            let rotations = analysis::rotations(journal, &seen.tokens);
            figures.lateness.extend(rotations.iter().map(|rotation| rotation.lateness.as_millis() as i64));
            figures.asking.extend(rotations.iter().filter_map(|rotation| asking(journal, rotation)));
            let calls: Vec<Timestamp> = journal.calls_of(name).map(|call| call.received).collect();
            for window in windows(seen) {
                figures.calls.push(within(window, &calls));
                figures.secret_writes.push(within(window, &seen.secret_writes));
                figures.status_writes.push(within(window, &seen.status_writes));
            }
        }
        figures
    }

    /// How many rotations were seen.
    pub(crate) fn seen(&self) -> usize {
        self.lateness.len()
    }

    fn requested(&self, resource: &str, verbs: &[&str]) -> f64 {
        self.requests.count(resource, verbs) as f64 / self.seen() as f64
    }
}

fn asking(journal: &Journal, rotation: &Rotation) -> Option<i64> {
    let given = journal.token(&rotation.new)?.birth;
    Some(given.duration_since(rotation.death.at).as_millis() as i64)
}

fn windows(seen: &Seen) -> impl Iterator<Item = (Timestamp, Timestamp)> {
    let changes = seen.tokens.iter().zip(seen.tokens.iter().skip(1));
    changes.map(|(old, new)| (old.since + SETTLED, new.since + SETTLED))
}

fn within((from, to): (Timestamp, Timestamp), instants: &[Timestamp]) -> i64 {
    instants.iter().filter(|instant| from < **instant && **instant <= to).count() as i64
}

/// The value that so many of 100 do not exceed.
fn percentile(values: &[i64], percent: usize) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

/// All figures, with a verdict where there is a target.
pub(crate) fn table(down: &Rotations, up: &Rotations, rest: &Rest) -> String {
    let expected = (RESOURCES * ROTATIONS) as i64;
    let mut table = Table::new();
    table.heading("rotations, the issuer rounding", "down", "up");
    table.row("seen", [down, up].map(|run| run.seen() as i64), Target::AtLeast(expected));
    table.spread(
        "lateness in ms",
        [&down.lateness, &up.lateness],
        [Target::Below(150), Target::None, Target::Below(1000)],
    );
    table.spread("until the issuer gave it", [&down.asking, &up.asking], [Target::None; 3]);
    table.spread("issuer calls", [&down.calls, &up.calls], [Target::AtMost(3), Target::None, Target::AtMost(8)]);
    let three = [Target::AtMost(3), Target::None, Target::AtMost(3)];
    table.spread("Secret writes", [&down.secret_writes, &up.secret_writes], three);
    table.spread("status writes", [&down.status_writes, &up.status_writes], three);
    table.heading("requests a rotation, by the API server's count", "down", "up");
    for (what, resource, verbs) in [
        ("Secret writes", "secrets", ["PUT", "POST"]),
        ("Secret reads", "secrets", ["GET", "LIST"]),
        ("status writes", "syniversetokens/status", ["PUT", "PATCH"]),
        ("resource reads", "syniversetokens", ["GET", "LIST"]),
        ("Events", "events", ["POST", "PATCH"]),
    ] {
        table.line(what, [down, up].map(|run| format!("{:.2}", run.requested(resource, &verbs))), String::new());
    }
    table.heading(&format!("at rest for {REST:?}"), "", "");
    table.row("issuer calls", [rest.calls as i64], Target::AtMost(0));
    table.row("writes seen", [rest.writes as i64], Target::AtMost(0));
    let requests = rest.requests.of_an_operator();
    let total: u64 = requests.iter().map(|(_, count)| count).sum();
    table.row("requests of any kind, reads included", [total as i64], Target::None);
    for (what, count) in requests {
        table.line(&format!("  {what}"), [count.to_string()], String::new());
    }
    table.text
}

#[derive(Clone, Copy)]
enum Target {
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

struct Table {
    text: String,
}

impl Table {
    fn new() -> Self {
        Self { text: String::new() }
    }

    fn heading(&mut self, title: &str, first: &str, second: &str) {
        self.text.push('\n');
        self.line(title, [first, second], "target".to_owned());
    }

    fn spread(&mut self, name: &str, runs: [&Vec<i64>; 2], targets: [Target; 3]) {
        for ((what, percent), target) in [("median", 50), ("p95", 95), ("max", 100)].into_iter().zip(targets) {
            self.row(&format!("{name}, {what}"), runs.map(|run| percentile(run, percent)), target);
        }
    }

    fn row<const N: usize>(&mut self, name: &str, values: [i64; N], target: Target) {
        self.line(name, values, target.verdict(&values));
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
