//! Begins passes as the queue says, each in a task of its own.

use crate::controller::context::Context;
use crate::controller::scopes::stopped;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::queue::passes::PassEnd;
use syniverse_token_core::queue::{Next, ObjectName};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The longest time without a look at the queue: the wall clock may have stepped, or the machine slept.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// Delay of the next pass after one that panicked outside its guard.
const PANIC_RETRY: Duration = Duration::from_secs(60);

/// Begins passes until `stop`, then until those that run have ended and what they were answered is recorded. Dropped, it
/// ends them where they stand.
pub async fn run<P: Future<Output = PassEnd> + Send + 'static>(
    context: Arc<Context>,
    mut stop: watch::Receiver<bool>,
    pass: impl Fn(Arc<Context>, ObjectName) -> P,
) {
    let mut tasks = JoinSet::new();
    loop {
        let is_stopping = *stop.borrow();
        if is_stopping && !context.has_work_to_finish() {
            return;
        }
        context.progress().looked_at_queue(context.clock.now().mono);
        // A standby replica only records responses that it received while it was leader.
        let next = context.next_pass(context.leadership.is_leader() && !is_stopping);
        if let Next::Turn(name) = next {
            let (context, running) = (Arc::clone(&context), pass(Arc::clone(&context), name.clone()));
            tasks.spawn(async move {
                // A pass that ended without a word would be waited for until the process is restarted, for all.
                let end = AssertUnwindSafe(running).catch_unwind().await;
                let next = Some(context.clock.now().mono + PANIC_RETRY);
                context.pass_ended(&name, end.unwrap_or(PassEnd { next, ..PassEnd::default() }));
            });
            continue;
        }
        let look = match next {
            Next::At(at) => at.until(context.clock.now().mono).min(LONGEST_LOOK),
            _ => LONGEST_LOOK,
        };
        tokio::select! {
            () = context.rung() => {}
            () = tokio::time::sleep(look) => {}
            () = stopped(&mut stop), if !is_stopping => {}
            Some(_) = tasks.join_next() => {}
        }
    }
}
