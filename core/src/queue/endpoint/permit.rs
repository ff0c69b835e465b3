//! Permits of an endpoint, and the room that they take up.

use super::Endpoint;
use crate::queue::{Budget, ObjectName, Priority, QueuedRequest};

/// Permits whose passes have not used them in time take up no room, up to this many times the requests in flight.
const LAPSED: usize = 4;

/// A permit to send one request.
#[derive(Debug)]
pub(in crate::queue) struct Permit {
    pub(super) request: QueuedRequest,
    pub(super) is_probe: bool,
    pub(super) is_sent: bool,
    /// Its pass has not used it in time, and it takes up no room.
    pub(super) is_lapsed: bool,
}

impl Endpoint {
    pub(in crate::queue) fn in_use(&self) -> impl Iterator<Item = (&ObjectName, &Permit)> {
        self.permits.iter().filter(|(_, permit)| !permit.is_lapsed)
    }

    pub(super) fn has_slot(&self) -> bool {
        let Budget { in_flight, .. } = self.budget;
        self.in_use().count() < in_flight && self.permits.len() < in_flight.saturating_mul(LAPSED)
    }

    /// Retries have at most half of the permits while others wait; where there are other namespaces, what is not due has
    /// at most half for one of them, and so have permits that its passes do not use.
    pub(super) fn has_room(&self, priority: Priority, namespace: &str) -> bool {
        let half = self.budget.in_flight.div_ceil(2);
        let [due, new, _] = self.lines.waiting();
        let retries = || self.in_use().filter(|(_, permit)| permit.request.priority == Priority::Retry).count();
        if priority == Priority::Retry && (due || new) && retries() >= half {
            return false;
        }
        if !self.circuit_breaker.has_other_namespaces(namespace) {
            return true;
        }
        let of_namespace = || self.permits.iter().filter(|(resource, _)| resource.namespace() == namespace);
        let is_not_due = |permit: &Permit| !permit.is_lapsed && permit.request.priority != Priority::Due;
        let not_due = || of_namespace().filter(|(_, permit)| is_not_due(permit)).count();
        let lapsed = of_namespace().filter(|(_, permit)| permit.is_lapsed).count();
        lapsed < half.saturating_mul(LAPSED) && (priority == Priority::Due || not_due() < half)
    }

    /// The request that `resource` holds a permit for.
    pub(in crate::queue) fn permitted(&self, resource: &ObjectName) -> Option<&QueuedRequest> {
        self.permits.get(resource).map(|permit| &permit.request)
    }

    /// The permit of `resource` takes up no room any longer, unless it was used; true if so.
    pub(in crate::queue) fn lapse(&mut self, resource: &ObjectName) -> bool {
        let permit = self.permits.get_mut(resource).filter(|permit| !permit.is_sent && !permit.is_lapsed);
        permit.map(|permit| permit.is_lapsed = true).is_some()
    }

    /// True when the permit of `resource` takes up no room.
    pub(in crate::queue) fn is_lapsed(&self, resource: &ObjectName) -> bool {
        self.permits.get(resource).is_some_and(|permit| permit.is_lapsed)
    }

    /// The permit of `resource` takes up room again; false when there is none.
    pub(in crate::queue) fn restore(&mut self, resource: &ObjectName) -> bool {
        let in_use = self.in_use().count();
        // A probe is alone.
        let has_slot = |permit: &Permit| in_use < if permit.is_probe { 1 } else { self.budget.in_flight };
        let has_slot = self.permits.get(resource).is_some_and(has_slot);
        let permit = self.permits.get_mut(resource).filter(|_| has_slot);
        permit.map(|permit| permit.is_lapsed = false).is_some()
    }

    /// The permitted request of `resource` is being sent.
    pub(in crate::queue) fn request_started(&mut self, resource: &ObjectName) {
        if let Some(permit) = self.permits.get_mut(resource) {
            permit.is_sent = true;
        }
    }
}
