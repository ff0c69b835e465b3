//! From records to a table of figures beside their targets. Pure.

use issuer_simulator::analysis::{self, Rotation};
use issuer_simulator::journal::Journal;
use jiff::Timestamp;

use crate::record::Record;
use crate::requests::Requests;
use crate::resources::Rest;
use crate::table::{Table, Target, windows, within};
use crate::{RESOURCES, ROTATIONS};

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

impl Rotations {
    /// Computes them.
    pub(crate) fn of(record: &Record, journal: &Journal, requests: Requests) -> Self {
        let mut figures = Self { requests, ..Self::default() };
        for (name, seen) in record.resources() {
            let rotations = analysis::rotations(journal, &seen.tokens);
            figures.lateness.extend(rotations.iter().map(|rotation| rotation.lateness.as_millis() as i64));
            figures.asking.extend(rotations.iter().filter_map(|rotation| asking(journal, rotation)));
            let calls: Vec<Timestamp> = journal.calls_of(name).map(|call| call.received).collect();
            for window in windows(seen) {
                figures.calls.push(within(window, &calls));
                figures.secret_writes.push(within(window, &seen.state_writes) + within(window, &seen.token_writes));
                figures.status_writes.push(within(window, &seen.status_writes));
            }
        }
        figures
    }

    /// How many rotations were seen.
    pub(crate) fn seen(&self) -> usize {
        self.lateness.len()
    }
}

fn asking(journal: &Journal, rotation: &Rotation) -> Option<i64> {
    let given = journal.token(&rotation.new)?.birth;
    Some(given.duration_since(rotation.death.at).as_millis() as i64)
}

/// All figures, with a verdict where there is a target.
pub(crate) fn table(down: &Rotations, up: &Rotations, rest: &Rest) -> String {
    let expected = (RESOURCES * ROTATIONS) as i64;
    let mut table = Table::default();
    table.heading("rotations, the issuer rounding", ["down", "up"]);
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
    table.heading("requests a rotation, by the API server's count", ["down", "up"]);
    table.requests([down, up].map(|run| (&run.requests, run.seen())));
    table.rest(rest);
    table.text
}
