//! Polling for a new token around the expiry of a token.

use super::FIRST_STEP;
use crate::issuer::{Lifetime, ROUNDING};
use crate::time::{MINUTE, Moment, SECOND};
use std::time::Duration;

/// The longest interval of an expiry poll in its first minute.
const LONGEST_STEP: Duration = Duration::from_secs(5);
/// How many requests an expiry poll may send in [`POLL_WINDOW`].
const POLL_LIMIT: usize = 20;
const POLL_WINDOW: Duration = MINUTE;

/// Polling around the expiry of a token, until a different token comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryPoll {
    /// The fingerprint of the expiring token: the poll ends with the first different token.
    fingerprint: String,
    /// When the requests of the last minute were sent.
    calls: Vec<Moment>,
    /// Consecutive responses with the same token at its end.
    steps: u32,
    /// When the first of those was sent.
    since: Option<Moment>,
    /// The next request according to the last response.
    pub(super) next: Option<Moment>,
}

impl ExpiryPoll {
    /// No request sent yet.
    pub fn of(fingerprint: String) -> Self {
        Self { fingerprint, calls: Vec::new(), steps: 0, since: None, next: None }
    }

    /// True when the poll is for this token.
    pub fn is_of(&self, fingerprint: &str) -> bool {
        self.fingerprint == fingerprint
    }

    /// Counts a request, whatever its result.
    pub fn request_sent(&mut self, sent: Moment) {
        self.calls.retain(|call| *call + POLL_WINDOW > sent);
        self.calls.push(sent);
    }

    /// Another expiry has come: the intervals start over, while the requests of the last minute still count.
    pub fn restart(&mut self) {
        (self.steps, self.since) = (0, None);
    }

    /// Notes the same token once more; `left` is the reported time, or zero if it cannot be believed.
    pub fn token_unchanged(&mut self, sent: Moment, left: Lifetime) {
        let delay = match left {
            Lifetime::Seconds(seconds) if seconds >= ROUNDING.as_secs() => {
                self.restart();
                Duration::from_secs(seconds) - SECOND
            }
            // The daily check covers a token that turned out never to expire.
            Lifetime::Never => {
                *self = Self::of(std::mem::take(&mut self.fingerprint));
                return;
            }
            Lifetime::Seconds(_) => self.step(sent),
        };
        self.next = Some(sent + delay);
    }

    /// 0.1 s, doubling, up to 5 s; after a minute of it the ordinary delay, up to a minute.
    fn step(&mut self, sent: Moment) -> Duration {
        let since = *self.since.get_or_insert(sent);
        let longest = if since + POLL_WINDOW > sent { LONGEST_STEP } else { MINUTE };
        self.steps += 1;
        FIRST_STEP.saturating_mul(1 << (self.steps - 1).min(12)).min(longest)
    }

    /// When the window has room for another request.
    pub fn next_allowed(&self, now: Moment) -> Moment {
        let recent: Vec<_> = self.calls.iter().filter(|call| **call + POLL_WINDOW > now).collect();
        match recent.len().checked_sub(POLL_LIMIT) {
            Some(beyond) => *recent[beyond] + POLL_WINDOW,
            None => now,
        }
    }

    /// True once a minute of polling brought no new token.
    pub fn is_exhausted(&self, now: Moment) -> bool {
        self.since.is_some_and(|since| since + POLL_WINDOW <= now) || self.next_allowed(now) > now
    }
}
