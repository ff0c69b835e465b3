//! What the resources know of each other: whose turn it is to call, how an endpoint fares, who shares an application.
//!
//! A call is wished for, admitted and ended; nothing here waits. A wish that is not granted is a place in the queue of
//! its endpoint, kept between passes: [`RequestQueue::admit`] says when to come again, [`RequestQueue::request_ended`] and
//! [`RequestQueue::withdraw`] who may come earlier.

use crate::fingerprint::keyed;
use crate::issuer::{Failure, FailureKind, TokenResponse};
use crate::observed::PeerHealth;
use crate::time::Moment;
use endpoint::Endpoint;
use host::Host;
use kube_core::ResourceExt;
use sharing::Memberships;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

mod circuit_breaker;
mod endpoint;
mod host;
mod order;
mod sharing;

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectName {
    /// Where `object` is.
    pub fn of(object: &impl ResourceExt) -> Self {
        Self { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }
}

/// How many calls one endpoint may be sent. One that is slow or down uses up nobody else's. All endpoints of one host and
/// port together may be sent as many in a second, and twice as many at a time: one of them that hangs leaves room for the
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// At a time.
    pub in_flight: usize,
    /// In a second, and in a burst.
    pub per_second: u32,
}

impl Budget {
    /// The time until there is one more permit.
    fn refill(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

/// A call that a resource wants to make now.
#[derive(Clone, Copy, Debug)]
pub struct Queued<'a> {
    /// The resource.
    pub resource: &'a ObjectName,
    /// Whom it wants to call.
    pub endpoint: &'a str,
    /// Calls with the same key are made one at a time.
    pub request_key: &'a str,
    /// When the token in the Secret expires, or since when there should be one: the earliest comes first.
    pub expires: Moment,
    /// When the token came to the end at which this call asks for the next one; none for every other call.
    pub expired_at: Option<Moment>,
    /// Its last call failed, whatever it was made with.
    pub is_retry: bool,
}

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It counts as in flight until [`RequestQueue::request_ended`].
    Admitted,
    /// Wish again then, at the latest: it may be woken before.
    Wait(Moment),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointResult {
    /// With a token.
    Responded,
    /// Without.
    Failed(FailureKind),
}

impl EndpointResult {
    /// What `result` comes to.
    pub fn of(result: &Result<TokenResponse, Failure>) -> Self {
        result.as_ref().map_or_else(|failure| Self::Failed(failure.kind), |_| Self::Responded)
    }
}

/// A resource to be woken at a moment.
pub type Wake = (ObjectName, Moment);

/// Everything that resources know of each other.
#[derive(Debug)]
pub struct RequestQueue {
    salt: String,
    budget: Budget,
    endpoints: HashMap<String, Endpoint>,
    hosts: HashMap<String, Host>,
    memberships: Memberships,
    /// The tokens that others of the same application were given.
    rotations: HashMap<ObjectName, String>,
}

impl RequestQueue {
    /// Nobody yet. `salt` keys the hashes of this process; `budget` is that of each endpoint.
    pub fn new(salt: String, budget: Budget) -> Self {
        let (endpoints, hosts, rotations) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { salt, budget, endpoints, hosts, memberships: Memberships::default(), rotations }
    }

    /// The name under which an application, or a pasted session pair, is known here: calls with it are made one at a
    /// time.
    pub fn request_key(&self, endpoint: &str, consumer_key: &str) -> String {
        keyed(&self.salt, endpoint, consumer_key)
    }

    /// A name like [`RequestQueue::request_key`] that nobody but `resource` uses.
    pub fn exclusive_key(&self, resource: &ObjectName) -> String {
        keyed(&self.salt, &resource.namespace, &resource.name)
    }

    /// Whether this call could be made now, so that it is worth announcing: [`RequestQueue::admit`] says whether it may be once
    /// that is done, and others do not wait for it for long. Names those who may come earlier, and when.
    pub fn reserve(&mut self, queued: &Queued<'_>, now: Moment) -> (Admission, Vec<Wake>) {
        let (endpoint, host) = self.endpoint(queued.endpoint, now);
        let (admission, mut woken) = endpoint.reserve(queued, now);
        let admission = match admission {
            Admission::Admitted => host_admission(endpoint, host, queued, now),
            // Overtaken at the endpoint while it announced: its place at the host would only be in the way of others.
            later @ Admission::Wait(_) => {
                woken.extend(host.withdraw(queued.resource, now));
                later
            }
        };
        (admission, woken)
    }

    /// Whether this call may be made now. A refused wish keeps its place until some seconds after the moment it is
    /// told. Names those who may come earlier, and when.
    pub fn admit(&mut self, queued: &Queued<'_>, now: Moment) -> (Admission, Vec<Wake>) {
        let (endpoint, host) = self.endpoint(queued.endpoint, now);
        let at = endpoint.enqueue(queued, now);
        if at > now {
            return (Admission::Wait(at), host.withdraw(queued.resource, now));
        }
        let admission = host_admission(endpoint, host, queued, now);
        if admission == Admission::Admitted {
            endpoint.request_started(queued.resource, now);
            host.request_started(queued.resource, now);
        }
        (admission, Vec::new())
    }

