//! A pass over a resource, guarded: it ends in time, and its end says when the next one is due.

use crate::client::error::describe;
use crate::controller::context::Context;
use crate::controller::observe::ObserveError;
use crate::controller::reconcile::{longest_pass, reconcile};
use crate::telemetry::traces;
use futures::FutureExt;
use kube::ResourceExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::fingerprint::spread;
use syniverse_token_core::memory::Memory;
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::queue::passes::PassEnd;
use syniverse_token_core::reconcile_report::ReconcileReport;
use syniverse_token_core::schedule::retry::Backoff;
use tracing::{Instrument, Span};

/// Delay of the next pass over a resource with an unrecorded response, where nothing else says when.
const RECORDING_RETRY: Duration = Duration::from_secs(1);
/// Delay before a large resource that could not be read is read again.
const READ_RETRY: Duration = Duration::from_secs(1);
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

/// Runs a pass over the resource of this name.
pub async fn pass(context: &Context, name: &ObjectName) -> PassEnd {
    let span = traces::pass(name.namespace(), name.name());
    context.waited(name).into_iter().for_each(|waited| traces::queue_wait(&span, waited));
    run(context, name).instrument(span).await
}

async fn run(context: &Context, name: &ObjectName) -> PassEnd {
    let resource = match shown(context, name).await {
        Ok(Some(resource)) => Arc::new(resource),
        Ok(None) => {
            context.withdraw(name);
            if context.resources().uid(name).is_none() {
                context.forget(name, None);
            }
            return PassEnd::default();
        }
        Err(error) => {
            context.withdraw(name);
            let (namespace, name) = (name.namespace(), name.name());
            tracing::warn!(namespace, name, error = describe(&error), "failed to read the SyniverseToken");
            return PassEnd { next: Some(context.clock.now().mono + READ_RETRY), ..PassEnd::default() };
        }
    };
    let (uid, now) = (resource.uid().unwrap_or_default(), context.clock.now().mono);
    context.progress().pass_started(name, now);
    let mut memory = context.hold_memory(name, &uid).await;
    let result = guarded_pass(context, Arc::clone(&resource), &mut memory).await;
    context.keep_allowance(name, &memory.rate_limiter, context.clock.now().mono);
    let mut end = match result {
        Ok(report) => conclude(context, &resource, &mut memory, report),
        Err(error) => failed(context, name, &uid, &mut memory, &error),
    };
    if memory.unrecorded.is_some() {
        let next = end.next.unwrap_or_else(|| context.clock.now().mono + RECORDING_RETRY);
        end = PassEnd { next: Some(next), request: None, must_record: true };
    }
    drop(memory);
    context.progress().pass_ended(name);
    if !context.is_living(&uid) {
        // Deleted during the pass: what that pass left behind is forgotten as well.
        context.forget(name, Some(&uid));
    }
    end
}

/// The resource as the watch shows it, read anew where that is too large to be kept; none when it is gone.
async fn shown(context: &Context, name: &ObjectName) -> kube::Result<Option<SyniverseToken>> {
    let (kept, uid) = {
        let resources = context.resources();
        (resources.get(name), resources.uid(name).map(|uid| uid.map(str::to_owned)))
    };
    match uid {
        Some(uid) if kept.is_none() => {
            let read = context.api_in::<SyniverseToken>(name.namespace()).get_opt(name.name()).await?;
            Ok(read.filter(|read| read.uid() == uid))
        }
        _ => Ok(kept),
    }
}

/// What it held in the queue is free for others.
fn failed(context: &Context, name: &ObjectName, uid: &str, memory: &mut Memory, error: &PassError) -> PassEnd {
    context.withdraw(name);
    memory.failed_passes = memory.failed_passes.saturating_add(1);
    context.metrics.observe_failed_pass();
    traces::pass_failed(&Span::current());
    let (namespace, name) = (name.namespace(), name.name());
    tracing::warn!(namespace, name, %error, "the pass failed");
    // A refusal shows that the API server is back: the delays of an earlier outage do not apply.
    let in_a_row = if memory.refused_reads > 0 { memory.refused_reads } else { memory.failed_passes };
    let next = context.clock.now().mono + PASS_RETRY.after(in_a_row, spread(uid));
    PassEnd { next: Some(next), ..PassEnd::default() }
}

/// Ends a pass that hangs or panics, not the process, and keeps its knowledge in memory.
async fn guarded_pass(
    context: &Context,
    resource: Arc<SyniverseToken>,
    memory: &mut Memory,
) -> Result<ReconcileReport, PassError> {
    let longest = longest_pass(context.call_timeout);
    let running = AssertUnwindSafe(reconcile(context, resource, memory)).catch_unwind();
    let result = tokio::time::timeout(longest, running).await;
    match result {
        Ok(Ok(result)) => Ok(result?),
        Ok(Err(_)) => Err(PassError::Panicked),
        Err(_) => Err(PassError::TimedOut(longest)),
    }
}

fn conclude(context: &Context, resource: &SyniverseToken, memory: &mut Memory, report: ReconcileReport) -> PassEnd {
    let now = context.clock.now();
    memory.failed_passes = 0;
    context.reporter.report(resource, &report, now.mono);
    traces::pass_finished(&Span::current(), &report);
    context.metrics.observe_pass(&context.name(resource), &report, context.leadership.since(), now);
    PassEnd { next: report.wake, request: report.request, must_record: false }
}
