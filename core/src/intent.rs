//! The record that a call is being made that cannot be repeated, and what such a record means to whoever finds it.

use crate::time::{Moment, Now};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long recording an answer may take, and how soon after its intent a call is made.
pub const RECORDING: Duration = Duration::from_secs(5);

/// Written into the state before a session is extended or opened, removed by the write that records the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// When it was written.
    pub time: Timestamp,
    /// Which process wrote it.
    pub holder: String,
}

impl Intent {
    /// Until when `holder` leaves a found intent alone: the answer of another process may be on its way. None = the stored
    /// pair may be tried.
    ///
    /// An intent from further in the future than one may last is of a clock that has been set since: it says nothing.
    pub fn blocks_until(&self, holder: &str, now: Now, call_timeout: Duration) -> Option<Moment> {
        let lasts = call_timeout + RECORDING;
        let age = now.wall.duration_since(self.time);
        let longest = SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX);
        let is_believed = age > -longest && age < longest;
        (self.holder != holder && is_believed).then(|| now.moment_of(self.time) + lasts)
    }
}
