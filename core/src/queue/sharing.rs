//! The users of each application and each pasted session pair.

use super::ObjectName;
use super::census::Census;
use crate::observed::Sharing;
use std::collections::HashMap;
use std::sync::Arc;

/// The users of each application, by its key.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    applications: HashMap<Arc<str>, Users>,
    /// The application of each resource, and its place among the users.
    by_resource: HashMap<ObjectName, (Arc<str>, Place)>,
    joined: u64,
}

/// Users that have sent a request come before all that have not, each in the order in which they joined.
type Place = (IsNew, u64);
type IsNew = bool;

/// The users of an application.
#[derive(Debug, Default)]
struct Users {
    /// Sorted: there are thousands of applications with a single user.
    in_order: Vec<(Place, ObjectName)>,
    census: Census,
}

impl Users {
    fn insert(&mut self, place: Place, user: &ObjectName) {
        if self.in_order.is_empty() {
            self.in_order.reserve_exact(1);
        }
        let at = self.in_order.partition_point(|(other, _)| *other < place);
        self.in_order.insert(at, (place, user.clone()));
    }

    fn remove(&mut self, place: Place) {
        if let Ok(at) = self.in_order.binary_search_by_key(&place, |(other, _)| *other) {
            self.in_order.remove(at);
        }
    }

    fn sharing(&self, resource: &ObjectName) -> Sharing {
        Sharing {
            here: self.census.in_namespace(resource.namespace()) > 1,
            elsewhere: self.census.has_others_than(resource.namespace()),
            before_us: self.in_order.first().is_some_and(|(_, first)| first != resource),
        }
    }

    /// All, if one more or less can mean something to them; else the first two, which may change places.
    fn affected(&self, namespace: &str) -> Vec<(ObjectName, Sharing)> {
        let count = if self.census.in_namespace(namespace) <= 2 { usize::MAX } else { 2 };
        self.in_order.iter().take(count).map(|(_, user)| (user.clone(), self.sharing(user))).collect()
    }
}

impl Memberships {
    /// Notes that `resource` uses `application`, and no other. Returns the resources that this affects.
    pub(super) fn set_application(
        &mut self,
        resource: &ObjectName,
        application: &str,
        has_asked: bool,
    ) -> Vec<ObjectName> {
        let known = self.by_resource.get(resource).filter(|(known, _)| **known == *application);
        if let Some((_, (is_new, joined))) = known {
            let place = (*is_new && !has_asked, *joined);
            return if place.0 == *is_new { Vec::new() } else { self.put(resource, application, place) };
        }
        let mut affected = self.remove(resource);
        self.joined += 1;
        affected.extend(self.put(resource, application, (!has_asked, self.joined)));
        affected
    }

    fn put(&mut self, resource: &ObjectName, application: &str, place: Place) -> Vec<ObjectName> {
        let known = self.applications.get_key_value(application);
        let key = known.map_or_else(|| Arc::from(application), |(key, _)| Arc::clone(key));
        let users = self.applications.entry(Arc::clone(&key)).or_default();
        let before = users.affected(resource.namespace());
        if let Some((_, old)) = self.by_resource.insert(resource.clone(), (key, place)) {
            users.remove(old);
        }
        users.insert(place, resource);
        users.census.insert(resource);
        self.changed_since(application, before)
    }

    /// Forgets a resource. Returns the resources that this affects.
    pub(super) fn remove(&mut self, resource: &ObjectName) -> Vec<ObjectName> {
        let Some((application, place)) = self.by_resource.remove(resource) else { return Vec::new() };
        let Some(users) = self.applications.get_mut(&application) else { return Vec::new() };
        let before = users.affected(resource.namespace());
        users.remove(place);
        users.census.remove(resource);
        if users.in_order.is_empty() {
            self.applications.remove(&application);
        }
        self.changed_since(&application, before)
    }

    /// The other users of `application`, from the view of `resource`.
    pub(super) fn sharing(&self, resource: &ObjectName, application: &str) -> Sharing {
        self.applications.get(application).map(|users| users.sharing(resource)).unwrap_or_default()
    }

    /// The other users of `application`.
    pub(super) fn others<'a>(
        &'a self,
        resource: &'a ObjectName,
        application: &str,
    ) -> impl Iterator<Item = &'a ObjectName> {
        let users = self
            .applications
            .get(application)
            .into_iter()
            .flat_map(|users| users.in_order.iter().map(|(_, user)| user));
        users.filter(move |other| *other != resource)
    }

    fn changed_since(&self, application: &str, before: Vec<(ObjectName, Sharing)>) -> Vec<ObjectName> {
        let users = self.applications.get(application);
        let stays =
            |resource: &ObjectName| self.by_resource.get(resource).is_some_and(|(known, _)| **known == *application);
        let changed = |(resource, sharing): (ObjectName, Sharing)| {
            let now = users.filter(|_| stays(&resource)).map(|users| users.sharing(&resource))?;
            (now != sharing).then_some(resource)
        };
        before.into_iter().filter_map(changed).collect()
    }
}
