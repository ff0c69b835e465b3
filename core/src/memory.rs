//! What the process knows of one resource beside its Secrets. Losing it costs a look, never a token.

use crate::api::{SyniverseToken, SyniverseTokenStatus};
use crate::fingerprint::fingerprint;
use crate::intent::{Intent, RECORDING};
use crate::issuer::{Answer, Failure, FailureKind, Lifetime, expiry_moves};
use crate::revision::is_later;
use crate::schedule::expiry_poll::Boundary;
use crate::schedule::rate_limiter::{Bucket, CALLS, REPAIR_REFILL, REPAIRS, refill};
use crate::schedule::retry::{Delays, FailedCall, retry_at};
use crate::schedule::{Deadline, Life};
use crate::state::{Attempt, Brought, Held, Inputs, Issued, Outcome, State};
use crate::time::{Moment, Now, later};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How far the issuer's clock may be from ours before it is worth telling.
const LARGEST_SKEW_SECONDS: i64 = 30;
const MINUTE: Duration = Duration::from_secs(60);
/// Between two attempts at a write: the API server is asked often, it is ours.
const WRITE_RETRY: Delays = Delays { first: Duration::from_millis(250), longest: Duration::from_secs(5) };
/// The same of a write that is refused as it stands. No event tells that a rule was lifted.
const REFUSED_WRITE_RETRY: Delays = Delays { first: Duration::from_secs(1), longest: MINUTE };

/// What the process knows of one resource.
#[derive(Clone, Debug)]
pub struct Memory {
    /// An answer that is not yet in the state Secret.
    pub held: Option<Held>,
    /// The state as this process last read or wrote it.
    pub state: Option<State>,
    /// The intent that this process wrote last, and when it was written: the call it stands for is still to be made.
    pub intent: Option<(Intent, Moment)>,
    /// What this process last brought into the token Secret: writing the same again is a repair.
    pub delivered: Option<Delivery>,
    /// The status as this process last wrote it: the cache may still show an older one.
    pub status: Option<Told>,
    /// The status as the last pass would have it, written or not: what is said is said once.
    pub said: Option<SyniverseTokenStatus>,
    /// The fingerprint of the token that was last told of in an Event; empty for none.
    pub announced: Option<String>,
    /// Writes of the status that failed in a row.
    pub status_failures: u32,
    /// The life of the token, as this process' own answers tell it.
    pub deadline: Option<Deadline>,
    /// The asking around the token's end.
    boundary: Option<Boundary>,
    /// Calls that failed, until one succeeds.
    pub failing: Option<Failing>,
    /// The same of what goes on while these fail.
    pub upkeep_failing: Option<Failing>,
    /// What a login was asked for with that was refused while the session before it goes on.
    pub refused_login: Option<Inputs>,
    /// Writes that failed, until one of the same Secret succeeds.
    pub unwritten: BTreeMap<Target, Unwritten>,
    /// What the token Secret would have been written from when the API server said that it would take it.
    pub rehearsed: Option<Basis>,
    /// When this process wrote each Secret.
    written: BTreeMap<Target, Moment>,
    /// The Secrets that were immutable as soon as they were written.
    sealed: BTreeSet<Target>,
    /// Since when this process acts, as its last pass knew it.
    acting_since: Option<Moment>,
    /// The state was read since then.
    knows_state: bool,
    /// The state as this process last tried to write it, answered or not, until it is read.
    sent_state: Option<State>,
    /// The bucket of calls.
    pub governor: Bucket,
    /// The bucket of repairs.
    repairs: Bucket,
    /// This process has met another user of the same application.
    pub met_sharers: bool,
    /// What the last pass said about the next one; none = a pass is wanted.
    pub sleep: Option<Sleep>,
    /// The issuer's clock was found to differ from ours, and that was said.
    pub skewed: bool,
    /// Looks at the Secrets that the API server refused, in a row.
    pub refused_reads: u32,
    /// Passes in a row that came to nothing.
    pub failed_passes: u32,
    /// The fingerprint of a token that another resource of the same application was given.
    pub rotated_elsewhere: Option<String>,
}

