//! Sets of resources that are counted by namespace, and the latest of what they say.

use super::ObjectName;
use crate::time::Moment;
use std::collections::{HashMap, HashSet};

/// A set of resources. Everything that is asked of it takes the same time at any size.
#[derive(Debug, Default)]
pub(super) struct Census {
    by_namespace: HashMap<String, HashSet<String>>,
    count: usize,
}

impl Census {
    pub(super) fn insert(&mut self, resource: &ObjectName) {
        let names = self.by_namespace.entry(resource.namespace().to_owned()).or_default();
        self.count += usize::from(names.insert(resource.name().to_owned()));
    }

    /// False when it was not there.
    pub(super) fn remove(&mut self, resource: &ObjectName) -> bool {
        let Some(names) = self.by_namespace.get_mut(resource.namespace()) else { return false };
        let is_removed = names.remove(resource.name());
        if names.is_empty() {
            self.by_namespace.remove(resource.namespace());
        }
        self.count -= usize::from(is_removed);
        is_removed
    }

    pub(super) fn contains(&self, resource: &ObjectName) -> bool {
        self.by_namespace.get(resource.namespace()).is_some_and(|names| names.contains(resource.name()))
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> usize {
        self.by_namespace.get(namespace).map_or(0, HashSet::len)
    }

    /// How many namespaces it has resources of.
    pub(super) fn namespaces(&self) -> usize {
        self.by_namespace.len()
    }

    pub(super) fn has_others_than(&self, namespace: &str) -> bool {
        self.by_namespace.len() > usize::from(self.by_namespace.contains_key(namespace))
    }
}

/// When a resource last succeeded or began to fail, and which of the two.
type Said = (Moment, bool);

/// The two resources whose evidence is the latest: nobody is a witness for itself.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    latest: Vec<(Said, ObjectName)>,
}

impl Witnesses {
    /// Notes what `resource` says; it never says anything older than before.
    pub(super) fn hear(&mut self, resource: &ObjectName, said: Said) {
        self.latest.retain(|(_, known)| known != resource);
        self.latest.push((said, resource.clone()));
        self.latest.sort_unstable_by_key(|(said, _)| std::cmp::Reverse(*said));
        self.latest.truncate(2);
    }

    /// The latest that another resource said.
    pub(super) fn other_than(&self, resource: &ObjectName) -> Option<Said> {
        self.latest.iter().find(|(_, known)| known != resource).map(|(said, _)| *said)
    }

    /// Forgets `resource`; true when the others have to be heard again.
    pub(super) fn forget(&mut self, resource: &ObjectName) -> bool {
        let before = self.latest.len();
        self.latest.retain(|(_, known)| known != resource);
        self.latest.len() < before
    }
}
