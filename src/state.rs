//! What must survive the process: the contents of the state Secret, and how an answer changes them.

use crate::credentials::Credentials;
use crate::fingerprint::{fingerprint, keyed};
use crate::issuer::{Answer, Cause, expiry_moves};
use crate::moment::{Now, later};
use crate::redacted::{self, Redacted};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The format this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// Applications kept beside the active one, so that swapping references back and forth loses nothing.
const APPLICATIONS_KEPT: usize = 4;
/// How far in the future a stored issue time may lie before the wall clock is no longer believed.
const CLOCK_DOUBT: Duration = Duration::from_secs(60);

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
    /// The application (by keyed hash of its consumer key) whose token is in the token Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// The last token of each application, by keyed hash of its consumer key.
    #[serde(default)]
    pub applications: BTreeMap<String, Issued>,
    /// What the last recorded call was made with.
    #[serde(default)]
    pub inputs: Inputs,
    /// The refresh annotation handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// What we wrote into the token Secret, so that what the spec drops is removed.
    #[serde(default)]
    pub written: Written,
}

/// One token as the issuer gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issued {
    /// The token.
    #[serde(with = "redacted::exposed")]
    pub token: Redacted,
    /// When the request that brought it was sent.
    pub issue_time: Timestamp,
    /// When it expires as far as is known; none = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<Timestamp>,
    /// When it was to expire as its first answer said: always asked at, whatever later answers say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_expiration_time: Option<Timestamp>,
    /// The seconds of life that its first answer reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_seconds: Option<u64>,
    /// The check before its expiry has been made.
    #[serde(default)]
    pub checked: bool,
    /// When a long-lived token had its last daily check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_check_time: Option<Timestamp>,
    /// The fingerprint of the token before it: an answer equal to it is a stale cache, no rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
}

/// Which token an answer brought.
#[derive(Clone, Copy, Debug)]
pub enum Brought<'a> {
    /// The known one.
    Same(&'a Issued),
    /// The one before it: a stale cache.
    Previous(&'a Issued),
    /// One that is new to us.
    New,
}

impl<'a> Brought<'a> {
    /// By `answer`, while `known` was the token.
    pub fn by(answer: &Answer, known: Option<&'a Issued>) -> Self {
        match known {
            Some(known) if answer.token == known.token => Self::Same(known),
            Some(known) if known.previous.as_ref() == Some(&fingerprint(&answer.token)) => Self::Previous(known),
            _ => Self::New,
        }
    }
}

/// One keyed hash per value that went into a call; an empty text stands for an absent value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// How the hashes are made; other versions count as unchanged.
    #[serde(default)]
    version: u32,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// The names of what we put into the token Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Data keys.
    #[serde(default)]
    pub keys: BTreeSet<String>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeSet<String>,
    /// Annotations.
    #[serde(default)]
    pub annotations: BTreeSet<String>,
}

/// Which state a call started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    salt: String,
    serial: u64,
}

/// An answer in hand that is not yet in the state Secret. It leaves memory only once it is recorded or overtaken.
#[derive(Clone, Debug)]
pub struct Held {
    /// The answer.
    pub answer: Answer,
    /// When its request was sent.
    pub sent: Now,
    /// Why it was asked for.
    pub cause: Cause,
    /// The state that the call started from.
    pub base: Version,
    /// Whose token it is.
    pub application: String,
    /// What it was asked with.
    pub inputs: Inputs,
    /// The refresh annotation when it was asked for.
    pub refresh: Option<String>,
}

impl Held {
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
            applications: BTreeMap::new(),
            inputs: Inputs::default(),
            refresh,
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

    /// The token that belongs into the token Secret, if there is one yet.
    pub fn active_token(&self) -> Option<&Issued> {
        self.applications.get(self.active.as_ref()?)
    }

    /// This state with `held` recorded in it; `None` when the answer changes nothing worth a write.
    pub fn record(&self, held: &Held) -> Option<State> {
        let mut next = self.clone();
        let known = self.applications.get(&held.application);
        let issued = match Brought::by(&held.answer, known) {
            Brought::Previous(known) => known.checked_by(held),
            Brought::Same(known) => known.corrected(held),
            Brought::New => Issued::fresh(held, known),
        };
        next.applications.insert(held.application.clone(), issued);
        next.active = Some(held.application.clone());
        next.inputs = held.inputs.clone();
        next.refresh = held.refresh.clone().or(next.refresh);
        next.forget_old_applications();
        if next == *self {
            return None;
        }
        next.serial = next.serial.saturating_add(1);
        Some(next)
    }

