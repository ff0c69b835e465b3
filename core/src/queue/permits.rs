//! Permits: who gets the next one, of all endpoints and hosts.

use super::{EndpointResult, Next, ObjectName, Priority, QueuedRequest, RequestQueue};
use crate::time::Moment;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A permit takes up room for so long without being used: a pass takes some hundredths of a second to its request.
const USED_WITHIN: Duration = Duration::from_millis(500);

impl RequestQueue {
    /// Puts a request in line, in place of what `resource` had there. A permit for another request is given back.
    pub fn enqueue(&mut self, resource: &ObjectName, request: QueuedRequest, now: Moment) {
        self.set_endpoint(resource, &request.endpoint, now);
        self.give_back(resource, now);
        let endpoint = Arc::clone(&request.endpoint);
        self.endpoint(&endpoint, now).enqueue(resource, request);
        self.busy.insert(endpoint);
    }

    /// Gives the next permit, if somebody's turn has come. Its holder ends it with [`RequestQueue::permit_ended`] or
    /// gives it back with [`RequestQueue::withdraw`].
    pub fn grant(&mut self, now: Moment) -> Next {
        self.lapse(now);
        let hosts: BTreeSet<_> =
            self.busy.iter().filter_map(|known| self.authority(known)).map(str::to_owned).collect();
        let mut next = Next::Later;
        for host in hosts {
            next = next.or_earlier(self.next_at(&host, now));
            if let Next::Turn(resource) = &next {
                self.give_permit(resource, now);
                return next;
            }
        }
        match self.unsent.values().min() {
            Some(granted) if !self.busy.is_empty() => next.or_earlier(Next::At(*granted + USED_WITHIN)),
            _ => next,
        }
    }

    /// True when `resource` may send this request: it has a permit for it, or gets one now. Otherwise the request is in
    /// line.
    pub fn acquire(&mut self, resource: &ObjectName, request: QueuedRequest, now: Moment) -> bool {
        let is_same = |permitted: &QueuedRequest| permitted.request_key == request.request_key;
        if self.permitted(resource).is_some_and(is_same) && self.restore(resource, now) {
            return true;
        }
        self.enqueue(resource, request.clone(), now);
        let authority = self.authority(&request.endpoint).map(str::to_owned);
        let is_next = authority.is_some_and(|host| self.next_at(&host, now) == Next::Turn(resource.clone()));
        if is_next {
            self.give_permit(resource, now);
        }
        is_next
    }

    /// True while `resource` holds a permit.
    pub fn has_permit(&self, resource: &ObjectName) -> bool {
        self.permitted(resource).is_some()
    }

    /// The priority of the request that `resource` holds a permit for.
    pub fn priority(&self, resource: &ObjectName) -> Option<Priority> {
        self.permitted(resource).map(|request| request.priority)
    }

    /// The permitted request of `resource` is being sent.
    pub fn request_started(&mut self, resource: &ObjectName) {
        if let Some(endpoint) = self.used.get(resource).and_then(|used| self.endpoints.get_mut(used)) {
            endpoint.request_started(resource);
        }
        self.unsent.remove(resource);
    }

    /// Ends the permit of `resource` for `endpoint`; `result` is none when nothing was sent.
    pub fn permit_ended(&mut self, endpoint: &str, resource: &ObjectName, result: Option<EndpointResult>, now: Moment) {
        let Some(known) = self.endpoints.get_mut(endpoint) else { return };
        let ended = known.permit_ended(resource, result, now);
        self.unsent.remove(resource);
        if let Some((took_room, host)) = ended.zip(self.hosts.get_mut(known.authority())) {
            took_room.then(|| host.makes_room(resource.namespace()));
            result.is_none().then(|| host.give_back());
        }
        if known.has_waiting() {
            self.busy.extend(self.endpoints.get_key_value(endpoint).map(|(known, _)| Arc::clone(known)));
        }
        if self.used.get(resource).is_none_or(|used| **used != *endpoint) {
            // It went while its request was on its way.
            self.forget_at(endpoint, resource);
        }
    }

    /// Withdraws the request of `resource`, and gives back a permit that was not used.
    pub fn withdraw(&mut self, resource: &ObjectName, now: Moment) {
        self.give_back(resource, now);
    }

