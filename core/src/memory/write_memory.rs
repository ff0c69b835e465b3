//! In-memory knowledge about the writes of a resource's two Secrets.

use crate::schedule::rate_limiter::{REPAIR_REFILL, REPAIRS, RateLimiter};
use crate::schedule::retry::Backoff;
use crate::time::{MINUTE, Moment};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Interval between attempts at a write: frequent, as the API server is ours.
const WRITE_RETRY: Backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(5) };
/// The same for a refused write. No event tells that a rule was lifted.
const REFUSED_WRITE_RETRY: Backoff = Backoff { first: Duration::from_secs(1), longest: MINUTE };

/// The two Secrets that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The state Secret.
    State,
    /// The token Secret.
    Token,
}

/// Consecutive failed writes.
#[derive(Clone, Debug)]
pub struct FailedWrites {
    /// The Secret, and the first message of the API server: kept, so that the status does not change with every retry.
    pub detail: String,
    /// Number of consecutive failures.
    pub count: u32,
    /// No attempt before this.
    pub not_before: Moment,
    /// The basis of a refused write; none for a write that may succeed by itself.
    pub refused: Option<WriteBasis>,
}

/// The basis of a write: once it changes, a refusal says nothing about the next write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteBasis {
    /// Of the resource.
    pub generation: Option<i64>,
    /// The resourceVersion of the Secret; none where there is none yet.
    pub version: Option<String>,
}

/// In-memory knowledge about writes.
#[derive(Clone, Debug)]
pub struct WriteMemory {
    /// Failed writes, until a write of the same Secret succeeds.
    failing: BTreeMap<Target, FailedWrites>,
    /// The basis of the token Secret for which the dry run succeeded.
    dry_run: Option<WriteBasis>,
    /// When this process wrote each Secret, by its [`Target`].
    written_at: [Option<Moment>; 2],
    /// Secrets that became immutable as soon as they were written.
    immutable_on_write: BTreeSet<Target>,
    /// Rate limiter of repairs.
    repair_limiter: RateLimiter,
}

impl WriteMemory {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            failing: BTreeMap::new(),
            dry_run: None,
            written_at: [None; 2],
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

    /// Notes that the dry run of a token Secret with this `basis` succeeded.
    pub fn dry_run_succeeded(&mut self, basis: WriteBasis) {
        self.failing.remove(&Target::Token);
        self.dry_run = Some(basis);
    }

    /// True when the dry run of a write with this `basis` succeeded.
    pub fn has_dry_run(&self, basis: &WriteBasis) -> bool {
        self.dry_run.as_ref() == Some(basis)
    }

    /// Notes a write that failed and may succeed later.
    pub fn write_failed(&mut self, target: Target, detail: String, now: Moment, spread: u64) {
        self.add_failed_write(target, FailedWrites { detail, count: 1, not_before: now, refused: None }, spread);
    }

    /// Notes a write that the API server would refuse again.
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

    /// Notes a successful write; the Secret may have become immutable on its way.
    pub fn secret_written(&mut self, target: Target, is_immutable: bool, now: Moment) {
        self.failing.remove(&target);
        self.written_at[target as usize] = Some(now);
        self.set_immutable_on_write(target, is_immutable);
    }

    /// Notes how a Secret was found: a Secret that is immutable so soon after it was written was not changed by hand.
    pub fn secret_found(&mut self, target: Target, is_immutable: bool, now: Moment) {
        let is_fresh = self.written_at[target as usize].is_some_and(|written| now < written + MINUTE);
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
        self.written_at[target as usize].is_some()
    }

    /// True for a Secret that becomes immutable as soon as it is written.
    pub fn is_immutable_on_write(&self, target: Target) -> bool {
        self.immutable_on_write.contains(&target)
    }

    /// Notes a repair.
    pub fn repair_done(&mut self, now: Moment) {
        self.repair_limiter.take(now, REPAIR_REFILL);
    }

    /// The earliest moment for a repair.
    pub fn repair_at(&self, now: Moment) -> Moment {
        self.repair_limiter.ready_at(now, REPAIR_REFILL)
    }
}
