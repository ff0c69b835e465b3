//! The large parts of a memory between two passes: as text they take a fifth of what they take in maps.

use super::{Memory, WrittenStatus};
use crate::api::SyniverseTokenStatus;
use crate::redacted::Redacted;
use crate::state::State;
use serde::{Deserialize, Serialize};

/// The text of [`Parts`]. It holds tokens.
#[derive(Clone, Debug)]
pub(super) struct Packed(Redacted);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Parts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<Box<State>>,
    /// The written status with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    written: Option<(Status, Option<String>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<SyniverseTokenStatus>,
}

/// A written status is nearly always the last one.
#[derive(Debug, Serialize, Deserialize)]
enum Status {
    Last,
    Other(SyniverseTokenStatus),
}

impl Memory {
    /// Makes this memory small until [`Memory::unpack`].
    pub fn pack(&mut self) {
        self.unpack();
        let last = self.last_status.take();
        let written = self.status.take().map(|WrittenStatus { status, version }| {
            let status = if last.as_ref() == Some(&status) { Status::Last } else { Status::Other(status) };
            (status, version)
        });
        let parts = Parts { state: self.state.take(), sent: self.sent_state.take(), written, last };
        let text = serde_json::to_string(&parts).unwrap_or_default();
        self.packed = Some(Packed(Redacted::new(text)));
    }

    /// Makes this memory usable. What cannot be read is forgotten, which costs a read: a state may hold fields of other
    /// versions, nested as deep as a reader bears, and is nested deeper here.
    pub fn unpack(&mut self) {
        let Some(Packed(text)) = self.packed.take() else { return };
        let parts: Parts = serde_json::from_str(text.expose()).unwrap_or_default();
        (self.state, self.sent_state) = (parts.state, parts.sent);
        self.status = parts.written.map(|(status, version)| {
            let status = match status {
                Status::Last => parts.last.clone().unwrap_or_default(),
                Status::Other(status) => status,
            };
            WrittenStatus { status, version }
        });
        self.last_status = parts.last;
    }
}
