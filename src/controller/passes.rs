//! Result of a wake of a resource, for the controller.

use crate::controller::context::Context;
use crate::controller::wake::wake;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::queue::ObjectName;

/// Longest wait of a pass with an unrecorded response before it checks again.
const ANSWER_RETRY: Duration = Duration::from_secs(1);

/// A standby replica only records responses received while it was leader.
///
/// At shutdown the controller waits for running passes, not for timers: with an unrecorded response the pass continues
/// until it is written.
pub(super) async fn reconcile_resource(resource: Arc<SyniverseToken>, context: Arc<Context>) -> Result<Action, Retry> {
    let uid = resource.uid().unwrap_or_default();
    if !context.leadership.is_leader() && !context.has_unrecorded_response(&uid).await {
        context.progress().forget(&ObjectName::of(&*resource));
        return Ok(Action::await_change());
    }
    loop {
        let left = wake(&context, Arc::clone(&resource)).await;
        if !context.has_unrecorded_response(&uid).await {
            return Ok(left.map_err(Retry)?.map_or_else(Action::await_change, Action::requeue));
        }
        let wait = left.unwrap_or_else(Some).unwrap_or(ANSWER_RETRY);
        tokio::time::sleep(wait.min(ANSWER_RETRY)).await;
    }
}

/// Delay until a failed pass is retried.
#[derive(Debug, thiserror::Error)]
#[error("retrying in {0:?}")]
pub(super) struct Retry(Duration);

#[allow(clippy::needless_pass_by_value)] // the controller's signature
pub(super) fn error_policy(_: Arc<SyniverseToken>, error: &Retry, _: Arc<Context>) -> Action {
    Action::requeue(error.0)
}
