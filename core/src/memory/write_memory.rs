//! What the process knows of its writes of one resource's two Secrets.

use crate::schedule::rate_limiter::{REPAIR_REFILL, REPAIRS, RateLimiter};
use crate::schedule::retry::Backoff;
use crate::time::{MINUTE, Moment};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Between two attempts at a write: the API server is asked often, it is ours.
const WRITE_RETRY: Backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(5) };
/// The same of a write that is refused as it stands. No event tells that a rule was lifted.
const REFUSED_WRITE_RETRY: Backoff = Backoff { first: Duration::from_secs(1), longest: MINUTE };

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
pub struct FailedWrites {
    /// Which Secret, and what the API server said at first: kept, so that the status does not change with every retry.
    pub detail: String,
    /// How many in a row.
    pub count: u32,
    /// No attempt before this.
    pub not_before: Moment,
    /// What the write started from that is refused as it stands; none for one that may succeed by itself.
    pub refused: Option<WriteBasis>,
}

/// What a write starts from: once it changes, a refusal says nothing about the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteBasis {
    /// Of the resource.
    pub generation: Option<i64>,
    /// The resourceVersion of the Secret; none where there is none yet.
    pub version: Option<String>,
}

/// What the process knows of its writes.
#[derive(Clone, Debug)]
pub struct WriteMemory {
    /// Writes that failed, until one of the same Secret succeeds.
    failing: BTreeMap<Target, FailedWrites>,
    /// What the token Secret would have been written from when the API server said that it would take it.
    dry_run: Option<WriteBasis>,
    /// When this process wrote each Secret.
    written_at: BTreeMap<Target, Moment>,
    /// The Secrets that were immutable as soon as they were written.
    immutable_on_write: BTreeSet<Target>,
    /// The bucket of repairs.
    repair_limiter: RateLimiter,
}

impl WriteMemory {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            failing: BTreeMap::new(),
            dry_run: None,
            written_at: BTreeMap::new(),
            immutable_on_write: BTreeSet::new(),
            repair_limiter: RateLimiter::new(REPAIRS, now),
        }
    }

    /// The row of failed writes of this Secret.
    pub fn failing(&self, target: Target) -> Option<&FailedWrites> {
        self.failing.get(&target)
    }

    /// True when the last write of any Secret failed.
    pub fn is_failing(&self) -> bool {
        !self.failing.is_empty()
    }

    /// Takes note that the API server would take a token Secret written from `basis`.
    pub fn dry_run_succeeded(&mut self, basis: WriteBasis) {
        self.failing.remove(&Target::Token);
        self.dry_run = Some(basis);
    }

    /// True when the API server said that it would take what starts from `basis`.
    pub fn has_dry_run(&self, basis: &WriteBasis) -> bool {
        self.dry_run.as_ref() == Some(basis)
    }

    /// Takes note of a write that the API server did not take, and may take later.
    pub fn write_failed(&mut self, target: Target, detail: String, now: Moment, spread: u64) {
        self.add_failed_write(target, FailedWrites { detail, count: 1, not_before: now, refused: None }, spread);
    }

    /// Takes note of a write that the API server refuses as it stands.
    pub fn write_refused(&mut self, target: Target, detail: String, basis: WriteBasis, now: Moment, spread: u64) {
        self.add_failed_write(target, FailedWrites { detail, count: 1, not_before: now, refused: Some(basis) }, spread);
    }

    fn add_failed_write(&mut self, target: Target, failed: FailedWrites, spread: u64) {
        let retry = if failed.refused.is_some() { REFUSED_WRITE_RETRY } else { WRITE_RETRY };
        let same = self.failing.remove(&target).filter(|before| before.refused == failed.refused);
        let (detail, before) = same.map_or((failed.detail, 0), |before| (before.detail, before.count));
        let count = before + 1;
        let not_before = failed.not_before + retry.after(count, spread);
        self.failing.insert(target, FailedWrites { detail, count, not_before, ..failed });
    }

    /// The row of failed writes of this Secret, if what starts from `basis` is not to be tried yet.
    pub fn postponed_write(&self, target: Target, basis: &WriteBasis, now: Moment) -> Option<&FailedWrites> {
        let is_same = |failed: &&FailedWrites| failed.refused.as_ref().is_none_or(|refused| refused == basis);
        self.failing.get(&target).filter(|failed| failed.not_before > now).filter(is_same)
    }

    /// Takes note of a write that was taken; the Secret may have been made immutable on its way.
    pub fn secret_written(&mut self, target: Target, is_immutable: bool, now: Moment) {
        self.failing.remove(&target);
        self.written_at.insert(target, now);
        self.set_immutable_on_write(target, is_immutable);
    }

    /// Takes note of how a Secret was found: what turned immutable so soon after it was written was not made so by hand.
    pub fn secret_found(&mut self, target: Target, is_immutable: bool, now: Moment) {
        let is_fresh = self.written_at.get(&target).is_some_and(|written| now < *written + MINUTE);
        self.set_immutable_on_write(target, is_immutable && (is_fresh || self.immutable_on_write.contains(&target)));
    }

    fn set_immutable_on_write(&mut self, target: Target, is_immutable_on_write: bool) {
        if is_immutable_on_write {
            self.immutable_on_write.insert(target)
        } else {
            self.immutable_on_write.remove(&target)
        };
    }

    /// True once this process has written this Secret.
    pub fn has_written(&self, target: Target) -> bool {
        self.written_at.contains_key(&target)
    }

    /// True of a Secret that something makes immutable as soon as it is written.
    pub fn is_immutable_on_write(&self, target: Target) -> bool {
        self.immutable_on_write.contains(&target)
    }

    /// Takes note of a repair.
    pub fn repair_done(&mut self, now: Moment) {
        self.repair_limiter.take(now, REPAIR_REFILL);
    }

    /// The earliest moment for a repair.
    pub fn repair_at(&self, now: Moment) -> Moment {
        self.repair_limiter.ready_at(now, REPAIR_REFILL)
    }
}
