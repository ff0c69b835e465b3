//! The rules of order that an endpoint and its host share.

use std::time::Duration;

/// A resource that waits for the end of another request is woken by it, and checks again after this time as a fallback.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// A resource this late loses its place in the queue: its pass failed, or it is gone.
pub(super) const OVERDUE_AFTER: Duration = Duration::from_secs(5);
/// No resource is woken to come earlier by less than this: moments are recomputed after each request, and not to the
/// same microsecond.
pub(super) const SMALLEST_ADVANCE: Duration = Duration::from_millis(100);

/// Alternates between both, then appends the rest of the longer list.
pub(super) fn alternate<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    let (mut turn, mut other) = (first.into_iter(), second.into_iter());
    let mut all = Vec::with_capacity(turn.len() + other.len());
    while let Some(next) = turn.next() {
        all.push(next);
        std::mem::swap(&mut turn, &mut other);
    }
    all.extend(other);
    all
}
