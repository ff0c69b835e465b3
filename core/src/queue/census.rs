//! Sets of resources that are counted by namespace, and the latest of what they say.

use super::ObjectName;
use crate::time::Moment;

/// A set of resources. What is asked of it takes as good as the same time at any size, and there are thousands of small
/// sets: it is a sorted list.
#[derive(Debug, Default)]
pub(super) struct Census {
    sorted: Vec<ObjectName>,
    namespaces: usize,
}

impl Census {
    pub(super) fn insert(&mut self, resource: &ObjectName) {
        if let Err(place) = self.sorted.binary_search(resource) {
            self.namespaces += usize::from(self.in_namespace(resource.namespace()) == 0);
            if self.sorted.is_empty() {
                self.sorted.reserve_exact(1);
            }
            self.sorted.insert(place, resource.clone());
        }
    }

    /// False when it was not there.
    pub(super) fn remove(&mut self, resource: &ObjectName) -> bool {
        let Ok(place) = self.sorted.binary_search(resource) else { return false };
        self.sorted.remove(place);
        self.namespaces -= usize::from(self.in_namespace(resource.namespace()) == 0);
        true
    }

    pub(super) fn contains(&self, resource: &ObjectName) -> bool {
        self.sorted.binary_search(resource).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> usize {
        let begin = self.sorted.partition_point(|resource| resource.namespace() < namespace);
        self.sorted[begin..].partition_point(|resource| resource.namespace() == namespace)
    }

    /// How many namespaces it has resources of.
    pub(super) fn namespaces(&self) -> usize {
        self.namespaces
    }

    pub(super) fn has_others_than(&self, namespace: &str) -> bool {
        self.namespaces > usize::from(self.in_namespace(namespace) > 0)
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