    fn permitted(&self, resource: &ObjectName) -> Option<&QueuedRequest> {
        self.endpoints.get(self.used.get(resource)?)?.permitted(resource)
    }

    pub(super) fn give_back(&mut self, resource: &ObjectName, now: Moment) {
        let Some(endpoint) = self.used.get(resource).and_then(|used| self.endpoints.get_mut(used)) else { return };
        let ended = endpoint.withdraw(resource, now);
        ended.and_then(|_| self.unsent.remove(resource));
        if let Some((took_room, host)) = ended.zip(self.hosts.get_mut(endpoint.authority())) {
            took_room.then(|| host.makes_room(resource.namespace()));
            host.give_back();
        }
    }

    /// A permit that its pass has not used in time, as what it writes first hangs, takes up no room any longer.
    fn lapse(&mut self, now: Moment) {
        let is_late = |(_, granted): &(&ObjectName, &Moment)| **granted + USED_WITHIN <= now;
        let late: Vec<_> = self.unsent.iter().filter(is_late).map(|(resource, _)| resource.clone()).collect();
        for resource in late {
            self.unsent.remove(&resource);
            let endpoint = self.used.get(&resource).and_then(|used| self.endpoints.get_mut(used));
            if let Some(endpoint) = endpoint
                && endpoint.lapse(&resource)
                && let Some(host) = self.hosts.get_mut(endpoint.authority())
            {
                host.makes_room(resource.namespace());
            }
        }
    }

    /// True when the permit of `resource` takes up room, still or again.
    fn restore(&mut self, resource: &ObjectName, now: Moment) -> bool {
        let Some(endpoint) = self.used.get(resource).and_then(|used| self.endpoints.get_mut(used)) else {
            return false;
        };
        if !endpoint.is_lapsed(resource) {
            return true;
        }
        let Some(host) = self.hosts.get_mut(endpoint.authority()) else { return false };
        let is_restored = host.has_room(resource.namespace()) && endpoint.restore(resource);
        if is_restored {
            host.takes_room(resource.namespace());
            self.unsent.insert(resource.clone(), now);
        }
        is_restored
    }

    /// Whose turn it is at a host: of each of its endpoints the first, in order.
    fn next_at(&mut self, host: &str, now: Moment) -> Next {
        let Some(limits) = self.hosts.get(host) else { return Next::Later };
        let mut next = Next::Later;
        let mut permit: Option<((u64, u32, Priority, Moment), ObjectName)> = None;
        for known in self.busy.iter().filter_map(|known| self.endpoints.get(known)) {
            if known.authority() != host {
                continue;
            }
            match known.next(now, |namespace| limits.has_room(namespace)) {
                Next::Turn(resource) => {
                    let order = known.waiting(&resource).map(|request| limits.order(&resource, request));
                    let candidate = order.map(|order| (order, resource));
                    permit = permit.into_iter().chain(candidate).min();
                }
                other => next = next.or_earlier(other),
            }
        }
        let ready = limits.ready_at(now);
        match permit {
            Some((_, resource)) if ready <= now => Next::Turn(resource),
            Some(_) => Next::At(ready).or_earlier(next),
            None => next,
        }
    }

    fn give_permit(&mut self, resource: &ObjectName, now: Moment) {
        let Some(used) = self.used.get(resource) else { return };
        let Some(endpoint) = self.endpoints.get_mut(used) else { return };
        let Some(priority) = endpoint.waiting(resource).map(|request| request.priority) else { return };
        endpoint.grant(resource, now);
        let authority = endpoint.authority().to_owned();
        if !endpoint.has_waiting() {
            self.busy.remove(used);
        }
        let mut waiting = [false; 3];
        for known in &self.busy {
            let Some(known) = self.endpoints.get_mut(known).filter(|known| known.authority() == authority) else {
                continue;
            };
            waiting = std::array::from_fn(|priority| waiting[priority] || known.priorities_waiting()[priority]);
            known.turn_taken(resource.namespace());
        }
        if let Some(host) = self.hosts.get_mut(&authority) {
            host.granted(resource, priority, waiting, now);
        }
        self.unsent.insert(resource.clone(), now);
    }
}
