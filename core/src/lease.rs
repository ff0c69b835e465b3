//! The Lease by which replicas agree on one that acts: what a candidate makes of it, by the rules of client-go.
//!
//! How long a Lease still holds is judged by this process' own monotonic clock since it last saw the record change, never by
//! the times in it: those are another machine's.

use crate::time::{Moment, Now};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use std::time::Duration;

/// Kept free between the latest end of a call and the end of the Lease it was begun under.
const RESERVE: Duration = Duration::from_secs(1);
/// A released Lease holds for so long, in seconds, should somebody not understand the empty holder.
const RELEASED_SECONDS: i32 = 1;

/// How a Lease is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long it holds after its last renewal.
    pub duration: Duration,
    /// Who could not renew it for so long stops acting.
    pub renew_deadline: Duration,
    /// Between two attempts to take or renew it.
    pub retry_period: Duration,
}

impl Timing {
    /// How long after a renewal a call of up to `call_timeout` may begin: it ends before the Lease can be another's.
    pub fn calls_may_begin_for(&self, call_timeout: Duration) -> Duration {
        self.duration.saturating_sub(call_timeout + RESERVE).min(self.renew_deadline)
    }
}

/// One who wants to hold the Lease.
#[derive(Clone, Debug)]
pub struct Candidate {
    identity: String,
    timing: Timing,
    /// The record as last read, and when it was first seen so.
    seen: Option<(LeaseSpec, Moment)>,
    term: Option<Term>,
}

/// Our holding the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// When it began.
    pub since: Moment,
    /// When the request was sent that last renewed it.
    pub renewed: Moment,
    /// Whoever held it before has released it, which comes after the last of its calls.
    pub follows_release: bool,
}

/// What to do about the Lease.
#[derive(Clone, Debug, PartialEq)]
pub enum LeaseAction {
    /// There is none: whoever creates it holds it.
    Create(Lease),
    /// It is ours or free: whoever replaces the version that was read holds it.
    Replace(Lease),
    /// Another one holds it, until then at least.
    Wait(Moment),
}

impl Candidate {
    /// One who holds nothing yet. `identity` is different for each process.
    pub fn new(identity: String, timing: Timing) -> Self {
        Self { identity, timing, seen: None, term: None }
    }

    /// None = another holds it, or nobody.
    pub fn term(&self) -> Option<Term> {
        self.term
    }

    /// When we stop acting if it is not renewed before.
    pub fn renew_deadline_at(&self) -> Option<Moment> {
        self.term.map(|term| term.renewed + self.timing.renew_deadline)
    }

    /// Takes in the Lease as it is, and decides.
    pub fn next_action(&mut self, name: &str, found: Option<Lease>, now: Now) -> LeaseAction {
        let Some(mut lease) = found else {
            self.seen = None;
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
            _ => {
                self.seen = Some((spec.clone(), now));
                now
            }
        }
    }

    /// The bid was taken: `lease` is what came of it, `sent` when the attempt began.
    pub fn acquired(&mut self, lease: Lease, sent: Moment) {
        let follows_release = self.seen.as_ref().is_some_and(|(before, _)| is_released(before));
        let begins = Term { since: sent, renewed: sent, follows_release };
        self.term = Some(Term { renewed: sent, ..self.term.unwrap_or(begins) });
        self.seen = lease.spec.map(|spec| (spec, sent));
    }

    /// Somebody else was faster, or the deadline has passed.
    pub fn lost(&mut self) {
        self.term = None;
    }

    /// The Lease as it is when we let go of it; none when it is not ours to give.
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

/// True when nobody holds it.
pub fn is_free(spec: &LeaseSpec) -> bool {
    spec.holder_identity.as_deref().unwrap_or_default().is_empty()
}

/// True when its holder has let go of it: one that somebody else emptied says nothing of the holder's calls.
fn is_released(spec: &LeaseSpec) -> bool {
    is_free(spec) && spec.lease_duration_seconds == Some(RELEASED_SECONDS)
}

fn held_for(spec: &LeaseSpec, usually: Duration) -> Duration {
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(usually, |seconds| Duration::from_secs(seconds.max(1)))
}
