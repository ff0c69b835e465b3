//! Holds a history against the promises of the design, section 9. One function, whatever the history comes from.

use crate::calls::Calls;
use crate::dead_time::too_long_dead;
use crate::ending::wrong_ending;
use crate::history::History;
use crate::writes::Writes;

/// Every promise that this history breaks, in words.
pub(crate) fn check(history: &History) -> Vec<String> {
    let (mut calls, mut writes) = (Calls::default(), Writes::default());
    let mut broken = Vec::new();
    for entry in &history.entries {
        broken.extend(calls.see(history, entry));
        broken.extend(writes.see(history, entry));
    }
    broken.extend(too_long_dead(history));
    broken.extend(wrong_ending(history));
    broken
}

/// A limit: so much for each reason that there was to do something.
pub(crate) fn beyond(what: &str, count: usize, limit: usize) -> Option<String> {
    (count > limit).then(|| format!("{count} {what}, where {limit} are the limit"))
}
