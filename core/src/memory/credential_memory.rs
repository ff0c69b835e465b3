//! What the process knows of one credential beside its record in the state.

use crate::fingerprint::fingerprint;
use crate::issuer::RenewalTime;
use crate::issuer::{Answer, Failure, FailureKind, Lifetime, expiry_moves};
use crate::schedule::expiry_poll::Boundary;
use crate::schedule::retry::{FailedCall, retry_at};
use crate::schedule::{Deadline, Life};
use crate::state::{Attempt, Brought, Inputs, Issued, Role};
use crate::time::{Moment, Now};
use std::collections::BTreeMap;
use std::time::Duration;

/// A token that ends within this is urgent.
const URGENT: Duration = Duration::from_secs(60);

/// What the process knows of one credential.
#[derive(Clone, Debug, Default)]
pub struct CredentialMemory {
    /// The life of its token, as this process' own answers tell it.
    pub(super) deadline: Option<Deadline>,
    /// The asking around the token's end.
    pub(super) boundary: Option<Boundary>,
    /// Calls that failed, until one succeeds.
    failures: BTreeMap<Role, Failing>,
    /// What a login was asked for with that was refused while the session before it goes on.
    pub refused_login: Option<Inputs>,
}

/// A row of failed calls.
#[derive(Clone, Debug)]
pub struct Failing {
    /// What the last one was.
    pub kind: FailureKind,
    /// What the first one of this kind said: kept, so that the status does not change with every retry.
    pub detail: String,
    /// What was tried.
    pub attempt: Attempt,
    /// How many in a row.
    pub count: u32,
    /// How many of them the issuer refused: chooses the next old token to try.
    pub refused: u32,
    /// The issuer has given a token for what was tried.
    pub was_served: bool,
    /// No retry before this.
    pub not_before: Moment,
    /// The issuer's own wish, as far as it is granted: whatever happens, not before this.
    pub wished: Moment,
    /// It wished for more, now or at an earlier call of the row.
    pub is_cut_short: bool,
}

/// What a failure is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The endpoint counts as down.
    pub endpoint_down: bool,
    /// The next token can be had only while the present one lives.
    pub before_expiry: bool,
    /// The issuer has given this resource a token for the same inputs.
    pub was_served: bool,
    /// Makes jitter without randomness.
    pub spread: u64,
}

impl CredentialMemory {
    /// The row of failed calls in this role.
    pub fn failing(&self, role: Role) -> Option<&Failing> {
        self.failures.get(&role)
    }

    pub(super) fn life(&self, issued: &Issued, now: Now) -> Life {
        Life::of(issued, &fingerprint(&issued.token), self.deadline.as_ref(), now)
    }

    /// The asking around the end of `issued`.
    pub fn boundary(&self, issued: &Issued) -> Option<&Boundary> {
        self.boundary.as_ref().filter(|boundary| boundary.is_of(&fingerprint(&issued.token)))
    }

    fn boundary_mut(&mut self, issued: &Issued) -> &mut Boundary {
        let token = fingerprint(&issued.token);
        self.boundary.take_if(|boundary| !boundary.is_of(&token));
        self.boundary.get_or_insert_with(|| Boundary::of(token))
    }

    fn is_at_an_end(&self, issued: &Issued, sent: Now) -> bool {
        let is_asked_again = self.boundary(issued).is_some() || self.life(issued, sent).ends_by(sent.mono);
        is_asked_again && issued.renewal().when == RenewalTime::AfterExpiry
    }

    pub(super) fn called(&mut self, issued: Option<&Issued>, sent: Now) {
        if let Some(issued) = issued.filter(|issued| self.is_at_an_end(issued, sent)) {
            self.boundary_mut(issued).called(sent.mono);
        }
    }

    /// A call in this role was answered. An answer to what is wanted ends what goes on beside it as well.
    pub(super) fn succeeded(&mut self, role: Role) {
        self.failures.remove(&Role::Fallback);
        self.failures.remove(&role);
    }

