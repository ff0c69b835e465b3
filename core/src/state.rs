//! What must survive the process: the contents of the state Secret, and how an answer changes them.

use crate::fingerprint::keyed;
use crate::intent::Intent;
use crate::issuer::{Answer, Cause};
use crate::redacted::Redacted;
use crate::time::{Moment, Now};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub mod inputs;
mod managed_fields;
mod token_record;

pub use inputs::Inputs;
pub use managed_fields::Written;
pub use token_record::{Brought, Issued};

/// The format this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// Tokens kept, the active one included, so that swapping references back and forth loses nothing.
const TOKENS_KEPT: usize = 4;
/// The name under which the pair of a session is kept: a resource has one session.
pub const SESSION: &str = "session";

/// The contents of a state Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The format of this document.
    #[serde(rename = "version")]
    pub format: u32,
    /// One higher for each recorded answer: the fence between an answer and a newer one.
    pub serial: u64,
    /// Keys the hashes below; a state made anew has a new one, so that serials of two lives are never confused.
    pub salt: String,
    /// Whose token is in the token Secret: a name in `tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// The last token of each application, by keyed hash of its consumer key, and that of the [`SESSION`].
    #[serde(default)]
    pub tokens: BTreeMap<String, Issued>,
    /// What the last recorded call was made with.
    #[serde(default)]
    pub inputs: Inputs,
    /// The refresh annotation handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// A call that cannot be repeated is being made, or was when its process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The issuer refuses the changed login that `inputs` tell of, and the session before goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub login_refused: bool,
    /// The version of the credentials Secret that held that login: by it another password is found. A hash of the password
    /// itself is not kept beside its salt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_credentials: Option<String>,
    /// The pasted pair that `inputs` tell of was said to be over when it was tried.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pair_refused: bool,
    /// What we wrote into the token Secret, so that what the spec drops is removed.
    #[serde(default)]
    pub written: Written,
}

/// Which state a call started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    salt: String,
    serial: u64,
}

/// What a call is made with, beside the token: a change of it is worth a new attempt at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The hashes of the values.
    pub inputs: Inputs,
    /// The refresh annotation.
    pub refresh: Option<String>,
    /// It is for what goes on while a change is tried in vain.
    pub is_upkeep: bool,
}

/// An answer in hand that is not yet in the state Secret. It leaves memory only once it is recorded or overtaken.
#[derive(Clone, Debug)]
pub struct Held {
    /// What it says.
    pub outcome: Outcome,
    /// When its request was sent.
    pub sent: Now,
    /// Why it was asked for.
    pub cause: Cause,
    /// The state that the call started from.
    pub base: Version,
    /// The process that asked: its intent is over.
    pub holder: String,
    /// Whose token it is: a name in [`State::tokens`].
    pub id: String,
    /// What it was asked with.
    pub attempt: Attempt,
    /// The token of the pair that it was asked with.
    pub used: Option<Redacted>,
    /// The seconds of life that were asked for, where they can be.
    pub asked_seconds: Option<u64>,
    /// The version of the credentials Secret that it was asked with.
    pub credentials: Option<String>,
    /// The refused login's password has changed since.
    pub has_new_password: bool,
    /// What an earlier answer, in hand while this one was asked for, makes of the state: recorded with this one.
    pub follows: Option<Box<State>>,
}

/// What is worth recording of an answer.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A token.
    Token(Answer),
    /// The session of this token is over.
    Ended(Redacted),
    /// The account of a changed login refuses us.
    LoginRefused,
}

impl Held {
    /// The inputs that need not be tried again. What goes on while a change is tried in vain leaves the change open.
    fn settled(&self, salt: &str) -> Inputs {
        let open = [(self.leaves_pair(salt), inputs::PAIR), (self.leaves_login(), inputs::LOGIN)];
        let open = open.into_iter().filter(|(is_open, _)| *is_open).flat_map(|(_, names)| names);
        self.attempt.inputs.clone().without(&open.collect::<Vec<_>>())
    }

