//! Promises about writes: in order, never backwards, only into what is ours, and few.

use super::beyond;
use super::change::Change;
use super::facts::{Facts, Stored};
use super::history::What;
use super::question::Given;
use super::subject::{Content, Part, Role, Seen};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use syniverse_token_core::fingerprint::fingerprint;
use syniverse_token_core::redacted::Redacted;

/// What is written around one token when nothing goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Written {
    State,
    Token,
    Status,
    Event,
}

impl Written {
    const fn name(self) -> &'static str {
        match self {
            Self::State => "state writes",
            Self::Token => "token writes",
            Self::Status => "status writes",
            Self::Event => "Events",
        }
    }

    /// The state of an application is written when a first issue begins, too; that of a session before each call, and
    /// when a call shows that the session is over, which is said as well.
    const fn limit(self, is_session: bool, is_first: bool, works: usize, session: &Session) -> usize {
        match self {
            Self::State if is_session => 1 + session.asked + session.ended,
            Self::Token => 1,
            // Each process that works has its own to say.
            Self::Status if is_session && !is_first => works + session.ended,
            Self::Status | Self::Event => 3 * works,
            Self::State => 3,
        }
    }
}

/// What a fault or a deed is good for.
const MORE: usize = 3;

/// The calls around one pair.
#[derive(Default)]
struct Session {
    asked: usize,
    /// Those that showed that the pair is over.
    ended: usize,
}

#[derive(Default)]
pub(crate) struct Writes {
    session: Session,
    in_state: HashSet<String>,
    /// By fingerprint.
    in_token: HashSet<String>,
    /// The newest of each owner, one after the other.
    delivered: Vec<String>,
    uids: HashSet<String>,
    counts: HashMap<(Written, Option<String>), usize>,
    current: Option<String>,
    allowance: usize,
    needless: usize,
    /// Processes that found a token when they started, and have not asked since.
    at_rest: HashSet<String>,
}

impl Writes {
    pub(crate) fn see(&mut self, part: &Part<'_>, facts: &Facts<'_>, entry: &Seen<'_>) -> Vec<String> {
        match &entry.what {
            What::Fault { .. } | What::Trouble { .. } | What::User { .. } => self.allowance += 1,
            What::Started => self.at_rest.extend(entry.process.clone().filter(|_| self.current.is_some())),
            What::Died => self.at_rest.retain(|process| Some(process) != entry.process.as_ref()),
            What::Asked(_) => {
                self.session.asked += 1;
                self.at_rest.retain(|process| Some(process) != entry.process.as_ref());
            }
            What::Answered { given: Given::Ended | Given::LoginRefused, .. } => self.session.ended += 1,
            What::Requested { request, .. } if request.starts_with("Event") => {
                return self.too_many(Written::Event, facts).into_iter().collect();
            }
            What::Needless { request } if entry.process.is_some() => {
                self.needless += 1;
                let what = format!("writes that change nothing, the last being {request}");
                return beyond(&what, self.needless, self.allowance).into_iter().collect();
            }
            What::Changed(change) => {
                let broken = match &entry.process {
                    Some(process) => self.judge(part, facts, process, entry, change),
                    None => Vec::new(),
                };
                self.take_in(&entry.content);
                let at = entry.at;
                return broken.into_iter().map(|broken| format!("{broken} at {at}")).collect();
            }
            _ => {}
        }
        Vec::new()
    }

    fn take_in(&mut self, content: &Content) {
        match content {
            Content::Resource(resource) => drop(self.uids.insert(resource.uid.clone())),
            Content::State(Stored { active: Some(token), .. }) => {
                if self.current.as_ref() != Some(token) {
                    (self.current, self.session) = (Some(token.clone()), Session::default());
                }
                self.in_state.insert(token.clone());
            }
            Content::Token(token) => drop(self.in_token.insert(fingerprint(&Redacted::new(token)))),
            _ => {}
        }
    }

    fn judge(
        &mut self,
        part: &Part<'_>,
        facts: &Facts<'_>,
        process: &str,
        entry: &Seen<'_>,
        change: &Change,
    ) -> Vec<String> {
        let Some(role) = entry.role else { return Vec::new() };
        let Some(is) = &change.is else { return vec![format!("the operator deleted {}", change.key.name)] };
        let wrong = match role {
            Role::Resource => [self.too_many(Written::Status, facts), self.untrue_status(is, entry)],
            Role::State => [self.too_many(Written::State, facts), backwards(part, facts, entry)],
            Role::Token => [self.too_many(Written::Token, facts), self.wrong_delivery(part, &entry.content)],
            Role::Credentials => [None, Some(format!("the operator wrote Secret {}", change.key.name))],
        };
        if entry.state().flatten().is_some_and(|state| state.intent.is_some()) {
            // It begins a call, which is judged by its cause.
            self.at_rest.remove(process);
        }
        let idle = (self.allowance == 0 && self.at_rest.contains(process))
            .then(|| format!("{process} wrote {} after a start with nothing to do", change.key.name));
        wrong.into_iter().flatten().chain(self.foreign(part, role, change)).chain(idle).collect()
    }

    fn too_many(&mut self, written: Written, facts: &Facts<'_>) -> Option<String> {
        let works = facts.running.len().max(1);
        let limit = written.limit(facts.is_session(), self.current.is_none(), works, &self.session);
        let count = self.counts.entry((written, self.current.clone())).or_default();
        *count += 1;
        beyond(&format!("{} around one token", written.name()), *count, limit + MORE * self.allowance)
    }

    fn untrue_status(&self, resource: &Value, entry: &Seen<'_>) -> Option<String> {
        let shown = resource.pointer("/status/fingerprint")?.as_str()?;
        let Content::Resource(known) = &entry.content else { return None };
        let is_ready = known.ready.as_ref().is_some_and(|ready| ready.is_true);
        let untrue = is_ready && !self.in_token.contains(shown);
        untrue.then(|| "the status says Ready of a token that never was in the token Secret".to_owned())
    }

    fn wrong_delivery(&mut self, part: &Part<'_>, content: &Content) -> Option<String> {
        let Content::Token(token) = content else { return None };
        let name = part.token_name(token);
        if !self.in_state.contains(token) {
            return Some(format!("{name} was written into the token Secret before the state Secret had it"));
        }
        let older = self.delivered.iter().any(|delivered| part.is_older(token, delivered));
        self.delivered.push(token.clone());
        older.then(|| format!("{name} replaced a newer token in the token Secret"))
    }

    fn foreign(&self, part: &Part<'_>, role: Role, change: &Change) -> Option<String> {
        let was = change.was.as_ref().filter(|_| role != Role::Resource)?;
        let owners = was.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let controller = owners.into_iter().flatten().find(|owner| owner["controller"] == true);
        let consent = was.pointer("/metadata/annotations/syniverse.dev~1adopt");
        let ours = match controller {
            Some(controller) => self.uids.contains(controller["uid"].as_str().unwrap_or_default()),
            None => consent.is_some_and(|name| name == part.subject.resource.as_str()),
        };
        (!ours).then(|| format!("the operator wrote Secret {}, which is not ours", change.key.name))
    }
}

fn backwards(part: &Part<'_>, facts: &Facts<'_>, entry: &Seen<'_>) -> Option<String> {
    let was = facts.state?.active.as_ref()?;
    let is = entry.state()?.and_then(|state| state.active.as_ref());
    let is_back = is.is_none_or(|is| part.is_older(is, was));
    is_back.then(|| {
        let is = is.map_or("none".to_owned(), |is| part.token_name(is));
        format!("the state Secret went back from {} to {is}", part.token_name(was))
    })
}