    pub(super) fn given(&mut self, issued: Option<&Issued>, answer: &Answer, sent: Now) {
        match Brought::by(answer, issued) {
            Brought::Previous(issued) => self.unchanged(issued, Lifetime::Seconds(0), sent),
            Brought::Same(issued) => {
                self.unchanged(issued, answer.lifetime, sent);
                self.follow(issued, answer, sent);
            }
            Brought::New => self.rotated(answer, sent),
        }
    }

    fn rotated(&mut self, answer: &Answer, sent: Now) {
        let expires = end_of(answer.lifetime, sent.mono);
        let fingerprint = fingerprint(&answer.token);
        self.deadline = Some(Deadline { fingerprint, answered: sent, expires, first_expires: expires });
        self.boundary = None;
    }

    fn unchanged(&mut self, issued: &Issued, left: Lifetime, sent: Now) {
        let life = self.life(issued, sent);
        if self.is_at_an_end(issued, sent) {
            // Gateways report up to 300 s too much now and then: at an end, a long time left is believed only once that
            // end is surely over.
            let left = if life.is_barely_over(sent.mono) { Lifetime::Seconds(0) } else { left };
            let boundary = self.boundary_mut(issued);
            if life.reaches_an_end(sent.mono) {
                boundary.begin();
            }
            boundary.unchanged(sent.mono, left);
        }
        let first = Deadline {
            fingerprint: fingerprint(&issued.token),
            answered: sent,
            expires: life.expires,
            first_expires: None,
        };
        let own = self.deadline.take().filter(|own| own.fingerprint == first.fingerprint).unwrap_or(first);
        self.deadline = Some(Deadline { answered: sent, ..own });
    }

    fn follow(&mut self, issued: &Issued, answer: &Answer, sent: Now) {
        let doubted = issued.is_from_the_future(sent);
        let Some(deadline) = &mut self.deadline else { return };
        if doubted || expiry_moves(deadline.expires, sent.mono, answer.lifetime) {
            deadline.expires = end_of(answer.lifetime, sent.mono);
        }
    }

    /// Takes in a failure of a call that came at `failed_at`, while its token had this `life`.
    pub(super) fn failed(
        &mut self,
        failure: &Failure,
        attempt: Attempt,
        life: Option<&Life>,
        failed_at: Moment,
        around: Circumstances,
    ) {
        let before = self.failures.remove(&attempt.role);
        let same = before.as_ref().filter(|before| before.attempt == attempt);
        let (count, refused) = same.map_or((0, 0), |before| (before.count, before.refused));
        let (count, refused) = (count + 1, refused + u32::from(failure.kind == FailureKind::Refused));
        let call = failed_call(failure, count, life, failed_at, around);
        let told = same.filter(|before| before.kind == failure.kind);
        let failing = Failing {
            kind: failure.kind,
            detail: told.map_or_else(|| failure.detail.clone(), |before| before.detail.clone()),
            count,
            refused,
            was_served: around.was_served,
            not_before: retry_at(call),
            wished: failed_at + call.granted(),
            is_cut_short: call.is_cut_short() || told.is_some_and(|before| before.is_cut_short),
            attempt,
        };
        self.failures.insert(failing.attempt.role, failing);
    }

    pub(super) fn endpoint_is_up(&mut self, now: Moment) {
        for failing in self.failures.values_mut().filter(|failing| failing.kind == FailureKind::Unavailable) {
            failing.not_before = failing.not_before.min(now).max(failing.wished);
        }
    }
}

fn failed_call(
    failure: &Failure,
    count: u32,
    life: Option<&Life>,
    failed_at: Moment,
    around: Circumstances,
) -> FailedCall {
    let expires = life.and_then(|life| life.expires);
    FailedCall {
        kind: failure.kind,
        count,
        failed_at,
        retry_after: failure.retry_after,
        expires,
        before_expiry: around.before_expiry,
        pressing: life.is_none() || expires.is_some_and(|expires| expires <= failed_at + URGENT),
        endpoint_down: around.endpoint_down,
        was_served: around.was_served,
        spread: around.spread,
    }
}

fn end_of(lifetime: Lifetime, sent: Moment) -> Option<Moment> {
    lifetime.duration().map(|life| sent + life)
}
