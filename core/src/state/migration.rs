//! Converts states of earlier formats to the current format.

use super::inputs;
use crate::credential::session::IDENTITY as SESSION;
use crate::issuer::Kind;
use serde_json::{Map, Value, json};

/// Format 2 is the same without client credentials: its version would take those for corrupt.
pub(super) fn from_format_2(mut state: Map<String, Value>) -> Map<String, Value> {
    state.insert("version".to_owned(), json!(super::FORMAT));
    state
}

/// The fields of a format 1 that are of a session alone.
const OF_SESSIONS: [&str; 3] = ["loginRefused", "refusedCredentials", "pairRefused"];

/// Format 1 kept the tokens by credential, and what the last call was made with, whichever credential it was for, beside
/// them. None for what is no such state.
pub(super) fn from_format_1(mut state: Map<String, Value>) -> Option<Map<String, Value>> {
    let tokens = taken(state.remove("tokens"))?;
    let inputs = taken(state.remove("inputs"))?;
    let of_session: Map<_, _> =
        OF_SESSIONS.iter().filter_map(|name| Some(((*name).to_owned(), state.remove(*name)?))).collect();
    let active = state.get("active").and_then(Value::as_str).map(str::to_owned);
    let application = application_of(&inputs, &tokens);
    let mut credentials = Map::new();
    for (id, token) in tokens {
        let mut token = taken(Some(token))?;
        let kind = if token.contains_key("refreshToken") { Kind::Session } else { Kind::Application };
        token.insert("kind".to_owned(), json!(kind));
        credentials.insert(id, json!({"token": token}));
    }
    let is_session_known = credentials.contains_key(SESSION) || !of_session.is_empty() || knows_pair(&inputs);
    for (id, is_known) in
        [(SESSION, is_session_known), (application.as_deref().unwrap_or_default(), application.is_some())]
    {
        if !is_known {
            continue;
        }
        let record = credentials.entry(id).or_insert_with(|| json!({})).as_object_mut()?;
        record.insert("inputs".to_owned(), Value::Object(inputs_of(&inputs, id, active.as_deref())));
        if id == SESSION {
            record.extend(of_session.clone());
        }
    }
    state.insert("credentials".to_owned(), Value::Object(credentials));
    state.insert("version".to_owned(), json!(super::FORMAT));
    Some(state)
}

/// An object, or none where there is nothing; anything else is no state.
fn taken(value: Option<Value>) -> Option<Map<String, Value>> {
    match value {
        None => Some(Map::new()),
        Some(Value::Object(object)) => Some(object),
        Some(_) => None,
    }
}

/// The application of the inputs: the hash of its consumer key, made in the same way, is its identity.
fn application_of(inputs: &Map<String, Value>, tokens: &Map<String, Value>) -> Option<String> {
    let id = inputs.get("hashes")?.get(inputs::CONSUMER_KEY)?.as_str()?;
    tokens.contains_key(id).then(|| id.to_owned())
}

fn knows_pair(inputs: &Map<String, Value>) -> bool {
    let hashes = inputs.get("hashes").and_then(Value::as_object);
    hashes.is_some_and(|hashes| inputs::PAIR.iter().chain(&inputs::LOGIN).any(|name| hashes.contains_key(*name)))
}

/// The inputs of this credential. The endpoint is that of the active credential.
fn inputs_of(inputs: &Map<String, Value>, id: &str, active: Option<&str>) -> Map<String, Value> {
    let is_session = id == SESSION;
    let is_its_own = |name: &str| match name {
        inputs::ENDPOINT => active.is_none_or(|active| active == id),
        name => (inputs::PAIR.contains(&name) || inputs::LOGIN.contains(&name)) == is_session,
    };
    let mut own = inputs.clone();
    if let Some(hashes) = own.get_mut("hashes").and_then(Value::as_object_mut) {
        hashes.retain(|name, _| is_its_own(name));
    }
    own
}