    /// This state with a token found elsewhere as its active one, `inputs` being taken as those it was issued for.
    pub fn restored(mut self, application: String, issued: Issued, inputs: Inputs) -> Self {
        self.applications.insert(application.clone(), issued);
        self.active = Some(application);
        self.inputs = inputs;
        self.serial = self.serial.saturating_add(1);
        self
    }

    fn forget_old_applications(&mut self) {
        while self.applications.len() > APPLICATIONS_KEPT {
            let idle = self.applications.iter().filter(|(id, _)| Some(*id) != self.active.as_ref());
            let Some(oldest) = idle.min_by_key(|(_, issued)| issued.issue_time).map(|(id, _)| id.clone()) else {
                return;
            };
            self.applications.remove(&oldest);
        }
    }
}

impl Issued {
    /// A token that is new to us, after `known`.
    fn fresh(held: &Held, known: Option<&Issued>) -> Self {
        let expires = expiration(&held.answer, held.sent);
        Self {
            token: held.answer.token.clone(),
            issue_time: held.sent.wall,
            expiration_time: expires,
            first_expiration_time: expires,
            lifetime_seconds: held.answer.lifetime.duration().map(|life| life.as_secs()),
            checked: false,
            daily_check_time: None,
            previous: known.map(|known| fingerprint(&known.token)),
        }
    }

    /// The same token, with what the answer says about its end.
    fn corrected(&self, held: &Held) -> Self {
        let mut next = self.checked_by(held);
        let known = self.expiration_time.map(|time| held.sent.moment_of(time));
        if expiry_moves(known, held.sent.mono, held.answer.lifetime) {
            next.expiration_time = expiration(&held.answer, held.sent);
        }
        next
    }

    fn checked_by(&self, held: &Held) -> Self {
        let mut next = self.clone();
        if self.is_from_the_future(held.sent) {
            next.issue_time = held.sent.wall;
        }
        next.checked |= held.cause == Cause::Check;
        if held.cause == Cause::DailyCheck {
            next.daily_check_time = Some(held.sent.wall);
        }
        next
    }

    /// True when the wall clock stands before the stored issue time by more than [`CLOCK_DOUBT`].
    pub fn is_from_the_future(&self, now: Now) -> bool {
        self.issue_time > later(now.wall, CLOCK_DOUBT)
    }
}

/// The instant before the request was sent, plus the lifetime reported.
fn expiration(answer: &Answer, sent: Now) -> Option<Timestamp> {
    answer.lifetime.duration().map(|life| later(sent.wall, life))
}

impl Inputs {
    const VERSION: u32 = 1;

    /// The hashes of what a call would be made with.
    pub fn of(salt: &str, endpoint: &str, validity: &str, credentials: &Credentials) -> Self {
        let old_token = credentials.old_token.as_ref().map_or("", Redacted::expose);
        let values = [
            ("endpoint", endpoint),
            ("validity", validity),
            ("consumerKey", credentials.consumer_key.expose()),
            ("consumerSecret", credentials.consumer_secret.expose()),
            ("oldToken", old_token),
        ];
        let hash = |(name, value): (&str, &str)| {
            (name.to_owned(), if value.is_empty() { String::new() } else { keyed(salt, name, value) })
        };
        Self { version: Self::VERSION, hashes: values.into_iter().map(hash).collect() }
    }

    /// The first value, by name, that differs from `recorded` in a way that calls for asking the issuer. A value that
    /// went away, a changed validity, and hashes of another version do not.
    pub fn change_since(&self, recorded: &Inputs) -> Option<&'static str> {
        ["consumerKey", "consumerSecret", "oldToken", "endpoint"].into_iter().find(|name| self.differs(recorded, name))
    }

    /// True when the value `name` is given and is not the recorded one.
    pub fn differs(&self, recorded: &Inputs, name: &str) -> bool {
        let (Some(mine), Some(theirs)) = (self.hashes.get(name), recorded.hashes.get(name)) else { return false };
        self.version == recorded.version && !mine.is_empty() && mine != theirs
    }
}

impl Written {
    /// True when everything in `wanted` is listed here.
    pub fn covers(&self, wanted: &Written) -> bool {
        wanted.keys.is_subset(&self.keys)
            && wanted.labels.is_subset(&self.labels)
            && wanted.annotations.is_subset(&self.annotations)
    }

    /// Both lists together: what may still be there, and what will be.
    pub fn and(&self, wanted: &Written) -> Written {
        Written {
            keys: &self.keys | &wanted.keys,
            labels: &self.labels | &wanted.labels,
            annotations: &self.annotations | &wanted.annotations,
        }
    }

    /// What of this list is also in `other`.
    pub fn still_in(&self, other: &Written) -> Written {
        Written {
            keys: &self.keys & &other.keys,
            labels: &self.labels & &other.labels,
            annotations: &self.annotations & &other.annotations,
        }
    }
}
