//! From what the Secrets held and the journal of the issuer to a table of figures. Pure.

use std::collections::HashSet;
use std::fmt::Write;

use issuer_simulator::analysis::{Rotation, dead_time, rotations};
use issuer_simulator::journal::Journal;
use jiff::{SignedDuration, Timestamp};

use crate::history::Tokens;

/// When the API server was away.
pub(crate) struct Outage {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

/// The figures of all resources of one kind.
#[derive(Default)]
pub(crate) struct Figures {
    rotations: Vec<Rotation>,
    /// Of all resources together.
    dead: SignedDuration,
    /// The part of it while the API server was away.
    dead_without_api_server: SignedDuration,
    /// Requests that brought a new token, the first of each resource left out.
    issuing: usize,
    /// All others.
    other: usize,
    /// Tokens that the issuer gave.
    tokens: usize,
}

impl Figures {
    /// Those of the resources whose names, and the keys of whose applications, begin with `kind`.
    pub(crate) fn of(kind: &str, held: &Tokens, journal: &Journal, outage: &Outage, until: Timestamp) -> Self {
        let mut figures = Self::default();
        let of_kind = held.iter().filter(|(name, _)| name.starts_with(kind));
        for (_, held) in of_kind {
            let dead = |until| {
                let dead = dead_time(journal, held, until);
                dead.expired + dead.superseded
            };
            figures.rotations.extend(rotations(journal, held));
            figures.dead += dead(until);
            figures.dead_without_api_server += dead(outage.until) - dead(outage.from);
        }
        figures.count_requests(kind, held, journal);
        figures
    }

    fn count_requests(&mut self, kind: &str, held: &Tokens, journal: &Journal) {
        let mut known = HashSet::new();
        let calls = journal.calls.iter().filter(|call| call.owner.as_ref().is_some_and(|it| it.starts_with(kind)));
        for call in calls {
            match &call.token {
                Some(token) if known.insert(token) => self.tokens += 1,
                _ => self.other += 1,
            }
        }
        let resources = held.keys().filter(|name| name.starts_with(kind)).count();
        self.issuing = self.tokens.saturating_sub(resources);
    }

    /// Whether there is anything to be told.
    pub(crate) fn is_measured(&self) -> bool {
        !self.rotations.is_empty()
    }

    fn hand_overs(&self) -> f64 {
        self.rotations.len() as f64
    }

    /// The overlap at this place of all that are sorted.
    fn overlap(&self, place: fn(usize) -> usize) -> f64 {
        let overlaps = self.overlaps();
        overlaps.get(place(overlaps.len())).copied().unwrap_or(f64::NAN)
    }

    /// How long both tokens lived once the new one was in the Secret, in seconds, sorted; negative where that came late.
    fn overlaps(&self) -> Vec<f64> {
        let mut overlaps: Vec<f64> = self.rotations.iter().map(|rotation| -rotation.lateness.as_secs_f64()).collect();
        overlaps.sort_by(f64::total_cmp);
        overlaps
    }
}

/// The figures of all kinds beside each other, each under its title.
pub(crate) fn table<const N: usize>(titles: [&str; N], kinds: &[Figures; N], outage: &Outage) -> String {
    let each = |of: fn(&Figures) -> f64| kinds.each_ref().map(of);
    let away = outage.until.duration_since(outage.from).as_secs_f64();
    let titles = titles.map(|title| format!("{title:>10}")).concat();
    let mut text = format!("the API server was away for {away:.1} s\n\n{:<40}{titles}\n", "");
    let mut row = |name: &str, digits: usize, values: [f64; N]| {
        let values = values.map(|value| format!("{value:>10.digits$}")).concat();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<40}{values}");
    };
    row("hand-overs", 0, each(Figures::hand_overs));
    row("  of them late", 0, each(|of| of.overlaps().iter().filter(|overlap| **overlap < 0.0).count() as f64));
    row("dead seconds in all", 3, each(|of| of.dead.as_secs_f64()));
    row("  of them while the API server was away", 3, each(|of| of.dead_without_api_server.as_secs_f64()));
    row("dead seconds a rotation", 3, each(|of| of.dead.as_secs_f64() / of.hand_overs()));
    row("overlap in s, least", 2, each(|of| of.overlap(|_| 0)));
    row("overlap in s, median", 2, each(|of| of.overlap(|count| count / 2)));
    row("issuing requests a hand-over", 3, each(|of| of.issuing as f64 / of.hand_overs()));
    row("other requests a token", 3, each(|of| of.other as f64 / of.tokens as f64));
    text
}
