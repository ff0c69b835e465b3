//! What is known of one credential, and what an answer makes of that.

use super::{Brought, Held, Inputs, Issued, Outcome, UnknownFields, inputs};
use crate::issuer::Answer;
use crate::redacted::Redacted;
use serde::{Deserialize, Serialize};

/// What is known of one credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialRecord {
    /// Its last token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Issued>,
    /// What its last recorded call was made with.
    #[serde(default)]
    pub inputs: Inputs,
    /// The issuer refuses the changed login that `inputs` tell of, and the session before goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub login_refused: bool,
    /// The version of the credentials Secret that held that login: by it another password is found. A hash of the password
    /// itself is not kept beside its salt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_credentials: Option<String>,
    /// The pasted pair that `inputs` tell of was said to be over when it was tried.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pair_refused: bool,
    /// What a newer version of the same format added.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl CredentialRecord {
    /// This record with `held` recorded in it.
    pub(super) fn record(&self, held: &Held, salt: &str) -> Self {
        let mut next = self.clone();
        next.inputs = held.settled(salt).over(&self.inputs).without(&[inputs::PASSWORD]);
        let is_new = |names: &[&str]| names.iter().any(|name| next.inputs.differs(&self.inputs, name));
        let is_elsewhere = is_new(&[inputs::ENDPOINT]);
        let has_new_login = is_new(&inputs::LOGIN) || held.has_new_password && !held.leaves_login();
        if let Some(known) = next.token.as_mut().filter(|_| is_elsewhere) {
            // That verdict came from the previous endpoint.
            known.ended = false;
        }
        match &held.outcome {
            Outcome::Token(answer) => {
                next.take(answer, held);
                next.pair_refused &= held.leaves_pair(salt);
                next.login_refused &= held.used.is_some() && !has_new_login;
                next.refused_credentials.take_if(|_| !next.login_refused);
            }
            Outcome::Ended(token) => {
                let is_known = next.end(token);
                next.pair_refused |= !is_known;
            }
            Outcome::LoginRefused => {
                next.login_refused = true;
                next.refused_credentials.clone_from(&held.credentials);
            }
        }
        next
    }

    fn take(&mut self, answer: &Answer, held: &Held) {
        let known = self.token.as_ref();
        self.token = Some(match Brought::by(answer, known) {
            Brought::Previous(known) => known.checked_by(held),
            Brought::Same(known) => known.corrected(answer, held),
            Brought::New => Issued::fresh(answer, held, known),
        });
    }

    /// False for a token that is not the one we know.
    fn end(&mut self, token: &Redacted) -> bool {
        let known = self.token.as_mut().filter(|known| known.token == *token);
        known.map(|known| known.ended = true).is_some()
    }
}
