//! The users of each application and each pasted session pair.

use super::ObjectName;
use crate::observed::Sharing;
use std::collections::HashMap;

/// The users of each application, by its key.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    /// In the order in which they joined.
    users: HashMap<String, Vec<User>>,
    /// The application of each resource.
    applications: HashMap<ObjectName, String>,
}

#[derive(Debug)]
struct User {
    name: ObjectName,
    /// Has sent a request with it: comes before all that have not.
    has_asked: bool,
}

impl Memberships {
    /// Notes that `resource` uses `application`, and no other. Returns the resources that this affects.
    pub(super) fn set_application(
        &mut self,
        resource: &ObjectName,
        application: &str,
        has_asked: bool,
    ) -> Vec<ObjectName> {
        if self.applications.get(resource).is_some_and(|known| known == application) {
            let before = self.sharing_of_all(application);
            let users = self.users.get_mut(application).into_iter().flatten();
            users.filter(|known| known.name == *resource).for_each(|known| known.has_asked |= has_asked);
            return self.changed_since(application, before);
        }
        let mut affected = self.remove(resource);
        let before = self.sharing_of_all(application);
        let joining = User { name: resource.clone(), has_asked };
        self.users.entry(application.to_owned()).or_default().push(joining);
        self.applications.insert(resource.clone(), application.to_owned());
        affected.extend(self.changed_since(application, before));
        affected
    }

    /// Forgets a resource. Returns the resources that this affects.
    pub(super) fn remove(&mut self, resource: &ObjectName) -> Vec<ObjectName> {
        let Some(application) = self.applications.remove(resource) else { return Vec::new() };
        let before = self.sharing_of_all(&application);
        let Some(users) = self.users.get_mut(&application) else { return Vec::new() };
        users.retain(|other| other.name != *resource);
        if users.is_empty() {
            self.users.remove(&application);
        }
        self.changed_since(&application, before)
    }

    /// The other users of `application`, from the view of `resource`.
    pub(super) fn sharing(&self, resource: &ObjectName, application: &str) -> Sharing {
        Sharing {
            here: self.others(resource, application).any(|other| other.namespace == resource.namespace),
            elsewhere: self.others(resource, application).any(|other| other.namespace != resource.namespace),
            before_us: self.first(application).is_some_and(|first| first != resource),
        }
    }

    /// The other users of `application`.
    pub(super) fn others<'a>(
        &'a self,
        resource: &'a ObjectName,
        application: &str,
    ) -> impl Iterator<Item = &'a ObjectName> {
        self.of(application).filter(move |other| *other != resource)
    }

    fn of(&self, application: &str) -> impl Iterator<Item = &ObjectName> {
        self.users.get(application).into_iter().flatten().map(|user| &user.name)
    }

    /// The owner of a pair that works for only one resource.
    fn first(&self, application: &str) -> Option<&ObjectName> {
        let users = self.users.get(application)?;
        users.iter().find(|user| user.has_asked).or(users.first()).map(|user| &user.name)
    }

    fn sharing_of_all(&self, application: &str) -> Vec<(ObjectName, Sharing)> {
        self.of(application).map(|resource| (resource.clone(), self.sharing(resource, application))).collect()
    }

    fn changed_since(&self, application: &str, before: Vec<(ObjectName, Sharing)>) -> Vec<ObjectName> {
        let stays = |resource: &ObjectName| self.of(application).any(|known| known == resource);
        let changed = |(resource, sharing)| {
            (stays(&resource) && self.sharing(&resource, application) != sharing).then_some(resource)
        };
        before.into_iter().filter_map(changed).collect()
    }
}
