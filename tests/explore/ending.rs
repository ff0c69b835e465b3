//! How a run must end: Ready with the issuer's live token in the Secret, or without a trace.

use crate::api_server::Kind;
use crate::history::{History, NAME, STATE, What, condition, stored_token};
use jiff::SignedDuration;
use serde_json::Value;

/// A run may end in the middle of a rotation.
const ROTATING: SignedDuration = SignedDuration::from_millis(1_500);

pub(crate) fn wrong_ending(history: &History) -> Vec<String> {
    let last = |kind, name| {
        let changes = history.entries.iter().rev().filter_map(|entry| match &entry.what {
            What::Changed(change) if change.key.kind == kind && change.key.name == name => Some(change),
            _ => None,
        });
        changes.into_iter().next().and_then(|change| change.is.as_ref())
    };
    let secrets = [last(Kind::Secret, NAME), last(Kind::Secret, STATE)];
    match last(Kind::SyniverseToken, NAME) {
        Some(resource) => not_well(history, resource, secrets),
        None => left_behind(secrets),
    }
}

fn left_behind(secrets: [Option<&Value>; 2]) -> Vec<String> {
    let left = secrets.into_iter().flatten().filter(|secret| secret.pointer("/metadata/ownerReferences").is_some());
    left.map(|secret| format!("{} is still there, its owner is not", secret["metadata"]["name"])).collect()
}

fn not_well(history: &History, resource: &Value, [token, state]: [Option<&Value>; 2]) -> Vec<String> {
    let mut wrong = Vec::new();
    let ready = condition(resource, "Ready");
    if ready.is_none_or(|ready| ready["status"] != "True") {
        wrong.push(format!("in the end it is not Ready: {}", ready.unwrap_or(&Value::Null)));
    }
    let end = history.entries.last().map(|entry| entry.at).unwrap_or_default();
    let lives = |token: &&str| {
        let known = history.journal.token(token);
        known.is_some_and(|token| token.death().is_none_or(|death| death.at + ROTATING > end))
    };
    let [token, state] = [(NAME, token), (STATE, state)].map(|(name, secret)| stored_token(name, secret?));
    if token.as_deref().filter(lives).is_none() {
        wrong.push(format!("in the end the token Secret holds {token:?}, which is not the issuer's live token"));
    }
    if state != token {
        wrong.push("in the end the two Secrets hold different tokens".to_owned());
    }
    if rotations_since_healed(history) < 2 {
        wrong.push("it does not go on rotating".to_owned());
    }
    wrong
}

/// Births after all was well; many where no token ever dies.
fn rotations_since_healed(history: &History) -> usize {
    let healed = history.entries.iter().find(|entry| matches!(entry.what, What::Healed)).map(|entry| entry.at);
    let tokens = &history.journal.tokens;
    if tokens.last().is_some_and(|last| last.expires.is_none()) {
        return usize::MAX;
    }
    tokens.iter().filter(|token| healed.is_none_or(|healed| token.birth > healed)).count()
}