/// A status as it was written.
#[derive(Clone, Debug)]
pub struct Told {
    /// What it says.
    pub status: SyniverseTokenStatus,
    /// The version of the resource that the API server made of it.
    pub version: Option<String>,
}

impl Told {
    /// True when `resource` was changed after this was written.
    pub fn is_older_than(&self, resource: &SyniverseToken) -> bool {
        is_later(resource.metadata.resource_version.as_deref(), self.version.as_deref())
    }
}

/// What a written token Secret is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Of the token.
    pub fingerprint: String,
    /// As its annotations say.
    pub issue_time: Timestamp,
    /// As its annotations say.
    pub expiration_time: Option<Timestamp>,
    /// Of the resource that shaped it.
    pub generation: Option<i64>,
}

/// How long nothing needs to be looked at, unless something changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sleep {
    until: Option<(Moment, Timestamp)>,
}

impl Sleep {
    /// Until `wake`, on whichever axis that comes first; none = until something changes.
    pub fn until(wake: Option<Moment>, now: Now) -> Self {
        Self { until: wake.map(|wake| (wake, later(now.wall, wake.until(now.mono)))) }
    }

    /// How much of it is left; none = until something changes. Never more than a minute: the wall clock may have
    /// stepped, or the machine slept.
    pub fn left(&self, now: Now) -> Option<Duration> {
        let (moment, time) = self.until?;
        Some(moment.until(now.mono).min(now.moment_of(time).until(now.mono)).min(MINUTE))
    }

    /// True when it is over.
    pub fn is_over(&self, now: Now) -> bool {
        self.left(now).is_some_and(|left| left.is_zero())
    }
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

/// One of the two Secrets that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The state Secret.
    State,
    /// The token Secret.
    Token,
}

/// A row of failed writes.
#[derive(Clone, Debug)]
pub struct Unwritten {
    /// Which Secret, and what the API server said at first: kept, so that the status does not change with every retry.
    pub detail: String,
    /// How many in a row.
    pub count: u32,
    /// No attempt before this.
    pub not_before: Moment,
    /// What the write started from that is refused as it stands; none for one that may succeed by itself.
    pub refused: Option<Basis>,
}

/// What a write starts from: once it changes, a refusal says nothing about the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Of the resource.
    pub generation: Option<i64>,
    /// The resourceVersion of the Secret; none where there is none yet.
    pub version: Option<String>,
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

impl Memory {
    /// Nothing known yet.
    pub fn new(now: Moment) -> Self {
        Self {
            held: None,
            state: None,
            intent: None,
            delivered: None,
            status: None,
            said: None,
            announced: None,
            status_failures: 0,
            deadline: None,
            boundary: None,
            failing: None,
            refused_login: None,
            upkeep_failing: None,
            unwritten: BTreeMap::new(),
            rehearsed: None,
            written: BTreeMap::new(),
            sealed: BTreeSet::new(),
            acting_since: None,
            knows_state: false,
            sent_state: None,
            governor: Bucket::new(CALLS, now),
            repairs: Bucket::new(REPAIRS, now),
            met_sharers: false,
            sleep: None,
            skewed: false,
            refused_reads: 0,
            failed_passes: 0,
            rotated_elsewhere: None,
        }
    }

    /// The life of `issued`, the earlier of what is stored and what this process saw.
    pub fn life(&self, issued: &Issued, now: Now) -> Life {
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
        is_asked_again && !issued.is_of_session()
    }

    /// Counts a call that is about to be sent.
    pub fn called(&mut self, issued: Option<&Issued>, sent: Now) {
        self.intent = None;
        self.governor.take(sent.mono, refill(issued));
        if let Some(issued) = issued.filter(|issued| self.is_at_an_end(issued, sent)) {
            self.boundary_mut(issued).called(sent.mono);
        }
    }

