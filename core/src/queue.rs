//! The queue of requests of all resources: order and permits, health of endpoints, shared applications.
//!
//! A request is put in line, and sent with a permit. [`RequestQueue::grant`] gives the permits, each to the resource whose
//! turn it is, and says when the next one is to be expected: nobody comes to ask in vain. Nothing here blocks.

use crate::fingerprint::keyed;
use crate::observed::PeerHealth;
use crate::time::Moment;
use endpoint::Endpoint;
use host::Host;
use sharing::Memberships;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub mod budget_use;
mod census;
mod circuit_breaker;
mod endpoint;
mod host;
mod line;
mod lines;
pub mod load;
pub mod passes;
mod permits;
mod queued_request;
mod sharing;

pub use queued_request::{Budget, EndpointResult, Next, ObjectName, Priority, QueuedRequest};

/// The queue of requests of all resources.
#[derive(Debug)]
pub struct RequestQueue {
    salt: String,
    budget: Budget,
    endpoints: HashMap<Arc<str>, Endpoint>,
    hosts: HashMap<String, Host>,
    /// The endpoint that each resource uses.
    used: HashMap<ObjectName, Arc<str>>,
    /// The endpoints at which requests wait.
    busy: BTreeSet<Arc<str>>,
    /// Permits that may not have been used yet, and when they were given.
    unsent: BTreeMap<ObjectName, Moment>,
    memberships: Memberships,
    /// Tokens that other resources of the same application received.
    rotations: HashMap<ObjectName, String>,
}

impl RequestQueue {
    /// An empty queue. `salt` keys the hashes of this process; `budget` is that of each endpoint.
    pub fn new(salt: String, budget: Budget) -> Self {
        Self {
            salt,
            budget,
            endpoints: HashMap::new(),
            hosts: HashMap::new(),
            used: HashMap::new(),
            busy: BTreeSet::new(),
            unsent: BTreeMap::new(),
            memberships: Memberships::default(),
            rotations: HashMap::new(),
        }
    }

    /// The key of an application, or of a client and its scopes, whose users share its tokens.
    pub fn application_key(&self, endpoint: &str, identifier: &str) -> String {
        keyed(&self.salt, endpoint, identifier)
    }

    /// The key of a request for that with this secret: requests with the same key are sent one at a time. Whoever knows
    /// the identifier alone delays nobody who knows the secret.
    pub fn request_key(&self, application_key: &str, secret: &str) -> String {
        keyed(&self.salt, application_key, secret)
    }

    /// A key that only `resource` uses.
    pub fn exclusive_key(&self, resource: &ObjectName) -> String {
        keyed(&self.salt, resource.namespace(), resource.name())
    }

    /// Notes that `resource` asks this endpoint, and no other.
    pub fn set_endpoint(&mut self, resource: &ObjectName, endpoint: &str, now: Moment) {
        if self.used.get(resource).is_some_and(|used| **used == *endpoint) {
            return;
        }
        self.leave_endpoint(resource, now);
        self.endpoint(endpoint, now);
        if let Some((known, _)) = self.endpoints.get_key_value(endpoint) {
            self.used.insert(resource.clone(), Arc::clone(known));
        }
    }

    /// Notes that `resource` uses `application` (or a pasted session pair), and no other; `has_asked` is true once it
    /// has done so. Returns the resources that this affects.
    pub fn set_application(&mut self, resource: &ObjectName, application: &str, has_asked: bool) -> Vec<ObjectName> {
        self.memberships.set_application(resource, application, has_asked)
    }

    /// Forgets a resource that is gone. Returns the resources that this affects.
    pub fn forget(&mut self, resource: &ObjectName, now: Moment) -> Vec<ObjectName> {
        self.rotations.remove(resource);
        self.leave_endpoint(resource, now);
        self.memberships.remove(resource)
    }

    /// Notes that `resource` received a new token, and returns the other resources of that application.
    pub fn rotated(&mut self, resource: &ObjectName, application: &str, fingerprint: &str) -> Vec<ObjectName> {
        let others: Vec<_> = self.memberships.others(resource, application).cloned().collect();
        self.rotations.extend(others.iter().map(|other| (other.clone(), fingerprint.to_owned())));
        others
    }

    /// The token that another resource of the same application has received since the last call.
    pub fn take_rotation(&mut self, resource: &ObjectName) -> Option<String> {
        self.rotations.remove(resource)
    }

    /// Notes that this endpoint gave `resource` its token at `at`, according to the stored state: even a process that
    /// has sent no request yet can tell wrong credentials from an outage.
    pub fn was_served(&mut self, resource: &ObjectName, endpoint: &str, at: Moment, now: Moment) {
        self.endpoint(endpoint, now).was_served(resource, at);
    }

    /// Notes until when `resource` has a token of this endpoint.
    pub fn token_until(&mut self, resource: &ObjectName, endpoint: &str, expires: Moment, now: Moment) {
        self.endpoint(endpoint, now).load.token_until(resource, expires);
    }

    /// Notes that a request to this endpoint that brought a new token, or came too early for it, took this long.
    pub fn round_trip(&mut self, endpoint: &str, round_trip: Duration) {
        self.endpoints.get_mut(endpoint).into_iter().for_each(|known| known.load.round_trip(round_trip));
    }

    /// True once after the endpoint of `resource` came up again, if its last request had failed there: its retry need
    /// not wait.
    pub fn take_retry_release(&mut self, resource: &ObjectName) -> bool {
        let endpoint = self.used.get(resource).and_then(|used| self.endpoints.get_mut(used));
        endpoint.is_some_and(|endpoint| endpoint.take_retry_release(resource))
    }

    /// Health of the endpoint from the view of `resource`.
    pub fn peer_health(&self, resource: &ObjectName, endpoint: &str, application: &str, now: Moment) -> PeerHealth {
        let breaker = self.endpoints.get(endpoint).map(Endpoint::circuit_breaker);
        PeerHealth {
            endpoint_down: breaker.is_some_and(|breaker| breaker.is_down_for(resource)),
            succeed: breaker.and_then(|breaker| breaker.others_succeed(resource, now)),
            sharing: self.memberships.sharing(resource, application),
            load: self.endpoints.get(endpoint).map(|known| known.load.at(now)).unwrap_or_default(),
        }
    }

    fn authority(&self, endpoint: &str) -> Option<&str> {
        self.endpoints.get(endpoint).map(Endpoint::authority)
    }

    fn endpoint(&mut self, endpoint: &str, now: Moment) -> &mut Endpoint {
        self.endpoints.entry(Arc::from(endpoint)).or_insert_with(|| {
            let new = Endpoint::new(endpoint, self.budget, now);
            let host = self.hosts.entry(new.authority().to_owned()).or_insert_with(|| Host::new(self.budget, now));
            host.endpoints += 1;
            new
        })
    }

    fn leave_endpoint(&mut self, resource: &ObjectName, now: Moment) {
        self.give_back(resource, now);
        if let Some(used) = self.used.remove(resource) {
            self.forget_at(&used, resource);
        }
    }

    fn forget_at(&mut self, used: &str, resource: &ObjectName) {
        let Some(endpoint) = self.endpoints.get_mut(used) else { return };
        endpoint.forget(resource);
        if !endpoint.is_forgotten() {
            return;
        }
        self.busy.remove(used);
        if let Some(gone) = self.endpoints.remove(used)
            && let Entry::Occupied(mut host) = self.hosts.entry(gone.authority().to_owned())
        {
            host.get_mut().endpoints -= 1;
            if host.get().endpoints == 0 {
                host.remove();
            }
        }
    }
}
