//! The state that must survive the process: the contents of the state Secret, and how a response changes them.

use crate::credential::Identity;
use crate::credential::application::CONSUMER_KEY;
use crate::fingerprint::keyed;
use crate::intent::Intent;
use crate::issuer::Kind;
use crate::redacted::Redacted;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

mod credential_record;
pub mod inputs;
mod managed_fields;
mod migration;
mod token_record;
mod unknown_fields;
mod unrecorded;

pub use credential_record::CredentialRecord;
pub use inputs::Inputs;
pub use managed_fields::ManagedFields;
pub use token_record::{TokenChange, TokenRecord};
pub use unknown_fields::UnknownFields;
pub use unrecorded::{CallResult, RequestKey, Role, UnrecordedResponse};

/// The format this version writes, and the newest that it reads.
pub const FORMAT: u32 = 3;
/// Number of credentials kept, including the active credential, so that swapping references back and forth loses
/// nothing.
const CREDENTIALS_KEPT: usize = 4;

/// The contents of a state Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The format of this document.
    #[serde(rename = "version")]
    pub format: u32,
    /// Increases with each recorded response: the fence between an older and a newer response.
    pub serial: u64,
    /// Key of the hashes below; a re-created state has a new salt, so that serials of two states are never confused.
    pub salt: String,
    /// The credential whose token is in the token Secret: a name in `credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// The record of each credential, by its identity: the keyed hash of an application's consumer key, or of a
    /// client with its scopes and audience, or a fixed name.
    #[serde(default)]
    pub credentials: BTreeMap<String, CredentialRecord>,
    /// The refresh annotation handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// A request that cannot be repeated is in flight, or was when its process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The names that we wrote to the token Secret, so that entries dropped from the spec are removed.
    #[serde(default)]
    pub written: ManagedFields,
    /// Fields added by a newer version of the same format.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// Identifies the state from which a request was planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    salt: String,
    serial: u64,
}

/// Why stored bytes are not a [`State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A newer version of the operator wrote it, in this format.
    TooNew(u32),
    /// It is not a state of this operator.
    Corrupt,
}

impl State {
    /// An empty state. `refresh` is the annotation present now: it counts as handled.
    pub fn new(salt: String, refresh: Option<String>) -> Self {
        Self {
            format: FORMAT,
            serial: 0,
            salt,
            active: None,
            credentials: BTreeMap::new(),
            refresh,
            intent: None,
            written: ManagedFields::default(),
            unknown: UnknownFields::default(),
        }
    }

