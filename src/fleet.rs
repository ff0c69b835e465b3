//! What the resources know of each other: whose turn it is to call, how an endpoint fares, who shares an application.
//!
//! A call is wished for, admitted and ended; nothing here waits. A wish that is not granted is a place in the queue of
//! its endpoint, kept between passes: [`Fleet::admit`] says when to come again, [`Fleet::ended`] and
//! [`Fleet::withdraw`] who may come earlier.

use crate::facts::Neighbours;
use crate::fingerprint::keyed;
use crate::issuer::{Answer, Failure, FailureKind};
use crate::moment::Moment;
use endpoint::Endpoint;
use kube::ResourceExt;
use sharing::Memberships;
use std::collections::HashMap;

mod endpoint;
mod health;
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

/// How many calls one endpoint may be sent. One that is slow or down uses up nobody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// At a time.
    pub in_flight: usize,
    /// In a second, and in a burst.
    pub per_second: u32,
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
    /// When the token in the Secret expires: the earliest comes first, and none (there is no token) before all.
    pub expires: Option<Moment>,
    /// Its last call failed, and nothing that it is made with has changed.
    pub is_retry: bool,
    /// A new resource, or one whose credentials changed: it may probe an endpoint that is down without waiting for the
    /// time to come.
    pub is_new: bool,
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
    memberships: Memberships,
    /// The tokens that others of the same application were given.
    rotations: HashMap<ObjectName, String>,
}

impl Fleet {
    /// Nobody yet. `salt` keys the hashes of this process; `budget` is that of each endpoint.
    pub fn new(salt: String, budget: Budget) -> Self {
        Self { salt, budget, endpoints: HashMap::new(), memberships: Memberships::default(), rotations: HashMap::new() }
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
        self.endpoint(wish.endpoint, now).line_up(wish, now)
    }

    /// Whether this call may be made now. A refused wish keeps its place until some seconds after the moment it is
    /// told.
    pub fn admit(&mut self, wish: &Wish<'_>, now: Moment) -> Admission {
        self.endpoint(wish.endpoint, now).admit(wish, now)
    }

    fn endpoint(&mut self, endpoint: &str, now: Moment) -> &mut Endpoint {
        let new = || Endpoint::new(self.budget, now);
        self.endpoints.entry(endpoint.to_owned()).or_insert_with(new)
    }

    /// Notes that `member` asks this endpoint, and no other. Names those elsewhere who may come earlier, and when.
    pub fn moves_to(&mut self, member: &ObjectName, endpoint: &str, now: Moment) -> Vec<Wake> {
        let others = self.endpoints.iter_mut().filter(|(other, _)| *other != endpoint);
        let leaves = |endpoint: &mut Endpoint| {
            let woken = endpoint.withdraw(member, now);
            endpoint.forget(member);
            woken
        };
        others.flat_map(|(_, other)| leaves(other)).collect()
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
        self.endpoints.get_mut(endpoint).map_or_else(Vec::new, |known| known.ended(call_key, member, outcome, now))
    }

    /// The resource no longer wants to call. Names those who should wish again, and when.
    pub fn withdraw(&mut self, member: &ObjectName, now: Moment) -> Vec<Wake> {
        self.endpoints.values_mut().flat_map(|endpoint| endpoint.withdraw(member, now)).collect()
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
        self.endpoint(endpoint, now).was_served(member, at);
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
