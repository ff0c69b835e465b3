//! The record that a request is being sent that cannot be repeated, and its meaning to a process that finds it.

use crate::time::{Moment, Now};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long recording a response may take, and how soon after its intent a request is sent.
pub const RECORDING: Duration = Duration::from_secs(5);

/// Written into the state before a session is extended or opened, removed by the write that records the response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// When it was written.
    pub time: Timestamp,
    /// Which process wrote it.
    pub holder: String,
}

impl Intent {
    /// Until when `holder` leaves a found intent alone: the response to another process may be on its way. None = the
    /// stored pair may be tried.
    ///
    /// An intent from further in the future than an intent may last comes from a clock that was changed since: it is
    /// ignored.
    pub fn blocks_until(&self, holder: &str, now: Now, call_timeout: Duration) -> Option<Moment> {
        let lasts = call_timeout + RECORDING;
        let age = now.wall.duration_since(self.time);
        let longest = SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX);
        let is_believed = age > -longest && age < longest;
        (self.holder != holder && is_believed).then(|| now.moment_of(self.time) + lasts)
    }
}
