//! Delivers tokens to the Pods that use them: a controller of its own, with its own client and pace. No pass waits for it, and
//! what it is refused is nothing to a refresh.

use crate::controller::context::Context;
use crate::controller::deliveries::Remaining;
use crate::controller::scopes::stopped;
use crate::telemetry::audit::{FAILED, REFUSED};
use crate::telemetry::traces;
use futures::FutureExt;
use kube::Client;
use pods::PodsReached;
use restart::Restarted;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use syniverse_token_core::propagation::{Delivery, MOST_WORKLOADS, Outcome};
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::schedule::rate_limiter::RateLimiter;
use syniverse_token_core::time::Moment;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::Instrument;

mod pages;
mod pods;
mod restart;

/// Writes in a burst, and the interval between two after that: 50 a second.
const BURST: f64 = 50.0;
const INTERVAL: Duration = Duration::from_millis(20);
/// Pages of lists that are held at a time: the library holds each three times while it decodes it.
const PAGES: usize = 2;
/// How often it is looked whether deliveries wait, where nothing else tells.
const LONGEST_LOOK: Duration = Duration::from_secs(60);
/// The longest run: one that hangs must not keep its namespace from the next.
const LONGEST_RUN: Duration = Duration::from_secs(300);

/// What all deliveries share.
struct Courier {
    context: Arc<Context>,
    client: Client,
    writes: Mutex<RateLimiter>,
    /// For pages of lists that are read.
    pages: Semaphore,
}

/// Why something was not done.
#[derive(Debug)]
enum Problem {
    /// It is refused, as this clause for people says.
    Refused(String),
    /// The API server did not take it, or not in time.
    Failed,
    /// A later token takes its place, or another process leads.
    Unwanted,
}

impl Problem {
    /// The word for it in metrics and in the audit log.
    fn outcome(&self) -> &'static str {
        if matches!(self, Self::Refused(_)) { REFUSED } else { FAILED }
    }
}

/// Delivers what the passes offer, while this process leads, until `stop`.
pub async fn run(context: Arc<Context>, client: Client, mut stop: watch::Receiver<bool>) {
    let writes = Mutex::new(RateLimiter::new(BURST, context.clock.now().mono));
    let courier = Arc::new(Courier { context, client, writes, pages: Semaphore::new(PAGES) });
    let [mut terms, mut losses] = [courier.context.leadership.clone(), courier.context.leadership.clone()];
    let mut term = None;
    loop {
        let since = tokio::select! {
            since = terms.wait_for_new_term(term) => since,
            () = stopped(&mut stop) => return,
        };
        term = Some(since);
        courier.context.deliveries().begin_term(since);
        // Dropped, it ends what is under way.
        tokio::select! {
            () = courier.deliver_all() => {}
            () = losses.wait_until_not_leader() => {}
            () = stopped(&mut stop) => return,
        }
    }
}

impl Courier {
    /// Begins deliveries as their turn comes.
    async fn deliver_all(self: &Arc<Self>) {
        let (context, mut tasks) = (&self.context, JoinSet::new());
        loop {
            let now = context.clock.now().mono;
            let (next, due) = {
                let mut deliveries = context.deliveries();
                (deliveries.begin(now), deliveries.next_due())
            };
            if let Some((name, delivery)) = next {
                tasks.spawn(Arc::clone(self).run(name, delivery));
                continue;
            }
            tokio::select! {
                () = context.delivery_offered() => {}
                Some(_) = tasks.join_next() => {}
                () = tokio::time::sleep(due.map_or(LONGEST_LOOK, |due| due.until(now).min(LONGEST_LOOK))) => {}
            }
        }
    }

    async fn run(self: Arc<Self>, name: ObjectName, delivery: Arc<Delivery>) {
        let span = traces::delivery(name.namespace(), name.name(), &delivery.fingerprint);
        let running = AssertUnwindSafe(self.deliver(&name, &delivery).instrument(span)).catch_unwind();
        let ended = tokio::time::timeout(LONGEST_RUN, running).await;
        let (outcome, remaining) = ended
            .ok()
            .and_then(Result::ok)
            .unwrap_or_else(|| (begun(&delivery), Remaining { has_failed: true, ..Remaining::default() }));
        let now = self.context.clock.now().mono;
        if self.context.deliveries().ended(&name, &delivery, outcome, remaining, now) {
            self.context.changed(&name);
        }
    }

    /// Does what is left of a delivery: who has the token already is left alone.
    async fn deliver(&self, name: &ObjectName, delivery: &Arc<Delivery>) -> (Outcome, Remaining) {
        let (mut outcome, mut remaining) = (begun(delivery), Remaining::default());
        if delivery.spec.annotates_pods() {
            let PodsReached { told, is_news, unaware, problem } = self.tell_pods(name, delivery).await;
            (outcome.pods, outcome.unaware) = (Some(told), unaware);
            self.note(&mut outcome, is_news);
            self.measure(delivery, is_news);
            remaining.has_failed |= take(&mut outcome, problem);
        }
        if let Some(restart) = delivery.spec.restarts() {
            let Restarted { done, is_news, withheld, rolling, pause, problem } =
                self.restart(name, delivery, restart).await;
            remaining.is_rolling = !rolling.is_empty();
            remaining.pause = pause;
            (outcome.workloads, outcome.withheld, outcome.rolling) = (done, withheld, rolling);
            outcome.workloads.truncate(MOST_WORKLOADS);
            self.note(&mut outcome, is_news);
            remaining.has_failed |= take(&mut outcome, problem);
        }
        (outcome, remaining)
    }

    fn note(&self, outcome: &mut Outcome, is_news: bool) {
        if is_news {
            outcome.reached_at = Some(self.context.clock.now().wall);
        }
    }

    fn measure(&self, delivery: &Delivery, is_news: bool) {
        if let Some(written) = delivery.written_at.filter(|_| is_news) {
            self.context.metrics.observe_propagation(self.context.clock.now().mono.until(written));
        }
    }

    /// Waits for the turn of a write.
    ///
    /// # Errors
    /// When it is not wanted any more.
    async fn turn(&self, name: &ObjectName, delivery: &Arc<Delivery>) -> Result<(), Problem> {
        let now = self.context.clock.now().mono;
        let at = {
            let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
            let at = writes.ready_at(now, INTERVAL);
            writes.take(now, INTERVAL);
            at
        };
        if at > now {
            tokio::time::sleep(at.until(now)).await;
        }
        self.wanted(name, delivery)
    }

    fn wanted(&self, name: &ObjectName, delivery: &Arc<Delivery>) -> Result<(), Problem> {
        let is_wanted = self.context.leadership.is_leader() && self.context.deliveries().is_wanted(name, delivery);
        if is_wanted { Ok(()) } else { Err(Problem::Unwanted) }
    }

    fn left(&self, until: Option<Moment>) -> Option<Duration> {
        until.map(|until| until.until(self.context.clock.now().mono))
    }
}

/// The outcome of a delivery that has reached nobody yet.
fn begun(delivery: &Delivery) -> Outcome {
    let (generation, fingerprint) = (delivery.generation, delivery.fingerprint.clone());
    Outcome { generation, fingerprint, ..Outcome::default() }
}

/// Notes a refusal; true for what is to be tried again.
fn take(outcome: &mut Outcome, problem: Option<Problem>) -> bool {
    match problem {
        None | Some(Problem::Unwanted) => false,
        Some(Problem::Failed) => true,
        Some(Problem::Refused(clause)) => {
            outcome.refusal.get_or_insert(clause);
            true
        }
    }
}
