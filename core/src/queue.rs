//! The queue of requests of all resources: order and permits, health of endpoints, shared applications.
//!
//! A request is queued, admitted and ended; nothing here blocks. A request that is not admitted keeps its place in the
//! queue of its endpoint between passes: [`RequestQueue::admit`] says when to come again,
//! [`RequestQueue::request_ended`] and [`RequestQueue::withdraw`] who may come earlier.

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

/// Limits of the requests to an endpoint. A slow or failing endpoint does not use up those of others. All endpoints of
/// the same host and port together may be sent as many per second, and twice as many at a time: an endpoint that hangs
/// leaves room for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// In flight at a time.
    pub in_flight: usize,
    /// Per second, and per burst.
    pub per_second: u32,
}

impl Budget {
    /// The time until the next permit.
    fn refill(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

/// A request that a resource wants to send now.
#[derive(Clone, Copy, Debug)]
pub struct Queued<'a> {
    /// The resource.
    pub resource: &'a ObjectName,
    /// The endpoint.
    pub endpoint: &'a str,
    /// Requests with the same key are sent one at a time.
    pub request_key: &'a str,
    /// When the token in the Secret expires, or since when it is missing: the earliest comes first.
    pub expires: Moment,
    /// When the token expired, if the request polls for its successor; none for every other request.
    pub expired_at: Option<Moment>,
    /// Its last request failed, whatever its inputs.
    pub is_retry: bool,
}

/// Whether a request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It counts as in flight until [`RequestQueue::request_ended`].
    Admitted,
    /// Queue again then, at the latest: the resource may be woken earlier.
    Wait(Moment),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointResult {
    /// With a token.
    Responded,
    /// Without.
    Failed(FailureKind),
}

impl EndpointResult {
    /// The outcome of `result`.
    pub fn of(result: &Result<TokenResponse, Failure>) -> Self {
        result.as_ref().map_or_else(|failure| Self::Failed(failure.kind), |_| Self::Responded)
    }
}

/// A resource to be woken at a moment.
pub type Wake = (ObjectName, Moment);

/// The queue of requests of all resources.
#[derive(Debug)]
pub struct RequestQueue {
    salt: String,
    budget: Budget,
    endpoints: HashMap<String, Endpoint>,
    hosts: HashMap<String, Host>,
    memberships: Memberships,
    /// Tokens that other resources of the same application received.
    rotations: HashMap<ObjectName, String>,
}

impl RequestQueue {
    /// An empty queue. `salt` keys the hashes of this process; `budget` is that of each endpoint.
    pub fn new(salt: String, budget: Budget) -> Self {
        let (endpoints, hosts, rotations) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { salt, budget, endpoints, hosts, memberships: Memberships::default(), rotations }
    }

    /// The key of an application or a pasted session pair: requests with the same key are sent one at a time.
    pub fn request_key(&self, endpoint: &str, consumer_key: &str) -> String {
        keyed(&self.salt, endpoint, consumer_key)
    }

    /// A name like [`RequestQueue::request_key`] that only `resource` uses.
    pub fn exclusive_key(&self, resource: &ObjectName) -> String {
        keyed(&self.salt, &resource.namespace, &resource.name)
    }

    /// Checks whether this request could be sent now, so that writing its intent is worthwhile: [`RequestQueue::admit`]
    /// decides once that is done, and others do not wait long for it. Returns the resources that may come earlier, and
    /// when.
    pub fn reserve(&mut self, queued: &Queued<'_>, now: Moment) -> (Admission, Vec<Wake>) {
        let (endpoint, host) = self.endpoint(queued.endpoint, now);
        let (admission, mut woken) = endpoint.reserve(queued, now);
        let admission = match admission {
            Admission::Admitted => host_admission(endpoint, host, queued, now),
            // Overtaken at the endpoint while it wrote its intent: its place at the host would only block others.
            later @ Admission::Wait(_) => {
                woken.extend(host.withdraw(queued.resource, now));
                later
            }
        };
        (admission, woken)
    }

    /// Decides whether this request may be sent now. A request that has to wait keeps its place until some seconds
    /// after the moment it is given. Returns the resources that may come earlier, and when.
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

    /// Notes that `resource` asks this endpoint, and no other. Returns the resources elsewhere that may come earlier,
    /// and when.
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

    /// Ends an admitted request; `result` is none when it was not sent. Returns the resources that should queue again,
    /// and when.
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

    /// Withdraws the request of a resource. Returns the resources that should queue again, and when.
    pub fn withdraw(&mut self, resource: &ObjectName, now: Moment) -> Vec<Wake> {
        let woken = self.endpoints.values_mut().flat_map(|endpoint| endpoint.withdraw(resource, now));
        let at_hosts = self.hosts.values_mut().flat_map(|host| host.withdraw(resource, now));
        woken.chain(at_hosts).collect()
    }

    /// Notes that `resource` uses `application` (or a pasted session pair), and no other; `has_asked` is true once it
    /// has done so. Returns the resources that this affects.
    pub fn set_application(&mut self, resource: &ObjectName, application: &str, has_asked: bool) -> Vec<ObjectName> {
        self.memberships.set_application(resource, application, has_asked)
    }

    /// Forgets a resource that is gone. Returns the resources that this affects. [`RequestQueue::withdraw`] comes
    /// first.
    pub fn forget(&mut self, resource: &ObjectName) -> Vec<ObjectName> {
        self.rotations.remove(resource);
        self.endpoints.values_mut().for_each(|endpoint| endpoint.forget(resource));
        self.endpoints.retain(|_, endpoint| !endpoint.is_forgotten());
        let used: HashSet<_> = self.endpoints.values().map(Endpoint::authority).collect();
        self.hosts.retain(|authority, host| used.contains(authority.as_str()) || !host.is_forgotten());
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
        self.endpoint(endpoint, now).0.was_served(resource, at);
    }

    /// True once after the endpoint of `resource` came up again, if its last request had failed there: its retry need
    /// not wait.
    pub fn take_retry_release(&mut self, resource: &ObjectName) -> bool {
        self.endpoints.values_mut().any(|endpoint| endpoint.take_retry_release(resource))
    }

    /// Health of the endpoint from the view of `resource`.
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
