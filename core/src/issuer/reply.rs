//! Replies of issuers, and the parts of them that both wire formats share. No client required.

use super::body::without_mark;
use super::{Failure, FailureKind, Lifetime};
use crate::redacted::Redacted;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Number, Value};
use std::fmt::Display;
use std::time::Duration;

/// A lifetime above this is reported by issuers that mean "never" (100 years of 365.25 days).
const FOREVER_SECONDS: f64 = 3_155_760_000.0;
/// A longer token is too long for a header: servers accept 8 KiB of headers, or little more.
const LONGEST_TOKEN: usize = 8 * 1024;

/// An HTTP reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The `Date` header.
    pub date: Option<Timestamp>,
    /// The `Retry-After` header, bounded.
    pub retry_after: Option<Duration>,
    /// The body, or why it could not be read.
    pub body: Result<Body, Failure>,
}

/// A body that may hold a token or a credential, on its way to or from an issuer: it cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(pub Vec<u8>);

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

impl Reply {
    /// The body as a JSON object.
    ///
    /// # Errors
    /// When it is no JSON object. A parser's own text would show a part of the body, so only the position is kept.
    pub fn fields(&self) -> Result<Map<String, Value>, Failure> {
        self.parsed(|text| serde_json::from_str(text))
    }

    /// The JSON object at the start of the body, ignoring what follows.
    ///
    /// # Errors
    /// As [`Reply::fields`].
    pub fn first_fields(&self) -> Result<Map<String, Value>, Failure> {
        self.parsed(|text| Map::deserialize(&mut serde_json::Deserializer::from_str(text)))
    }

    /// Invalid UTF-8 costs only its own characters: no token holds any.
    fn parsed(&self, parse: fn(&str) -> serde_json::Result<Map<String, Value>>) -> Result<Map<String, Value>, Failure> {
        let cut_off = |failure: &Failure| self.failure(failure.kind, failure.detail.clone());
        let body = self.body.as_ref().map_err(cut_off)?;
        parse(&String::from_utf8_lossy(without_mark(&body.0))).map_err(|problem| {
            let (line, column) = (problem.line(), problem.column());
            let place = format!("line {line}, column {column}");
            self.unreadable(format!("a body that is not a JSON object, or is cut off at {place}"))
        })
    }

    /// The failure for a redirect: no redirect is followed, whatever the method.
    pub fn redirected(&self) -> Option<Failure> {
        (300..=399).contains(&self.status).then(|| {
            let said = "a redirect, which is not followed: set the endpoint to its target";
            self.failure(FailureKind::Rejected, format!("the issuer answered HTTP {}, {said}", self.status))
        })
    }

    /// True for throttling, maintenance and gateways without an issuer behind them, whatever the body says.
    pub fn is_endpoints_fault(&self) -> bool {
        matches!(self.status, 408 | 429 | 502..=504)
    }

    /// True for statuses that reject the request or its sender, whatever the body says. A gateway may send them: they
    /// still concern this request alone.
    pub fn is_resources_fault(&self) -> bool {
        (400..=499).contains(&self.status) && !self.is_endpoints_fault()
    }

    /// The failure for a body that breaks the API's contract; `problem` describes the body.
    pub fn unreadable(&self, problem: impl Display) -> Failure {
        let size = self.body.as_ref().map_or(0, |body| body.0.len());
        let detail = format!("the issuer answered HTTP {} with {problem} ({size} bytes)", self.status);
        self.failure(FailureKind::Unavailable, detail)
    }

    /// A failure that passes on the issuer's `Retry-After`.
    pub fn failure(&self, kind: FailureKind, detail: String) -> Failure {
        Failure { kind, detail, retry_after: self.retry_after, status: Some(self.status) }
    }
}

/// Why a text is not a valid token. Reads after its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// More than 8 KiB.
    #[error("of more than 8 KiB, which is too long for a header")]
    TooLong,
    /// A control character, a blank, or a letter that is not ASCII.
    #[error("with blanks or characters that are not printable ASCII, which cannot be a token")]
    Unprintable,
}

/// Reads a token that workloads can send: printable ASCII without blanks (RFC 6750 allows no more), so that it cannot end
/// the header, the line or the file that it is written into.
///
/// # Errors
/// The problem, without the value.
pub fn token(text: &str) -> Result<Redacted, Unusable> {
    match text {
        text if text.len() > LONGEST_TOKEN => Err(Unusable::TooLong),
        text if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Redacted::new(text)),
        _ => Err(Unusable::Unprintable),
    }
}

/// A `validityTime` that is neither a number nor a numeric text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a validityTime that is not a number")]
pub struct NoNumber;

/// Reads `validityTime`: absent, null and absurdly large mean never.
///
/// # Errors
/// When there is something that cannot be read.
pub fn lifetime(validity_time: Option<&Value>) -> Result<Lifetime, NoNumber> {
    let reported = match validity_time {
        None | Some(Value::Null) => None,
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse::<Number>().map_err(|_| NoNumber)?.as_f64(),
        Some(_) => return Err(NoNumber),
    };
    Ok(reported.filter(|seconds| *seconds <= FOREVER_SECONDS).map_or(Lifetime::Never, whole))
}

/// Rounded down; the cast takes every negative number to 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(seconds: f64) -> Lifetime {
    Lifetime::Seconds(seconds as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_cannot_be_printed() {
        let body = Ok(Body(b"CANARY".to_vec()));
        let reply = Reply { status: 200, date: None, retry_after: None, body };
        assert!(!format!("{reply:?}").contains("CANARY"));
    }
}
