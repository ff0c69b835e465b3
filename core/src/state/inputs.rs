//! Inputs of requests: a hash for each value, so that a change is detected without keeping any value.

pub use crate::credential::ENDPOINT;
pub use crate::credential::application::{CONSUMER_KEY, CONSUMER_SECRET, OLD_TOKEN, VALIDITY};
pub use crate::credential::session::{LOGIN, PAIR, PASSWORD, REFRESH_TOKEN, TOKEN, USERNAME};
use crate::fingerprint::keyed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A keyed hash per value of a request; an empty text stands for an absent value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// How the hashes are made; other versions count as unchanged.
    #[serde(default)]
    version: u32,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

impl Inputs {
    const VERSION: u32 = 1;

    /// The hashes of `values`, which have names.
    pub fn of(salt: &str, values: Vec<(&'static str, &str)>) -> Self {
        let hash = |(name, value): (&str, &str)| {
            (name.to_owned(), if value.is_empty() { String::new() } else { keyed(salt, name, value) })
        };
        Self { version: Self::VERSION, hashes: values.into_iter().map(hash).collect() }
    }

    /// The first of `names` whose value is new. A removed value, or hashes of another version, are no change.
    pub fn change_since(&self, recorded: &Inputs, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.differs(recorded, name))
    }

    /// True when the value `name` is present and differs from the recorded value.
    pub fn differs(&self, recorded: &Inputs, name: &str) -> bool {
        let (Some(mine), Some(theirs)) = (self.hashes.get(name), recorded.hashes.get(name)) else { return false };
        self.version == recorded.version && !mine.is_empty() && mine != theirs
    }

    /// True when any present value differs from the recorded value.
    pub fn differ(&self, recorded: &Inputs) -> bool {
        self.hashes.keys().any(|name| self.differs(recorded, name))
    }

    /// True when nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// True when this value was present.
    pub fn knows(&self, name: &str) -> bool {
        self.hashes.get(name).is_some_and(|hash| !hash.is_empty())
    }

    /// True when the value `name` is `value`.
    pub(super) fn is(&self, salt: &str, name: &str, value: &str) -> bool {
        self.version == Self::VERSION && self.hashes.get(name) == Some(&keyed(salt, name, value))
    }

    /// These inputs without the named values.
    pub(super) fn without(mut self, names: &[&str]) -> Self {
        self.hashes.retain(|name, _| !names.contains(&name.as_str()));
        self
    }

    /// These inputs, plus those of `older` that are absent here: a value that was absent for a while, or belongs to
    /// another issuer, must not count as new when it is back.
    pub(super) fn over(mut self, older: &Inputs) -> Self {
        if self.version == older.version {
            let missing = older.hashes.iter().filter(|(name, _)| !self.knows(name));
            let missing: Vec<_> = missing.map(|(name, hash)| (name.clone(), hash.clone())).collect();
            self.hashes.extend(missing);
        }
        self
    }

    /// True when any of the named values was never used.
    pub fn has_unused(&self, names: &[&str], recorded: &Inputs) -> bool {
        names.iter().any(|name| !recorded.hashes.contains_key(*name) || self.differs(recorded, name))
    }
}
