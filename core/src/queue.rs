//! What the resources know of each other: whose turn it is to call, how an endpoint fares, who shares an application.
//!
//! A call is wished for, admitted and ended; nothing here waits. A wish that is not granted is a place in the queue of
//! its endpoint, kept between passes: [`Fleet::admit`] says when to come again, [`Fleet::ended`] and
//! [`Fleet::withdraw`] who may come earlier.

use crate::fingerprint::keyed;
use crate::issuer::{Answer, Failure, FailureKind};
use crate::observed::Neighbours;
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
pub struct Wish<'a> {
    /// The resource.
    pub member: &'a ObjectName,
    /// Whom it wants to call.
    pub endpoint: &'a str,
    /// Calls with the same key are made one at a time.
    pub call_key: &'a str,
    /// When the token in the Secret expires, or since when there should be one: the earliest comes first.
    pub expires: Moment,
    /// When the token came to the end at which this call asks for the next one; none for every other call.
    pub boundary: Option<Moment>,
    /// Its last call failed, whatever it was made with.
    pub is_retry: bool,
}

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It counts as in flight until [`Fleet::ended`].
    Go,
    /// Wish again then, at the latest: it may be woken before.
    Later(Moment),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a token.
    Answered,
    /// Without.
    Failed(FailureKind),
}

impl Outcome {
    /// What `result` comes to.
    pub fn of(result: &Result<Answer, Failure>) -> Self {
        result.as_ref().map_or_else(|failure| Self::Failed(failure.kind), |_| Self::Answered)
    }
}

/// A resource to be woken at a moment.
pub type Wake = (ObjectName, Moment);

/// Everything that resources know of each other.
#[derive(Debug)]
pub struct Fleet {
    salt: String,
    budget: Budget,
    endpoints: HashMap<String, Endpoint>,
    hosts: HashMap<String, Host>,
    memberships: Memberships,
    /// The tokens that others of the same application were given.
    rotations: HashMap<ObjectName, String>,
}

impl Fleet {
    /// Nobody yet. `salt` keys the hashes of this process; `budget` is that of each endpoint.
    pub fn new(salt: String, budget: Budget) -> Self {
        let (endpoints, hosts, rotations) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { salt, budget, endpoints, hosts, memberships: Memberships::default(), rotations }
    }

    /// The name under which an application, or a pasted session pair, is known here: calls with it are made one at a
    /// time.
    pub fn call_key(&self, endpoint: &str, consumer_key: &str) -> String {
        keyed(&self.salt, endpoint, consumer_key)
    }

    /// A name like [`Fleet::call_key`] that nobody but `member` uses.
    pub fn own_key(&self, member: &ObjectName) -> String {
        keyed(&self.salt, &member.namespace, &member.name)
    }

    /// Whether this call could be made now, so that it is worth announcing: [`Fleet::admit`] says whether it may be once
    /// that is done, and others do not wait for it for long. Names those who may come earlier, and when.
    pub fn line_up(&mut self, wish: &Wish<'_>, now: Moment) -> (Admission, Vec<Wake>) {
        let (endpoint, host) = self.endpoint(wish.endpoint, now);
        let (admission, mut woken) = endpoint.line_up(wish, now);
        let admission = match admission {
            Admission::Go => host_admission(endpoint, host, wish, now),
            // Overtaken at the endpoint while it announced: its place at the host would only be in the way of others.
            later @ Admission::Later(_) => {
                woken.extend(host.withdraw(wish.member, now));
                later
            }
        };
        (admission, woken)
    }

