//! Leader election: acquires the Lease when it is free, renews it, and tells at any moment whether this process may
//! act.

use crate::client::error::{describe, describe_watch};
use crate::clock::Clock;
use crate::controller::watches;
use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Event, watcher};
use kube::{Api, Client};
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::lease::{Candidate, LeaseAction, Term, Timing, is_free};
use syniverse_token_core::secrets::operator_post_params;
use syniverse_token_core::time::Moment;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Timeout of an attempt.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Whether this process may act.
#[derive(Clone, Debug)]
pub struct Leadership {
    term: watch::Receiver<Option<Term>>,
    /// How long after each renewal requests may be sent.
    calls_for: Duration,
}

impl Leadership {
    /// Leadership of a process that runs alone: forever, since its start.
    pub fn sole() -> Self {
        let start = Moment::after_start(Duration::ZERO);
        let (_, term) = watch::channel(Some(Term { since: start, renewed: start, released_by: None }));
        Self::elected(term, Duration::MAX)
    }

    /// Of a process that acts while there is a `term`, and may send requests for this long after each renewal.
    pub fn elected(term: watch::Receiver<Option<Term>>, calls_for: Duration) -> Self {
        Self { term, calls_for }
    }

    /// True while this process acts.
    pub fn is_leader(&self) -> bool {
        self.term.borrow().is_some()
    }

    /// True while a request sent now ends before another process could act.
    pub fn may_call(&self, now: Moment) -> bool {
        self.term.borrow().as_ref().is_some_and(|term| now < term.renewed + self.calls_for)
    }

    /// Since when this process acts: all its knowledge of resources is from later.
    pub fn since(&self) -> Moment {
        self.term().map_or(Moment::after_start(Duration::ZERO), |term| term.since)
    }

    /// The term in which this process acts.
    pub fn term(&self) -> Option<Term> {
        self.term.borrow().clone()
    }

    /// Resolves when this process acts, if it ever does.
    pub async fn wait_until_leader(&mut self) {
        self.wait_until(Option::is_some).await;
    }

    /// Resolves when this process does not act.
    pub async fn wait_until_not_leader(&mut self) {
        self.wait_until(Option::is_none).await;
    }

    /// Resolves when this process acts since a moment other than `last`, and returns that moment: also when leadership
    /// was lost and regained unnoticed.
    pub async fn wait_for_new_term(&mut self, last: Option<Moment>) -> Moment {
        self.wait_until(|term| term.as_ref().is_some_and(|term| Some(term.since) != last)).await;
        self.since()
    }

    async fn wait_until(&mut self, is_so: impl Fn(&Option<Term>) -> bool) {
        if self.term.wait_for(is_so).await.is_err() {
            // No elector, or it has ended: nothing changes any more.
            std::future::pending().await
        }
    }
}

/// Parameters of the election.
#[derive(Clone, Debug)]
pub struct LeaseParams {
    /// The namespace of the Lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Names this process.
    pub identity: String,
    /// Timing of the Lease.
    pub timing: Timing,
}

/// Acquires, renews and releases the Lease.
pub struct Elector {
    api: Api<Lease>,
    /// The same, for a watch.
    watched: Api<Lease>,
    params: LeaseParams,
    candidate: Candidate,
    clock: Arc<dyn Clock>,
    term: watch::Sender<Option<Term>>,
}

impl Elector {
    /// An elector with a client for requests and a client for watches, and the leadership that it publishes. Requests
    /// to issuers take up to `call_timeout`.
    pub fn new(
        [client, watches]: [Client; 2],
        params: LeaseParams,
        clock: Arc<dyn Clock>,
        call_timeout: Duration,
    ) -> (Self, Leadership) {
        let (sender, term) = watch::channel(None);
        let candidate = Candidate::new(params.identity.clone(), params.timing);
        let [api, watched] = [client, watches].map(|client| Api::namespaced(client, &params.namespace));
        let calls_for = params.timing.calls_may_begin_for(call_timeout);
        (Self { api, watched, params, candidate, clock, term: sender }, Leadership::elected(term, calls_for))
    }

