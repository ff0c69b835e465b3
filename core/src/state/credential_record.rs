//! The record of a credential, and how a response changes it.

use super::{CallResult, Inputs, TokenChange, TokenRecord, UnknownFields, UnrecordedResponse, inputs};
use crate::issuer::TokenResponse;
use crate::redacted::Redacted;
use serde::{Deserialize, Serialize};

/// The record of a credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialRecord {
    /// Its last token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenRecord>,
    /// The inputs of its last recorded request.
    #[serde(default)]
    pub inputs: Inputs,
    /// The issuer refuses the changed login in `inputs`; the existing session stays in use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub login_refused: bool,
    /// The version of the credentials Secret that held that login: detects a new password. A hash of the password
    /// itself is not kept beside its salt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_credentials: Option<String>,
    /// The issuer refused the pasted pair in `inputs` as ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pair_refused: bool,
    /// Fields added by a newer version of the same format.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl CredentialRecord {
    /// This record with `unrecorded` recorded in it.
    pub(super) fn record(&self, unrecorded: &UnrecordedResponse, salt: &str) -> Self {
        let mut next = self.clone();
        next.inputs = unrecorded.settled(salt).over(&self.inputs).without(&[inputs::PASSWORD]);
        let is_new = |names: &[&str]| names.iter().any(|name| next.inputs.differs(&self.inputs, name));
        let is_elsewhere = is_new(&[inputs::ENDPOINT]);
        let has_new_login = is_new(&inputs::LOGIN) || unrecorded.has_new_password && !unrecorded.is_login_open();
        if let Some(known) = next.token.as_mut().filter(|_| is_elsewhere) {
            // That verdict came from the previous endpoint.
            known.ended = false;
        }
        match &unrecorded.result {
            CallResult::Token(response) => {
                next.apply(response, unrecorded);
                next.pair_refused &= unrecorded.is_pair_open(salt);
                next.login_refused &= unrecorded.used_token.is_some() && !has_new_login;
                next.refused_credentials.take_if(|_| !next.login_refused);
            }
            CallResult::Ended(token) => {
                let is_known = next.end(token);
                next.pair_refused |= !is_known;
            }
            CallResult::LoginRefused => {
                next.login_refused = true;
                next.refused_credentials.clone_from(&unrecorded.credentials);
            }
        }
        next
    }

    fn apply(&mut self, response: &TokenResponse, unrecorded: &UnrecordedResponse) {
        let known = self.token.as_ref();
        self.token = Some(match TokenChange::of(response, known) {
            TokenChange::Previous(known) => known.checked_by(unrecorded),
            TokenChange::Same(known) => known.corrected(response, unrecorded),
            TokenChange::New => TokenRecord::fresh(response, unrecorded, known),
        });
    }

    /// False for an unknown token.
    fn end(&mut self, token: &Redacted) -> bool {
        let known = self.token.as_mut().filter(|known| known.token == *token);
        known.map(|known| known.ended = true).is_some()
    }
}
