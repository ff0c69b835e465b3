//! From records to a table of figures beside their targets. Pure.

use issuer_simulator::analysis;
use issuer_simulator::journal::{Cause, Journal};
use jiff::Timestamp;

use crate::record::Record;
use crate::requests::Requests;
use crate::resources::Rest;
use crate::table::{Table, Target, windows, within};
use crate::{EXTENSIONS, RESOURCES};

/// The figures of all extensions, one value each.
#[derive(Default)]
pub(crate) struct Extensions {
    /// From the issuer's extension to the new token's arrival in the Secret as the API server told of it, in ms.
    superseded: Vec<i64>,
    /// For each resource, how long its Secret held a token past its own end, in ms.
    expired: Vec<i64>,
    calls: Vec<i64>,
    state_writes: Vec<i64>,
    token_writes: Vec<i64>,
    status_writes: Vec<i64>,
    requests: Requests,
}

impl Extensions {
    /// Computes them.
    pub(crate) fn of(record: &Record, journal: &Journal, requests: Requests) -> Self {
        let mut figures = Self { requests, ..Self::default() };
        for (name, seen) in record.resources() {
            let rotations = analysis::rotations(journal, &seen.tokens);
            let extensions = rotations.iter().filter(|rotation| rotation.death.cause == Cause::Superseded);
            figures.superseded.extend(extensions.map(|extension| extension.lateness.as_millis() as i64));
            let dead = analysis::dead_time(journal, &seen.tokens, Timestamp::now());
            figures.expired.push(dead.expired.as_millis() as i64);
            let calls: Vec<Timestamp> = journal.calls_of(name).map(|call| call.received).collect();
            for window in windows(seen) {
                figures.calls.push(within(window, &calls));
                figures.state_writes.push(within(window, &seen.state_writes));
                figures.token_writes.push(within(window, &seen.token_writes));
                figures.status_writes.push(within(window, &seen.status_writes));
            }
        }
        figures
    }

    /// How many extensions were seen.
    pub(crate) fn seen(&self) -> usize {
        self.superseded.len()
    }
}

/// All figures, with a verdict where there is a target.
pub(crate) fn table(extensions: &Extensions, rest: &Rest) -> String {
    let mut table = Table::default();
    table.heading("extensions", [""]);
    table.row("seen", [extensions.seen() as i64], Target::AtLeast((RESOURCES * EXTENSIONS) as i64));
    let expired: i64 = extensions.expired.iter().sum();
    table.row("expired in ms, all resources together", [expired], Target::AtMost(0));
    let superseded = [Target::Below(100), Target::None, Target::Below(1000)];
    table.spread("superseded in ms", [&extensions.superseded], superseded);
    let fewest = extensions.calls.iter().min().copied().unwrap_or_default();
    table.row("issuer calls, min", [fewest], Target::AtLeast(1));
    table.spread("issuer calls", [&extensions.calls], [Target::AtMost(1); 3]);
    table.spread("state Secret writes", [&extensions.state_writes], [Target::None; 3]);
    table.spread("token Secret writes", [&extensions.token_writes], [Target::None; 3]);
    table.spread("status writes", [&extensions.status_writes], [Target::None; 3]);
    table.heading("requests an extension, by the API server's count", [""]);
    table.requests([(&extensions.requests, extensions.seen())]);
    table.rest(rest);
    table.text
}