    /// Takes in an answer to a call made while `issued` was the token of that application or session, and holds it.
    pub fn answered(&mut self, issued: Option<&Issued>, held: Held) {
        self.upkeep_failing = None;
        if !held.attempt.is_upkeep {
            self.failing = None;
        }
        self.rotated_elsewhere = None;
        if matches!(held.outcome, Outcome::LoginRefused) {
            self.refused_login = Some(held.attempt.inputs.clone());
        }
        if let Outcome::Token(answer) = &held.outcome {
            self.given(issued, answer, held.sent);
        }
        self.held = Some(held);
    }

    fn given(&mut self, issued: Option<&Issued>, answer: &Answer, sent: Now) {
        match Brought::by(answer, issued) {
            Brought::Previous(issued) => self.unchanged(issued, Lifetime::Seconds(0), sent),
            Brought::Same(issued) => {
                self.unchanged(issued, answer.lifetime, sent);
                self.follow(issued, answer, sent);
            }
            Brought::New => self.rotated(answer, sent),
        }
    }

    /// Takes note of an intent that was written just now.
    pub fn intends(&mut self, intent: Option<Intent>, now: Moment) {
        self.intent = intent.map(|intent| (intent, now));
    }

    /// True while the call that `intent` stands for is still to be made by this process, and soon enough.
    pub fn is_about_to_call(&self, intent: &Intent, now: Moment) -> bool {
        self.intent.as_ref().is_some_and(|(own, written)| own == intent && now < *written + RECORDING)
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

    /// Takes note of how far the issuer's clock is ahead of ours; true when that is news worth telling. It is never used
    /// in arithmetic: all times are relative.
    pub fn saw_skew(&mut self, seconds: i64) -> bool {
        let is_skewed = seconds.abs() > LARGEST_SKEW_SECONDS;
        let was_skewed = std::mem::replace(&mut self.skewed, is_skewed);
        is_skewed && !was_skewed
    }

    /// True when the last call failed, whatever it was made with.
    pub fn is_failing(&self, is_upkeep: bool) -> bool {
        if is_upkeep { self.upkeep_failing.is_some() } else { self.failing.is_some() }
    }

    fn row(&mut self, is_upkeep: bool) -> &mut Option<Failing> {
        if is_upkeep { &mut self.upkeep_failing } else { &mut self.failing }
    }

    /// Takes in a failure of a call that came at `failed_at`.
    pub fn failed(
        &mut self,
        failure: &Failure,
        attempt: Attempt,
        life: Option<&Life>,
        failed_at: Moment,
        around: Circumstances,
    ) {
        let before = self.row(attempt.is_upkeep).take();
        let same = before.as_ref().filter(|before| before.attempt == attempt);
        // Retries have delays of their own; a value that is changed again and again has none.
        let is_paced = before.is_none() || same.is_some();
        if failure.kind == FailureKind::Unavailable && is_paced {
            self.governor.give_back();
        }
        let (count, refused) = same.map_or((0, 0), |before| (before.count, before.refused));
        let (count, refused) = (count + 1, refused + u32::from(failure.kind == FailureKind::Refused));
        let expires = life.and_then(|life| life.expires);
        let pressing = life.is_none() || expires.is_some_and(|expires| expires <= failed_at + MINUTE);
        let call = FailedCall {
            kind: failure.kind,
            count,
            failed_at,
            retry_after: failure.retry_after,
            expires,
            before_expiry: around.before_expiry,
            pressing,
            endpoint_down: around.endpoint_down,
            was_served: around.was_served,
            spread: around.spread,
        };
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
        let is_upkeep = failing.attempt.is_upkeep;
        *self.row(is_upkeep) = Some(failing);
    }

    /// Takes note that the endpoint is up again: a call that met it down is tried now.
    pub fn endpoint_is_up(&mut self, now: Moment) {
        let rows = [&mut self.failing, &mut self.upkeep_failing].into_iter().flatten();
        for failing in rows.filter(|failing| failing.kind == FailureKind::Unavailable) {
            failing.not_before = failing.not_before.min(now).max(failing.wished);
        }
    }

    /// Takes note of a write that the API server did not take, and may take later.
    pub fn write_failed(&mut self, target: Target, detail: String, now: Moment, spread: u64) {
        self.unwritten(target, Unwritten { detail, count: 1, not_before: now, refused: None }, spread);
    }

    /// Takes note of a write that the API server refuses as it stands.
    pub fn write_refused(&mut self, target: Target, detail: String, basis: Basis, now: Moment, spread: u64) {
        self.unwritten(target, Unwritten { detail, count: 1, not_before: now, refused: Some(basis) }, spread);
    }

    fn unwritten(&mut self, target: Target, failed: Unwritten, spread: u64) {
        let retry = if failed.refused.is_some() { REFUSED_WRITE_RETRY } else { WRITE_RETRY };
        let same = self.unwritten.remove(&target).filter(|before| before.refused == failed.refused);
        let (detail, before) = same.map_or((failed.detail, 0), |before| (before.detail, before.count));
        let count = before + 1;
        let not_before = failed.not_before + retry.after(count, spread);
        self.unwritten.insert(target, Unwritten { detail, count, not_before, ..failed });
    }

    /// The row of failed writes of this Secret, if what starts from `basis` is not to be tried yet.
    pub fn put_off(&self, target: Target, basis: &Basis, now: Moment) -> Option<&Unwritten> {
        let is_same = |unwritten: &&Unwritten| unwritten.refused.as_ref().is_none_or(|refused| refused == basis);
        self.unwritten.get(&target).filter(|unwritten| unwritten.not_before > now).filter(is_same)
    }

    /// Takes note of a write that was taken; the Secret may have been made immutable on its way.
    pub fn wrote(&mut self, target: Target, is_immutable: bool, now: Moment) {
        self.unwritten.remove(&target);
        self.written.insert(target, now);
        self.seal(target, is_immutable);
    }

    /// Takes note of how a Secret was found: what turned immutable so soon after it was written was not made so by hand.
    pub fn found(&mut self, target: Target, is_immutable: bool, now: Moment) {
        let is_fresh = self.written.get(&target).is_some_and(|written| now < *written + MINUTE);
        self.seal(target, is_immutable && (is_fresh || self.sealed.contains(&target)));
    }

    fn seal(&mut self, target: Target, is_sealed: bool) {
        if is_sealed {
            self.sealed.insert(target)
        } else {
            self.sealed.remove(&target)
        };
    }

    /// True once this process has written this Secret.
    pub fn has_written(&self, target: Target) -> bool {
        self.written.contains_key(&target)
    }

    /// True of a Secret that something makes immutable as soon as it is written.
    pub fn is_sealed(&self, target: Target) -> bool {
        self.sealed.contains(&target)
    }

    /// Takes note of since when this process acts: while another one did, it may have said something else.
    pub fn acts_since(&mut self, since: Moment) {
        if self.acting_since.replace(since) != Some(since) {
            (self.status, self.said) = (None, None);
            self.knows_state = false;
        }
    }

    /// Takes note of a state before it is written. The answer to that may be lost, or be a conflict with itself.
    pub fn writes(&mut self, state: State) {
        self.sent_state = Some(state);
    }

    /// Takes note of the state as it was read. True when another process has recorded an answer in it while this one acts;
    /// a write of our own that seemed to fail may have come through.
    pub fn read(&mut self, stored: State) -> bool {
        let is_sent = self.sent_state.take().as_ref() == Some(&stored) || self.unwritten.contains_key(&Target::State);
        let is_ours = !self.knows_state || is_sent;
        let known = self.state.replace(stored.clone());
        self.knows_state = true;
        !is_ours && known.is_some_and(|known| stored.is_newer_than(&known))
    }

    /// Takes note of a repair.
    pub fn repaired(&mut self, now: Moment) {
        self.repairs.take(now, REPAIR_REFILL);
    }

    /// The earliest moment for a repair.
    pub fn repair_at(&self, now: Moment) -> Moment {
        self.repairs.ready_at(now, REPAIR_REFILL)
    }
}

fn end_of(lifetime: Lifetime, sent: Moment) -> Option<Moment> {
    lifetime.duration().map(|life| sent + life)
}
