//! What has a pass begin, and what has become of it.

use super::{Context, lock};
use syniverse_token_core::queue::passes::PassEnd;
use syniverse_token_core::queue::{EndpointResult, Next, ObjectName, Priority};
use syniverse_token_core::time::Moment;

impl Context {
    /// Has a pass look at `resource`: something that it depends on has changed.
    pub fn changed(&self, resource: &ObjectName) {
        let now = self.clock.now();
        self.wanted(resource, now.mono);
        let rank = self.resources().rank(resource, now);
        lock(&self.passes).changed(resource, rank);
        self.bell.notify_one();
    }

    /// The same for several resources.
    pub fn all_changed(&self, resources: &[ObjectName]) {
        resources.iter().for_each(|resource| self.changed(resource));
    }

    /// Has a pass look at `resource` by then.
    pub fn check_at(&self, resource: &ObjectName, at: Moment) {
        self.wanted(resource, at);
        lock(&self.passes).check_at(resource, at, self.clock.now());
        self.bell.notify_one();
    }

    /// The pass that begins now, or when one may; without `may_act` only to record a response.
    pub fn next_pass(&self, may_act: bool) -> Next {
        let mut passes = lock(&self.passes);
        passes.next(&mut self.queue(), self.clock.now(), may_act)
    }

    /// The pass over `resource` has ended.
    pub fn pass_ended(&self, resource: &ObjectName, end: PassEnd) {
        end.next.into_iter().for_each(|next| self.wanted(resource, next));
        lock(&self.passes).ended(resource, end, self.clock.now());
        self.bell.notify_one();
    }

    /// The pass over `resource` has a permit: it makes room for another pass.
    pub fn has_permit(&self, resource: &ObjectName, priority: Priority) {
        lock(&self.passes).has_permit(resource, priority);
        self.bell.notify_one();
    }

    /// True while passes run, or responses wait to be recorded.
    pub fn has_work_to_finish(&self) -> bool {
        let passes = lock(&self.passes);
        passes.running() > 0 || passes.has_to_record()
    }

    /// Waits until another pass may be able to begin.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Withdraws the resource from the queue: others need not wait for it.
    pub fn withdraw(&self, name: &ObjectName) {
        self.queue().withdraw(name, self.clock.now().mono);
        self.bell.notify_one();
    }

    /// Ends the permit of `resource` for `endpoint`; `result` is none when nothing was sent.
    pub fn permit_ended(&self, endpoint: &str, resource: &ObjectName, result: Option<EndpointResult>) {
        self.queue().permit_ended(endpoint, resource, result, self.clock.now().mono);
        self.bell.notify_one();
    }
}
