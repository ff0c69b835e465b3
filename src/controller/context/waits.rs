//! How long resources wait for a pass, where traces are exported.

use super::{Context, lock};
use crate::telemetry::traces;
use std::collections::HashMap;
use std::time::Duration;
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::time::Moment;

/// Since when resources wait; empty where no trace is exported.
#[derive(Debug, Default)]
pub(super) struct Waits(HashMap<ObjectName, Moment>);

impl Context {
    /// Notes that a pass over `resource` is wanted from then on, unless one is wanted earlier.
    pub(super) fn wanted(&self, resource: &ObjectName, from: Moment) {
        if traces::are_on() {
            let mut waits = lock(&self.waits);
            let since = waits.0.entry(resource.clone()).or_insert(from);
            *since = from.min(*since);
        }
    }

    /// Forgets what was wanted before this process began to act.
    pub fn begin_waits(&self) {
        lock(&self.waits).0.clear();
    }

    /// How long the pass over `resource` that begins now was waited for; none if nobody counts.
    pub fn waited(&self, resource: &ObjectName) -> Option<Duration> {
        if !traces::are_on() {
            return None;
        }
        let since = lock(&self.waits).0.remove(resource)?;
        Some(self.clock.now().mono.until(since))
    }
}
