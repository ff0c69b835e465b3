//! A memory between two passes: as text its large parts take a tenth of what they take in maps, and what is rarely there
//! takes no room.

use super::by_credential::ByCredential;
use super::{Memory, WriteMemory, WrittenStatus, WrittenToken};
use crate::api::SyniverseTokenStatus;
use crate::intent::Intent;
use crate::packed_json::PackedJson;
use crate::schedule::rate_limiter::RateLimiter;
use crate::secrets::KnownTokenSecret;
use crate::state::{State, UnrecordedResponse};
use crate::time::Moment;
use serde::{Deserialize, Serialize};

/// The most bytes that are kept of statuses and states: twice what two tokens of 8 KiB take, the most that fits into a
/// header. Who may write a state Secret could fill a megabyte for each resource: a larger state is read in each pass.
const LARGEST: usize = 32 << 10;

/// A memory between two passes.
#[derive(Clone, Debug)]
pub struct PackedMemory {
    /// None where they could not be packed.
    parts: Option<PackedJson>,
    unrecorded: Option<Box<UnrecordedResponse>>,
    intent: Option<Box<(Intent, Moment)>>,
    written_token: Option<Box<WrittenToken>>,
    token_secret: Option<Box<KnownTokenSecret>>,
    announced_fingerprint: Option<Box<str>>,
    status_failures: u32,
    credentials: ByCredential,
    writes: WriteMemory,
    acting_since: Option<Moment>,
    knows_state: bool,
    rate_limiter: RateLimiter,
    met_sharers: bool,
    skewed: bool,
    refused_reads: u32,
    failed_passes: u32,
    rotated_elsewhere: Option<Box<str>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Parts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<Sent>,
    /// The written status with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    written: Option<(Status, Option<String>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<SyniverseTokenStatus>,
}

/// A state that was sent is nearly always the known one.
#[derive(Debug, Serialize, Deserialize)]
enum Sent {
    Known,
    Other(Box<State>),
}

/// A written status is nearly always the last one.
#[derive(Debug, Serialize, Deserialize)]
enum Status {
    Last,
    Other(SyniverseTokenStatus),
}

impl Parts {
    fn of(memory: &mut Memory) -> Self {
        let last = memory.last_status.take();
        let written = memory.status.take().map(|WrittenStatus { status, version }| {
            let status = if last.as_ref() == Some(&status) { Status::Last } else { Status::Other(status) };
            (status, version)
        });
        let state = memory.state.take();
        let sent = memory.sent_state.take();
        let sent = sent.map(|sent| if state.as_ref() == Some(&*sent) { Sent::Known } else { Sent::Other(sent) });
        Self { state, sent, written, last }
    }

    /// Without the states where they are too large.
    fn packed(self) -> Option<PackedJson> {
        let small = |parts: &Self| PackedJson::of(parts).ok().filter(|packed| packed.len() <= LARGEST);
        small(&self).or_else(|| small(&Self { state: None, sent: None, ..self }))
    }

    /// The state that was sent.
    fn take_sent(&mut self) -> Option<Box<State>> {
        match self.sent.take()? {
            Sent::Known => self.state.clone().map(Box::new),
            Sent::Other(sent) => Some(sent),
        }
    }

    /// The written status.
    fn take_written(&mut self) -> Option<WrittenStatus> {
        self.written.take().map(|(status, version)| {
            let status = match status {
                Status::Last => self.last.clone().unwrap_or_default(),
                Status::Other(status) => status,
            };
            WrittenStatus { status, version }
        })
    }
}

impl Memory {
    /// Makes this memory small until its next pass.
    pub fn pack(mut self) -> PackedMemory {
        PackedMemory {
            parts: Parts::of(&mut self).packed(),
            unrecorded: self.unrecorded.map(Box::new),
            intent: self.intent.map(Box::new),
            written_token: self.written_token.map(Box::new),
            token_secret: self.token_secret.map(Box::new),
            announced_fingerprint: self.announced_fingerprint.map(String::into_boxed_str),
            status_failures: self.status_failures,
            credentials: self.credentials,
            writes: self.writes,
            acting_since: self.acting_since,
            knows_state: self.knows_state,
            rate_limiter: self.rate_limiter,
            met_sharers: self.met_sharers,
            skewed: self.skewed,
            refused_reads: self.refused_reads,
            failed_passes: self.failed_passes,
            rotated_elsewhere: self.rotated_elsewhere.map(String::into_boxed_str),
        }
    }
}

impl PackedMemory {
    /// The memory for a pass. What was too large, or cannot be read, is forgotten, which costs a read: a state may hold
    /// fields of other versions, nested as deep as a reader bears, and is nested deeper here.
    pub fn unpack(self) -> Memory {
        let mut parts: Parts = self.parts.as_ref().and_then(PackedJson::value).unwrap_or_default();
        Memory {
            unrecorded: self.unrecorded.map(|unrecorded| *unrecorded),
            intent: self.intent.map(|intent| *intent),
            written_token: self.written_token.map(|token| *token),
            token_secret: self.token_secret.map(|known| *known),
            status: parts.take_written(),
            sent_state: parts.take_sent(),
            state: parts.state,
            last_status: parts.last,
            announced_fingerprint: self.announced_fingerprint.map(String::from),
            status_failures: self.status_failures,
            credentials: self.credentials,
            writes: self.writes,
            acting_since: self.acting_since,
            knows_state: self.knows_state,
            rate_limiter: self.rate_limiter,
            met_sharers: self.met_sharers,
            skewed: self.skewed,
            refused_reads: self.refused_reads,
            failed_passes: self.failed_passes,
            rotated_elsewhere: self.rotated_elsewhere.map(String::from),
        }
    }
}