    /// Keeps the Lease until `stop`, which comes when everything else has ended, and then releases it.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut freed = std::pin::pin!(self.releases());
        let mut stop = std::pin::pin!(stop);
        loop {
            self.attempt().await;
            let wait = self.wait();
            tokio::select! {
                () = sleep(wait) => {}
                Some(()) = freed.next(), if self.candidate.term().is_none() => {}
                () = &mut stop => break,
            }
        }
        self.release().await;
    }

    /// Releases of the Lease by its holder. Without the right to watch it there are none, and the Lease is acquired
    /// once it has expired.
    fn releases(&self) -> impl Stream<Item = ()> + use<> {
        let only = watches::short_watch().fields(&format!("metadata.name={}", self.params.name));
        let (leases, name) = (watcher(self.watched.clone(), only).default_backoff(), self.params.name.clone());
        leases.filter_map(move |event| {
            let lease = match event {
                Ok(Event::Apply(lease) | Event::InitApply(lease)) => lease.spec,
                Ok(_) => None,
                Err(error) => {
                    let error = describe_watch(&error);
                    tracing::warn!(
                        lease = name,
                        error,
                        "failed to watch the Lease, retrying; until then a release is noticed late"
                    );
                    None
                }
            };
            futures::future::ready(lease.filter(is_free).map(drop))
        })
    }

    async fn attempt(&mut self) {
        let sent = self.clock.now().mono;
        let left = self.candidate.renew_deadline_at().map_or(ATTEMPT, |end| end.until(sent).min(ATTEMPT));
        match timeout(left, self.acquire_or_renew(sent)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    lease = self.params.name,
                    error = describe(&error),
                    "failed to acquire or renew the \
                    Lease"
                )
            }
            Err(_) => tracing::warn!(
                lease = self.params.name,
                "failed to acquire or renew the Lease: no response in \
                time"
            ),
        }
        let now = self.clock.now().mono;
        if self.candidate.renew_deadline_at().is_some_and(|end| end <= now) {
            self.candidate.lost();
        }
        self.publish();
    }

    async fn acquire_or_renew(&mut self, sent: Moment) -> kube::Result<()> {
        let found = self.api.get_opt(&self.params.name).await?;
        let now = self.clock.now();
        let written = match self.candidate.next_action(&self.params.name, found, now) {
            LeaseAction::Wait(_) => return Ok(()),
            LeaseAction::Create(lease) => self.api.create(&operator_post_params(), &lease).await,
            LeaseAction::Replace(lease) => self.api.replace(&self.params.name, &operator_post_params(), &lease).await,
        };
        match written {
            Ok(lease) => self.candidate.acquired(lease, sent),
            // The next attempt sees which candidate was faster.
            Err(kube::Error::Api(refusal)) if refusal.is_conflict() || refusal.is_already_exists() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn publish(&self) {
        let term = self.candidate.term().cloned();
        let (leads, was) = (term.is_some(), self.term.send_replace(term));
        let (lease, identity) = (&self.params.name, &self.params.identity);
        match (was, leads) {
            (None, true) => tracing::info!(lease, identity, "became the leader"),
            (Some(_), false) => tracing::info!(lease, identity, "lost leadership; starting no new issuer calls"),
            _ => {}
        }
    }

    /// Attempts come every retry period; the leader makes another attempt right at its deadline.
    fn wait(&self) -> Duration {
        let now = self.clock.now().mono;
        let deadline = self.candidate.renew_deadline_at().map(|end| end.until(now));
        let period = self.params.timing.retry_period;
        deadline.map_or(period, |deadline| period.min(deadline))
    }

    async fn release(mut self) {
        self.candidate.lost();
        self.publish();
        // Also if recent renewals failed, as long as the record is ours.
        let released = timeout(ATTEMPT, async {
            let Some(lease) = self.api.get_opt(&self.params.name).await? else { return Ok(false) };
            let Some(released) = self.candidate.release(lease, self.clock.now()) else { return Ok(false) };
            self.api.replace(&self.params.name, &operator_post_params(), &released).await.map(|_| true)
        });
        match released.await {
            Ok(Ok(true)) => tracing::info!(lease = self.params.name, "released the Lease"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                tracing::warn!(lease = self.params.name, error = describe(&error), "failed to release the Lease")
            }
            Err(_) => tracing::warn!(lease = self.params.name, "failed to release the Lease: no response in time"),
        }
    }
}
