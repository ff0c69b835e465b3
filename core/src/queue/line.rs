//! A line in which namespaces take turns: within a namespace the earliest rank comes first.

use super::ObjectName;
use crate::time::Moment;
use std::collections::{BTreeSet, HashMap};

/// Namespaces without a member that are remembered, beside twice as many as wait.
const REMEMBERED: usize = 64;

/// A line in which namespaces take turns. The cost of each operation grows with the logarithm of its length.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// A namespace whose last member has gone is remembered until the others have caught up with it: leaving the line
    /// gains nothing.
    namespaces: HashMap<String, Members>,
    /// The namespaces that wait: the fewest turns first, then the earliest rank.
    order: BTreeSet<(u64, Moment, String)>,
    /// The turn that was taken last.
    turn: u64,
}

/// The members of a namespace.
#[derive(Debug, Default)]
struct Members {
    /// Its next turn.
    turn: u64,
    by_rank: BTreeSet<(Moment, ObjectName)>,
}

impl Line {
    /// Adds `name`.
    pub(super) fn insert(&mut self, rank: Moment, name: &ObjectName) {
        self.change(name.namespace(), |members| {
            members.by_rank.insert((rank, name.clone()));
        });
    }

    /// Removes `name`, if it is there.
    pub(super) fn remove(&mut self, rank: Moment, name: &ObjectName) {
        if self.namespaces.contains_key(name.namespace()) {
            self.change(name.namespace(), |members| {
                members.by_rank.remove(&(rank, name.clone()));
            });
        }
    }

    /// Removes `name`, whose turn it is: the other namespaces come before the next member of its own.
    pub(super) fn take(&mut self, rank: Moment, name: &ObjectName) {
        let mut taken = 0;
        self.change(name.namespace(), |members| {
            taken = members.turn;
            members.turn += 1;
            members.by_rank.remove(&(rank, name.clone()));
        });
        self.turn = self.turn.max(taken);
        self.catch_up(taken);
        if self.namespaces.len() > 2 * self.order.len() + REMEMBERED {
            let turn = self.turn;
            self.namespaces.retain(|_, members| members.turn > turn || !members.by_rank.is_empty());
        }
    }

    /// The member whose turn it is, of the namespaces that `may_come`.
    pub(super) fn first(&self, may_come: impl Fn(&str) -> bool) -> Option<(Moment, &ObjectName)> {
        let (_, _, namespace) = self.order.iter().find(|(_, _, namespace)| may_come(namespace))?;
        let (rank, name) = self.namespaces.get(namespace)?.by_rank.first()?;
        Some((*rank, name))
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.namespaces.values().map(|members| members.by_rank.len()).sum()
    }

    /// True when nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Notes that `namespace` had its turn in another line that counts as well.
    pub(super) fn turn_taken(&mut self, namespace: &str) {
        if self.namespaces.get(namespace).is_some_and(|members| !members.by_rank.is_empty()) {
            let next = self.turn + 1;
            self.change(namespace, |members| members.turn = members.turn.max(next));
        }
    }

    /// A namespace that could not come when it was its turn has saved up none.
    fn catch_up(&mut self, turn: u64) {
        while let Some((_, _, namespace)) = self.order.first().filter(|(next, _, _)| *next < turn) {
            let namespace = namespace.clone();
            self.change(&namespace, |members| members.turn = turn);
        }
    }

    fn change(&mut self, namespace: &str, change: impl FnOnce(&mut Members)) {
        let members = self.namespaces.entry(namespace.to_owned()).or_default();
        if let Some((rank, _)) = members.by_rank.first() {
            self.order.remove(&(members.turn, *rank, namespace.to_owned()));
        } else {
            // Who was away has saved up no turns.
            members.turn = members.turn.max(self.turn);
        }
        change(members);
        let place = members.by_rank.first().map(|(rank, _)| (members.turn, *rank, namespace.to_owned()));
        self.order.extend(place);
    }
}
