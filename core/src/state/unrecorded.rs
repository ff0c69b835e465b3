//! An answer that is in hand, until it is in the state Secret.

use super::{Inputs, State, Version, inputs};
use crate::issuer::Kind;
use crate::issuer::{Cause, TokenResponse};
use crate::redacted::Redacted;
use crate::time::{Moment, Now};

/// What a call is made with, beside the token: a change of it is worth a new attempt at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The credential: a name in [`State::credentials`].
    pub credential: String,
    /// The hashes of the values.
    pub inputs: Inputs,
    /// The refresh annotation.
    pub refresh: Option<String>,
    /// What it is tried as.
    pub role: Role,
}

/// What a request is among those that could be sent for one credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// What is wanted.
    Main,
    /// What goes on while a change is tried in vain.
    Fallback,
}

/// An answer in hand that is not yet in the state Secret. It leaves memory only once it is recorded or overtaken.
#[derive(Clone, Debug)]
pub struct UnrecordedResponse {
    /// What it says.
    pub result: CallResult,
    /// When its request was sent.
    pub sent: Now,
    /// Why it was asked for.
    pub cause: Cause,
    /// The state that the call started from.
    pub base: Version,
    /// The process that asked: its intent is over.
    pub holder: String,
    /// The kind of the credential.
    pub kind: Kind,
    /// What it was asked with.
    pub key: RequestKey,
    /// The token of the pair that it was asked with.
    pub used_token: Option<Redacted>,
    /// The seconds of life that were asked for, where they can be.
    pub asked_seconds: Option<u64>,
    /// The version of the credentials Secret that it was asked with.
    pub credentials: Option<String>,
    /// The refused login's password has changed since.
    pub has_new_password: bool,
    /// What an earlier answer, in hand while this one was asked for, makes of the state: recorded with this one.
    pub follows: Option<Box<State>>,
}

/// What is worth recording of an answer.
#[derive(Clone, Debug)]
pub enum CallResult {
    /// A token.
    Token(TokenResponse),
    /// The session of this token is over.
    Ended(Redacted),
    /// The account of a changed login refuses us.
    LoginRefused,
}

impl RequestKey {
    fn is_fallback(&self) -> bool {
        self.role == Role::Fallback
    }
}

impl UnrecordedResponse {
    /// The inputs that need not be tried again. What goes on while a change is tried in vain leaves the change open.
    pub(super) fn settled(&self, salt: &str) -> Inputs {
        let open = [(self.is_pair_open(salt), inputs::PAIR), (self.is_login_open(), inputs::LOGIN)];
        let open = open.into_iter().filter(|(is_open, _)| *is_open).flat_map(|(_, names)| names);
        self.key.inputs.clone().without(&open.collect::<Vec<_>>())
    }

    /// The pasted pair was neither asked with nor made needless by a login.
    pub(super) fn is_pair_open(&self, salt: &str) -> bool {
        let is_another = |used: &Redacted| !self.key.inputs.is(salt, inputs::TOKEN, used.expose());
        self.used_token.as_ref().map_or(self.key.is_fallback(), is_another)
    }

    /// No login was asked with, nor is one made needless by a pair.
    pub(super) fn is_login_open(&self) -> bool {
        self.used_token.is_some() && (self.key.is_fallback() || matches!(self.result, CallResult::Ended(_)))
    }

    /// True when it tells the end of this token of a session: that session is over, or was extended with it.
    pub fn is_end_of(&self, token: &Redacted) -> bool {
        let dead = match &self.result {
            CallResult::Ended(token) => Some(token),
            CallResult::Token(_) => self.used_token.as_ref(),
            CallResult::LoginRefused => None,
        };
        let is_superseded = |later: &State| later.active_token().is_some_and(|record| record.token != *token);
        dead == Some(token) || self.follows.as_deref().is_some_and(is_superseded)
    }

    /// True for an answer that is the only copy of a session's pair.
    pub fn has_pair(&self) -> bool {
        matches!(&self.result, CallResult::Token(response) if response.refresh_token.is_some())
    }

    /// True for a session's pair whose time was over before it could be recorded: it opens nothing any more, and must not
    /// come before what another process may be given meanwhile.
    pub fn is_expired(&self, now: Moment) -> bool {
        let CallResult::Token(response) = &self.result else { return false };
        let lifetime = response.lifetime.duration().filter(|lifetime| !lifetime.is_zero());
        response.refresh_token.is_some() && lifetime.is_some_and(|lifetime| self.sent.mono + lifetime <= now)
    }

    /// True when `state` came after the one that the call started from.
    pub fn is_recorded_in(&self, state: &State) -> bool {
        state.salt == self.base.salt && state.serial > self.base.serial
    }
}