    /// The endpoint, and the host that it is at.
    fn endpoint(&mut self, endpoint: &str, now: Moment) -> (&mut Endpoint, &mut Host) {
        let known = self.endpoints.entry(endpoint.to_owned());
        let known = known.or_insert_with(|| Endpoint::new(endpoint, self.budget, now));
        let host = self.hosts.entry(known.authority().to_owned()).or_insert_with(|| Host::new(self.budget, now));
        (known, host)
    }

    /// Notes that `resource` asks this endpoint, and no other. Names those elsewhere who may come earlier, and when.
    pub fn set_endpoint(&mut self, resource: &ObjectName, endpoint: &str, now: Moment) -> Vec<Wake> {
        let mut woken = Vec::new();
        for (_, other) in self.endpoints.iter_mut().filter(|(other, _)| *other != endpoint) {
            woken.extend(other.withdraw(resource, now));
            other.forget(resource);
        }
        let authority = self.endpoints.get(endpoint).map(Endpoint::authority);
        let others = self.hosts.iter_mut().filter(|(other, _)| Some(other.as_str()) != authority);
        woken.extend(others.flat_map(|(_, other)| other.withdraw(resource, now)));
        woken
    }

    /// Ends an admitted call; `result` is none when it was not made. Names those who should wish again, and when.
    pub fn request_ended(
        &mut self,
        endpoint: &str,
        request_key: &str,
        resource: &ObjectName,
        result: Option<EndpointResult>,
        now: Moment,
    ) -> Vec<Wake> {
        let Some(known) = self.endpoints.get_mut(endpoint).filter(|known| known.is_in_flight(request_key)) else {
            return Vec::new();
        };
        let host = self.hosts.get_mut(known.authority());
        let woken = host.map(|host| host.request_ended(result.is_some(), now)).unwrap_or_default();
        known.request_ended(request_key, resource, result, now).into_iter().chain(woken).collect()
    }

    /// The resource no longer wants to call. Names those who should wish again, and when.
    pub fn withdraw(&mut self, resource: &ObjectName, now: Moment) -> Vec<Wake> {
        let woken = self.endpoints.values_mut().flat_map(|endpoint| endpoint.withdraw(resource, now));
        let at_hosts = self.hosts.values_mut().flat_map(|host| host.withdraw(resource, now));
        woken.chain(at_hosts).collect()
    }

    /// Notes that `resource` uses `application` (or a pasted session pair), and no other; `has_asked` is true once it has
    /// done so. Names those to whom that is news.
    pub fn set_application(&mut self, resource: &ObjectName, application: &str, has_asked: bool) -> Vec<ObjectName> {
        self.memberships.set_application(resource, application, has_asked)
    }

    /// Forgets a resource that is gone. Names those to whom that is news. [`RequestQueue::withdraw`] comes first.
    pub fn forget(&mut self, resource: &ObjectName) -> Vec<ObjectName> {
        self.rotations.remove(resource);
        self.endpoints.values_mut().for_each(|endpoint| endpoint.forget(resource));
        self.endpoints.retain(|_, endpoint| !endpoint.is_forgotten());
        let used: HashSet<_> = self.endpoints.values().map(Endpoint::authority).collect();
        self.hosts.retain(|authority, host| used.contains(authority.as_str()) || !host.is_forgotten());
        self.memberships.remove(resource)
    }

    /// Notes that `resource` was given a new token, and names the others of that application.
    pub fn rotated(&mut self, resource: &ObjectName, application: &str, fingerprint: &str) -> Vec<ObjectName> {
        let others: Vec<_> = self.memberships.others(resource, application).cloned().collect();
        self.rotations.extend(others.iter().map(|other| (other.clone(), fingerprint.to_owned())));
        others
    }

    /// The token that another resource of the same application was given since this was last asked.
    pub fn take_rotation(&mut self, resource: &ObjectName) -> Option<String> {
        self.rotations.remove(resource)
    }

    /// Notes that this endpoint gave `resource` its token at `at`, as what is stored tells: a process that has called nobody
    /// yet can tell wrong credentials from an outage all the same.
    pub fn was_served(&mut self, resource: &ObjectName, endpoint: &str, at: Moment, now: Moment) {
        self.endpoint(endpoint, now).0.was_served(resource, at);
    }

    /// True once after an endpoint came up again at which the last call of `resource` had failed: its retry need not
    /// wait.
    pub fn take_retry_release(&mut self, resource: &ObjectName) -> bool {
        self.endpoints.values_mut().any(|endpoint| endpoint.take_retry_release(resource))
    }

    /// How the others fare, as `resource` may know it.
    pub fn peer_health(&self, resource: &ObjectName, endpoint: &str, application: &str, now: Moment) -> PeerHealth {
        let breaker = self.endpoints.get(endpoint).map(Endpoint::circuit_breaker);
        PeerHealth {
            endpoint_down: breaker.is_some_and(|breaker| breaker.is_down_for(resource)),
            succeed: breaker.and_then(|breaker| breaker.others_succeed(resource, now)),
            sharing: self.memberships.sharing(resource, application),
        }
    }
}

/// Asks `host` as well, where `endpoint` would let this call be made.
fn host_admission(endpoint: &mut Endpoint, host: &mut Host, queued: &Queued<'_>, now: Moment) -> Admission {
    let at = host.enqueue(queued, now);
    if at <= now {
        return Admission::Admitted;
    }
    endpoint.wait_for_host(queued.resource, at);
    Admission::Wait(at)
}
