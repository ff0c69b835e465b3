//! A request to be sent, and the data recorded with its response.

use super::StateWrite;
use crate::issuer::{Cause, Failure, FailureKind, TokenRequest, TokenResponse};
use crate::schedule::TokenLifetime;
use crate::secrets::SecretWrite;
use crate::state::{CallResult, Inputs, RequestKey, State, TokenChange, TokenRecord, UnrecordedResponse, Version};
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
    /// The token in the token Secret now, if it belongs to the same credential; for a standby its last token.
    pub record: Option<TokenRecord>,
    /// The other one of two credentials that take turns.
    pub turn: Option<Turn>,
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

/// A request for one of two credentials that take turns.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The identity of the other credential.
    pub partner: String,
    /// The values of the other credential, hashed: from the first token on a change of them is one.
    pub partner_inputs: Inputs,
    /// What a standby has to outlive; none for the credential whose token is in the token Secret.
    pub served: Option<Served>,
}

/// The token in the token Secret, while the standby is asked.
#[derive(Clone, Debug)]
pub struct Served {
    /// It.
    pub record: TokenRecord,
    /// The earliest end that was ever reported for it; none if it never ends.
    pub ends: Option<Moment>,
    /// When the hand-over from it opens: a request before that has time.
    pub hand_over: Option<Moment>,
}

impl Served {
    /// True when a token that lives until `ends` (none = for ever) is to take its place at `now`.
    fn yields_to(&self, ends: Option<Moment>, now: Moment) -> bool {
        match (self.ends, ends) {
            _ if self.record.rejected => true,
            (Some(own), _) if own <= now => true,
            (Some(own), Some(other)) => other > own,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

impl PlannedRequest {
    /// The token that is live during the request, as far as is known.
    pub fn live_token(&self) -> Option<&TokenRecord> {
        let served = self.served().map(|served| &served.record);
        served.or(self.record.as_ref()).filter(|record| !record.ended)
    }

    /// The token of the other credential in the token Secret, if this is the standby.
    pub fn served(&self) -> Option<&Served> {
        self.turn.as_ref()?.served.as_ref()
    }

    /// True when this response, received at `now`, puts its token into the token Secret. That of a standby does if it
    /// lives longer than the token there, or if that one is dead. For a token that is known the earliest end counts that
    /// was ever reported for it.
    pub fn activates(
        &self,
        response: &TokenResponse,
        known: Option<&TokenLifetime>,
        (sent, now): (Now, Moment),
    ) -> bool {
        let reported = response.lifetime.duration().map(|lifetime| sent.mono + lifetime);
        let is_new = matches!(TokenChange::of(response, self.record.as_ref()), TokenChange::New);
        let known = known.filter(|_| !is_new).and_then(TokenLifetime::earliest_end);
        let ends = [reported, known].into_iter().flatten().min();
        // An issuer may give an old token for a while after its end: one dead token is no better than another.
        let is_of_use = is_new || ends.is_none_or(|ends| ends > now);
        // A token of which nobody knows who was given it turns out to be the standby's.
        let is_own = |served: &Served| served.record.token == response.token && served.record.found;
        let is_other = |served: &Served| served.record.token != response.token;
        let takes_over = |served: &Served| is_own(served) || is_other(served) && served.yields_to(ends, now);
        self.served().is_none_or(|served| is_of_use && takes_over(served))
    }

    /// True when the token in the token Secret is at its end, or when it is time for its successor.
    pub fn is_renewal(&self) -> bool {
        let may_come_early = self.request.wire().kind().renewal().may_come_early;
        matches!(self.cause, Cause::Boundary | Cause::Extension | Cause::HandOver)
            || may_come_early && self.cause == Cause::Check
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
    pub fn unrecorded(&self, result: CallResult, sent: Now, activates: bool) -> UnrecordedResponse {
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
            activates,
            partner: self.turn.as_ref().map(|turn| (turn.partner.clone(), turn.partner_inputs.clone())),
        }
    }
}
