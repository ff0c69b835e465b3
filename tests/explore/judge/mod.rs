//! Holds a history against what is promised. One function, whatever the history comes from.

// Each target that includes this uses a part of it.
#![allow(dead_code, unused_imports)]

mod calls;
mod change;
mod dead_time;
mod ending;
mod exchanges;
mod facts;
mod history;
mod keeping;
mod question;
mod saying;
mod subject;
mod writes;

pub(crate) use change::{Change, Key, Kind};
pub(crate) use facts::{Ready, stored_token};
pub(crate) use history::{Entry, History, What};
pub(crate) use question::{Given, Question, calls_of};
pub(crate) use subject::Subject;

use calls::Calls;
use exchanges::Exchanges;
use facts::Facts;
use keeping::Keeping;
use subject::Part;
use writes::Writes;

/// Every promise that this history breaks, in words. Each resource is judged for itself.
pub(crate) fn check(history: &History) -> Vec<String> {
    let mut broken = strays(history);
    for subject in &history.subjects {
        let prefix = if history.subjects.len() > 1 { format!("{}: ", subject.resource) } else { String::new() };
        let judged = judge(&history.of(subject));
        broken.extend(judged.into_iter().map(|broken| format!("{prefix}{broken}")));
    }
    broken
}

fn judge(part: &Part<'_>) -> Vec<String> {
    let (mut calls, mut writes) = (Calls::default(), Writes::default());
    let (mut exchanges, mut keeping) = (Exchanges::default(), Keeping::default());
    let mut facts = Facts::default();
    let mut broken = Vec::new();
    for entry in &part.entries {
        broken.extend(calls.see(part, &facts, entry));
        broken.extend(exchanges.see(part, &facts, entry));
        broken.extend(writes.see(part, &facts, entry));
        keeping.see(part, &facts, entry);
        facts.take_in(entry);
    }
    broken.extend(exchanges.end());
    broken.extend(keeping.end(part));
    broken.extend(dead_time::too_long_dead(part));
    broken.extend(saying::untrue(part));
    broken.extend(ending::wrong_ending(part));
    broken
}

/// Writes of the operator into what is no resource's.
fn strays(history: &History) -> Vec<String> {
    let written =
        history.entries.iter().filter(|entry| entry.process.is_some()).filter_map(|entry| match &entry.what {
            What::Changed(change) => Some(change),
            _ => None,
        });
    let all = || history.subjects.iter().chain(&history.neighbours);
    let nobodys = written.filter(|change| !all().any(|subject| subject.role(&change.key).is_some()));
    nobodys.map(|change| format!("the operator wrote {:?} {}", change.key.kind, change.key.name)).collect()
}

/// A limit: so much for each reason that there was to do something.
fn beyond(what: &str, count: usize, limit: usize) -> Option<String> {
    (count > limit).then(|| format!("{count} {what}, where {limit} are the limit"))
}
