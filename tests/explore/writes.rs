//! Promises about writes: in order, never backwards, only into what is ours, and few.

use crate::api_server::{Change, Kind};
use crate::check::beyond;
use crate::history::{Entry, History, NAME, STATE, What, condition, stored_token};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use syniverse_token_operator::fingerprint::fingerprint;
use syniverse_token_operator::redacted::Redacted;

/// Writes of state Secret, token Secret and status, and Events, around one token when nothing goes wrong; the state is written when
/// a first issue begins, too.
const LIMITS: [(&str, usize); 4] = [("state writes", 3), ("token writes", 1), ("status writes", 3), ("Events", 3)];
/// What a fault or a deed is good for.
const MORE: usize = 3;

#[derive(Default)]
pub(crate) struct Writes {
    in_state: HashSet<String>,
    /// By fingerprint.
    in_token: HashSet<String>,
    newest_delivered: Option<usize>,
    uids: HashSet<String>,
    counts: HashMap<(&'static str, Option<String>), usize>,
    current: Option<String>,
    allowance: usize,
    needless: usize,
    /// Processes that found a token when they started, and have not asked since.
    at_rest: HashSet<String>,
}

impl Writes {
    pub(crate) fn see(&mut self, history: &History, entry: &Entry) -> Vec<String> {
        match &entry.what {
            What::Fault { .. } | What::Trouble { .. } | What::User { .. } => self.allowance += 1,
            What::Started => self.at_rest.extend(entry.process.clone().filter(|_| self.current.is_some())),
            What::Died | What::Asked { .. } => self.at_rest.retain(|process| Some(process) != entry.process.as_ref()),
            What::Requested { request, .. } if request == "Event" => return self.too_many(3).into_iter().collect(),
            What::Needless { request } if entry.process.is_some() => {
                self.needless += 1;
                let what = format!("writes that change nothing, the last being {request}");
                return beyond(&what, self.needless, self.allowance).into_iter().collect();
            }
            What::Changed(change) => {
                let broken = match &entry.process {
                    Some(process) => self.judge(history, process, change),
                    None => Vec::new(),
                };
                self.take_in(change);
                let at = entry.at;
                return broken.into_iter().map(|broken| format!("{broken} at {at}")).collect();
            }
            _ => {}
        }
        Vec::new()
    }

    fn take_in(&mut self, change: &Change) {
        let Some(is) = &change.is else { return };
        if change.key.kind == Kind::SyniverseToken {
            self.uids.insert(is["metadata"]["uid"].as_str().unwrap_or_default().to_owned());
            return;
        }
        let Some(token) = stored_token(&change.key.name, is) else { return };
        match change.key.name.as_str() {
            STATE => {
                self.current = Some(token.clone());
                self.in_state.insert(token);
            }
            NAME => {
                self.in_token.insert(fingerprint(&Redacted::new(&token)));
            }
            _ => {}
        }
    }

    fn judge(&mut self, history: &History, process: &str, change: &Change) -> Vec<String> {
        let Some(is) = &change.is else { return vec![format!("the operator deleted {}", change.key.name)] };
        let wrong = match (change.key.kind, change.key.name.as_str()) {
            (Kind::SyniverseToken, _) => [self.too_many(2), self.untrue_status(is)],
            (Kind::Secret, STATE) => [self.too_many(0), self.backwards(history, change)],
            (Kind::Secret, NAME) => [self.too_many(1), self.wrong_delivery(history, change)],
            (Kind::Secret, other) => [None, Some(format!("the operator wrote Secret {other}"))],
        };
        let idle = (self.allowance == 0 && self.at_rest.contains(process))
            .then(|| format!("{process} wrote {} after a start with nothing to do", change.key.name));
        wrong.into_iter().flatten().chain(self.foreign(change)).chain(idle).collect()
    }

    fn too_many(&mut self, which: usize) -> Option<String> {
        let (what, limit) = LIMITS[which];
        let count = self.counts.entry((what, self.current.clone())).or_default();
        *count += 1;
        beyond(&format!("{what} around one token"), *count, limit + MORE * self.allowance)
    }

    fn untrue_status(&self, resource: &Value) -> Option<String> {
        let shown = resource.pointer("/status/fingerprint")?.as_str()?;
        let ready = condition(resource, "Ready").is_some_and(|ready| ready["status"] == "True");
        let untrue = ready && !self.in_token.contains(shown);
        untrue.then(|| "the status says Ready of a token that never was in the token Secret".to_owned())
    }

    fn backwards(&self, history: &History, change: &Change) -> Option<String> {
        let (was, is) = (change.was.as_ref()?, change.is.as_ref()?);
        let age = |object| Some(age(history, &stored_token(STATE, object)?));
        let (was, is) = (age(was)?, age(is));
        (is < Some(was)).then(|| format!("the state Secret went back from T{was:?} to {is:?}"))
    }

    fn wrong_delivery(&mut self, history: &History, change: &Change) -> Option<String> {
        let token = stored_token(NAME, change.is.as_ref()?)?;
        let name = history.token_name(&token);
        if !self.in_state.contains(&token) {
            return Some(format!("{name} was written into the token Secret before the state Secret had it"));
        }
        let age = age(history, &token);
        let newest = self.newest_delivered.max(age);
        let older = age < self.newest_delivered;
        self.newest_delivered = newest;
        older.then(|| format!("{name} replaced a newer token in the token Secret"))
    }

    fn foreign(&self, change: &Change) -> Option<String> {
        let was = change.was.as_ref().filter(|_| change.key.kind == Kind::Secret)?;
        let owners = was.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let controller = owners.into_iter().flatten().find(|owner| owner["controller"] == true);
        let ours = match controller {
            Some(controller) => self.uids.contains(controller["uid"].as_str().unwrap_or_default()),
            None => was.pointer("/metadata/annotations/syniverse.dev~1adopt").is_some_and(|name| name == NAME),
        };
        (!ours).then(|| format!("the operator wrote Secret {}, which is not ours", change.key.name))
    }
}

fn age(history: &History, token: &str) -> Option<usize> {
    history.journal.tokens.iter().position(|known| known.value == token)
}
