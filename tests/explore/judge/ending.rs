//! How a run must end: Ready with the issuer's live token in the Secret, or without a trace.

use super::facts::{Facts, Ready};
use super::history::What;
use super::stored_token;
use super::subject::{Part, Role};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// A run may end in the middle of a rotation.
const ROTATING: SignedDuration = SignedDuration::from_millis(1_500);

pub(crate) fn wrong_ending(part: &Part<'_>) -> Vec<String> {
    let last = |role| part.changes(role).next_back().and_then(|change| change.is.as_ref());
    match last(Role::Resource) {
        Some(resource) => not_well(part, resource),
        None => left_behind([last(Role::Token), last(Role::State)]),
    }
}

fn left_behind(secrets: [Option<&Value>; 2]) -> Vec<String> {
    let left = secrets.into_iter().flatten().filter(|secret| secret.pointer("/metadata/ownerReferences").is_some());
    left.map(|secret| format!("{} is still there, its owner is not", secret["metadata"]["name"])).collect()
}

fn not_well(part: &Part<'_>, resource: &Value) -> Vec<String> {
    let mut facts = Facts::default();
    part.entries.iter().for_each(|entry| facts.take_in(entry));
    let end = part.entries.last().map(|entry| entry.at).unwrap_or_default();
    let lives = |token: &&str| {
        let known = part.journal.token(token);
        known.is_some_and(|token| token.death().is_none_or(|death| death.at + ROTATING > end))
    };
    let ready = Ready::of(resource);
    let (token, state) = (facts.delivered, facts.state.and_then(|state| state.active.as_deref()));
    let lost = ready.as_ref().is_some_and(|ready| ready.reason == "SessionLost");
    let says_lost = lost && facts.is_session() && !facts.has_login();
    let is_rotating = last_write(part, Role::State).is_some_and(|at| at + ROTATING > end);
    let mut wrong = Vec::new();
    if state != token && !is_rotating && (state.is_some() || !says_lost) {
        wrong.push("in the end the two Secrets hold different tokens".to_owned());
    }
    // Nobody can help it; whether it may be so is judged elsewhere.
    if says_lost {
        return wrong;
    }
    if ready.as_ref().is_none_or(|ready| !ready.is_true) {
        wrong.push(format!("in the end it is not Ready: {ready:?}"));
    }
    if token.filter(lives).is_none() {
        wrong.push(format!("in the end the token Secret holds {token:?}, which is not the issuer's live token"));
    }
    if rotations_since_healed(part) < 2 {
        wrong.push("it does not go on rotating".to_owned());
    }
    wrong
}

fn last_write(part: &Part<'_>, role: Role) -> Option<Timestamp> {
    part.entries.iter().rev().find(|entry| entry.role == Some(role)).map(|entry| entry.at)
}

/// Births after all was well; many where no token ever dies.
fn rotations_since_healed(part: &Part<'_>) -> usize {
    let healed = part.entries.iter().find(|entry| matches!(entry.what, What::Healed)).map(|entry| entry.at);
    let tokens = &part.journal.tokens;
    if tokens.last().is_some_and(|last| last.expires.is_none()) {
        return usize::MAX;
    }
    tokens.iter().filter(|token| healed.is_none_or(|healed| token.birth > healed)).count()
}
