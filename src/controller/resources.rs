//! The resources as the watch shows them.

use crate::controller::watches::change_hash;
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::HashMap;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::time::{Moment, Now};

/// Changes of a resource without a token come behind those of tokens that end within this time.
const FIRST_ISSUE_AFTER: Duration = Duration::from_secs(60);

/// The resources as the watch shows them.
#[derive(Debug, Default)]
pub struct Resources {
    by_name: HashMap<ObjectName, Shown>,
}

/// What is kept of a resource: a third of what it weighs parsed.
#[derive(Debug)]
struct Shown {
    json: Box<[u8]>,
    change: u64,
    /// The end of its token, according to its status.
    expires: Option<Timestamp>,
}

impl Resources {
    /// Takes a resource as the watch shows it; true when what changed makes a pass.
    pub fn set(&mut self, resource: &SyniverseToken) -> bool {
        let change = change_hash(resource);
        let status = resource.status.as_ref();
        let expires = status.and_then(|status| status.expiration_time.as_ref()?.parse().ok());
        // What came as JSON can be written as JSON.
        let json = serde_json::to_vec(resource).unwrap_or_default().into();
        let before = self.by_name.insert(ObjectName::of(resource), Shown { json, change, expires });
        before.is_none_or(|before| before.change != change)
    }

    /// Removes a resource that is gone, unless it is another one of this name.
    pub fn remove(&mut self, name: &ObjectName, uid: Option<&str>) {
        if self.get(name).is_some_and(|known| known.uid().as_deref() == uid) {
            self.by_name.remove(name);
        }
    }

    /// The resource of this name.
    pub fn get(&self, name: &ObjectName) -> Option<SyniverseToken> {
        serde_json::from_slice(&self.by_name.get(name)?.json).ok()
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
