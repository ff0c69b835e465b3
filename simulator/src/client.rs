//! The token endpoint for client credentials (RFC 6749, section 4.4), as WSO2 API Manager plays it: tokens are kept by client
//! and set of scopes.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::journal::{Api, Token};
use crate::model::Mint;
use crate::reply::Reply;
use crate::switches::{Switches, TokenMode, UnknownScope, WrongSecret};

/// Reported for a token that never expires: `i64::MAX` milliseconds in whole seconds, as WSO2 does it.
const NEVER_SECONDS: i64 = i64::MAX / 1000;
/// Scopes that begin so are allowed to everybody.
const OF_DEVICES: &str = "device_";
/// The scope of a token that was given none.
const DEFAULT_SCOPE: &str = "default";

/// A client to be registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewClient {
    /// Id: names the client.
    pub client_id: String,
    /// Secret.
    pub client_secret: String,
    /// The scopes that it may have beside those of devices.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// How long a token lives for which no `validity_period` is asked, in seconds.
    pub validity_seconds: u32,
}

impl NewClient {
    /// A client without scopes of its own, whose tokens live for an hour.
    pub fn of(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        let (client_id, client_secret) = (client_id.into(), client_secret.into());
        Self { client_id, client_secret, scopes: Vec::new(), validity_seconds: 3600 }
    }

    /// The same client with these scopes.
    #[must_use]
    pub fn with_scopes(self, scopes: &[&str]) -> Self {
        Self { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), ..self }
    }

    /// The same client, its tokens living for `seconds`.
    #[must_use]
    pub fn valid_for(self, seconds: u32) -> Self {
        Self { validity_seconds: seconds, ..self }
    }
}

/// A registered client and all tokens it ever had, each with the scopes that it is kept by.
#[derive(Debug)]
pub(crate) struct Client {
    client_id: String,
    pub(crate) client_secret: String,
    scopes: BTreeSet<String>,
    validity: SignedDuration,
    tokens: Vec<Token>,
    token_scopes: Vec<String>,
}

impl Client {
    pub(crate) fn registered(new: NewClient) -> Self {
        Self {
            client_id: new.client_id,
            client_secret: new.client_secret,
            scopes: new.scopes.into_iter().collect(),
            validity: SignedDuration::from_secs(new.validity_seconds.into()),
            tokens: Vec::new(),
            token_scopes: Vec::new(),
        }
    }

    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The token before the last one.
    pub(crate) fn previous_token(&self) -> Option<&str> {
        self.tokens.iter().rev().nth(1).map(|token| token.value.as_str())
    }

