//! What this process wrote last, by which it tells its own changes from those of others, and a store that was set back.

use super::{Context, lock};
use std::time::Duration;
use syniverse_token_core::api::{SyniverseToken, SyniverseTokenStatus};
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::time::Moment;
use tokio::sync::watch;

/// A store that was found to be set back in one Secret is not found so in another one before this is over.
const SETTLING: Duration = Duration::from_secs(60);

impl Context {
    /// The store of the API server was set back to an earlier state: what this process wrote since is gone, and its watches
    /// are deaf. Whoever follows [`Context::rollbacks`] begins anew.
    pub fn store_rolled_back(&self) {
        tracing::warn!(
            "the store of the API server was set back to an earlier state: everything is listed and looked at anew; \
             restart all controllers of the cluster, this one included"
        );
        lock(&self.own_writes).clear();
        lock(&self.status_watches).clear();
        self.rollback.send_replace(Some(self.clock.now().mono));
    }

    /// A Secret was found in a version before the one that we wrote: as [`Context::store_rolled_back`], but not within a minute of
    /// the last one, because several passes find the same. Should it be another one, the look at the whole store finds it.
    pub fn stale_secret_found(&self) {
        let now = self.clock.now().mono;
        if self.rollback.borrow().is_none_or(|at| now >= at + SETTLING) {
            self.store_rolled_back();
        }
    }

    /// Changes each time when the store was set back.
    pub fn rollbacks(&self) -> watch::Receiver<Option<Moment>> {
        self.rollback.subscribe()
    }

    /// Since when what this process has said holds: it began to act then, or the store was set back.
    pub fn acting_since(&self) -> Moment {
        let since = self.leadership.since();
        self.rollback.borrow().map_or(since, |at| at.max(since))
    }

    /// The version of a Secret that we wrote ourselves.
    pub fn own_version(&self, secret: &ObjectName) -> Option<String> {
        lock(&self.own_writes).get(secret).cloned()
    }

    /// Notes what a resource is to say, before that is written.
    pub fn expect_status(&self, resource: &ObjectName, status: &SyniverseTokenStatus) {
        lock(&self.status_watches).entry(resource.clone()).or_default().expect(status);
    }

    /// Notes the version in which the API server has what a resource says.
    pub fn status_written(&self, resource: &ObjectName, version: Option<&str>) {
        if let Some(own) = lock(&self.status_watches).get_mut(resource) {
            own.written(version);
        }
    }

    /// Looks at a resource of which somebody else says something different.
    pub fn check_status(&self, resource: &SyniverseToken) {
        let (name, now) = (ObjectName::of(resource), self.clock.now().mono);
        let version = resource.metadata.resource_version.as_deref();
        let mut own = lock(&self.status_watches);
        let look = own.get_mut(&name).and_then(|own| own.look_at(resource.status.as_ref(), version, now));
        drop(own);
        self.wake_each(look.map(|at| (name, at)).into_iter().collect(), now);
    }

    /// Notes the version of a Secret that we wrote ourselves.
    pub fn secret_written(&self, secret: ObjectName, resource_version: Option<String>) {
        if let Some(version) = resource_version {
            lock(&self.own_writes).insert(secret, version);
        }
    }

    /// True of the event that tells us of our own last write.
    pub fn is_own_write(&self, secret: &ObjectName, resource_version: Option<&str>) -> bool {
        lock(&self.own_writes).get(secret).map(String::as_str) == resource_version && resource_version.is_some()
    }

    /// Forgets a Secret that is gone.
    pub fn forget_write(&self, secret: &ObjectName) {
        lock(&self.own_writes).remove(secret);
    }
}
