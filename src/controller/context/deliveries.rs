//! What has a token delivered to those who use it.

use super::{Context, lock};
use crate::controller::deliveries::Deliveries;
use std::sync::MutexGuard;
use syniverse_token_core::api::{PropagationSpec, SyniverseTokenStatus};
use syniverse_token_core::observed::Observed;
use syniverse_token_core::propagation::{Delivery, Shown, shown};
use syniverse_token_core::queue::ObjectName;

impl Context {
    /// The deliveries of tokens.
    pub fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        lock(&self.deliveries)
    }

    /// Has a token delivered. Nobody waits for that.
    pub fn deliver(&self, name: &ObjectName, delivery: Delivery) {
        if self.deliveries().offer(name, delivery, self.clock.now().mono) {
            self.delivery_bell.notify_one();
        }
    }

    /// Waits until a delivery is offered.
    pub async fn delivery_offered(&self) {
        self.delivery_bell.notified().await;
    }

    /// What is to be said of the delivery of the tokens of the observed resource, where `before` is its status.
    pub fn propagation(&self, observed: &Observed, before: Option<&SyniverseTokenStatus>) -> Shown {
        let name = self.name(&observed.resource);
        let spec = observed.resource.spec.propagation.as_ref();
        let mut deliveries = self.deliveries();
        if !spec.is_some_and(PropagationSpec::is_wanted) {
            deliveries.forget(&name);
        }
        shown(spec, deliveries.outcome(&name), before)
    }
}
