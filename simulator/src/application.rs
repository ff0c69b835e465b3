//! The application API: one live token per application, a new one only after the old one's end.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::journal::{Api, Token};
use crate::model::{Life, Mint};
use crate::reply::Reply;
use crate::switches::{Switches, UnknownOldToken};

/// Reported for a token that never expires: `i64::MAX` milliseconds in whole seconds, as WSO2 does it.
const NEVER_SECONDS: i64 = i64::MAX / 1000;

/// An application to be registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewApplication {
    /// Consumer key: names the application.
    pub consumer_key: String,
    /// Consumer secret.
    pub consumer_secret: String,
    /// The token it has from the portal.
    pub token: String,
    /// How long that token lives from now on.
    #[serde(default)]
    pub life: Life,
}

impl NewApplication {
    /// An application whose portal token has already expired.
    pub fn expired(key: impl Into<String>, secret: impl Into<String>, token: impl Into<String>) -> Self {
        Self { consumer_key: key.into(), consumer_secret: secret.into(), token: token.into(), life: Life::Expired }
    }

    /// The same application, its portal token living for `life`.
    #[must_use]
    pub fn living(self, life: Life) -> Self {
        Self { life, ..self }
    }
}

/// A registered application and all tokens it ever had; the last one is its live one, until it ends.
#[derive(Debug)]
pub(crate) struct Application {
    consumer_key: String,
    pub(crate) consumer_secret: String,
    validity: Option<SignedDuration>,
    tokens: Vec<Token>,
}

impl Application {
    pub(crate) fn registered(new: NewApplication, now: Timestamp) -> Self {
        let life = new.life.duration();
        let first = Token::born(Api::Application, &new.consumer_key, new.token, now, life);
        Self {
            consumer_key: new.consumer_key,
            consumer_secret: new.consumer_secret,
            validity: life.filter(SignedDuration::is_positive),
            tokens: vec![first],
        }
    }

    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The token before the last one.
    pub(crate) fn previous_token(&self) -> Option<&str> {
        self.tokens.iter().rev().nth(1).map(|token| token.value.as_str())
    }

    /// Does what a refresh asks for, and gives the answer with the token in it.
    pub(crate) fn refresh(
        &mut self,
        asked: &Refresh<'_>,
        switches: &Switches,
        now: Timestamp,
        mint: &mut Mint,
    ) -> Result<(Reply, String), Reply> {
        if asked.consumer_secret != self.consumer_secret {
            return Err(Reply::application_failure(500, "Unable to refresh the token"));
        }
        if switches.unknown_old_token == UnknownOldToken::Reject && !self.has_had(asked.old_token) {
            return Err(Reply::application_failure(500, "Unable to find the old token"));
        }
        let kept = self.tokens.last().filter(|token| still_given(token, switches, now) && !switches.always_new);
        if let Some(kept) = kept {
            let seconds = reported_seconds(kept, switches, now);
            return Ok(granted(kept.value.clone(), seconds));
        }
        self.validity = (asked.validity > 0).then(|| SignedDuration::from_secs(asked.validity));
        self.supersede(now);
        let fresh = self.issue(now, mint);
        let seconds = if asked.validity == 0 { NEVER_SECONDS } else { asked.validity };
        Ok(granted(fresh, seconds))
    }

    /// A human presses Re-Generate: the live token dies at once, its successor has the validity asked for last.
    pub(crate) fn regenerate(&mut self, now: Timestamp, mint: &mut Mint) -> String {
        self.supersede(now);
        self.issue(now, mint)
    }

    /// Ends the live token, if there is one, for the sake of the next.
    fn supersede(&mut self, now: Timestamp) {
        if let Some(killed) = self.tokens.last_mut().filter(|token| token.is_live(now)) {
            killed.superseded = Some(now);
        }
    }

    /// Ends the live token at `now`, as if its time were over.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        if let Some(ended) = self.tokens.last_mut().filter(|token| token.is_live(now)) {
            ended.expires = Some(now);
        }
    }

    fn issue(&mut self, now: Timestamp, mint: &mut Mint) -> String {
        let value = mint.next_value();
        self.tokens.push(Token::born(Api::Application, &self.consumer_key, value.clone(), now, self.validity));
        value
    }

    fn has_had(&self, value: &str) -> bool {
        self.tokens.iter().any(|token| token.value == value)
    }
}

/// The parameters of a refresh, present and well formed.
pub(crate) struct Refresh<'a> {
    pub(crate) consumer_key: &'a str,
    consumer_secret: &'a str,
    old_token: &'a str,
    validity: i64,
}

impl<'a> Refresh<'a> {
    /// Reads the four parameters; an empty one counts as missing.
    ///
    /// # Errors
    /// The answer with status 400 for a missing parameter or a validity that is no whole number from 0 on.
    pub(crate) fn read(parameters: &'a BTreeMap<String, String>) -> Result<Self, Reply> {
        let text = |name: &str| {
            let value = parameters.get(name).map(String::as_str).filter(|value| !value.is_empty());
            value.ok_or_else(|| Reply::application_failure(400, &format!("Missing parameter {name}")))
        };
        let validity = text("validity")?.parse().ok().filter(|seconds| *seconds >= 0);
        Ok(Self {
            consumer_key: text("consumerkey")?,
            consumer_secret: text("consumersecret")?,
            old_token: text("oldtoken")?,
            validity: validity.ok_or_else(|| Reply::application_failure(400, "Invalid parameter validity"))?,
        })
    }
}

/// If the last token is the answer at `now`: it lives, or its end is younger than the linger time.
fn still_given(token: &Token, switches: &Switches, now: Timestamp) -> bool {
    let linger = SignedDuration::from_millis(i64::try_from(switches.linger_millis).unwrap_or(i64::MAX));
    token.expires.is_none_or(|end| now.duration_since(end) < linger)
}

fn reported_seconds(token: &Token, switches: &Switches, now: Timestamp) -> i64 {
    let Some(end) = token.expires else { return NEVER_SECONDS };
    switches.rounding.whole_seconds(end.duration_since(now)).saturating_add(switches.jump_seconds)
}

fn granted(token: String, seconds: i64) -> (Reply, String) {
    (Reply::json(200, json!({"accessToken": token, "validityTime": seconds})), token)
}
