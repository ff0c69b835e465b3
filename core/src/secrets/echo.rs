//! Detects texts of others that repeat part of a Secret.

use super::STATE_KEY;
use crate::api::EXPIRATION_TIME_KEY;
use crate::redacted::Redacted;
use crate::state::State;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use std::collections::HashSet;

/// Number of consecutive bytes of a secret that cannot match by accident.
const TELLING: usize = 8;
/// A whole value may be shorter than that, but not as short as a common word.
const SHORTEST_VALUE: usize = 4;

/// True when `text` repeats a part of a value in `secret`, as it is or in base64.
pub fn repeats(text: &str, secret: &Secret) -> bool {
    let parts: HashSet<&[u8]> = text.as_bytes().windows(TELLING).collect();
    let is_repeated = |value: &Redacted| match value.expose().as_bytes() {
        short if short.len() < SHORTEST_VALUE => false,
        short if short.len() < TELLING => text.contains(value.expose()),
        value => value.windows(TELLING).any(|part| parts.contains(part)),
    };
    let values = secret.data.iter().flatten().filter(|(key, _)| *key != EXPIRATION_TIME_KEY);
    values.flat_map(|(key, value)| forms(key, value)).any(|value| is_repeated(&value))
}

/// The parts of a value that must not be repeated. The keys of a state are no secrets, its values are.
fn forms(key: &str, value: &ByteString) -> Vec<Redacted> {
    let in_base64 = serde_json::to_value(value).ok().and_then(|value| value.as_str().map(Redacted::new));
    let state = (key == STATE_KEY).then(|| State::from_bytes(&value.0).ok()).flatten();
    let plain = match state {
        Some(state) => secrets_of(state),
        None => vec![Redacted::new(String::from_utf8_lossy(&value.0))],
    };
    plain.into_iter().chain(in_base64).collect()
}

fn secrets_of(state: State) -> Vec<Redacted> {
    let unknown = state.unknown_texts().into_iter().map(Redacted::new).collect::<Vec<_>>();
    let salt = Redacted::new(state.salt);
    let tokens = state.credentials.into_values().filter_map(|record| record.token);
    let tokens = tokens.flat_map(|token_record| [Some(token_record.token), token_record.refresh_token]);
    tokens.flatten().chain([salt]).chain(unknown).collect()
}
