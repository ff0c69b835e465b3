//! What the resources know of each other: how an endpoint fares, and who shares an application.

use crate::facts::{Neighbours, Sharing};
use crate::fingerprint::keyed;
use crate::issuer::{Ask, Failure, FailureKind};
use crate::moment::Moment;
use kube::ResourceExt;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// An endpoint is down after this many failures in a row that are its own.
const DOWN_AFTER: u32 = 3;
/// How long a neighbour's last call says something about the endpoint.
const NEIGHBOUR_MEMORY: Duration = Duration::from_secs(300);

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

/// Everything that resources know of each other.
#[derive(Debug)]
pub struct Fleet {
    salt: String,
    endpoints: HashMap<String, Endpoint>,
    /// Who uses which application, by keyed hash of endpoint and consumer key.
    applications: HashMap<String, HashSet<ObjectName>>,
    /// Which of them each resource uses.
    memberships: HashMap<ObjectName, String>,
    /// The applications that are being asked, and who else wants to ask them.
    calls: HashMap<String, HashSet<ObjectName>>,
    /// The tokens that others of the same application were given.
    rotations: HashMap<ObjectName, String>,
}

#[derive(Debug, Default)]
struct Endpoint {
    failures_in_row: u32,
    last_calls: BTreeMap<ObjectName, (Moment, bool)>,
}

impl Fleet {
    /// Nobody yet. `salt` keys the hashes of this process.
    pub fn new(salt: String) -> Self {
        Self {
            salt,
            endpoints: HashMap::new(),
            applications: HashMap::new(),
            memberships: HashMap::new(),
            calls: HashMap::new(),
            rotations: HashMap::new(),
        }
    }

    /// The name under which an application is known here: calls to it are made one at a time.
    pub fn call_key(&self, endpoint: &str, consumer_key: &str) -> String {
        keyed(&self.salt, endpoint, consumer_key)
    }

    /// Notes that `member` uses `application`, and no other. Names those to whom that is news.
    pub fn joins(&mut self, member: &ObjectName, application: &str) -> Vec<ObjectName> {
        if self.memberships.get(member).is_some_and(|known| known == application) {
            return Vec::new();
        }
        let mut concerned = self.leaves(member);
        let before = self.sharing_of_all(application);
        self.applications.entry(application.to_owned()).or_default().insert(member.clone());
        self.memberships.insert(member.clone(), application.to_owned());
        concerned.extend(self.changed_since(application, &before));
        concerned
    }

    /// Forgets a resource that is gone. Names those to whom that is news.
    pub fn forget(&mut self, member: &ObjectName) -> Vec<ObjectName> {
        self.rotations.remove(member);
        self.endpoints.values_mut().for_each(|endpoint| {
            endpoint.last_calls.remove(member);
        });
        self.leaves(member)
    }

    fn leaves(&mut self, member: &ObjectName) -> Vec<ObjectName> {
        let Some(application) = self.memberships.remove(member) else { return Vec::new() };
        let before = self.sharing_of_all(&application);
        let Some(members) = self.applications.get_mut(&application) else { return Vec::new() };
        members.remove(member);
        if members.is_empty() {
            self.applications.remove(&application);
        }
        self.changed_since(&application, &before)
    }

    fn sharing_of_all(&self, application: &str) -> HashMap<ObjectName, Sharing> {
        let members = self.applications.get(application).into_iter().flatten();
        members.map(|member| (member.clone(), self.sharing(member, application))).collect()
    }

    fn changed_since(&self, application: &str, before: &HashMap<ObjectName, Sharing>) -> Vec<ObjectName> {
        let changed = |(member, sharing): &(&ObjectName, &Sharing)| {
            let members = self.applications.get(application);
            members.is_some_and(|members| members.contains(*member)) && self.sharing(member, application) != **sharing
        };
        before.iter().filter(changed).map(|(member, _)| member.clone()).collect()
    }

