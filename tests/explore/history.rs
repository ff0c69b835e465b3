//! What happened in one run, in order, so that it can be judged and read.

use crate::api_server::{Change, Kind};
use crate::fault::Fault;
use issuer_simulator::journal::Journal;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::Value;
use std::fmt;

/// The resource of every scenario, and so its token Secret.
pub(crate) const NAME: &str = "messaging";
pub(crate) const STATE: &str = "messaging-syniverse-state";

pub(crate) const CREDENTIALS: &str = "sdc-application";

/// A run, or a part of the real world seen the same way.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) entries: Vec<Entry>,
    /// The issuers' own record.
    pub(crate) journal: Journal,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    /// The operator process that did it or that it happened to; none = somebody else.
    pub(crate) process: Option<String>,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Started,
    Died,
    /// Somebody did something; `Some` when design section 4 makes it a cause to ask the issuer.
    User {
        deed: String,
        is_cause: bool,
    },
    /// Something is down, or odd, until then.
    Trouble {
        with: &'static str,
        until: Timestamp,
    },
    /// A fault struck, and was over at this time.
    Fault {
        point: usize,
        fault: Fault,
        request: String,
        until: Timestamp,
    },
    /// A request to the API server took effect, or came back refused.
    Requested {
        request: String,
        code: u16,
    },
    /// A request to the API server changed an object.
    Changed(Box<Change>),
    /// An update that changed nothing.
    Needless {
        request: String,
    },
    /// The issuer was asked with this old token.
    Asked {
        old_token: String,
    },
    /// What the operator was given; none for a failure.
    Answered {
        token: Option<String>,
    },
    /// Every fault is over, and the script has been played.
    Healed,
    /// The run is over.
    Ended,
}

impl History {
    /// The name of a token for readers: `T0` is the one from the portal.
    pub(crate) fn token_name(&self, value: &str) -> String {
        let place = self.journal.tokens.iter().position(|token| token.value == value);
        place.map_or_else(|| format!("{value:?}"), |place| format!("T{place}"))
    }

    /// What went wrong, and until when.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (&Entry, Timestamp)> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            What::Fault { until, .. } | What::Trouble { until, .. } => Some((entry, *until)),
            _ => None,
        })
    }

    fn told(&self, what: &What) -> String {
        match what {
            What::Started => "starts".to_owned(),
            What::Died => "DIES".to_owned(),
            What::User { deed, .. } => format!("somebody {deed}"),
            What::Trouble { with, .. } => format!("TROUBLE: {with}"),
            What::Fault { point, fault, request, .. } => format!("FAULT at point {point}: {request} {fault}"),
            What::Requested { request, code } => format!("{request} -> {code}"),
            What::Needless { request } => format!("{request} changes nothing"),
            What::Changed(change) => self.told_change(change),
            What::Asked { old_token } => format!("asks the issuer with {}", self.token_name(old_token)),
            What::Answered { token: Some(token) } => format!("is given {}", self.token_name(token)),
            What::Answered { token: None } => "is given no token".to_owned(),
            What::Ended => "---- the end ----".to_owned(),
            What::Healed => "---- all is well from here on ----".to_owned(),
        }
    }

    fn told_change(&self, change: &Change) -> String {
        let name = &change.key.name;
        let Some(is) = &change.is else { return format!("  {name} is deleted") };
        if change.key.kind == Kind::SyniverseToken {
            return format!("  {name}: generation {}, {}", is["metadata"]["generation"], told_ready(is));
        }
        let token = stored_token(name, is).map_or("no token".to_owned(), |token| self.token_name(&token));
        format!("  {name} holds {token} (version {})", is["metadata"]["resourceVersion"].as_str().unwrap_or("?"))
    }
}

fn told_ready(resource: &Value) -> String {
    let ready = condition(resource, "Ready");
    ready.map_or("no status".to_owned(), |ready| format!("Ready {} {}", ready["status"], ready["reason"]))
}

/// A condition of a resource.
pub(crate) fn condition<'a>(resource: &'a Value, kind: &str) -> Option<&'a Value> {
    resource.pointer("/status/conditions")?.as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// The value of a Secret under a key.
pub(crate) fn data(secret: &Value, key: &str) -> Option<String> {
    let bytes: ByteString = serde_json::from_value(secret.get("data")?.get(key)?.clone()).ok()?;
    String::from_utf8(bytes.0).ok()
}

/// The state document of a state Secret.
pub(crate) fn stored_state(secret: &Value) -> Option<Value> {
    serde_json::from_str(&data(secret, "state.json")?).ok()
}

/// The token that a Secret of ours holds: the active one of a state Secret, the value under any key of a token Secret.
pub(crate) fn stored_token(name: &str, secret: &Value) -> Option<String> {
    if name == STATE {
        let state = stored_state(secret)?;
        let active = state.get("active")?.as_str()?;
        return state["applications"][active]["token"].as_str().map(str::to_owned);
    }
    data(secret, "accessToken").or_else(|| data(secret, "token"))
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.entries.first() else { return Ok(()) };
        for entry in &self.entries {
            let after = entry.at.duration_since(first.at).as_secs_f64();
            let who = entry.process.as_deref().unwrap_or("-");
            writeln!(f, "{after:10.3} {who:>3} {}", self.told(&entry.what))?;
        }
        Ok(())
    }
}
