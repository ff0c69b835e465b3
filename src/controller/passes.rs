//! What a wake of one resource comes to, as the controller has it.

use crate::controller::context::Context;
use crate::controller::wake::wake;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::queue::ObjectName;

/// How often a pass with an answer in hand looks again, at least.
const ANSWER_RETRY: Duration = Duration::from_secs(1);

/// The one thing to do for a process that does not act: to write down an answer that it was given while it did.
///
/// Told to stop, the controller waits for what runs, not for timers: with an answer in hand it goes on until that is
/// written.
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

/// A failed pass is tried again after this.
#[derive(Debug, thiserror::Error)]
#[error("tried again in {0:?}")]
pub(super) struct Retry(Duration);

#[allow(clippy::needless_pass_by_value)] // the controller's signature
pub(super) fn error_policy(_: Arc<SyniverseToken>, error: &Retry, _: Arc<Context>) -> Action {
    Action::requeue(error.0)
}
