//! Index of the resources that use a Secret: built from the events of the resources alone, so that no Secret is cached.

use kube::ResourceExt;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::queue::ObjectName;

/// Maps Secrets to the resources that read or write them.
#[derive(Debug, Default)]
pub struct SecretIndex {
    resources: HashMap<ObjectName, Entry>,
    /// The users of each Secret, sorted: nearly always a single one.
    by_secret: HashMap<ObjectName, Vec<ObjectName>>,
    /// The resources shown by a list in progress.
    listed: Option<HashSet<ObjectName>>,
    /// Secrets that lost their last user.
    unused: HashSet<ObjectName>,
}

#[derive(Debug)]
struct Entry {
    uid: Option<Box<str>>,
    secrets: Box<[ObjectName]>,
}

/// The Secrets shown by a list, by hashes that nobody outside can foresee: there may be millions, of whatever length.
#[derive(Debug, Default)]
pub struct ListedSecrets {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

impl ListedSecrets {
    /// Notes that the list shows this Secret.
    pub fn insert(&mut self, secret: &ObjectName) {
        self.hashes.insert(self.hasher.hash_one(secret));
    }

    /// True for a Secret that the list has shown.
    pub fn contains(&self, secret: &ObjectName) -> bool {
        self.hashes.contains(&self.hasher.hash_one(secret))
    }
}

/// A resource that is gone.
#[derive(Debug, PartialEq, Eq)]
pub struct Gone {
    /// Where it was.
    pub name: ObjectName,
    /// Its UID.
    pub uid: Option<String>,
}

impl SecretIndex {
    /// A list begins: what it does not show is gone.
    pub fn list_begins(&mut self) {
        self.listed = Some(HashSet::new());
    }

    /// A list is complete.
    pub fn list_ends(&mut self) -> Vec<Gone> {
        let Some(listed) = self.listed.take() else { return Vec::new() };
        let missing: Vec<_> = self.resources.keys().filter(|name| !listed.contains(*name)).cloned().collect();
        missing.iter().filter_map(|name| self.remove(name)).collect()
    }

    /// Adds the resource of this name. Returns the resource it replaced, if that had another UID.
    pub fn set(&mut self, name: ObjectName, resource: &SyniverseToken) -> Option<Gone> {
        if let Some(listed) = &mut self.listed {
            listed.insert(name.clone());
        }
        let before = self.remove(&name).filter(|before| before.uid != resource.uid());
        let secrets = secrets_of(&name, resource);
        for secret in &secrets {
            self.unused.remove(secret);
            self.add_user(secret, &name);
        }
        self.resources.insert(name, Entry { uid: resource.uid().map(String::into_boxed_str), secrets });
        before
    }

    /// A resource is gone.
    pub fn remove(&mut self, name: &ObjectName) -> Option<Gone> {
        let entry = self.resources.remove(name)?;
        entry.secrets.iter().for_each(|secret| self.remove_user(secret, name));
        Some(Gone { name: name.clone(), uid: entry.uid.map(String::from) })
    }

    fn add_user(&mut self, secret: &ObjectName, name: &ObjectName) {
        let users = self.by_secret.entry(secret.clone()).or_insert_with(|| Vec::with_capacity(1));
        if let Err(place) = users.binary_search(name) {
            users.insert(place, name.clone());
        }
    }

    fn remove_user(&mut self, secret: &ObjectName, name: &ObjectName) {
        let Some(users) = self.by_secret.get_mut(secret) else { return };
        if let Ok(place) = users.binary_search(name) {
            users.remove(place);
        }
        if users.is_empty() {
            self.by_secret.remove(secret);
            self.unused.insert(secret.clone());
        }
    }

    /// Secrets that have lost their last user since the last call.
    pub fn take_unused(&mut self) -> HashSet<ObjectName> {
        std::mem::take(&mut self.unused)
    }

    /// The resources that use a Secret that is not among `listed`.
    pub fn users_of_others(&self, listed: &ListedSecrets) -> Vec<ObjectName> {
        let others = self.by_secret.iter().filter(|(secret, _)| !listed.contains(secret));
        let users: HashSet<_> = others.flat_map(|(_, users)| users).collect();
        users.into_iter().cloned().collect()
    }

    /// The resources that use a Secret.
    pub fn users(&self, secret: &ObjectName) -> Vec<ObjectName> {
        self.by_secret.get(secret).into_iter().flatten().cloned().collect()
    }
}

/// The Secrets that the resource of this name writes or reads. The token Secret is nearly always named like it.
fn secrets_of(name: &ObjectName, resource: &SyniverseToken) -> Box<[ObjectName]> {
    let state = resource.state_secret_name();
    let own = [resource.secret_name(), &state];
    let all = own.into_iter().chain(resource.referenced_secrets());
    all.map(|secret| if secret == name.name() { name.clone() } else { ObjectName::new(name.namespace(), secret) })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resource(name: &str, uid: &str, credentials: &str) -> SyniverseToken {
        serde_json::from_value(json!({
            "apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken",
            "metadata": {"namespace": "n", "name": name, "uid": uid},
            "spec": {"application": {"credentials": {"secretRef": {"name": credentials}}}}
        }))
        .unwrap()
    }

    fn name(name: &str) -> ObjectName {
        ObjectName::new("n", name)
    }

    fn set(index: &mut SecretIndex, resource: &SyniverseToken) -> Option<Gone> {
        index.set(ObjectName::of(resource), resource)
    }

    #[test]
    fn a_resource_is_found_by_each_of_its_secrets_and_by_no_other() {
        let mut index = SecretIndex::default();
        set(&mut index, &resource("a", "1", "creds"));
        for secret in ["a", "a-syniverse-state", "creds"] {
            assert_eq!(index.users(&name(secret)), [name("a")]);
        }
        assert_eq!(index.users(&name("other")), []);
        assert_eq!(index.users(&ObjectName::new("m", "creds")), []);
    }

    #[test]
    fn who_misses_a_secret_after_a_list_is_found_once() {
        let mut index = SecretIndex::default();
        set(&mut index, &resource("a", "1", "creds"));
        let mut listed = ListedSecrets::default();
        for secret in ["a", "creds", "a-syniverse-state"] {
            assert_eq!(index.users_of_others(&listed), [name("a")], "before {secret}");
            listed.insert(&name(secret));
        }
        assert_eq!(index.users_of_others(&listed), []);
    }

    #[test]
    fn a_changed_reference_is_followed_and_a_new_uid_tells_of_the_old_one() {
        let mut index = SecretIndex::default();
        set(&mut index, &resource("a", "1", "creds"));
        assert_eq!(set(&mut index, &resource("a", "1", "others")), None);
        assert_eq!(index.users(&name("creds")), []);
        assert_eq!(index.take_unused(), [name("creds")].into());
        let gone = Gone { name: name("a"), uid: Some("1".into()) };
        assert_eq!(set(&mut index, &resource("a", "2", "others")), Some(gone));
    }

    #[test]
    fn what_a_list_does_not_show_is_gone() {
        let mut index = SecretIndex::default();
        set(&mut index, &resource("a", "1", "creds"));
        set(&mut index, &resource("b", "2", "creds"));
        index.list_begins();
        set(&mut index, &resource("b", "2", "creds"));
        assert_eq!(index.list_ends(), [Gone { name: name("a"), uid: Some("1".into()) }]);
        assert_eq!(index.users(&name("creds")), [name("b")]);
        assert!(index.by_secret.len() == 3);
    }
}
