//! Passes in progress, and the room that they leave for others.

use super::Lane;
use crate::queue::{ObjectName, Priority};
use std::collections::{HashMap, HashSet};

/// Passes at a time in each lane that needs no permit.
const WORKERS: usize = 12;

/// Passes in progress.
#[derive(Debug, Default)]
pub(super) struct RunningPasses(HashMap<ObjectName, Running>);

/// A pass in progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub(super) lane: Lane,
    /// It replaces a token that has ended.
    is_due: bool,
}

impl Running {
    /// A pass in this lane, without a permit.
    pub(super) fn in_lane(lane: Lane) -> Self {
        Self { lane, is_due: false }
    }

    /// A pass with a permit for a request of this priority.
    pub(super) fn permitted(priority: Priority) -> Self {
        Self { lane: Lane::Request, is_due: priority == Priority::Due }
    }
}

impl RunningPasses {
    pub(super) fn begin(&mut self, name: ObjectName, running: Running) {
        self.0.insert(name, running);
    }

    pub(super) fn end(&mut self, name: &ObjectName) {
        self.0.remove(name);
    }

    /// The pass over this resource, if one runs, has got a permit.
    pub(super) fn has_permit(&mut self, name: &ObjectName, priority: Priority) {
        if let Some(running) = self.0.get_mut(name) {
            *running = Running::permitted(priority);
        }
    }

    pub(super) fn contains(&self, name: &ObjectName) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The namespaces for which another pass may begin in this lane. Where there are `others`, one namespace has at most
    /// half of the room; and a single pass for a change while passes of others replace tokens that have ended.
    pub(super) fn room(&self, lane: Lane, others: bool) -> impl Fn(&str) -> bool {
        let names = |counts: &dyn Fn(&Running) -> bool| {
            let counted = self.0.iter().filter(|(_, running)| counts(running));
            counted.map(|(name, _)| name.namespace()).collect::<Vec<_>>()
        };
        let in_lane = names(&|running| running.lane == lane);
        let due: HashSet<_> = names(&|running| running.is_due).into_iter().collect();
        move |namespace| {
            let is_due_elsewhere = due.len() > usize::from(due.contains(namespace));
            let limit = match lane {
                _ if !others => WORKERS,
                Lane::Change if is_due_elsewhere => 1,
                _ => WORKERS / 2,
            };
            in_lane.len() < WORKERS && in_lane.iter().filter(|running| **running == namespace).count() < limit
        }
    }
}
