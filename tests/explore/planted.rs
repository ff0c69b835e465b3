//! Bugs to be caught: worlds in which the operator looks as if it had them. None of them touches the operator itself.

use crate::api_server::{Reply, Verb};
use crate::judge::{Key, Kind, Ready, stored_token};
use crate::stage::{NAME, STATE, base64};
use crate::world::Inside;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use serde_json::Value;
use syniverse_token_core::state::{CredentialRecord, State};

/// How long a stale read is served.
const STALE_FOR: SignedDuration = SignedDuration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) enum Planted {
    #[default]
    Nothing,
    /// A new token reaches the state Secret only after the token Secret: here is the write that waits.
    StateAfterToken(Option<(Key, Value)>),
    /// An answer in hand is dropped when a pass ends: a failed write becomes another call.
    AnswersForgotten,
    /// The state Secret is read as it was before its last change.
    StaleReads(Option<(Timestamp, Value)>),
    /// Calls are not announced: no intent reaches the state Secret.
    IntentsForgotten,
    /// Announced calls of others are not heeded: nobody reads an intent.
    IntentsIgnored,
    /// Every failure of an extension is taken for the end of the session.
    FailuresEndSessions,
    /// What is said of a resource is never taken back.
    AlwaysReady,
    /// Of the ends that were reported for a token, the last one counts.
    LastEndCounts,
    /// A standby takes over with whatever token it is given.
    AnyTokenTakesOver,
    /// Both credentials are asked at once: the other one by the world, at the same moment.
    BothAsked,
}

impl Planted {
    /// Serves a request as the planted bug would have it.
    pub(crate) fn request(inside: &mut Inside, now: Timestamp, verb: Verb, key: Key, body: Value) -> Reply {
        match std::mem::take(&mut inside.planted) {
            Self::StateAfterToken(waiting) => {
                let (reply, waiting) = reorder(inside, now, (verb, key, body), waiting);
                inside.planted = Self::StateAfterToken(waiting);
                reply
            }
            Self::StaleReads(before) => {
                let (reply, before) = serve_stale(inside, now, (verb, key, body), before);
                inside.planted = Self::StaleReads(before);
                reply
            }
            planted => {
                let reply = planted.serve(inside, now, verb, key, body);
                inside.planted = planted;
                reply
            }
        }
    }
}

impl Planted {
    fn serve(&self, inside: &mut Inside, now: Timestamp, verb: Verb, key: Key, body: Value) -> Reply {
        let is_state = key.name == STATE;
        match self {
            Self::IntentsForgotten if is_state && verb != Verb::Get => {
                let mut reply = inside.api.handle(verb, key, without_intent(body.clone()), now);
                if reply.code < 300 {
                    reply.body["data"] = body["data"].clone();
                }
                reply
            }
            Self::IntentsIgnored if is_state && verb == Verb::Get => {
                let reply = inside.api.handle(verb, key, body, now);
                Reply { body: without_intent(reply.body), ..reply }
            }
            Self::LastEndCounts if is_state && verb == Verb::Get => {
                let reply = inside.api.handle(verb, key, body, now);
                Reply {
                    body: with_state(reply.body, |state| state.credentials.values_mut().for_each(believe_last)),
                    ..reply
                }
            }
            Self::AnyTokenTakesOver if is_state && matches!(verb, Verb::Create | Verb::Replace) => {
                inside.api.handle(verb, key, with_state(body, take_over), now)
            }
            Self::AlwaysReady if verb == Verb::ReplaceStatus && !Ready::of(&body).is_none_or(|ready| ready.is_true) => {
                Reply { code: 200, body, change: None }
            }
            _ => inside.api.handle(verb, key, body, now),
        }
    }
}

fn without_intent(secret: Value) -> Value {
    with_state(secret, |state| state.intent = None)
}

/// Letter by letter as the operator writes such a state: it must not look edited.
fn with_state(mut secret: Value, change: impl FnOnce(&mut State)) -> Value {
    let bytes: Option<ByteString> = serde_json::from_value(secret["data"]["state.json"].clone()).ok();
    let Some(mut state) = bytes.and_then(|bytes| State::from_bytes(&bytes.0).ok()) else { return secret };
    change(&mut state);
    secret["data"]["state.json"] = base64(std::str::from_utf8(&state.to_bytes()).unwrap());
    secret
}

fn believe_last(credential: &mut CredentialRecord) {
    let Some(record) = &mut credential.token else { return };
    record.first_expiration_time = record.expiration_time;
    record.asked_seconds = None;
}

/// The credential that was asked last has the latest issue time, or a token that nobody has asked for with success.
fn take_over(state: &mut State) {
    let known = state.credentials.iter().filter(|(_, credential)| credential.token.is_some());
    let newest = known.max_by_key(|(_, credential)| credential.token.as_ref().map(|record| record.issue_time));
    state.active = newest.map(|(id, _)| id.clone());
}

type Asked = (Verb, Key, Value);

fn reorder(
    inside: &mut Inside,
    now: Timestamp,
    (verb, key, body): Asked,
    waiting: Option<(Key, Value)>,
) -> (Reply, Option<(Key, Value)>) {
    let is_write = matches!(verb, Verb::Create | Verb::Replace);
    if is_write && key.name == STATE && stored_token(STATE, &body).is_some() {
        return (Reply { code: 200, body: body.clone(), change: None }, Some((key, body)));
    }
    let is_token = is_write && key.kind == Kind::Secret && key.name == NAME;
    let reply = inside.api.handle(verb, key, body, now);
    let Some((key, mut body)) = waiting.filter(|_| is_token) else { return (reply, None) };
    body["metadata"]["resourceVersion"] = Value::Null;
    let late = inside.api.handle(Verb::Replace, key, body, now);
    late.change.into_iter().for_each(|change| inside.changed(now, None, change));
    (reply, None)
}

fn serve_stale(
    inside: &mut Inside,
    now: Timestamp,
    (verb, key, body): Asked,
    before: Option<(Timestamp, Value)>,
) -> (Reply, Option<(Timestamp, Value)>) {
    let is_state = key.name == STATE;
    if let Some((_, stale)) =
        before.as_ref().filter(|(changed, _)| is_state && verb == Verb::Get && now.duration_since(*changed) < STALE_FOR)
    {
        return (Reply { code: 200, body: stale.clone(), change: None }, before);
    }
    let reply = inside.api.handle(verb, key, body, now);
    let was = reply.change.as_ref().filter(|_| is_state).and_then(|change| change.was.clone());
    (reply, was.map(|was| (now, was)).or(before))
}
