//! A wake of a resource: a timer alone only checks the clocks; a change makes a pass.

use crate::controller::context::Context;
use crate::controller::observe::ObserveError;
use crate::controller::reconcile::{longest_pass, reconcile};
use futures::FutureExt;
use kube::ResourceExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::fingerprint::spread;
use syniverse_token_core::memory::{Memory, Sleep};
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::reconcile_report::ReconcileReport;
use syniverse_token_core::schedule::retry::Backoff;

/// Delay between failed passes.
const PASS_RETRY: Backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(4) };

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error(transparent)]
    Observe(#[from] ObserveError),
    #[error("the pass took longer than {0:?}")]
    TimedOut(Duration),
    #[error("the pass panicked")]
    Panicked,
}

/// Wakes `resource`, and gives the time until it wants to be woken again; none = when something changes.
///
/// # Errors
/// The delay before the next attempt, when the pass failed.
pub async fn wake(context: &Context, resource: Arc<SyniverseToken>) -> Result<Option<Duration>, Duration> {
    let (name, uid) = (ObjectName::of(&*resource), resource.uid().unwrap_or_default());
    context.progress().pass_started(&name, context.clock.now().mono);
    let result = reconcile_if_due(context, resource, &name, &uid).await;
    let left = result.unwrap_or_else(Some);
    context.progress().pass_ended(&name, left.map(|left| context.clock.now().mono + left));
    if !context.is_living(&uid) {
        // Deleted during the pass: what that pass left behind is forgotten as well.
        context.forget(&name, Some(&uid));
    }
    result
}

async fn reconcile_if_due(
    context: &Context,
    resource: Arc<SyniverseToken>,
    name: &ObjectName,
    uid: &str,
) -> Result<Option<Duration>, Duration> {
    let now = context.clock.now();
    let memory = context.memory(name, uid, now.mono);
    let mut memory = memory.lock().await;
    let is_dirty = context.take_dirty(name);
    if let Some(sleep) = memory.sleep.filter(|sleep| !is_dirty && !sleep.is_over(now)) {
        return Ok(sleep.left(now));
    }
    memory.sleep = None;
    let result = guarded_pass(context, Arc::clone(&resource), &mut memory).await;
    context.keep_allowance(name, &memory.rate_limiter, context.clock.now().mono);
    match result {
        Ok(report) => Ok(conclude(context, &resource, &mut memory, &report)),
        Err(error) => {
            memory.failed_passes = memory.failed_passes.saturating_add(1);
            context.metrics.observe_failed_pass();
            let ObjectName { namespace, name } = name;
            tracing::warn!(namespace, name, %error, "the pass failed");
            // A refusal shows that the API server is back: the delays of an earlier outage do not apply.
            let in_a_row = if memory.refused_reads > 0 { memory.refused_reads } else { memory.failed_passes };
            Err(PASS_RETRY.after(in_a_row, spread(uid)))
        }
    }
}

/// A pass that hangs or panics ends this wake, not the process, and its knowledge stays in memory.
async fn guarded_pass(
    context: &Context,
    resource: Arc<SyniverseToken>,
    memory: &mut Memory,
) -> Result<ReconcileReport, PassError> {
    let (longest, running) =
        (longest_pass(context.call_timeout), AssertUnwindSafe(reconcile(context, resource, memory)).catch_unwind());
    match tokio::time::timeout(longest, running).await {
        Ok(Ok(result)) => Ok(result?),
        Ok(Err(_)) => Err(PassError::Panicked),
        Err(_) => Err(PassError::TimedOut(longest)),
    }
}

fn conclude(
    context: &Context,
    resource: &SyniverseToken,
    memory: &mut Memory,
    report: &ReconcileReport,
) -> Option<Duration> {
    let now = context.clock.now();
    let sleep = Sleep::until(report.wake, now);
    (memory.failed_passes, memory.sleep) = (0, Some(sleep));
    context.reporter.report(resource, report, now.mono);
    context.metrics.observe_pass(&ObjectName::of(resource), report, context.leadership.since(), now);
    sleep.left(now)
}