    /// Reads what [`State::to_bytes`] wrote, in this version or an earlier version.
    ///
    /// # Errors
    /// When the format is newer than [`FORMAT`], or the bytes are not a state at all.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let stored: Map<String, Value> = serde_json::from_slice(bytes).map_err(|_| Unreadable::Corrupt)?;
        let format = stored.get("version").and_then(Value::as_u64).and_then(|format| u32::try_from(format).ok());
        let stored = match format {
            Some(FORMAT) => stored,
            Some(newer) if newer > FORMAT => return Err(Unreadable::TooNew(newer)),
            Some(2) => migration::from_format_2(stored),
            Some(1) => migration::from_format_1(stored).ok_or(Unreadable::Corrupt)?,
            _ => return Err(Unreadable::Corrupt),
        };
        serde_json::from_value(Value::Object(stored)).map_err(|_| Unreadable::Corrupt)
    }

    /// The bytes to store: JSON.
    #[allow(clippy::expect_used, reason = "maps with text keys and plain values have a form in JSON")]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a state can be written as JSON")
    }

    /// The identity of this state.
    pub fn version(&self) -> Version {
        Version { salt: self.salt.clone(), serial: self.serial }
    }

    /// True when both have the same salt and this state has recorded more responses.
    pub fn is_newer_than(&self, other: &State) -> bool {
        self.salt == other.salt && self.serial > other.serial
    }

    /// The name in `credentials` of what has this identity.
    pub fn id_of(&self, identity: Identity<'_>) -> String {
        match identity {
            Identity::Hashed(value) => keyed(&self.salt, CONSUMER_KEY, value.expose()),
            Identity::Fixed(name) => name.to_owned(),
        }
    }

    /// True when the active token was asked for at this endpoint.
    pub fn was_asked_at(&self, endpoint: &str) -> bool {
        self.active_credential().is_some_and(|record| record.inputs.is(&self.salt, inputs::ENDPOINT, endpoint))
    }

    fn active_credential(&self) -> Option<&CredentialRecord> {
        self.credentials.get(self.active.as_ref()?)
    }

    /// The token for the token Secret, if any yet.
    pub fn active_token(&self) -> Option<&TokenRecord> {
        self.active_credential()?.token.as_ref()
    }

    /// The inputs of the last recorded request for this credential; for a new credential, those of the previous
    /// credential.
    pub fn inputs_of(&self, id: &str) -> Inputs {
        let own = self.credentials.get(id).filter(|record| !record.inputs.is_empty());
        let record = own.or_else(|| self.active_credential());
        record.map(|record| record.inputs.clone()).unwrap_or_default()
    }

    /// True for the token of a known credential of another kind, which this credential must ignore.
    pub fn is_of_another_kind(&self, token: &Redacted, kind: Kind) -> bool {
        let tokens = self.credentials.values().filter_map(|record| record.token.as_ref());
        tokens.filter(|known| known.kind != kind).any(|known| known.token == *token)
    }

    /// This state with `unrecorded` recorded in it; `None` when the response changes nothing worth a write.
    ///
    /// Only a token advances the fence: if the same pair was extended by a process and found ended by another, the
    /// token counts, whichever comes first.
    pub fn record(&self, unrecorded: &UnrecordedResponse) -> Option<State> {
        let Some(earlier) = &unrecorded.follows else { return self.recorded(unrecorded) };
        let (intent, managed) = (self.intent.clone(), self.written.clone());
        let earlier = Self { intent, written: managed, ..(**earlier).clone() };
        Some(earlier.recorded(unrecorded).unwrap_or(earlier))
    }

    fn recorded(&self, unrecorded: &UnrecordedResponse) -> Option<State> {
        let mut next = self.clone();
        let known = self.credentials.get(&unrecorded.key.credential).cloned().unwrap_or_default();
        let known = CredentialRecord { inputs: self.inputs_of(&unrecorded.key.credential), ..known };
        next.credentials.insert(unrecorded.key.credential.clone(), known.record(unrecorded, &self.salt));
        if matches!(unrecorded.result, CallResult::Token(_)) {
            if unrecorded.activates {
                next.activate(&unrecorded.key.credential);
            }
            next.note_partner(unrecorded, self.active.is_none());
            next.forget_old_credentials(unrecorded.partner.as_ref().map(|(id, _)| id));
        }
        next.refresh = unrecorded.key.refresh.clone().or(next.refresh);
        next.intent = next.intent.filter(|intent| intent.holder != unrecorded.holder);
        if next == *self {
            return None;
        }
        if matches!(unrecorded.result, CallResult::Token(_)) {
            next.serial = next.serial.saturating_add(1);
        }
        Some(next)
    }

    /// This state with a token found elsewhere as its active token, and `inputs` as those that it was issued for.
    pub fn restored(mut self, id: String, token_record: TokenRecord, inputs: Inputs) -> Self {
        let record = CredentialRecord { token: Some(token_record), inputs, ..CredentialRecord::default() };
        self.credentials.insert(id.clone(), record);
        self.active = Some(id);
        self.serial = self.serial.saturating_add(1);
        self
    }

    /// The texts in fields that this version does not know: any of them may be a secret.
    pub fn unknown_texts(&self) -> Vec<&str> {
        let records = self.credentials.values();
        let of_tokens = records.clone().filter_map(|record| record.token.as_ref()).map(|token| &token.unknown);
        let all = [&self.unknown].into_iter().chain(records.map(|record| &record.unknown)).chain(of_tokens);
        all.flat_map(UnknownFields::texts).collect()
    }

    /// Has the token of this credential in the token Secret. One that was found there, and taken for another's, is its own.
    fn activate(&mut self, id: &str) {
        let token =
            self.credentials.get(id).and_then(|record| record.token.as_ref()).map(|record| record.token.clone());
        let others = self.credentials.iter_mut().filter(|(other, _)| *other != id);
        for (_, other) in others {
            other.token.take_if(|record| record.found && Some(&record.token) == token.as_ref());
        }
        self.active = Some(id.to_owned());
    }

    /// The values of a standby that is there from the beginning are known, though it was never asked: only a change of
    /// them is worth a request.
    fn note_partner(&mut self, unrecorded: &UnrecordedResponse, is_first: bool) {
        if let Some((id, inputs)) = unrecorded.partner.as_ref().filter(|_| is_first) {
            let note = || CredentialRecord { inputs: inputs.clone(), ..CredentialRecord::default() };
            self.credentials.entry(id.clone()).or_insert_with(note);
        }
    }

    fn forget_old_credentials(&mut self, partner: Option<&String>) {
        let age = |record: &CredentialRecord| record.token.as_ref().map(|token| token.issue_time);
        // A verdict without a token is no token that is kept.
        while self.credentials.values().filter_map(age).count() > CREDENTIALS_KEPT {
            let is_idle = |id: &String| Some(id) != self.active.as_ref() && Some(id) != partner;
            let idle = self.credentials.iter().filter(|(id, _)| is_idle(id));
            let aged = idle.filter_map(|(id, record)| Some((age(record)?, id.clone())));
            let Some((_, oldest)) = aged.min() else { return };
            self.credentials.remove(&oldest);
        }
    }
}
