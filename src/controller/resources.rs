//! The resources as the watch shows them.

use crate::controller::watches::change_hash;
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::HashMap;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::packed_json::PackedJson;
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::time::{Moment, Now};

/// Changes of a resource without a token come behind those of tokens that end within this time.
const FIRST_ISSUE_AFTER: Duration = Duration::from_secs(60);

/// The JSON of a resource that is kept. A template may take up a megabyte, and a namespace may hold thousands of them:
/// a larger resource is read for each of its passes.
const LARGEST: usize = 16 << 10;
/// The packed JSON that is kept of all resources together: that of some 50,000 ordinary ones. The others are read for each
/// of their passes, too.
const MOST: usize = 64 << 20;

/// The resources as the watch shows them.
#[derive(Debug)]
pub struct Resources {
    by_name: HashMap<ObjectName, Shown>,
    /// How many bytes more of packed JSON are kept.
    room: usize,
}

impl Default for Resources {
    fn default() -> Self {
        Self { by_name: HashMap::new(), room: MOST }
    }
}

/// What is kept of a resource: a fifth of what it weighs parsed.
#[derive(Debug)]
struct Shown {
    /// None where it is too large.
    json: Option<PackedJson>,
    uid: Option<Box<str>>,
    change: u64,
    /// The end of its token, according to its status.
    expires: Option<Timestamp>,
}

impl Shown {
    fn size(&self) -> usize {
        self.json.as_ref().map_or(0, PackedJson::len)
    }
}

impl Resources {
    /// The name of `resource`, whose text is shared with all that know it by its name.
    pub fn name(&self, resource: &SyniverseToken) -> ObjectName {
        let name = ObjectName::of(resource);
        self.by_name.get_key_value(&name).map_or(name, |(known, _)| known.clone())
    }

    /// Takes the resource of this name as the watch shows it; true when what changed makes a pass.
    pub fn set(&mut self, name: &ObjectName, resource: &SyniverseToken) -> bool {
        let change = change_hash(resource);
        let status = resource.status.as_ref();
        let expires = status.and_then(|status| status.expiration_time.as_ref()?.parse().ok());
        let before = self.take(name);
        let json = serde_json::to_vec(resource).ok().filter(|json| json.len() <= LARGEST);
        let json = json.map(|json| PackedJson::of_json(&json)).filter(|json| json.len() <= self.room);
        let uid = resource.uid().map(String::into_boxed_str);
        let shown = Shown { json, uid, change, expires };
        self.room -= shown.size();
        self.by_name.insert(name.clone(), shown);
        before.is_none_or(|before| before.change != change)
    }

    fn take(&mut self, name: &ObjectName) -> Option<Shown> {
        let shown = self.by_name.remove(name)?;
        self.room += shown.size();
        Some(shown)
    }

    /// Removes a resource that is gone, unless it is another one of this name.
    pub fn remove(&mut self, name: &ObjectName, uid: Option<&str>) {
        if self.uid(name) == Some(uid) {
            self.take(name);
        }
    }

    /// The UID of the resource of this name; none when there is no such resource.
    pub fn uid(&self, name: &ObjectName) -> Option<Option<&str>> {
        self.by_name.get(name).map(|shown| shown.uid.as_deref())
    }

    /// The resource of this name; none when there is no such resource, or it is too large to be kept.
    pub fn get(&self, name: &ObjectName) -> Option<SyniverseToken> {
        self.by_name.get(name)?.json.as_ref()?.value()
    }

    /// All names.
    pub fn names(&self) -> Vec<ObjectName> {
        self.by_name.keys().cloned().collect()
    }

    /// When a change of this resource comes in turn: when its token ends, according to its status.
    pub fn rank(&self, name: &ObjectName, now: Now) -> Moment {
        let expires = self.by_name.get(name).and_then(|shown| shown.expires);
        expires.map_or(now.mono + FIRST_ISSUE_AFTER, |expires| now.moment_of(expires))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resource(uid: &str, text: &str) -> SyniverseToken {
        serde_json::from_value(json!({
            "apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken",
            "metadata": {"namespace": "n", "name": "messaging", "uid": uid, "generation": 1, "resourceVersion": "7"},
            "spec": {"application": {"credentials": {"secretRef": {"name": "c"}}},
                "secret": {"template": {"file": text}}},
            "status": {"expirationTime": "2026-01-01T01:00:00Z"}
        }))
        .unwrap()
    }

    fn name() -> ObjectName {
        ObjectName::new("n", "messaging")
    }

    #[test]
    fn a_resource_comes_back_as_it_was_shown_unless_it_is_too_large_to_be_kept() {
        let mut resources = Resources::default();
        let shown = resource("1", "text");
        assert!(resources.set(&name(), &shown));
        let kept = resources.get(&name()).unwrap();
        assert_eq!(serde_json::to_value(kept).unwrap(), serde_json::to_value(shown).unwrap());
        assert!(resources.set(&name(), &resource("2", &"x".repeat(LARGEST))), "another UID");
        assert!(resources.get(&name()).is_none());
        assert_eq!(resources.uid(&name()), Some(Some("2")));
    }

    #[test]
    fn what_is_kept_of_all_is_bounded_and_what_is_gone_makes_room() {
        const ROOM: usize = 10_000;
        let mut resources = Resources { room: ROOM, ..Resources::default() };
        // Text that does not pack: a tenth of the room.
        let text: String = (0..125_u32).map(|number| format!("{:08x}", number.wrapping_mul(2_654_435_761))).collect();
        let shown = resource("1", &text);
        let names: Vec<_> = (0..20).map(|number| ObjectName::new("n", format!("r{number}"))).collect();
        let kept = |resources: &Resources| names.iter().filter(|name| resources.get(name).is_some()).count();
        names.iter().for_each(|name| assert!(resources.set(name, &shown)));
        names.iter().for_each(|name| assert!(!resources.set(name, &shown), "nothing changed"));
        let most = kept(&resources);
        assert!((5..10).contains(&most), "{most}");
        names[..2].iter().for_each(|name| resources.remove(name, Some("1")));
        assert_eq!(kept(&resources), most - 2);
        assert_eq!(names.iter().filter(|name| resources.set(name, &shown)).count(), 2, "what is new");
        assert_eq!(kept(&resources), most);
        names.iter().for_each(|name| resources.remove(name, Some("1")));
        assert_eq!(resources.room, ROOM);
    }

    #[test]
    fn only_the_resource_that_is_meant_is_removed() {
        let mut resources = Resources::default();
        resources.set(&name(), &resource("2", ""));
        resources.remove(&name(), Some("1"));
        assert_eq!(resources.uid(&name()), Some(Some("2")));
        resources.remove(&name(), Some("2"));
        assert_eq!((resources.uid(&name()), resources.names()), (None, Vec::new()));
    }

    #[test]
    fn what_ends_first_comes_first_and_what_never_began_after_what_ends_within_a_minute() {
        let mut resources = Resources::default();
        let now =
            Now { mono: Moment::after_start(Duration::from_secs(9)), wall: "2026-01-01T00:59:50Z".parse().unwrap() };
        assert_eq!(resources.rank(&name(), now), now.mono + Duration::from_secs(60));
        resources.set(&name(), &resource("1", ""));
        assert_eq!(resources.rank(&name(), now), now.mono + Duration::from_secs(10));
    }
}
