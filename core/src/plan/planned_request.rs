//! A request to be sent, and the data recorded with its response.

use super::StateWrite;
use crate::issuer::{Cause, Failure, FailureKind, TokenRequest, TokenResponse};
use crate::secrets::SecretWrite;
use crate::state::{CallResult, RequestKey, State, TokenRecord, UnrecordedResponse, Version};
use crate::time::{Moment, Now};

/// A request to be sent, and the data recorded with its response.
#[derive(Clone, Debug)]
pub struct PlannedRequest {
    /// The question.
    pub request: TokenRequest,
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub due: Moment,
    /// The token in the token Secret now, if it belongs to the same credential.
    pub record: Option<TokenRecord>,
    /// The state from which the request was planned.
    pub base: Version,
    /// The inputs of the request.
    pub key: RequestKey,
    /// The process that sends it.
    pub holder: String,
    /// The last request failed, whatever its inputs.
    pub is_retry: bool,
    /// The issuer has issued a token to this resource for the same inputs.
    pub was_served: bool,
    /// The version of the credentials Secret that its values come from.
    pub credentials: Option<String>,
    /// The password of the refused login has changed since.
    pub has_new_password: bool,
    /// The state with an unrecorded response applied, if any: the request is based on it.
    pub follows: Option<Box<State>>,
    /// The dry run of the token Secret that comes first.
    pub dry_run: Option<SecretWrite>,
    /// The state to be written first; the plan after that write sends the request.
    pub intent_write: Option<StateWrite>,
}

impl PlannedRequest {
    /// The token that is live during the request, as far as is known.
    pub fn live_token(&self) -> Option<&TokenRecord> {
        self.record.as_ref().filter(|record| !record.ended)
    }

    /// True when the token in the token Secret is at its end, or when it is time for its successor.
    pub fn is_renewal(&self) -> bool {
        let may_come_early = self.request.wire().kind().renewal().may_come_early;
        matches!(self.cause, Cause::Boundary | Cause::Extension) || may_come_early && self.cause == Cause::Check
    }

    /// The result of this request to be recorded; none for a failure after which the same request is retried.
    pub fn result_of(&self, result: &Result<TokenResponse, Failure>) -> Option<CallResult> {
        match result {
            Ok(response) => Some(CallResult::Token(response.clone())),
            Err(Failure { kind: FailureKind::Ended, .. }) => {
                self.request.wire().properties().spends.cloned().map(CallResult::Ended)
            }
            // The existing session stays in use; the new account was tried.
            Err(Failure { kind: FailureKind::LoginRefused, .. }) => {
                self.record.as_ref().and_then(TokenRecord::pair).map(|_| CallResult::LoginRefused)
            }
            Err(_) => None,
        }
    }

    /// `result` as an unrecorded response.
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
