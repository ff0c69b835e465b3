//! From what was seen to figures. Pure.

use std::collections::HashMap;
use std::fmt::Write;

use issuer_simulator::journal::Journal;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::histories::Seen;

/// The end of a token that was in a Secret.
#[derive(Clone, Copy)]
pub(crate) struct Death<'a> {
    pub(crate) namespace: &'a str,
    is_first: bool,
    pub(crate) died: Timestamp,
    /// When the next one was in the Secret, if that was within the time.
    next: Option<Timestamp>,
}

impl Death<'_> {
    /// As if it had come then.
    pub(crate) const fn since(self, died: Timestamp) -> Self {
        Self { died, ..self }
    }

    /// Time until the next one was in the Secret, in ms.
    pub(crate) fn lateness(&self) -> Option<i64> {
        Some(self.next?.duration_since(self.died).as_millis() as i64)
    }
}

/// The ends of tokens within a time.
pub(crate) fn deaths<'a>(seen: &'a Seen, journal: &Journal, begin: Timestamp, end: Timestamp) -> Vec<Death<'a>> {
    let tokens = journal.tokens.iter();
    let ends: HashMap<&str, Timestamp> =
        tokens.filter_map(|token| Some((token.value.as_str(), token.death()?.at))).collect();
    let mut deaths = Vec::new();
    for ((namespace, _), tokens) in &seen.tokens {
        let nexts = tokens.iter().skip(1).map(|next| Some(next.since)).chain([None]);
        for (place, (held, next)) in tokens.iter().zip(nexts).enumerate() {
            let Some(died) = ends.get(held.token.as_str()).filter(|died| begin <= **died && **died < end) else {
                continue;
            };
            let next = next.filter(|next| *next < end);
            deaths.push(Death { namespace, is_first: place == 0, died: *died, next });
        }
    }
    deaths
}

/// The ends of tokens, and what came after them.
#[derive(Default)]
pub(crate) struct Rotations {
    /// From a token's end until the next one was in the Secret, in ms, sorted.
    lateness: Vec<i64>,
    /// The Secrets that held a dead token when the time was over.
    unfinished: usize,
    /// Seconds in which a Secret held a dead token.
    dead: f64,
    /// The most Secrets with a dead token at one instant.
    most_dead: usize,
}

impl Rotations {
    /// Those of the first tokens, and those of all later ones.
    pub(crate) fn first_and_later(seen: &Seen, journal: &Journal, begin: Timestamp, end: Timestamp) -> [Self; 2] {
        let (first, later): (Vec<_>, Vec<_>) =
            deaths(seen, journal, begin, end).into_iter().partition(|it| it.is_first);
        [first, later].map(|deaths| Self::of(&deaths, end))
    }

    /// Those of some deaths.
    pub(crate) fn of(dead: &[Death], end: Timestamp) -> Self {
        let mut lateness: Vec<_> = dead.iter().filter_map(Death::lateness).collect();
        lateness.sort_unstable();
        let times = dead.iter().map(|death| death.next.unwrap_or(end).duration_since(death.died).as_secs_f64());
        Self {
            unfinished: dead.len() - lateness.len(),
            lateness,
            dead: times.map(|time| time.max(0.0)).sum(),
            most_dead: most_at_once(dead, end),
        }
    }

    /// How many tokens ended.
    pub(crate) fn count(&self) -> usize {
        self.lateness.len() + self.unfinished
    }

    /// Adds its lines to a table.
    pub(crate) fn show(&self, table: &mut Table, which: &str) {
        let percentile = |percent: usize| {
            let place = (self.lateness.len() * percent).div_ceil(100).saturating_sub(1);
            self.lateness.get(place).map(|millis| *millis as f64)
        };
        table.row(&format!("{which}: tokens that ended"), 0, Some(self.count() as f64), "");
        for (name, percent) in [("p50", 50), ("p99", 99), ("max", 100)] {
            table.row(&format!("{which}: lateness {name}"), 0, percentile(percent), "ms");
        }
        table.row(&format!("{which}: dead a rotation"), 3, per(self.dead, self.count()), "s");
        table.row(&format!("{which}: dead at once, the most"), 0, Some(self.most_dead as f64), "");
        table.row(&format!("{which}: dead when the time was over"), 0, Some(self.unfinished as f64), "");
    }
}

fn most_at_once(dead: &[Death], end: Timestamp) -> usize {
    // An arrival sorts before a death at the same instant: those two were never dead together.
    let both = dead.iter().flat_map(|death| [(death.died, 1), (death.next.unwrap_or(end).max(death.died), -1)]);
    let mut steps: Vec<(Timestamp, isize)> = both.collect();
    steps.sort_unstable();
    let levels = steps.iter().scan(0_isize, |level, (_, step)| {
        *level += step;
        Some(*level)
    });
    levels.max().unwrap_or_default().unsigned_abs()
}

/// So much for each of so many; none of none.
pub(crate) fn per(amount: f64, many: usize) -> Option<f64> {
    (many > 0).then(|| amount / many as f64)
}

/// Calls to the issuer within a time.
pub(crate) fn calls(journal: &Journal, begin: Timestamp, end: Timestamp) -> usize {
    journal.calls.iter().filter(|call| begin <= call.received && call.received < end).count()
}

/// Figures, as text for people and as an object for a comparison.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) text: String,
    section: String,
    figures: Map<String, Value>,
}

impl Table {
    /// Begins a section.
    pub(crate) fn heading(&mut self, title: &str, note: &str) {
        self.section = title.to_owned();
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "\n{title}{note}");
    }

    /// A figure with so many decimals; none was to be had if there is no value.
    pub(crate) fn row(&mut self, name: &str, decimals: usize, value: Option<f64>, unit: &str) {
        let shown = value.map_or("-".to_owned(), |value| format!("{value:.decimals$}"));
        let line = format!("  {name:<52}{shown:>10} {unit}");
        let _ = writeln!(self.text, "{}", line.trim_end());
        self.figures.insert(format!("{}: {name}", self.section), json!(value));
    }

    /// The figures in one line, after what was measured.
    pub(crate) fn json(&self, run: &str, machine: &str) -> String {
        json!({"run": run, "machine": machine, "figures": self.figures}).to_string()
    }
}
