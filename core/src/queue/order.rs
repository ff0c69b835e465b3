//! The rules of waiting in line that an endpoint and its host share.

use std::time::Duration;

/// A member that waits for the end of another call is woken by it, and looks again after this time in case that went wrong.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// A member that does not come this long after the moment it was told has lost its place: its pass failed, or it is gone.
pub(super) const OVERDUE_AFTER: Duration = Duration::from_secs(5);
/// Nobody is woken to come earlier by less than this: moments are computed anew after each call, and not to the same
/// microsecond.
pub(super) const SMALLEST_ADVANCE: Duration = Duration::from_millis(100);

/// One of each in turn, then the rest of the longer one.
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
