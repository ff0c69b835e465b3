//! A response that is not yet in the state Secret.

use super::{Inputs, State, Version, inputs};
use crate::issuer::Kind;
use crate::issuer::{Cause, TokenResponse};
use crate::redacted::Redacted;
use crate::time::{Moment, Now};

/// The inputs of a request besides the token: a change of them is worth a new attempt at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The credential: a name in [`State::credentials`].
    pub credential: String,
    /// The hashes of the values.
    pub inputs: Inputs,
    /// The refresh annotation.
    pub refresh: Option<String>,
    /// The role of the request.
    pub role: Role,
}

/// The role of a request among those that could be sent for a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The wanted request.
    Main,
    /// The fallback while a change keeps failing.
    Fallback,
}

/// A response that is not yet in the state Secret. It leaves memory only once it is recorded or superseded.
#[derive(Clone, Debug)]
pub struct UnrecordedResponse {
    /// Its result.
    pub result: CallResult,
    /// When its request was sent.
    pub sent: Now,
    /// Why it was requested.
    pub cause: Cause,
    /// The state from which the request was planned.
    pub base: Version,
    /// The process that sent the request: its intent is done.
    pub holder: String,
    /// The kind of the credential.
    pub kind: Kind,
    /// The inputs of the request.
    pub key: RequestKey,
    /// The token of the pair in the request.
    pub used_token: Option<Redacted>,
    /// The requested lifetime in seconds, where it can be requested.
    pub asked_seconds: Option<u64>,
    /// The version of the credentials Secret that the values came from.
    pub credentials: Option<String>,
    /// The password of the refused login has changed since.
    pub has_new_password: bool,
    /// The state with an earlier response applied that was unrecorded when this request was sent: recorded together.
    pub follows: Option<Box<State>>,
    /// Its token goes into the token Secret.
    pub activates: bool,
    /// The other one of two credentials that take turns, and its values, hashed.
    pub partner: Option<(String, Inputs)>,
}

/// The result of a request, as far as it is recorded.
#[derive(Clone, Debug)]
pub enum CallResult {
    /// A token.
    Token(TokenResponse),
    /// The session of this token has ended.
    Ended(Redacted),
    /// The issuer refuses a changed login.
    LoginRefused,
}

impl RequestKey {
    fn is_fallback(&self) -> bool {
        self.role == Role::Fallback
    }
}

impl UnrecordedResponse {
    /// The inputs that need not be tried again. A fallback leaves the change open.
    pub(super) fn settled(&self, salt: &str) -> Inputs {
        let open = [(self.is_pair_open(salt), inputs::PAIR), (self.is_login_open(), inputs::LOGIN)];
        let open = open.into_iter().filter(|(is_open, _)| *is_open).flat_map(|(_, names)| names);
        self.key.inputs.clone().without(&open.collect::<Vec<_>>())
    }

    /// The pasted pair was neither used nor made needless by a login.
    pub(super) fn is_pair_open(&self, salt: &str) -> bool {
        let is_another = |used: &Redacted| !self.key.inputs.is(salt, inputs::TOKEN, used.expose());
        self.used_token.as_ref().map_or(self.key.is_fallback(), is_another)
    }

    /// No login was used, nor made needless by a pair.
    pub(super) fn is_login_open(&self) -> bool {
        self.used_token.is_some() && (self.key.is_fallback() || matches!(self.result, CallResult::Ended(_)))
    }

    /// True when it ends this token of a session: the session has ended, or was extended with it.
    pub fn is_end_of(&self, token: &Redacted) -> bool {
        let dead = match &self.result {
            CallResult::Ended(token) => Some(token),
            CallResult::Token(_) => self.used_token.as_ref(),
            CallResult::LoginRefused => None,
        };
        let is_superseded = |later: &State| later.active_token().is_some_and(|record| record.token != *token);
        dead == Some(token) || self.follows.as_deref().is_some_and(is_superseded)
    }

    /// True for a response that is the only copy of a session's pair.
    pub fn has_pair(&self) -> bool {
        matches!(&self.result, CallResult::Token(response) if response.refresh_token.is_some())
    }

    /// True for a session's pair that expired before it could be recorded: it is useless, and must not supersede a pair
    /// that another process may receive meanwhile.
    pub fn is_expired(&self, now: Moment) -> bool {
        let CallResult::Token(response) = &self.result else { return false };
        let lifetime = response.lifetime.duration().filter(|lifetime| !lifetime.is_zero());
        response.refresh_token.is_some() && lifetime.is_some_and(|lifetime| self.sent.mono + lifetime <= now)
    }

    /// True when `state` is newer than the state from which the request was planned.
    pub fn is_recorded_in(&self, state: &State) -> bool {
        state.salt == self.base.salt && state.serial > self.base.serial
    }
}
