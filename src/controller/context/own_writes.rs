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
    /// are deaf. Whoever follows [`Context::set_backs`] begins anew.
    pub fn set_back(&self) {
        tracing::warn!(
            "the store of the API server was set back to an earlier state: everything is listed and looked at anew; \
             restart all controllers of the cluster, this one included"
        );
        lock(&self.own_writes).clear();
        lock(&self.own_statuses).clear();
        self.set_back.send_replace(Some(self.clock.now().mono));
    }

    /// A Secret was found in a version before the one that we wrote: as [`Context::set_back`], but not within a minute of
    /// the last one, because several passes find the same. Should it be another one, the look at the whole store finds it.
    pub fn found_behind(&self) {
        let now = self.clock.now().mono;
        if self.set_back.borrow().is_none_or(|at| now >= at + SETTLING) {
            self.set_back();
        }
    }

    /// Changes each time when the store was set back.
    pub fn set_backs(&self) -> watch::Receiver<Option<Moment>> {
        self.set_back.subscribe()
    }

    /// Since when what this process has said holds: it began to act then, or the store was set back.
    pub fn acting_since(&self) -> Moment {
        let since = self.leadership.since();
        self.set_back.borrow().map_or(since, |at| at.max(since))
    }

    /// The version of a Secret that we wrote ourselves.
    pub fn own_version(&self, secret: &ObjectName) -> Option<String> {
        lock(&self.own_writes).get(secret).cloned()
    }

    /// Notes what a resource is to say, before that is written.
    pub fn says(&self, member: &ObjectName, status: &SyniverseTokenStatus) {
        lock(&self.own_statuses).entry(member.clone()).or_default().says(status);
    }

    /// Notes the version in which the API server has what a resource says.
    pub fn told(&self, member: &ObjectName, version: Option<&str>) {
        if let Some(own) = lock(&self.own_statuses).get_mut(member) {
            own.told(version);
        }
    }

    /// Looks at a resource of which somebody else says something different.
    pub fn notice(&self, resource: &SyniverseToken) {
        let (member, now) = (ObjectName::of(resource), self.clock.now().mono);
        let version = resource.metadata.resource_version.as_deref();
        let mut own = lock(&self.own_statuses);
        let look = own.get_mut(&member).and_then(|own| own.look_at(resource.status.as_ref(), version, now));
        drop(own);
        self.wake_in_turn(look.map(|at| (member, at)).into_iter().collect(), now);
    }

    /// Notes the version of a Secret that we wrote ourselves.
    pub fn wrote(&self, secret: ObjectName, resource_version: Option<String>) {
        if let Some(version) = resource_version {
            lock(&self.own_writes).insert(secret, version);
        }
    }

    /// True of the event that tells us of our own last write.
    pub fn is_echo(&self, secret: &ObjectName, resource_version: Option<&str>) -> bool {
        lock(&self.own_writes).get(secret).map(String::as_str) == resource_version && resource_version.is_some()
    }

    /// Forgets a Secret that is gone.
    pub fn forget_write(&self, secret: &ObjectName) {
        lock(&self.own_writes).remove(secret);
    }
}
