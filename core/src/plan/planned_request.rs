//! A request to be sent, and what its answer will be recorded with.

use super::StateWrite;
use crate::issuer::{Cause, Failure, FailureKind, TokenRequest, TokenResponse};
use crate::secrets::SecretWrite;
use crate::state::{CallResult, RequestKey, State, TokenRecord, UnrecordedResponse, Version};
use crate::time::{Moment, Now};

/// A request to be sent, and what its answer will be recorded with.
#[derive(Clone, Debug)]
pub struct PlannedRequest {
    /// The question.
    pub request: TokenRequest,
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub due: Moment,
    /// The token in the token Secret as of now, if it is of the same credential.
    pub record: Option<TokenRecord>,
    /// The state that the call starts from.
    pub base: Version,
    /// What it is made with.
    pub key: RequestKey,
    /// The process that makes it.
    pub holder: String,
    /// The last call failed, whatever it was made with.
    pub is_retry: bool,
    /// The issuer has given this resource a token for the same inputs.
    pub was_served: bool,
    /// The version of the credentials Secret that it is made with.
    pub credentials: Option<String>,
    /// The refused login's password has changed since.
    pub has_new_password: bool,
    /// What an answer in hand makes of the state, if there is one: this call starts from that.
    pub follows: Option<Box<State>>,
    /// What the API server is to be asked first: whether it would take the token Secret.
    pub dry_run: Option<SecretWrite>,
    /// What must be in the state Secret first; the plan after that write makes the call.
    pub intent_write: Option<StateWrite>,
}

impl PlannedRequest {
    /// The token that lives while it is made, for all that is known.
    pub fn live_token(&self) -> Option<&TokenRecord> {
        self.record.as_ref().filter(|record| !record.ended)
    }

    /// What is to be recorded of this call, with all that goes with it; none for a failure after which the same is tried
    /// again.
    pub fn result_of(&self, result: &Result<TokenResponse, Failure>) -> Option<CallResult> {
        match result {
            Ok(response) => Some(CallResult::Token(response.clone())),
            Err(Failure { kind: FailureKind::Ended, .. }) => {
                self.request.wire().properties().spends.cloned().map(CallResult::Ended)
            }
            // The session that there is goes on; the new account had its try.
            Err(Failure { kind: FailureKind::LoginRefused, .. }) => {
                self.record.as_ref().and_then(TokenRecord::pair).map(|_| CallResult::LoginRefused)
            }
            Err(_) => None,
        }
    }

    /// `result` in hand, as it will be recorded.
    pub fn unrecorded(&self, result: CallResult, sent: Now) -> UnrecordedResponse {
        let wire = self.request.wire();
        let properties = wire.properties();
        UnrecordedResponse {
            result,
            sent,
            cause: self.cause,
            base: self.base.clone(),
            holder: self.holder.clone(),
            kind: wire.kind(),
            key: self.key.clone(),
            used_token: properties.spends.cloned(),
            asked_seconds: properties.lifetime_seconds,
            credentials: self.credentials.clone(),
            has_new_password: self.has_new_password,
            follows: self.follows.clone(),
        }
    }
}
