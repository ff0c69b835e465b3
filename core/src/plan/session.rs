//! Requests of a session: the next pair, with the live pair or with a login.

use super::candidates::Proposal;
use super::credential::Credential;
use crate::api::SessionSpec;
use crate::credential::session::{PAIR, PASSWORD, REFRESH_TOKEN, TOKEN, USERNAME};
use crate::credential::{ENDPOINT, SessionValues};
use crate::fingerprint::fingerprint;
use crate::issuer::{Cause, Extend, LogIn, Pair, TokenRequest};
use crate::messages;
use crate::reason::{Finding, Reason};
use crate::state::{CredentialRecord, TokenRecord};

pub(super) fn proposal(credential: &Credential<'_>, spec: &SessionSpec, values: &SessionValues) -> Proposal {
    let session = Session { credential, spec, values };
    let has_new_password = session.has_new_password();
    let change = session.change(has_new_password);
    let secret = &spec.credentials.secret_ref.name;
    Proposal {
        change,
        request: session.request(change),
        fallback: session.fallback(),
        has_new_password,
        notices: session.notices(),
        is_provisional: session.is_taken() != credential.input.observed.peers.sharing.before_us,
        hint: messages::session_hint(secret, values.likely_mistake()),
        login_hint: Some(messages::login_hint(secret, values.likely_mistake())),
    }
}

struct Session<'a> {
    credential: &'a Credential<'a>,
    spec: &'a SessionSpec,
    values: &'a SessionValues,
}

impl Session<'_> {
    /// The change. A login matters only once it was used or refused; a pair that another resource used first is no
    /// change.
    fn change(&self, has_new_password: bool) -> Option<Cause> {
        let CredentialRecord { login_refused, inputs, .. } = &self.credential.record;
        let pair = [TOKEN, REFRESH_TOKEN].into_iter().filter(|_| !self.is_taken());
        let username = Some(USERNAME).filter(|_| *login_refused || inputs.knows(USERNAME));
        let names: Vec<_> = pair.chain(username).chain([ENDPOINT]).collect();
        match self.credential.change(&names) {
            None | Some(Cause::Requested) if has_new_password && self.credential.active_token().is_some() => {
                Some(Cause::Changed(PASSWORD))
            }
            change => change,
        }
    }

    /// The password of a refused login has changed.
    fn has_new_password(&self) -> bool {
        let CredentialRecord { login_refused, refused_credentials, inputs, .. } = &self.credential.record;
        let (asked, input) = (&self.credential.key.inputs, self.credential.input);
        let known = input.memory.credential(&self.credential.key.credential);
        let is_new = match (known.and_then(|known| known.refused_login.as_ref()), refused_credentials) {
            (Some(refused), _) => asked.differs(refused, PASSWORD),
            (None, Some(version)) => input.observed.credentials_version().as_ref() != Some(version),
            // Older versions have recorded a hash.
            (None, None) => asked.differs(inputs, PASSWORD),
        };
        *login_refused && self.values.login.is_some() && is_new
    }

    /// A pair in the Secret that was never used, or that only another endpoint has refused.
    fn pasted(&self) -> Option<Pair> {
        let (asked, record) = (&self.credential.key.inputs, &self.credential.record);
        let is_new =
            asked.has_unused(&PAIR, &record.inputs) || record.pair_refused && self.credential.has_changed(ENDPOINT);
        self.values.pair.clone().filter(|_| is_new)
    }

    /// The login has changed, or another attempt may be worthwhile.
    fn wants_login(&self, change: Option<Cause>) -> bool {
        match change {
            Some(Cause::Changed(USERNAME | PASSWORD)) => true,
            Some(Cause::Changed(ENDPOINT) | Cause::Requested) => self.credential.record.login_refused,
            _ => false,
        }
    }

    /// Another resource used the pair in the Secret first.
    fn is_taken(&self) -> bool {
        self.credential.input.observed.peers.sharing.before_us || self.is_carried_over()
    }

    /// A process before this one said so of this pair, in whatever words: they may be those of another version.
    fn is_carried_over(&self) -> bool {
        let said = self.credential.carried_over(Reason::SessionShared);
        self.pair_fingerprint().zip(said).is_some_and(|(pair, said)| said.message.contains(&pair))
    }

    fn pair_fingerprint(&self) -> Option<String> {
        self.values.pair.as_ref().map(|pair| fingerprint(&pair.token))
    }

    fn taken(&self) -> Finding {
        let pair = self.pair_fingerprint().unwrap_or_default();
        messages::session_shared(&self.spec.credentials.secret_ref.name, &pair)
    }

    /// The pair that we hold. A verdict that it is over came from the endpoint that gave it, and counts there.
    fn stored(&self) -> Option<Pair> {
        let known = self.credential.known_token()?;
        if self.credential.has_changed(ENDPOINT) { known.any_pair() } else { known.pair() }
    }

    fn request(&self, change: Option<Cause>) -> Result<TokenRequest, Finding> {
        let pasted = self.pasted();
        let is_taken = pasted.is_some() && self.is_taken();
        let login = self.values.login.clone();
        let other_login = login.is_some() && self.wants_login(change);
        let stored = self.stored().filter(|_| !other_login);
        let endpoint = self.spec.endpoint.clone();
        match (pasted.filter(|_| !is_taken).or(stored), login) {
            (Some(pair), _) => Ok(TokenRequest::Extend(Extend { endpoint, pair })),
            (None, Some(login)) => Ok(TokenRequest::LogIn(LogIn { endpoint, login })),
            (None, None) => Err(self.lost(is_taken)),
        }
    }

    /// Keeps the existing session.
    fn fallback(&self) -> Option<TokenRequest> {
        let endpoint = self.spec.endpoint.clone();
        Some(match self.stored() {
            Some(pair) => TokenRequest::Extend(Extend { endpoint, pair }),
            None => TokenRequest::LogIn(LogIn { endpoint, login: self.values.login.clone()? }),
        })
    }

    fn lost(&self, is_taken: bool) -> Finding {
        let secret = &self.spec.credentials.secret_ref.name;
        match &self.values.problem {
            _ if is_taken => self.taken(),
            Some(problem) => problem.clone(),
            None if self.credential.known_token().is_some() || self.values.pair.is_some() => {
                messages::session_lost(secret, self.values.likely_mistake())
            }
            None => messages::no_session(secret),
        }
    }

    fn notices(&self) -> Vec<Finding> {
        let is_served = self.credential.active_token().is_some();
        let is_refused = is_served && self.credential.record.login_refused && self.values.login.is_some();
        let secret = &self.spec.credentials.secret_ref.name;
        let refused = is_refused.then(|| messages::login_refused_meanwhile(secret, self.values.likely_mistake()));
        let is_taken = self.pasted().is_some() && self.is_taken();
        let taken = is_taken.then(|| self.taken());
        let is_unusable = self.credential.active_token().is_some_and(TokenRecord::is_short_lived);
        let unusable = is_unusable.then(messages::session_lifetime_unusable);
        self.values.problem.iter().cloned().chain(unusable).chain(refused).chain(taken).collect()
    }
}