    fn sharing(&self, member: &ObjectName, application: &str) -> Sharing {
        Sharing {
            here: self.others(member, application).any(|other| other.namespace == member.namespace),
            elsewhere: self.others(member, application).any(|other| other.namespace != member.namespace),
        }
    }

    /// True when `member` may call now; the next one to have this answer comes after [`Fleet::call_ended`].
    pub fn begins_call(&mut self, call_key: &str, member: &ObjectName) -> bool {
        match self.calls.get_mut(call_key) {
            Some(waiting) => {
                waiting.insert(member.clone());
                false
            }
            None => {
                self.calls.insert(call_key.to_owned(), HashSet::new());
                true
            }
        }
    }

    /// Ends a call. Names those who wanted to call meanwhile.
    pub fn call_ended(&mut self, call_key: &str) -> Vec<ObjectName> {
        self.calls.remove(call_key).into_iter().flatten().collect()
    }

    /// Notes how a call of `member` to an endpoint ended.
    pub fn called(&mut self, member: &ObjectName, ask: &Ask, failure: Option<&Failure>, at: Moment) {
        let endpoint = self.endpoints.entry(ask.endpoint.clone()).or_default();
        endpoint.last_calls.insert(member.clone(), (at, failure.is_none()));
        match failure.map(|failure| failure.kind) {
            Some(FailureKind::Unavailable) => endpoint.failures_in_row = endpoint.failures_in_row.saturating_add(1),
            Some(FailureKind::EndpointNotAllowed) => {}
            Some(FailureKind::Rejected | FailureKind::Refused) | None => endpoint.failures_in_row = 0,
        }
    }

    /// Notes that `member` was given a new token, and names the others of that application.
    pub fn rotated(&mut self, member: &ObjectName, application: &str, fingerprint: &str) -> Vec<ObjectName> {
        let others: Vec<_> = self.others(member, application).cloned().collect();
        self.rotations.extend(others.iter().map(|other| (other.clone(), fingerprint.to_owned())));
        others
    }

    /// The token that another resource of the same application was given since this was last asked.
    pub fn take_rotation(&mut self, member: &ObjectName) -> Option<String> {
        self.rotations.remove(member)
    }

    /// How the others fare, as `member` may know it.
    pub fn neighbours(&self, member: &ObjectName, endpoint: &str, application: &str, now: Moment) -> Neighbours {
        let endpoint = self.endpoints.get(endpoint);
        Neighbours {
            endpoint_down: endpoint.is_some_and(|endpoint| endpoint.failures_in_row >= DOWN_AFTER),
            succeed: endpoint.and_then(|endpoint| endpoint.others_succeed(member, now)),
            sharing: self.sharing(member, application),
        }
    }

    fn others<'a>(&'a self, member: &'a ObjectName, application: &str) -> impl Iterator<Item = &'a ObjectName> {
        self.applications.get(application).into_iter().flatten().filter(move |other| *other != member)
    }
}

