//! A request to be sent, and what its answer will be recorded with.

use super::StateWrite;
use crate::issuer::{Answer, Ask, Cause, Failure, FailureKind};
use crate::secrets::Write;
use crate::state::{Attempt, Held, Issued, Outcome, State, Version};
use crate::time::{Moment, Now};

/// A request to be sent, and what its answer will be recorded with.
#[derive(Clone, Debug)]
pub struct Call {
    /// The question.
    pub ask: Ask,
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub due: Moment,
    /// The token in the token Secret as of now, if it is of the same credential.
    pub issued: Option<Issued>,
    /// The state that the call starts from.
    pub base: Version,
    /// What it is made with.
    pub attempt: Attempt,
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
    pub rehearsal: Option<Write>,
    /// What must be in the state Secret first; the plan after that write makes the call.
    pub announcement: Option<StateWrite>,
}

impl Call {
    /// The token that lives while it is made, for all that is known.
    pub fn living(&self) -> Option<&Issued> {
        self.issued.as_ref().filter(|issued| !issued.ended)
    }

    /// What is to be recorded of this call, with all that goes with it; none for a failure after which the same is tried
    /// again.
    pub fn outcome(&self, result: &Result<Answer, Failure>) -> Option<Outcome> {
        match result {
            Ok(answer) => Some(Outcome::Token(answer.clone())),
            Err(Failure { kind: FailureKind::Ended, .. }) => {
                self.ask.wire().properties().spends.cloned().map(Outcome::Ended)
            }
            // The session that there is goes on; the new account had its try.
            Err(Failure { kind: FailureKind::LoginRefused, .. }) => {
                self.issued.as_ref().and_then(Issued::pair).map(|_| Outcome::LoginRefused)
            }
            Err(_) => None,
        }
    }

    /// `outcome` in hand, as it will be recorded.
    pub fn held(&self, outcome: Outcome, sent: Now) -> Held {
        let wire = self.ask.wire();
        let properties = wire.properties();
        Held {
            outcome,
            sent,
            cause: self.cause,
            base: self.base.clone(),
            holder: self.holder.clone(),
            kind: wire.kind(),
            attempt: self.attempt.clone(),
            used: properties.spends.cloned(),
            asked_seconds: properties.lifetime_seconds,
            credentials: self.credentials.clone(),
            has_new_password: self.has_new_password,
            follows: self.follows.clone(),
        }
    }
}