    /// Whether this call may be made now. A refused wish keeps its place until some seconds after the moment it is
    /// told. Names those who may come earlier, and when.
    pub fn admit(&mut self, wish: &Wish<'_>, now: Moment) -> (Admission, Vec<Wake>) {
        let (endpoint, host) = self.endpoint(wish.endpoint, now);
        let at = endpoint.place(wish, now);
        if at > now {
            return (Admission::Later(at), host.withdraw(wish.member, now));
        }
        let admission = host_admission(endpoint, host, wish, now);
        if admission == Admission::Go {
            endpoint.begin(wish.member, now);
            host.begin(wish.member, now);
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

    /// Notes that `member` asks this endpoint, and no other. Names those elsewhere who may come earlier, and when.
    pub fn moves_to(&mut self, member: &ObjectName, endpoint: &str, now: Moment) -> Vec<Wake> {
        let mut woken = Vec::new();
        for (_, other) in self.endpoints.iter_mut().filter(|(other, _)| *other != endpoint) {
            woken.extend(other.withdraw(member, now));
            other.forget(member);
        }
        let authority = self.endpoints.get(endpoint).map(Endpoint::authority);
        let others = self.hosts.iter_mut().filter(|(other, _)| Some(other.as_str()) != authority);
        woken.extend(others.flat_map(|(_, other)| other.withdraw(member, now)));
        woken
    }

    /// Ends an admitted call; `outcome` is none when it was not made. Names those who should wish again, and when.
    pub fn ended(
        &mut self,
        endpoint: &str,
        call_key: &str,
        member: &ObjectName,
        outcome: Option<Outcome>,
        now: Moment,
    ) -> Vec<Wake> {
        let Some(known) = self.endpoints.get_mut(endpoint).filter(|known| known.is_in_flight(call_key)) else {
            return Vec::new();
        };
        let host = self.hosts.get_mut(known.authority());
        let woken = host.map(|host| host.ended(outcome.is_some(), now)).unwrap_or_default();
        known.ended(call_key, member, outcome, now).into_iter().chain(woken).collect()
    }

    /// The resource no longer wants to call. Names those who should wish again, and when.
    pub fn withdraw(&mut self, member: &ObjectName, now: Moment) -> Vec<Wake> {
        let woken = self.endpoints.values_mut().flat_map(|endpoint| endpoint.withdraw(member, now));
        let at_hosts = self.hosts.values_mut().flat_map(|host| host.withdraw(member, now));
        woken.chain(at_hosts).collect()
    }

    /// Notes that `member` uses `application` (or a pasted session pair), and no other; `has_asked` is true once it has
    /// done so. Names those to whom that is news.
    pub fn joins(&mut self, member: &ObjectName, application: &str, has_asked: bool) -> Vec<ObjectName> {
        self.memberships.joins(member, application, has_asked)
    }

    /// Forgets a resource that is gone. Names those to whom that is news. [`Fleet::withdraw`] comes first.
    pub fn forget(&mut self, member: &ObjectName) -> Vec<ObjectName> {
        self.rotations.remove(member);
        self.endpoints.values_mut().for_each(|endpoint| endpoint.forget(member));
        self.endpoints.retain(|_, endpoint| !endpoint.is_forgotten());
        let used: HashSet<_> = self.endpoints.values().map(Endpoint::authority).collect();
        self.hosts.retain(|authority, host| used.contains(authority.as_str()) || !host.is_forgotten());
        self.memberships.leaves(member)
    }

    /// Notes that `member` was given a new token, and names the others of that application.
    pub fn rotated(&mut self, member: &ObjectName, application: &str, fingerprint: &str) -> Vec<ObjectName> {
        let others: Vec<_> = self.memberships.others(member, application).cloned().collect();
        self.rotations.extend(others.iter().map(|other| (other.clone(), fingerprint.to_owned())));
        others
    }

    /// The token that another resource of the same application was given since this was last asked.
    pub fn take_rotation(&mut self, member: &ObjectName) -> Option<String> {
        self.rotations.remove(member)
    }

    /// Notes that this endpoint gave `member` its token at `at`, as what is stored tells: a process that has called nobody
    /// yet can tell wrong credentials from an outage all the same.
    pub fn was_served(&mut self, member: &ObjectName, endpoint: &str, at: Moment, now: Moment) {
        self.endpoint(endpoint, now).0.was_served(member, at);
    }

    /// True once after an endpoint came up again at which the last call of `member` had failed: its retry need not
    /// wait.
    pub fn take_release(&mut self, member: &ObjectName) -> bool {
        self.endpoints.values_mut().any(|endpoint| endpoint.take_release(member))
    }

    /// How the others fare, as `member` may know it.
    pub fn neighbours(&self, member: &ObjectName, endpoint: &str, application: &str, now: Moment) -> Neighbours {
        let health = self.endpoints.get(endpoint).map(Endpoint::health);
        Neighbours {
            endpoint_down: health.is_some_and(|health| health.is_down_for(member)),
            succeed: health.and_then(|health| health.others_succeed(member, now)),
            sharing: self.memberships.sharing(member, application),
        }
    }
}

/// Asks `host` as well, where `endpoint` would let this call be made.
fn host_admission(endpoint: &mut Endpoint, host: &mut Host, wish: &Wish<'_>, now: Moment) -> Admission {
    let at = host.place(wish, now);
    if at <= now {
        return Admission::Go;
    }
    endpoint.held_up(wish.member, at);
    Admission::Later(at)
}