impl Endpoint {
    fn others_succeed(&self, member: &ObjectName, now: Moment) -> Option<bool> {
        let recent = |(other, (at, success)): (&ObjectName, &(Moment, bool))| {
            (other != member && *at + NEIGHBOUR_MEMORY > now).then_some(*success)
        };
        self.last_calls.iter().filter_map(recent).reduce(|any, success| any || success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redacted::Redacted;

    fn member(namespace: &str, name: &str) -> ObjectName {
        ObjectName { namespace: namespace.into(), name: name.into() }
    }

    fn ask() -> Ask {
        Ask {
            endpoint: "e".into(),
            consumer_key: Redacted::new("k"),
            consumer_secret: Redacted::new("s"),
            old_token: Redacted::new("t"),
            validity_seconds: 0,
        }
    }

    fn failure(kind: FailureKind) -> Failure {
        Failure { kind, detail: String::new(), retry_after: None }
    }

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn an_endpoint_is_down_after_three_failures_of_its_own_and_up_with_any_answer() {
        let (mut fleet, a) = (Fleet::new("salt".into()), member("n", "a"));
        let unavailable = failure(FailureKind::Unavailable);
        for calls in 1..=3 {
            fleet.called(&a, &ask(), Some(&unavailable), at(calls));
            assert_eq!(fleet.neighbours(&a, "e", "x", at(calls)).endpoint_down, calls == 3);
        }
        fleet.called(&a, &ask(), Some(&failure(FailureKind::Refused)), at(4));
        assert!(!fleet.neighbours(&a, "e", "x", at(4)).endpoint_down);
    }

    #[test]
    fn neighbours_count_while_their_calls_are_recent() {
        let (mut fleet, a, b) = (Fleet::new("salt".into()), member("n", "a"), member("n", "b"));
        assert_eq!(fleet.neighbours(&a, "e", "x", at(0)).succeed, None);
        fleet.called(&b, &ask(), None, at(10));
        assert_eq!(fleet.neighbours(&a, "e", "x", at(20)).succeed, Some(true));
        assert_eq!(fleet.neighbours(&b, "e", "x", at(20)).succeed, None);
        assert_eq!(fleet.neighbours(&a, "e", "x", at(311)).succeed, None);
        fleet.called(&b, &ask(), Some(&failure(FailureKind::Refused)), at(30));
        assert_eq!(fleet.neighbours(&a, "e", "x", at(40)).succeed, Some(false));
    }

    #[test]
    fn a_rotation_is_told_to_the_others_once_and_names_no_other_namespace() {
        let (mut fleet, a, b, c) = (Fleet::new("salt".into()), member("n", "a"), member("n", "b"), member("m", "c"));
        for member in [&a, &b, &c] {
            fleet.joins(member, "x");
        }
        let mut told = fleet.rotated(&a, "x", "5f2c9a01");
        told.sort();
        assert_eq!(told, [c.clone(), b.clone()]);
        assert_eq!(fleet.take_rotation(&b).as_deref(), Some("5f2c9a01"));
        assert_eq!(fleet.take_rotation(&b), None);
        assert_eq!(fleet.take_rotation(&a), None);
        let seen = fleet.neighbours(&a, "e", "x", at(0));
        assert_eq!(seen.sharing, Sharing { here: true, elsewhere: true });
    }

    #[test]
    fn a_third_user_of_an_application_is_no_news_to_the_first_two() {
        let (mut fleet, a, b, c) = (Fleet::new("salt".into()), member("n", "a"), member("n", "b"), member("n", "c"));
        assert_eq!(fleet.joins(&a, "x"), []);
        assert_eq!(fleet.joins(&b, "x"), std::slice::from_ref(&a));
        assert_eq!(fleet.joins(&c, "x"), []);
        assert_eq!(fleet.forget(&c), []);
        assert_eq!(fleet.forget(&b), [a]);
    }

    #[test]
    fn one_call_at_a_time_and_the_others_are_named_when_it_ends() {
        let (mut fleet, a, b) = (Fleet::new("salt".into()), member("n", "a"), member("n", "b"));
        assert!(fleet.begins_call("x", &a));
        assert!(fleet.begins_call("y", &b));
        assert!(!fleet.begins_call("x", &b) && !fleet.begins_call("x", &b));
        assert_eq!(fleet.call_ended("x"), std::slice::from_ref(&b));
        assert!(fleet.begins_call("x", &b));
        assert_eq!(fleet.call_ended("x"), []);
    }

    #[test]
    fn a_resource_that_changes_its_application_leaves_the_other() {
        let (mut fleet, a, b) = (Fleet::new("salt".into()), member("n", "a"), member("n", "b"));
        fleet.joins(&a, "x");
        fleet.joins(&b, "x");
        assert_eq!(fleet.joins(&b, "y"), std::slice::from_ref(&a));
        assert_eq!(fleet.rotated(&a, "x", "t"), []);
        assert_eq!(fleet.joins(&a, "y"), std::slice::from_ref(&b));
        assert_eq!(fleet.forget(&a), [b]);
        assert_eq!(fleet.applications.len(), 1);
    }
}