    /// The pasted pair was neither asked with nor made needless by a login.
    fn leaves_pair(&self, salt: &str) -> bool {
        let is_another = |used: &Redacted| !self.attempt.inputs.is(salt, inputs::TOKEN, used.expose());
        self.used.as_ref().map_or(self.attempt.is_upkeep, is_another)
    }

    /// No login was asked with, nor is one made needless by a pair.
    fn leaves_login(&self) -> bool {
        self.used.is_some() && (self.attempt.is_upkeep || matches!(self.outcome, Outcome::Ended(_)))
    }

    /// True when it tells the end of this token of a session: that session is over, or was extended with it.
    pub fn ends(&self, token: &Redacted) -> bool {
        let dead = match &self.outcome {
            Outcome::Ended(token) => Some(token),
            Outcome::Token(_) => self.used.as_ref(),
            Outcome::LoginRefused => None,
        };
        let is_superseded = |later: &State| later.active_token().is_some_and(|issued| issued.token != *token);
        dead == Some(token) || self.follows.as_deref().is_some_and(is_superseded)
    }

    /// True for an answer that is the only copy of a session's pair.
    pub fn brings_pair(&self) -> bool {
        matches!(&self.outcome, Outcome::Token(answer) if answer.refresh_token.is_some())
    }

    /// True for a session's pair whose time was over before it could be recorded: it opens nothing any more, and must not
    /// come before what another process may be given meanwhile.
    pub fn is_over(&self, now: Moment) -> bool {
        let Outcome::Token(answer) = &self.outcome else { return false };
        let life = answer.lifetime.duration().filter(|life| !life.is_zero());
        answer.refresh_token.is_some() && life.is_some_and(|life| self.sent.mono + life <= now)
    }

    /// True when `state` came after the one that the call started from.
    pub fn is_recorded_in(&self, state: &State) -> bool {
        state.salt == self.base.salt && state.serial > self.base.serial
    }
}

/// Why stored bytes are not a [`State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A newer version of the operator wrote it, in this format.
    TooNew(u32),
    /// It is not what we write.
    Garbled,
}

impl State {
    /// A state that knows nothing yet. `refresh` is the annotation present now: it counts as handled.
    pub fn new(salt: String, refresh: Option<String>) -> Self {
        Self {
            format: FORMAT,
            serial: 0,
            salt,
            active: None,
            tokens: BTreeMap::new(),
            inputs: Inputs::default(),
            refresh,
            intent: None,
            login_refused: false,
            refused_credentials: None,
            pair_refused: false,
            written: Written::default(),
        }
    }

