//! Who uses which application, or which pasted session pair.

use super::ObjectName;
use crate::observed::Sharing;
use std::collections::HashMap;

/// The users of each application, by its key.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    /// In the order in which they joined.
    members: HashMap<String, Vec<Member>>,
    /// The one application of each resource.
    applications: HashMap<ObjectName, String>,
}

#[derive(Debug)]
struct Member {
    name: ObjectName,
    /// It has asked with it before: it comes before all that have not.
    has_asked: bool,
}

impl Memberships {
    /// Notes that `member` uses `application`, and no other. Names those to whom that is news.
    pub(super) fn joins(&mut self, member: &ObjectName, application: &str, has_asked: bool) -> Vec<ObjectName> {
        if self.applications.get(member).is_some_and(|known| known == application) {
            let before = self.sharing_of_all(application);
            let members = self.members.get_mut(application).into_iter().flatten();
            members.filter(|known| known.name == *member).for_each(|known| known.has_asked |= has_asked);
            return self.changed_since(application, before);
        }
        let mut concerned = self.leaves(member);
        let before = self.sharing_of_all(application);
        let joining = Member { name: member.clone(), has_asked };
        self.members.entry(application.to_owned()).or_default().push(joining);
        self.applications.insert(member.clone(), application.to_owned());
        concerned.extend(self.changed_since(application, before));
        concerned
    }

    /// Forgets a resource. Names those to whom that is news.
    pub(super) fn leaves(&mut self, member: &ObjectName) -> Vec<ObjectName> {
        let Some(application) = self.applications.remove(member) else { return Vec::new() };
        let before = self.sharing_of_all(&application);
        let Some(members) = self.members.get_mut(&application) else { return Vec::new() };
        members.retain(|other| other.name != *member);
        if members.is_empty() {
            self.members.remove(&application);
        }
        self.changed_since(&application, before)
    }

    /// Who else uses `application`, as `member` may know it.
    pub(super) fn sharing(&self, member: &ObjectName, application: &str) -> Sharing {
        Sharing {
            here: self.others(member, application).any(|other| other.namespace == member.namespace),
            elsewhere: self.others(member, application).any(|other| other.namespace != member.namespace),
            before_us: self.first(application).is_some_and(|first| first != member),
        }
    }

    /// The other users of `application`.
    pub(super) fn others<'a>(
        &'a self,
        member: &'a ObjectName,
        application: &str,
    ) -> impl Iterator<Item = &'a ObjectName> {
        self.of(application).filter(move |other| *other != member)
    }

    fn of(&self, application: &str) -> impl Iterator<Item = &ObjectName> {
        self.members.get(application).into_iter().flatten().map(|member| &member.name)
    }

    /// The one to whom a pair belongs that serves only one.
    fn first(&self, application: &str) -> Option<&ObjectName> {
        let members = self.members.get(application)?;
        members.iter().find(|member| member.has_asked).or(members.first()).map(|member| &member.name)
    }

    fn sharing_of_all(&self, application: &str) -> Vec<(ObjectName, Sharing)> {
        self.of(application).map(|member| (member.clone(), self.sharing(member, application))).collect()
    }

    fn changed_since(&self, application: &str, before: Vec<(ObjectName, Sharing)>) -> Vec<ObjectName> {
        let stays = |member: &ObjectName| self.of(application).any(|known| known == member);
        let changed =
            |(member, sharing)| (stays(&member) && self.sharing(&member, application) != sharing).then_some(member);
        before.into_iter().filter_map(changed).collect()
    }
}
