//! What must survive the process: the contents of the state Secret, and how an answer changes them.

use crate::credentials::{Credentials, SessionCredentials};
use crate::fingerprint::{fingerprint, keyed};
use crate::intent::Intent;
use crate::issuer::{Answer, Cause, Pair, expiry_moves};
use crate::moment::{Moment, Now, later};
use crate::redacted::{self, Redacted};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The format this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// Tokens kept, the active one included, so that swapping references back and forth loses nothing.
const TOKENS_KEPT: usize = 4;
/// The name under which the pair of a session is kept: a resource has one session.
pub const SESSION: &str = "session";
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
    /// Whose token is in the token Secret: a name in `tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// The last token of each application, by keyed hash of its consumer key, and that of the [`SESSION`].
    #[serde(default, alias = "applications")]
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
    /// What extends it, if it is one of a session.
    #[serde(default, with = "redacted::exposed_option", skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Redacted>,
    /// The issuer has said that the session is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
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
    /// By `answer`, while `known` was the token. A session is given a new pair by every answer.
    pub fn by(answer: &Answer, known: Option<&'a Issued>) -> Self {
        match known {
            _ if answer.refresh_token.is_some() => Self::New,
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
    pub inputs: Inputs,
    /// The refresh annotation when it was asked for.
    pub refresh: Option<String>,
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
        let mut next = self.clone();
        match &held.outcome {
            Outcome::Token(answer) => next.take(answer, held),
            Outcome::Ended(token) => next.end(&held.id, token),
            Outcome::LoginRefused => {}
        }
        next.inputs = held.inputs.clone().over(&self.inputs);
        next.refresh = held.refresh.clone().or(next.refresh);
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
            Brought::New => Issued::fresh(answer, held.sent, known),
        };
        self.tokens.insert(held.id.clone(), issued);
        self.active = Some(held.id.clone());
        self.forget_old_tokens();
    }

    fn end(&mut self, id: &str, token: &Redacted) {
        if let Some(known) = self.tokens.get_mut(id).filter(|known| known.token == *token) {
            known.ended = true;
        }
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

impl Issued {
    /// A token that is new to us, after `known`.
    fn fresh(answer: &Answer, sent: Now, known: Option<&Issued>) -> Self {
        let expires = expiration(answer, sent);
        Self {
            token: answer.token.clone(),
            refresh_token: answer.refresh_token.clone(),
            ended: false,
            issue_time: sent.wall,
            expiration_time: expires,
            first_expiration_time: expires,
            lifetime_seconds: answer.lifetime.duration().map(|life| life.as_secs()),
            checked: false,
            daily_check_time: None,
            previous: known.map(|known| fingerprint(&known.token)),
        }
    }

    /// The same token, with what the answer says about its end.
    fn corrected(&self, answer: &Answer, held: &Held) -> Self {
        let mut next = self.checked_by(held);
        let known = self.expiration_time.map(|time| held.sent.moment_of(time));
        if expiry_moves(known, held.sent.mono, answer.lifetime) {
            next.expiration_time = expiration(answer, held.sent);
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

    /// The pair of a session that the issuer has not declared over.
    pub fn pair(&self) -> Option<Pair> {
        let refresh_token = self.refresh_token.clone().filter(|_| !self.ended)?;
        Some(Pair { token: self.token.clone(), refresh_token })
    }

    /// True for a token that is extended before its end, not replaced after it.
    pub fn is_of_session(&self) -> bool {
        self.refresh_token.is_some()
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

    /// The hashes of the values, by name, that an application is asked with.
    pub fn of_application(salt: &str, endpoint: &str, validity: &str, credentials: &Credentials) -> Self {
        let old_token = credentials.old_token.as_ref().map_or("", Redacted::expose);
        let values = [
            ("endpoint", endpoint),
            ("validity", validity),
            ("consumerKey", credentials.consumer_key.expose()),
            ("consumerSecret", credentials.consumer_secret.expose()),
            ("oldToken", old_token),
        ];
        Self::of(salt, values)
    }

    /// The hashes of the values, by name, that a session is extended or opened with.
    pub fn of_session(salt: &str, endpoint: &str, credentials: &SessionCredentials) -> Self {
        let given = |value: Option<&Redacted>| value.map_or(String::new(), |value| value.expose().to_owned());
        let (pair, login) = (credentials.pair.as_ref(), credentials.login.as_ref());
        let [token, refresh_token] = [pair.map(|pair| &pair.token), pair.map(|pair| &pair.refresh_token)].map(given);
        let [username, password] = [login.map(|login| &login.username), login.map(|login| &login.password)].map(given);
        let values = [
            ("endpoint", endpoint),
            ("token", &token),
            ("refreshToken", &refresh_token),
            ("username", &username),
            ("password", &password),
        ];
        Self::of(salt, values)
    }

    fn of<const N: usize>(salt: &str, values: [(&str, &str); N]) -> Self {
        let hash = |(name, value): (&str, &str)| {
            (name.to_owned(), if value.is_empty() { String::new() } else { keyed(salt, name, value) })
        };
        Self { version: Self::VERSION, hashes: values.into_iter().map(hash).collect() }
    }

    /// The first of `names` whose value is new. A value that went away and hashes of another version are no change.
    pub fn change_since(&self, recorded: &Inputs, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.differs(recorded, name))
    }

    /// True when the value `name` is given and is not the recorded one.
    pub fn differs(&self, recorded: &Inputs, name: &str) -> bool {
        let (Some(mine), Some(theirs)) = (self.hashes.get(name), recorded.hashes.get(name)) else { return false };
        self.version == recorded.version && !mine.is_empty() && mine != theirs
    }

    /// These, and of `older` those that another issuer is asked with.
    fn over(mut self, older: &Inputs) -> Self {
        if self.version == older.version {
            let kept = older.hashes.iter().filter(|(name, _)| !self.hashes.contains_key(*name));
            let kept: Vec<_> = kept.map(|(name, hash)| (name.clone(), hash.clone())).collect();
            self.hashes.extend(kept);
        }
        self
    }

    /// True when the pair of a session in these was never asked with.
    pub fn has_new_pair(&self, recorded: &Inputs) -> bool {
        ["token", "refreshToken"]
            .iter()
            .any(|name| !recorded.hashes.contains_key(*name) || self.differs(recorded, name))
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
