//! What is stored, and who runs, at one moment of a history.

use super::history::What;
use super::subject::{Content, Role, Seen};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fmt;
use syniverse_token_core::api::{REFRESH_ANNOTATION, STATE_SECRET_SUFFIX};

#[derive(Default)]
pub(crate) struct Facts<'a> {
    /// The processes that ever started.
    known: HashSet<&'a str>,
    pub(crate) running: HashSet<&'a str>,
    pub(crate) resource: Option<&'a Resource>,
    pub(crate) state: Option<&'a Stored>,
    /// What the token Secret holds.
    pub(crate) delivered: Option<&'a str>,
    credentials: HashMap<&'a str, &'a Credentials>,
    /// What each process started its last call from.
    bases: HashMap<&'a str, Base>,
}

/// The resource and the state that a call starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Base {
    uid: Option<String>,
    /// The salt and the serial.
    state: Option<(String, u64)>,
}

/// What matters of a resource.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) uid: String,
    pub(crate) is_session: bool,
    is_client: bool,
    pub(crate) refresh_before: Option<SignedDuration>,
    pub(crate) has_standby: bool,
    validity: Option<SignedDuration>,
    pub(crate) ready: Option<Ready>,
    /// The refresh annotation.
    refresh: Option<String>,
    credentials: String,
}

/// The condition Ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) is_true: bool,
    pub(crate) reason: String,
}

/// What matters of a state Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) salt: String,
    pub(crate) serial: u64,
    /// The active token.
    pub(crate) active: Option<String>,
    /// The tokens of all credentials.
    pub(crate) tokens: Vec<String>,
    pub(crate) session: Option<StoredPair>,
    pub(crate) intent: Option<Intent>,
    /// The refresh annotation handled last.
    refresh: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredPair {
    pub(crate) token: String,
    pub(crate) is_ended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) time: Timestamp,
    pub(crate) holder: String,
}

/// What matters of a credentials Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: Option<String>,
    pub(crate) has_login: bool,
    /// The token of a pasted pair.
    pub(crate) pasted: Option<String>,
}

impl<'a> Facts<'a> {
    pub(crate) fn take_in(&mut self, seen: &'a Seen<'_>) {
        match (&seen.what, seen.process.as_deref()) {
            (What::Started, Some(process)) => {
                self.known.insert(process);
                self.running.insert(process);
            }
            (What::Died, Some(process)) => drop(self.running.remove(process)),
            (What::Asked(_), Some(process)) => drop(self.bases.insert(process, self.base())),
            (What::Changed(change), _) => self.change(&change.key.name, seen),
            _ => {}
        }
    }

    fn change(&mut self, name: &'a str, seen: &'a Seen<'_>) {
        match (seen.role, &seen.content) {
            (_, Content::Resource(resource)) => self.resource = Some(resource),
            (_, Content::State(state)) => self.state = Some(state),
            (_, Content::Token(token)) => self.delivered = Some(token),
            (_, Content::Credentials(credentials)) => drop(self.credentials.insert(name, credentials)),
            (Some(Role::Resource), Content::Nothing) => self.resource = None,
            (Some(Role::State), Content::Nothing) => self.state = None,
            (Some(Role::Token), Content::Nothing) => self.delivered = None,
            (Some(Role::Credentials), Content::Nothing) => drop(self.credentials.remove(name)),
            (None, Content::Nothing) => {}
        }
    }

    fn base(&self) -> Base {
        let state = self.state.map(|state| (state.salt.clone(), state.serial));
        Base { uid: self.resource.map(|resource| resource.uid.clone()), state }
    }

    /// What the call started from that this process is given an answer to; none where its resource is gone since.
    pub(crate) fn base_of(&self, process: &str) -> Option<Base> {
        self.bases.get(process).filter(|base| base.uid == self.base().uid && base.uid.is_some()).cloned()
    }

    /// True of a process that may be told from others.
    pub(crate) fn knows(&self, process: &str) -> bool {
        self.known.contains(process)
    }

    /// True when somebody works, as far as that is known.
    pub(crate) fn somebody_works(&self) -> bool {
        !self.running.is_empty()
    }