    /// Ends every live token at `now`, as if its time were over.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        for token in self.tokens.iter_mut().filter(|token| token.is_live(now)) {
            token.expires = Some(now);
        }
    }

    /// Does what a grant asks for, and gives the answer with the token in it.
    pub(crate) fn grant(
        &mut self,
        asked: &Grant<'_>,
        switches: &Switches,
        now: Timestamp,
        mint: &mut Mint,
    ) -> Result<(Reply, String), Reply> {
        if asked.client_secret != self.client_secret {
            return Err(wrong_secret(switches));
        }
        if switches.clients.needs_validity_period && asked.validity.is_none() {
            return Err(Reply::oauth_failure(500, "server_error", "validity_period is missing"));
        }
        let scope = self.granted_scope(asked.scope, switches)?;
        let kept = self.live(&scope, now).filter(|_| switches.clients.mode == TokenMode::Opaque);
        let (value, expires) = match kept.and_then(|index| self.tokens.get(index)) {
            Some(token) => (token.value.clone(), token.expires),
            None => self.issue(scope.clone(), asked.validity, switches, now, mint),
        };
        let seconds = expires.map_or(NEVER_SECONDS, |end| {
            switches.rounding.whole_seconds(end.duration_since(now)).saturating_add(switches.clients.skew_seconds)
        });
        let body = json!({"access_token": value, "scope": scope, "token_type": "Bearer", "expires_in": seconds});
        Ok((Reply::json(200, body), value))
    }

    /// The scopes of the token, in an order of their own: the set counts.
    fn granted_scope(&self, asked: &str, switches: &Switches) -> Result<String, Reply> {
        if switches.clients.restricted_scopes {
            return Ok(DEFAULT_SCOPE.to_owned());
        }
        let is_known = |scope: &&str| scope.starts_with(OF_DEVICES) || self.scopes.contains(*scope);
        let asked: BTreeSet<&str> = asked.split_ascii_whitespace().collect();
        let granted: Vec<&str> = asked.iter().copied().filter(is_known).collect();
        if granted.len() < asked.len() && switches.clients.unknown_scope == UnknownScope::Refuse {
            return Err(Reply::oauth_failure(400, "invalid_scope", "The scope is not allowed for this client"));
        }
        Ok(if granted.is_empty() { DEFAULT_SCOPE.to_owned() } else { granted.join(" ") })
    }

    fn live(&self, scope: &str, now: Timestamp) -> Option<usize> {
        let mut both = self.tokens.iter().zip(&self.token_scopes);
        both.rposition(|(token, kept)| kept == scope && token.is_live(now))
    }

    fn issue(
        &mut self,
        scope: String,
        validity: Option<i64>,
        switches: &Switches,
        now: Timestamp,
        mint: &mut Mint,
    ) -> (String, Option<Timestamp>) {
        if switches.clients.mode == TokenMode::JwtRevoking {
            let both = self.tokens.iter_mut().zip(&self.token_scopes);
            both.filter(|(token, kept)| **kept == scope && token.is_live(now))
                .for_each(|(token, _)| token.superseded = Some(now));
        }
        let life =
            validity.map_or(Some(self.validity), |seconds| (seconds >= 0).then(|| SignedDuration::from_secs(seconds)));
        let token = Token::born(Api::ClientCredentials, &self.client_id, mint.next_value(), now, life);
        let issued = (token.value.clone(), token.expires);
        self.tokens.push(token);
        self.token_scopes.push(scope);
        issued
    }
}

fn wrong_secret(switches: &Switches) -> Reply {
    let code = match switches.clients.wrong_secret {
        WrongSecret::InvalidClient => "invalid_client",
        WrongSecret::UnauthorizedClient => "unauthorized_client",
    };
    Reply::oauth_failure(401, code, "Client authentication failed")
}

/// The id and secret in a header Authorization: each is form-encoded before they are joined.
pub(crate) fn basic(headers: &BTreeMap<String, String>) -> Option<(String, String)> {
    let encoded = headers.get("authorization")?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((decoded(id), decoded(secret)))
}

fn decoded(text: &str) -> String {
    let read = form_urlencoded::parse(text.as_bytes()).next();
    read.map(|(value, _)| value.into_owned()).unwrap_or_default()
}

/// What a grant asks for, well formed.
pub(crate) struct Grant<'a> {
    pub(crate) client_id: String,
    client_secret: String,
    scope: &'a str,
    /// Seconds; negative for a token without an end.
    validity: Option<i64>,
}

impl<'a> Grant<'a> {
    /// Reads the form and the header.
    ///
    /// # Errors
    /// The answer for another grant, for credentials in no place or in both, and for a `validity_period` that is no
    /// number.
    pub(crate) fn read(form: &'a BTreeMap<String, String>, headers: &BTreeMap<String, String>) -> Result<Self, Reply> {
        let invalid = |problem: &str| Reply::oauth_failure(400, "invalid_request", problem);
        let text = |name: &str| form.get(name).map(String::as_str).filter(|value| !value.is_empty());
        match text("grant_type") {
            Some("client_credentials") => {}
            Some(_) => return Err(Reply::oauth_failure(400, "unsupported_grant_type", "Unsupported grant_type value")),
            None => return Err(invalid("Missing grant_type parameter value")),
        }
        let in_body = text("client_secret").and_then(|secret| Some((text("client_id")?.to_owned(), secret.to_owned())));
        let (client_id, client_secret) = match (basic(headers), in_body) {
            (Some(_), Some(_)) => return Err(invalid("The client must authenticate itself in one way only")),
            (Some(pair), None) | (None, Some(pair)) => pair,
            (None, None) => return Err(Reply::oauth_failure(401, "invalid_client", "Missing client credentials")),
        };
        let validity = text("validity_period").map(str::parse).transpose();
        let validity = validity.map_err(|_| invalid("Invalid parameter validity_period"))?;
        Ok(Self { client_id, client_secret, scope: text("scope").unwrap_or_default(), validity })
    }
}
