//! What happened: every call and every token, with the instants that matter.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::fault::Action;

/// One of the token APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Api {
    /// `GET …/apptoken-refresh`.
    Application,
    /// `PUT` and `POST …/api/v2/auth/token`.
    Session,
    /// `POST …/token`.
    ClientCredentials,
}

/// Everything the simulator has seen and issued, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Journal {
    /// The calls, in order of arrival.
    pub calls: Vec<Call>,
    /// The tokens, in order of birth.
    pub tokens: Vec<Token>,
}

impl Journal {
    /// The record of a token by its value.
    pub fn token(&self, value: &str) -> Option<&Token> {
        self.tokens.iter().find(|token| token.value == value)
    }

    /// The calls made for one owner (consumer key, user name or client id), in order of arrival.
    pub fn calls_of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls.iter().filter(move |call| call.owner.as_deref() == Some(owner))
    }
}

/// One call, from the arrival of its request to the end of its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// The API its path belongs to; none for a path of neither.
    pub api: Option<Api>,
    /// Consumer key, user name of the session, or client id; none when the request names nobody known.
    pub owner: Option<String>,
    /// HTTP method.
    pub method: String,
    /// Path without its query.
    pub path: String,
    /// Query parameters, or the fields of a form or of a JSON body; raw values, this is a test tool.
    pub parameters: BTreeMap<String, String>,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// When the whole request had been read.
    pub received: Timestamp,
    /// When the answer was handed to the connection, or the connection was gone; none while in flight.
    pub ended: Option<Timestamp>,
    /// Status answered; none when the caller got no answer.
    pub status: Option<u16>,
    /// The fault this call met.
    pub fault: Option<Action>,
    /// The token the issuer's work yielded, even when the answer was lost on its way.
    pub token: Option<String>,
}

/// One token, from its birth to its death.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// The API it belongs to.
    pub api: Api,
    /// Consumer key, user name of the session, or client id.
    pub owner: String,
    /// The token itself.
    pub value: String,
    /// When it was issued, or registered with the simulator.
    pub birth: Timestamp,
    /// When it expires; none for a token that never does.
    pub expires: Option<Timestamp>,
    /// When an extension or a Re-Generate killed it, if one did.
    pub superseded: Option<Timestamp>,
}

/// The end of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Death {
    /// The first instant at which the token is refused.
    pub at: Timestamp,
    /// Why.
    pub cause: Cause,
}

/// Why a token is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// Its time was over.
    Expired,
    /// An extension or a Re-Generate killed it before its time.
    Superseded,
}

impl Token {
    /// A token born at `birth` that lives for `life`; a life beyond the calendar never ends.
    pub(crate) fn born(api: Api, owner: &str, value: String, birth: Timestamp, life: Option<SignedDuration>) -> Self {
        let expires = life.and_then(|life| birth.checked_add(life).ok());
        Self { api, owner: owner.to_owned(), value, birth, expires, superseded: None }
    }

    /// When and why the token dies or died; the instant may lie ahead. None: it never dies.
    pub fn death(&self) -> Option<Death> {
        let expired = self.expires.map(|at| Death { at, cause: Cause::Expired });
        let superseded = self.superseded.map(|at| Death { at, cause: Cause::Superseded });
        [superseded, expired].into_iter().flatten().min_by_key(|death| death.at)
    }

    /// If the issuer accepts the token at `now`; at the very instant of its death it does not.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.death().is_none_or(|death| now < death.at)
    }
}