    /// What the resource refers to.
    pub(crate) fn credentials(&self) -> Option<&'a Credentials> {
        self.credentials.get(self.resource?.credentials.as_str()).copied()
    }

    pub(crate) fn is_session(&self) -> bool {
        self.resource.is_some_and(|resource| resource.is_session)
    }

    pub(crate) fn has_standby(&self) -> bool {
        self.resource.is_some_and(|resource| resource.has_standby)
    }

    pub(crate) fn validity(&self) -> Option<SignedDuration> {
        self.resource?.validity
    }

    pub(crate) fn has_login(&self) -> bool {
        self.credentials().is_some_and(|credentials| credentials.has_login)
    }

    /// The refresh annotation has a value that no recorded call was made for.
    pub(crate) fn is_refresh_wanted(&self) -> bool {
        let wanted = self.resource.and_then(|resource| resource.refresh.as_ref());
        wanted.is_some() && self.state.is_some_and(|state| state.refresh.as_ref() != wanted)
    }

    /// The stored pair, unless it is known to be over.
    pub(crate) fn pair(&self) -> Option<&'a str> {
        let pair = self.state?.session.as_ref()?;
        (!pair.is_ended).then_some(pair.token.as_str())
    }

    /// How long before its end a token that lives for so long is looked after, at the earliest.
    pub(crate) fn lead(&self, lifetime: SignedDuration) -> SignedDuration {
        let given = self.resource.and_then(|resource| resource.refresh_before);
        if self.is_session() {
            let lead = given.unwrap_or(lifetime / 3).min(lifetime / 2);
            // The jitter.
            return lead + lead / 10;
        }
        if self.has_standby() {
            let validity = self.validity().unwrap_or(lifetime);
            return given.unwrap_or((validity / 3).min(SignedDuration::from_hours(1))).min(lifetime / 2);
        }
        if self.resource.is_some_and(|resource| resource.is_client) {
            let lead = given.unwrap_or((lifetime / 3).min(SignedDuration::from_hours(1)));
            return (lead + lead / 10).min(lifetime / 2);
        }
        given.unwrap_or((lifetime / 10).min(SignedDuration::from_mins(5))).min(lifetime / 2)
    }
}

impl Base {
    /// True when this state came after the one that the call started from.
    pub(crate) fn is_overtaken_by(&self, state: &Stored) -> bool {
        self.state.as_ref().is_some_and(|(salt, serial)| *salt == state.salt && *serial < state.serial)
    }
}

impl Resource {
    pub(crate) fn of(resource: &Value) -> Self {
        let spec = &resource["spec"];
        let given = |name: &str| spec.get(name).filter(|issuer| !issuer.is_null());
        let (session, client) = (given("session"), given("clientCredentials"));
        let issuer = session.or(client).unwrap_or(&spec["application"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            uid: text(&resource["metadata"]["uid"]),
            is_session: session.is_some(),
            is_client: client.is_some(),
            refresh_before: spec["refreshBefore"].as_str().and_then(|text| text.parse().ok()),
            has_standby: issuer["standby"].is_object(),
            validity: issuer["validity"].as_str().and_then(|text| text.parse().ok()),
            ready: Ready::of(resource),
            refresh: resource["metadata"]["annotations"][REFRESH_ANNOTATION].as_str().map(str::to_owned),
            credentials: text(&issuer["credentials"]["secretRef"]["name"]),
        }
    }
}

impl Ready {
    pub(crate) fn of(resource: &Value) -> Option<Self> {
        let conditions = resource.pointer("/status/conditions")?.as_array()?;
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
        Some(Self { is_true: ready["status"] == "True", reason: ready["reason"].as_str()?.to_owned() })
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ready {} {}", self.is_true, self.reason)
    }
}

impl Stored {
    pub(crate) fn of(secret: &Value) -> Option<Self> {
        let state: Value = serde_json::from_str(&data(secret, "state.json")?).ok()?;
        let credentials = state.get("credentials")?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let active = state["active"].as_str().and_then(|active| text(&credentials[active]["token"]["token"]));
        let records = credentials.as_object()?.values();
        let tokens = records.filter_map(|record| text(record.pointer("/token/token")?)).collect();
        let session = credentials.get("session").and_then(|session| session.get("token")).and_then(|session| {
            let is_ended = session["ended"] == true;
            Some(StoredPair { token: text(&session["token"])?, is_ended })
        });
        let intent = state.get("intent").and_then(|intent| {
            Some(Intent { time: intent["time"].as_str()?.parse().ok()?, holder: text(&intent["holder"])? })
        });
        let (salt, serial, refresh) = (text(&state["salt"])?, state["serial"].as_u64()?, text(&state["refresh"]));
        Some(Self { salt, serial, active, tokens, session, intent, refresh })
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = self.session.as_ref().is_some_and(|pair| pair.is_ended);
        write!(f, ", serial {}", self.serial)?;
        f.write_str(if ended { ", which is over" } else { "" })?;
        self.intent.as_ref().map_or(Ok(()), |intent| write!(f, ", intent of {}", intent.holder))
    }
}

impl Credentials {
    pub(crate) fn of(secret: &Value) -> Self {
        let value = |key| data(secret, key).filter(|value| !value.is_empty());
        let username = value("username");
        let has_login = username.is_some() && value("password").is_some();
        Self { username, has_login, pasted: value("refreshToken").and_then(|_| value("token")) }
    }
}

/// The value of a Secret under a key.
fn data(secret: &Value, key: &str) -> Option<String> {
    let bytes: ByteString = serde_json::from_value(secret.get("data")?.get(key)?.clone()).ok()?;
    String::from_utf8(bytes.0).ok()
}

/// The token that a Secret of ours holds: the active one of a state Secret, the value under any key of a token Secret.
pub(crate) fn stored_token(name: &str, secret: &Value) -> Option<String> {
    if name.ends_with(STATE_SECRET_SUFFIX) {
        return Stored::of(secret)?.active;
    }
    data(secret, "accessToken").or_else(|| data(secret, "token"))
}
