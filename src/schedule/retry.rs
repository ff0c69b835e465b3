//! When something that failed is tried again.

use super::{MINUTE, SECOND};
use crate::fingerprint::spread;
use crate::issuer::FailureKind;
use crate::moment::Moment;
use std::time::Duration;

/// Between two calls that the issuer calls wrong, or that our settings forbid.
const SLOW_RETRY: Duration = Duration::from_secs(300);
/// The longest delay between two retries while an endpoint is down and a token is dead or nearly so.
const PRESSING_RETRY: Duration = Duration::from_secs(4);

/// A retry that must come before an expiry comes in this part of the time that is left.
const TRIES_LEFT: u32 = 4;

/// What a failed call looked like at the time: what a retry depends on.
#[derive(Clone, Copy, Debug)]
pub struct FailedCall {
    /// What kind of failure.
    pub kind: FailureKind,
    /// Which failure in a row, from 1.
    pub count: u32,
    /// When it failed: delays count from here.
    pub failed_at: Moment,
    /// The issuer's wish.
    pub retry_after: Option<Duration>,
    /// When the token in the Secret expires; none where it never does.
    pub expires: Option<Moment>,
    /// The next token can be had only before that: a session is extended while it lives.
    pub before_expiry: bool,
    /// There is no live token, or it has less than a minute to live.
    pub pressing: bool,
    /// The endpoint counts as down.
    pub endpoint_down: bool,
    /// Makes jitter without randomness.
    pub spread: u64,
}

/// When to try again: growing with jitter from 1 s to 1 min, at most 4 s while it presses and the endpoint is down, at
/// the expiry at the latest, and not before the issuer's own wish. What must come before the expiry has several tries in
/// what is left. What is wrong by configuration waits 5 minutes.
pub fn retry_at(call: FailedCall) -> Moment {
    let delay = match call.kind {
        FailureKind::Rejected | FailureKind::EndpointNotAllowed | FailureKind::LoginRefused => SLOW_RETRY,
        FailureKind::Refused | FailureKind::Unavailable | FailureKind::Ended => {
            let longest = if call.pressing && call.endpoint_down { PRESSING_RETRY } else { MINUTE };
            Delays { first: SECOND, longest }.after(call.count, call.spread)
        }
    };
    let left = call.expires.filter(|_| call.before_expiry).map(|expires| expires.until(call.failed_at));
    let tries = left.filter(|left| !left.is_zero()).map(|left| (left / TRIES_LEFT).max(SECOND));
    let at = call.failed_at + tries.map_or(delay, |longest| delay.min(longest));
    let at = call.expires.filter(|expires| call.failed_at < *expires).map_or(at, |expires| at.min(expires));
    at.max(call.failed_at + call.retry_after.unwrap_or_default())
}

/// The delays of attempts that fail one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// After the first failure.
    pub first: Duration,
    /// Never more than this.
    pub longest: Duration,
}

impl Delays {
    /// `first`, doubling up to `longest`, each up to a quarter shorter or longer: a function of `count` (from 1) and of
    /// `spread_by`, so that different resources do not move in step.
    pub fn after(self, count: u32, spread_by: u64) -> Duration {
        let base = self.first.saturating_mul(1 << count.saturating_sub(1).min(16)).min(self.longest);
        let jitter = spread(&format!("{spread_by}/{count}")) % 501;
        base.mul_f64(0.75 + jitter as f64 / 1000.0).min(self.longest)
    }
}
