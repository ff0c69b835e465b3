//! The lines of the requests that wait for permits: one for each priority.

use super::line::Line;
use super::{ObjectName, Priority};
use crate::time::Moment;

/// The lines of the requests that wait for permits.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: [Line; 3],
    shares: Shares,
}

/// How much each priority has had, in inverse proportion to its weight.
#[derive(Debug, Default)]
pub(super) struct Shares {
    had: [u32; 3],
}

/// The permits of a dead token count half: while all wait, it gets half of them, and the others a quarter each.
const COSTS: [u32; 3] = [1, 2, 2];

impl Shares {
    /// The share that this priority has had.
    pub(super) fn had(&self, priority: Priority) -> u32 {
        self.had[priority as usize]
    }

    /// Counts a permit for `priority`, while these other priorities wait.
    pub(super) fn take(&mut self, priority: Priority, waiting: [bool; 3]) {
        // Who could not come when it was its turn has saved up nothing, and neither has who did not wait.
        let turn = self.had(priority);
        self.had = self.had.map(|had| had.max(turn));
        self.had[priority as usize] += COSTS[priority as usize];
        let competing = Priority::ALL.into_iter().filter(|other| *other == priority || waiting[*other as usize]);
        let least = competing.map(|other| self.had(other)).min().unwrap_or_default();
        self.had = self.had.map(|had| had.saturating_sub(least));
    }
}

impl Lines {
    pub(super) fn insert(&mut self, priority: Priority, rank: Moment, name: &ObjectName) {
        self.lines[priority as usize].insert(rank, name);
    }

    pub(super) fn remove(&mut self, priority: Priority, rank: Moment, name: &ObjectName) {
        self.lines[priority as usize].remove(rank, name);
    }

    /// Removes `name`, which gets a permit.
    pub(super) fn take(&mut self, priority: Priority, rank: Moment, name: &ObjectName) {
        self.lines[priority as usize].take(rank, name);
        self.shares.take(priority, self.waiting());
    }

    /// Notes that `namespace` had its turn elsewhere.
    pub(super) fn turn_taken(&mut self, namespace: &str) {
        self.lines.iter_mut().for_each(|line| line.turn_taken(namespace));
    }

    /// Whose turn it is, of those that `may_come`.
    pub(super) fn first(&self, may_come: impl Fn(Priority, &str) -> bool) -> Option<&ObjectName> {
        let first = |priority: Priority| self.lines[priority as usize].first(|namespace| may_come(priority, namespace));
        let candidates = Priority::ALL.into_iter().filter_map(|priority| Some((priority, first(priority)?)));
        let next = candidates.min_by_key(|(priority, _)| (self.shares.had(*priority), *priority));
        next.map(|(_, (_, name))| name)
    }

    /// How many wait, by priority.
    pub(super) fn lengths(&self) -> [usize; 3] {
        Priority::ALL.map(|priority| self.lines[priority as usize].len())
    }

    /// Which priorities wait.
    pub(super) fn waiting(&self) -> [bool; 3] {
        Priority::ALL.map(|priority| !self.lines[priority as usize].is_empty())
    }
}
