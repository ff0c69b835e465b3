//! The last writes of this process: its own changes are told from those of others, and a store that was rolled back is
//! detected.

use super::{Context, lock};
use crate::controller::own_writes::OwnWrites;
use std::sync::MutexGuard;
use std::time::Duration;
use syniverse_token_core::api::{SyniverseToken, SyniverseTokenStatus};
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::time::Moment;
use tokio::sync::watch;

/// Interval between two findings, through Secrets, that the store was rolled back.
const SETTLING: Duration = Duration::from_secs(60);

impl Context {
    /// Notes that the store of the API server was rolled back to an earlier state: what this process wrote since is
    /// gone, and its watches hear nothing. Everything that follows [`Context::rollbacks`] starts over.
    pub fn store_rolled_back(&self) {
        tracing::warn!(
            "the store of the API server was rolled back to an earlier state, so everything is listed and checked \
             again; restart all controllers of the cluster, including this operator"
        );
        self.own_writes().clear();
        lock(&self.status_watches).clear();
        self.credentials().clear();
        self.rollback.send_replace(Some(self.clock.now().mono));
    }

    /// Notes that a Secret was found in a version before the version that we wrote: as [`Context::store_rolled_back`],
    /// but not within a minute of the last time, because several passes find the same rollback. Another rollback is
    /// found by the check of the whole store.
    pub fn stale_secret_found(&self) {
        let now = self.clock.now().mono;
        if self.rollback.borrow().is_none_or(|at| now >= at + SETTLING) {
            self.store_rolled_back();
        }
    }

    /// Changes each time the store is rolled back.
    pub fn rollbacks(&self) -> watch::Receiver<Option<Moment>> {
        self.rollback.subscribe()
    }

    /// Since when the reports of this process hold: since it began to act, or since the store was rolled back.
    pub fn acting_since(&self) -> Moment {
        let since = self.leadership.since();
        self.rollback.borrow().map_or(since, |at| at.max(since))
    }

    /// The Secrets that this process has written.
    pub fn own_writes(&self) -> MutexGuard<'_, OwnWrites> {
        lock(&self.own_writes)
    }

    /// Notes that a write of a Secret begins, which ends with what is returned.
    pub fn secret_write(&self, secret: ObjectName) -> WriteInProgress<'_> {
        self.own_writes().write_started(&secret);
        WriteInProgress { context: self, secret, version: None }
    }

    /// Notes the status of a resource before it is written.
    pub fn expect_status(&self, resource: &ObjectName, status: &SyniverseTokenStatus) {
        lock(&self.status_watches).entry(resource.clone()).or_default().expect(status);
    }

    /// Notes the version in which the API server has the status of a resource.
    pub fn status_written(&self, resource: &ObjectName, version: Option<&str>) {
        if let Some(own) = lock(&self.status_watches).get_mut(resource) {
            own.written(version);
        }
    }

    /// Checks a resource whose status was changed by another writer.
    pub fn check_status(&self, name: &ObjectName, resource: &SyniverseToken) {
        let now = self.clock.now().mono;
        let version = resource.metadata.resource_version.as_deref();
        let mut own = lock(&self.status_watches);
        let look = own.get_mut(name).and_then(|own| own.look_at(resource.status.as_ref(), version, now));
        drop(own);
        if let Some(at) = look {
            self.check_at(name, at);
        }
    }
}

/// A write of a Secret in progress: until it is dropped the watch may show what it made.
pub struct WriteInProgress<'a> {
    context: &'a Context,
    secret: ObjectName,
    version: Option<String>,
}

impl WriteInProgress<'_> {
    /// Ends the write, which made this version.
    pub fn written(mut self, version: Option<String>) {
        self.version = version;
    }
}

impl Drop for WriteInProgress<'_> {
    /// Also runs when the write fails, or its pass is aborted: what the watch has shown meanwhile is looked at.
    fn drop(&mut self) {
        // A token Secret may hold the credentials as well.
        self.context.credentials().forget(&self.secret);
        let affected = self.context.own_writes().write_ended(&self.secret, self.version.as_deref());
        self.context.all_changed(&affected);
    }
}
