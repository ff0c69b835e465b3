//! Credentials Secrets as they were read, for as long as the watch shows no change of them.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use std::collections::{BTreeMap, HashMap, VecDeque};
use syniverse_token_core::api::CONSENT_LABEL;
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::revision::is_later;

/// The values that are kept, in bytes: those of 10,000 applications.
const CAPACITY: usize = 4 << 20;
/// The values of a Secret that is kept: others are read each time.
const LARGEST: usize = 16 << 10;

/// Credentials Secrets as they were read. One read serves all resources that use a Secret, until it changes.
#[derive(Debug, Default)]
pub struct CredentialsCache {
    secrets: HashMap<ObjectName, Kept>,
    /// The oldest first.
    order: VecDeque<ObjectName>,
    bytes: usize,
    /// Changes that the watch has shown.
    changes: u64,
}

/// The name and the content of a value.
type Value = (Box<str>, Box<[u8]>);

/// What is kept of a Secret.
#[derive(Debug)]
struct Kept {
    version: Box<str>,
    consent: Option<Box<str>>,
    values: Box<[Value]>,
}

/// The changes that had been shown before a Secret was read.
#[derive(Clone, Copy, Debug)]
pub struct Seen(u64);

impl Kept {
    fn bytes(&self) -> usize {
        self.values.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

impl CredentialsCache {
    /// The changes shown so far, to be noted before a Secret is read.
    pub fn seen(&self) -> Seen {
        Seen(self.changes)
    }

    /// The Secret of this name, if nothing has changed since it was read: its values, its consent label and its version.
    pub fn get(&self, name: &ObjectName) -> Option<Secret> {
        let kept = self.secrets.get(name)?;
        let mut secret = Secret { data: Some(kept.values.iter().map(value).collect()), ..Secret::default() };
        secret.metadata.namespace = Some(name.namespace().to_owned());
        secret.metadata.name = Some(name.name().to_owned());
        secret.metadata.resource_version = Some(kept.version.to_string());
        let consent = kept.consent.iter().map(|consent| (CONSENT_LABEL.to_owned(), consent.to_string()));
        secret.metadata.labels = Some(consent.collect::<BTreeMap<_, _>>());
        Some(secret)
    }

    /// Keeps a Secret that was just read, unless a change was shown meanwhile: the read may be older.
    pub fn insert(&mut self, name: &ObjectName, secret: &Secret, seen: Seen) {
        let Some(version) = secret.resource_version().filter(|_| seen.0 == self.changes) else { return };
        let values =
            secret.data.iter().flatten().map(|(name, value)| (name.as_str().into(), value.0.as_slice().into()));
        let consent = secret.labels().get(CONSENT_LABEL).map(|consent| consent.as_str().into());
        let kept = Kept { version: version.into(), consent, values: values.collect() };
        if kept.bytes() > LARGEST || self.secrets.contains_key(name) {
            return;
        }
        self.bytes += kept.bytes();
        self.secrets.insert(name.clone(), kept);
        self.order.push_back(name.clone());
        while self.bytes > CAPACITY
            && let Some(oldest) = self.order.front().cloned()
        {
            self.forget(&oldest);
        }
    }

    /// The watch shows a Secret in this version; none when it is gone.
    pub fn shown(&mut self, name: &ObjectName, version: Option<&str>) {
        self.changes += 1;
        let is_newer = |kept: &Kept| version.is_none() || is_later(version, Some(&kept.version));
        if self.secrets.get(name).is_some_and(is_newer) {
            self.forget(name);
        }
    }

    /// Nothing is known of what has changed meanwhile.
    pub fn clear(&mut self) {
        *self = Self { changes: self.changes + 1, ..Self::default() };
    }

    /// Forgets a Secret that nobody uses any longer, or whose values did not do.
    pub fn forget(&mut self, name: &ObjectName) {
        if let Some(kept) = self.secrets.remove(name) {
            self.bytes -= kept.bytes();
            self.order.retain(|known| known != name);
        }
    }
}

fn value((name, value): &Value) -> (String, ByteString) {
    (name.to_string(), ByteString(value.to_vec()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn name(name: &str) -> ObjectName {
        ObjectName::new("n", name)
    }

    fn secret(version: &str, value: &str) -> Secret {
        let metadata = json!({"namespace": "n", "name": "a", "resourceVersion": version,
            "labels": {CONSENT_LABEL: "true", "other": "x"}, "annotations": {"large": "x"}});
        let value = ByteString(value.as_bytes().to_vec());
        serde_json::from_value(json!({"metadata": metadata, "data": {"key": value}})).unwrap()
    }

    fn version(cache: &CredentialsCache) -> Option<String> {
        cache.get(&name("a")).and_then(|secret| secret.resource_version())
    }

    #[test]
    fn a_secret_is_kept_with_its_values_and_consent_until_a_later_one_is_shown() {
        let mut cache = CredentialsCache::default();
        cache.insert(&name("a"), &secret("5", "value"), cache.seen());
        let kept = cache.get(&name("a")).unwrap();
        assert_eq!(kept.data, secret("5", "value").data);
        assert_eq!(kept.labels().iter().collect::<Vec<_>>(), [(&CONSENT_LABEL.to_owned(), &"true".to_owned())]);
        for earlier in ["4", "5"] {
            cache.shown(&name("a"), Some(earlier));
            assert_eq!(version(&cache).as_deref(), Some("5"));
        }
        cache.shown(&name("a"), Some("6"));
        assert_eq!(version(&cache), None);
    }

    #[test]
    fn what_was_read_before_a_change_was_shown_is_not_kept() {
        let mut cache = CredentialsCache::default();
        let seen = cache.seen();
        cache.shown(&name("a"), Some("6"));
        cache.insert(&name("a"), &secret("5", "value"), seen);
        assert_eq!(version(&cache), None);
        let seen = cache.seen();
        cache.clear();
        cache.insert(&name("a"), &secret("5", "value"), seen);
        assert_eq!(version(&cache), None);
    }

    #[test]
    fn a_secret_that_is_gone_or_forgotten_is_not_kept() {
        let mut cache = CredentialsCache::default();
        for forget in
            [CredentialsCache::forget, |cache: &mut CredentialsCache, name: &ObjectName| cache.shown(name, None)]
        {
            cache.insert(&name("a"), &secret("5", "value"), cache.seen());
            forget(&mut cache, &name("a"));
            assert_eq!((version(&cache), cache.bytes, cache.order.len()), (None, 0, 0));
        }
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut cache = CredentialsCache::default();
        cache.insert(&name("a"), &secret("5", &"x".repeat(LARGEST)), cache.seen());
        assert_eq!(version(&cache), None);
        let large = secret("5", &"x".repeat(LARGEST - 100));
        for number in 0..400 {
            cache.insert(&name(&number.to_string()), &large, cache.seen());
        }
        assert!(cache.bytes <= CAPACITY && cache.secrets.len() > 200, "{}", cache.secrets.len());
        assert!(cache.get(&name("0")).is_none() && cache.get(&name("399")).is_some(), "the oldest goes");
    }
}