    /// Reads what [`State::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the format is newer than [`FORMAT`], or the bytes are not a state at all.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Format {
            version: u32,
        }
        match serde_json::from_slice::<Format>(bytes) {
            Ok(format) if format.version > FORMAT => Err(Unreadable::TooNew(format.version)),
            Ok(_) => serde_json::from_slice(bytes).map_err(|_| Unreadable::Garbled),
            Err(_) => Err(Unreadable::Garbled),
        }
    }

    /// The bytes to store: JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Which state this is.
    pub fn version(&self) -> Version {
        Version { salt: self.salt.clone(), serial: self.serial }
    }

    /// True when both are of one life and this one has recorded more answers.
    pub fn is_newer_than(&self, other: &State) -> bool {
        self.salt == other.salt && self.serial > other.serial
    }

    /// The name under which the application of this consumer key is kept.
    pub fn application_id(&self, consumer_key: &Redacted) -> String {
        keyed(&self.salt, "consumerKey", consumer_key.expose())
    }

    /// True when the last recorded call was made to this endpoint.
    pub fn was_asked_at(&self, endpoint: &str) -> bool {
        self.inputs.is(&self.salt, inputs::ENDPOINT, endpoint)
    }

    /// The token that belongs into the token Secret, if there is one yet.
    pub fn active_token(&self) -> Option<&Issued> {
        self.tokens.get(self.active.as_ref()?)
    }

    /// True for the token of a session that is known here.
    pub fn is_of_session(&self, token: &Redacted) -> bool {
        self.tokens.values().any(|issued| issued.is_of_session() && issued.token == *token)
    }

    /// This state with `held` recorded in it; `None` when the answer changes nothing worth a write.
    ///
    /// Only a token is a step that the fence counts: should the same pair have been extended and found to be over, each
    /// by another process, the token counts, whichever comes first.
    pub fn record(&self, held: &Held) -> Option<State> {
        let Some(earlier) = &held.follows else { return self.recorded(held) };
        let (intent, written) = (self.intent.clone(), self.written.clone());
        let earlier = Self { intent, written, ..(**earlier).clone() };
        Some(earlier.recorded(held).unwrap_or(earlier))
    }

    fn recorded(&self, held: &Held) -> Option<State> {
        let mut next = self.clone();
        next.inputs = held.settled(&self.salt).over(&self.inputs).without(&[inputs::PASSWORD]);
        let is_new = |names: &[&str]| names.iter().any(|name| next.inputs.differs(&self.inputs, name));
        let is_elsewhere = is_new(&[inputs::ENDPOINT]);
        let has_new_login = is_new(&inputs::LOGIN) || held.has_new_password && !held.leaves_login();
        if let Some(known) = next.tokens.get_mut(&held.id).filter(|_| is_elsewhere) {
            // It was another one who said so.
            known.ended = false;
        }
        match &held.outcome {
            Outcome::Token(answer) => {
                next.take(answer, held);
                next.pair_refused &= held.leaves_pair(&self.salt);
                next.login_refused &= held.used.is_some() && !has_new_login;
                next.refused_credentials.take_if(|_| !next.login_refused);
            }
            Outcome::Ended(token) => {
                let is_known = next.end(&held.id, token);
                next.pair_refused |= !is_known;
            }
            Outcome::LoginRefused => {
                next.login_refused = true;
                next.refused_credentials.clone_from(&held.credentials);
            }
        }
        next.refresh = held.attempt.refresh.clone().or(next.refresh);
        next.intent = next.intent.filter(|intent| intent.holder != held.holder);
        if next == *self {
            return None;
        }
        if matches!(held.outcome, Outcome::Token(_)) {
            next.serial = next.serial.saturating_add(1);
        }
        Some(next)
    }

    fn take(&mut self, answer: &Answer, held: &Held) {
        let known = self.tokens.get(&held.id);
        let issued = match Brought::by(answer, known) {
            Brought::Previous(known) => known.checked_by(held),
            Brought::Same(known) => known.corrected(answer, held),
            Brought::New => Issued::fresh(answer, held, known),
        };
        self.tokens.insert(held.id.clone(), issued);
        self.active = Some(held.id.clone());
        self.forget_old_tokens();
    }

    /// False for a token that is not the one we know.
    fn end(&mut self, id: &str, token: &Redacted) -> bool {
        let known = self.tokens.get_mut(id).filter(|known| known.token == *token);
        known.map(|known| known.ended = true).is_some()
    }

    /// This state with a token found elsewhere as its active one, `inputs` being taken as those it was issued for.
    pub fn restored(mut self, id: String, issued: Issued, inputs: Inputs) -> Self {
        self.tokens.insert(id.clone(), issued);
        self.active = Some(id);
        self.inputs = inputs;
        self.serial = self.serial.saturating_add(1);
        self
    }

    fn forget_old_tokens(&mut self) {
        while self.tokens.len() > TOKENS_KEPT {
            let idle = self.tokens.iter().filter(|(id, _)| Some(*id) != self.active.as_ref());
            let Some(oldest) = idle.min_by_key(|(_, issued)| issued.issue_time).map(|(id, _)| id.clone()) else {
                return;
            };
            self.tokens.remove(&oldest);
        }
    }
}
