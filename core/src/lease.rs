//! The Lease by which replicas elect a leader: the decisions of a candidate, by the rules of client-go.
//!
//! The validity of a Lease is judged by this process' own monotonic clock since it last saw the record change, never by
//! the times in it, which are another machine's.

use crate::intent::Intent;
use crate::time::{Moment, Now};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use std::sync::Arc;
use std::time::Duration;

/// Margin between the latest end of a request and the expiry of the Lease under which it was sent.
const RESERVE: Duration = Duration::from_secs(1);
/// Duration of a released Lease, in seconds, for candidates that ignore the empty holder.
const RELEASED_SECONDS: i32 = 1;

/// Timing of a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Validity after the last renewal.
    pub duration: Duration,
    /// Time without a renewal after which the leader stops acting.
    pub renew_deadline: Duration,
    /// Interval between attempts to acquire or renew it.
    pub retry_period: Duration,
}

impl Timing {
    /// How long after a renewal a request of up to `call_timeout` may be sent: it ends before another process can hold
    /// the Lease.
    pub fn calls_may_begin_for(&self, call_timeout: Duration) -> Duration {
        self.duration.saturating_sub(call_timeout + RESERVE).min(self.renew_deadline)
    }
}

/// A process that wants to hold the Lease.
#[derive(Clone, Debug)]
pub struct Candidate {
    identity: String,
    timing: Timing,
    /// The record as last read, and when it was first seen so.
    seen: Option<(LeaseSpec, Moment)>,
    /// Its last holder, where that was seen before the record was released.
    releaser: Option<Arc<str>>,
    term: Option<Term>,
}

/// A term as the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// When it began.
    pub since: Moment,
    /// When the request was sent that last renewed it.
    pub renewed: Moment,
    /// The identity of the previous holder, if it released the Lease, which comes after the last of its requests.
    pub released_by: Option<Arc<str>>,
}

impl Term {
    /// True when the request of `intent` was over before this term began. That of another shard's process, from which a
    /// namespace may have come, may be on its way.
    pub fn follows(&self, intent: &Intent, now: Now) -> bool {
        let process = self.released_by.as_deref().and_then(|identity| identity.rsplit('_').next());
        process == Some(intent.holder.as_str()) && now.moment_of(intent.time) <= self.since
    }
}

/// The next action on the Lease.
#[derive(Clone, Debug, PartialEq)]
pub enum LeaseAction {
    /// There is no Lease: the process that creates it holds it.
    Create(Lease),
    /// The Lease is ours or free: the process that replaces the version that was read holds it.
    Replace(Lease),
    /// Another process holds it, at least until then.
    Wait(Moment),
}

impl Candidate {
    /// A candidate that holds nothing yet. `identity` is different for each process.
    pub fn new(identity: String, timing: Timing) -> Self {
        Self { identity, timing, seen: None, releaser: None, term: None }
    }

    /// None = another process or no process holds it.
    pub fn term(&self) -> Option<&Term> {
        self.term.as_ref()
    }

    /// When this process stops acting unless the Lease is renewed.
    pub fn renew_deadline_at(&self) -> Option<Moment> {
        self.term().map(|term| term.renewed + self.timing.renew_deadline)
    }

    /// Takes the current Lease, and decides.
    pub fn next_action(&mut self, name: &str, found: Option<Lease>, now: Now) -> LeaseAction {
        let Some(mut lease) = found else {
            (self.seen, self.releaser) = (None, None);
            let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
            return LeaseAction::Create(Lease { metadata, spec: Some(self.record(&LeaseSpec::default(), now)) });
        };
        let spec = lease.spec.take().unwrap_or_default();
        let since = self.first_seen(&spec, now.mono);
        let free_at = since + held_for(&spec, self.timing.duration);
        if !self.is_ours(&spec) && !is_free(&spec) && now.mono < free_at {
            self.term = None;
            return LeaseAction::Wait(free_at);
        }
        lease.spec = Some(self.record(&spec, now));
        LeaseAction::Replace(lease)
    }

    fn first_seen(&mut self, spec: &LeaseSpec, now: Moment) -> Moment {
        match &self.seen {
            Some((seen, since)) if seen == spec => *since,
            before => {
                let holder = before.as_ref().and_then(|(before, _)| before.holder_identity.as_deref());
                self.releaser = holder.filter(|holder| is_released(spec) && !holder.is_empty()).map(Arc::from);
                self.seen = Some((spec.clone(), now));
                now
            }
        }
    }

    /// The bid was taken: `lease` is what came of it, `sent` when the attempt began.
    pub fn acquired(&mut self, lease: Lease, sent: Moment) {
        let begins = || Term { since: sent, renewed: sent, released_by: self.releaser.take() };
        self.term = Some(Term { renewed: sent, ..self.term.take().unwrap_or_else(begins) });
        self.seen = lease.spec.map(|spec| (spec, sent));
    }

    /// Another process was faster, or the deadline has passed.
    pub fn lost(&mut self) {
        self.term = None;
    }

    /// The Lease as released; none when this process does not hold it.
    pub fn release(&self, mut lease: Lease, now: Now) -> Option<Lease> {
        let spec = lease.spec.take().filter(|spec| self.is_ours(spec))?;
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(RELEASED_SECONDS),
            renew_time: Some(MicroTime(now.wall)),
            ..spec
        });
        Some(lease)
    }

    fn is_ours(&self, spec: &LeaseSpec) -> bool {
        spec.holder_identity.as_ref() == Some(&self.identity)
    }

    fn record(&self, before: &LeaseSpec, now: Now) -> LeaseSpec {
        let time = Some(MicroTime(now.wall));
        let (acquired, transitions) = if self.is_ours(before) {
            (before.acquire_time.clone(), before.lease_transitions)
        } else {
            let is_first = before.holder_identity.is_none();
            (time.clone(), Some(before.lease_transitions.unwrap_or_default() + i32::from(!is_first)))
        };
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            acquire_time: acquired,
            renew_time: time,
            lease_duration_seconds: i32::try_from(self.timing.duration.as_secs().max(1)).ok(),
            lease_transitions: transitions,
            ..before.clone()
        }
    }
}

/// True when no process holds it.
pub fn is_free(spec: &LeaseSpec) -> bool {
    spec.holder_identity.as_deref().unwrap_or_default().is_empty()
}

/// True when its holder released it: a Lease emptied by another writer says nothing about the holder's requests.
fn is_released(spec: &LeaseSpec) -> bool {
    is_free(spec) && spec.lease_duration_seconds == Some(RELEASED_SECONDS)
}

fn held_for(spec: &LeaseSpec, usually: Duration) -> Duration {
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(usually, |seconds| Duration::from_secs(seconds.max(1)))
}
