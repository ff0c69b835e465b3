//! The session API: a pair of tokens that must be extended while it lives; an extension kills the old pair.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::journal::{Api, Token};
use crate::model::{Life, Mint};
use crate::reply::Reply;

/// An account to be registered, with or without a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSession {
    /// User name: names the account.
    pub username: String,
    /// Password.
    pub password: String,
    /// Given in the answer to a log in.
    #[serde(default)]
    pub customer_id: String,
    /// The pair of a session that is already there.
    #[serde(default)]
    pub pair: Option<Pair>,
    /// How long that pair lives from now on.
    #[serde(default)]
    pub life: Life,
    /// How long every later pair lives, in seconds.
    pub validity_seconds: u32,
}

/// A token and the refresh token that came with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pair {
    /// The token workloads use.
    pub token: String,
    /// The token that extends the session.
    pub refresh_token: String,
}

impl NewSession {
    /// An account without a session; later pairs live for an hour.
    pub fn account(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            password: password.into(),
            customer_id: "customer".to_owned(),
            pair: None,
            life: Life::Expired,
            validity_seconds: 3600,
        }
    }

    /// The same account with a session whose pair lives for `life`.
    #[must_use]
    pub fn with_pair(self, token: impl Into<String>, refresh_token: impl Into<String>, life: Life) -> Self {
        Self { pair: Some(Pair { token: token.into(), refresh_token: refresh_token.into() }), life, ..self }
    }

    /// The same account, every later pair living for `seconds`.
    #[must_use]
    pub fn valid_for(self, seconds: u32) -> Self {
        Self { validity_seconds: seconds, ..self }
    }
}

/// A registered account and all pairs it ever had.
#[derive(Debug)]
pub(crate) struct Account {
    username: String,
    password: String,
    customer_id: String,
    validity_seconds: u32,
    tokens: Vec<Token>,
    refresh_tokens: Vec<String>,
}

impl Account {
    pub(crate) fn registered(new: NewSession, now: Timestamp) -> Self {
        let mut account = Self {
            username: new.username,
            password: new.password,
            customer_id: new.customer_id,
            validity_seconds: new.validity_seconds,
            tokens: Vec::new(),
            refresh_tokens: Vec::new(),
        };
        if let Some(pair) = new.pair {
            account.keep(pair, now, new.life.duration());
        }
        account
    }

    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The token before the last one.
    pub(crate) fn previous_token(&self) -> Option<&str> {
        self.tokens.iter().rev().nth(1).map(|token| token.value.as_str())
    }

    /// If the account ever had this token.
    pub(crate) fn has_had(&self, value: &str) -> bool {
        self.tokens.iter().any(|token| token.value == value)
    }

    /// Replaces a live pair by a new one; the old one is dead at the same instant. None: no such live pair.
    pub(crate) fn extend(
        &mut self,
        token: &str,
        refresh_token: &str,
        now: Timestamp,
        mint: &mut Mint,
    ) -> Option<(Reply, String)> {
        let pairs = self.tokens.iter_mut().zip(&self.refresh_tokens);
        let mut live = pairs.filter(|(record, _)| record.is_live(now));
        let (record, _) = live.find(|(record, refresh)| record.value == token && *refresh == refresh_token)?;
        record.superseded = Some(now);
        Some(self.issue(json!({}), now, mint))
    }

    /// A new session beside the ones there are. None: wrong password.
    pub(crate) fn log_in(&mut self, password: &str, now: Timestamp, mint: &mut Mint) -> Option<(Reply, String)> {
        let customer = json!({"customerId": self.customer_id});
        (password == self.password).then(|| self.issue(customer, now, mint))
    }

    /// Ends every live pair at `now`, as if its time were over.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        for token in self.tokens.iter_mut().filter(|token| token.is_live(now)) {
            token.expires = Some(now);
        }
    }

    fn issue(&mut self, mut element: Value, now: Timestamp, mint: &mut Mint) -> (Reply, String) {
        let pair = Pair { token: mint.next_value(), refresh_token: mint.next_value() };
        let token = pair.token.clone();
        element["token"] = json!(pair.token);
        element["refreshToken"] = json!(pair.refresh_token);
        element["validityTime"] = json!(self.validity_seconds);
        self.keep(pair, now, Some(SignedDuration::from_secs(self.validity_seconds.into())));
        (granted(element), token)
    }

    fn keep(&mut self, pair: Pair, now: Timestamp, life: Option<SignedDuration>) {
        self.tokens.push(Token::born(Api::Session, &self.username, pair.token, now, life));
        self.refresh_tokens.push(pair.refresh_token);
    }
}

fn granted(element: Value) -> Reply {
    let pageable = json!({"page": 0, "size": 10, "totalPages": 1, "totalElements": 1});
    Reply::json(200, json!({"errorCode": "", "errorMessage": "", "content": [element], "pageable": pageable}))
}
