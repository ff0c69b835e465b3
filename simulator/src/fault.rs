//! Faults on demand: which calls they meet, and what they do to them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::journal::Api;
use crate::reply::{Body, Reply};

/// A fault waiting for the calls it is meant for. Of several that match, the oldest acts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Only calls to this API; none: to all.
    #[serde(default)]
    pub api: Option<Api>,
    /// Only calls for this consumer key or user name; none: for everybody.
    #[serde(default)]
    pub owner: Option<String>,
    /// How many calls it meets; none: all until the faults are cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// What it does.
    pub action: Action,
}

impl Fault {
    /// A fault that meets the next call, whoever makes it.
    pub fn once(action: Action) -> Self {
        Self { times: Some(1), ..Self::always(action) }
    }

    /// A fault that meets every call until the faults are cleared.
    pub fn always(action: Action) -> Self {
        Self { api: None, owner: None, times: None, action }
    }

    /// The same fault, for `times` calls.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// The same fault, only for calls of this consumer key or user name.
    #[must_use]
    pub fn only_for(self, owner: impl Into<String>) -> Self {
        Self { owner: Some(owner.into()), ..self }
    }

    /// The same fault, only for calls to this API.
    #[must_use]
    pub fn only_on(self, api: Api) -> Self {
        Self { api: Some(api), ..self }
    }

    fn meets(&self, api: Option<Api>, owner: Option<&str>) -> bool {
        (self.api.is_none() || self.api == api) && (self.owner.is_none() || self.owner.as_deref() == owner)
    }
}

/// Whether a fault strikes before the issuer did its work or after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// The issuer never sees the request: no token changes.
    #[default]
    BeforeWork,
    /// The issuer has done its work: only the answer suffers.
    AfterWork,
}

/// What a fault does to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Action {
    /// Another answer instead of the issuer's.
    Fail {
        /// HTTP status; any, 200 too.
        status: u16,
        /// Value of the Retry-After header, sent as it is.
        #[serde(default)]
        retry_after: Option<String>,
        /// Body of the answer.
        #[serde(default)]
        body: FailBody,
        /// Whether the work was done nevertheless.
        #[serde(default)]
        at: Stage,
    },
    /// The honest answer, later.
    Delay {
        /// How much later, in milliseconds.
        millis: u64,
        /// Whether the issuer works before or after that time.
        #[serde(default)]
        at: Stage,
    },
    /// No answer, the connection stays open.
    Hang {
        /// Whether the work was done.
        #[serde(default)]
        at: Stage,
    },
    /// No answer, the connection is reset (TCP RST).
    Reset {
        /// Whether the work was done.
        #[serde(default)]
        at: Stage,
    },
    /// The honest answer breaks off in the middle of its body.
    Truncate,
    /// The honest answer, followed by white space up to this many bytes.
    Pad {
        /// Length of the whole body in bytes.
        bytes: usize,
    },
    /// The honest answer, compressed although nobody asked for that.
    Encode(Encoding),
    /// The honest answer after the byte order mark of UTF-8.
    ByteOrderMark,
    /// The honest answer with another HTTP status.
    Status(u16),
    /// A redirect instead of the issuer's answer.
    Redirect {
        /// HTTP status: 301, 302, 303, 307 or 308.
        status: u16,
        /// Value of the Location header.
        location: String,
    },
    /// The honest answer with its `validityTime` or `expires_in` written in another form.
    ValidityTime(Form),
    /// The honest answer with its token field replaced (`accessToken`, `access_token` or `token`); none: left out.
    TokenField(Option<String>),
    /// The honest answer with the token before the live one in it, as a node with an old cache would give.
    Stale,
}

/// Body of an answer made by [`Action::Fail`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailBody {
    /// The failure envelope of the API called; for a session `GLOBAL_1001`, for client
    /// credentials `temporarily_unavailable`.
    #[default]
    Envelope,
    /// An XML fault, as a gateway sends it.
    Xml,
    /// An HTML page, as a load balancer sends it.
    Html,
    /// Nothing.
    Empty,
    /// This text, declared as JSON whatever it is.
    Text(String),
}

/// What a gateway makes of an answer that it compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Encoding {
    /// `gzip`.
    Gzip,
    /// `deflate` as RFC 9110 means it: in the form of zlib.
    Deflate,
    /// `deflate` as some write it: without that form.
    RawDeflate,
    /// `br`.
    Brotli,
}

/// How `validityTime` is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Form {
    /// An integral float: `60.0`.
    Float,
    /// A numeric string: `"60"`.
    Text,
    /// In milliseconds: a thousand times too large.
    Millis,
    /// Not there at all.
    Absent,
    /// This value instead of the true one: null, 0, a negative number, `i64::MAX`.
    Value(Value),
}

/// What reaches the caller.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// An answer.
    Whole(Reply),
    /// An answer whose body breaks off in its middle.
    Truncated(Reply),
    /// A connection reset.
    Reset,
    /// Nothing, for as long as the caller waits.
    Hang,
}

impl Delivery {
    /// The status the caller sees; none when it sees none.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Whole(reply) | Self::Truncated(reply) => Some(reply.status),
            Self::Reset | Self::Hang => None,
        }
    }
}

/// Takes the oldest fault that meets a call, and counts it down.
pub(crate) fn take(faults: &mut Vec<Fault>, api: Option<Api>, owner: Option<&str>) -> Option<Action> {
    let index = faults.iter().position(|fault| fault.times != Some(0) && fault.meets(api, owner))?;
    let fault = faults.get_mut(index)?;
    fault.times = fault.times.map(|times| times - 1);
    let action = fault.action.clone();
    faults.retain(|fault| fault.times != Some(0));
    Some(action)
}

impl Action {
    /// How long the call waits before the issuer works.
    pub(crate) fn delay(&self, stage: Stage) -> Duration {
        match self {
            Self::Delay { millis, at } if *at == stage => Duration::from_millis(*millis),
            _ => Duration::ZERO,
        }
    }

    /// If the issuer does its work despite the fault.
    pub(crate) fn lets_work(&self) -> bool {
        match self {
            Self::Fail { at, .. } | Self::Hang { at } | Self::Reset { at } => *at == Stage::AfterWork,
            Self::Redirect { .. } => false,
            Self::Delay { .. }
            | Self::Truncate
            | Self::Pad { .. }
            | Self::Encode(_)
            | Self::ByteOrderMark
            | Self::Status(_)
            | Self::ValidityTime(_)
            | Self::TokenField(_)
            | Self::Stale => true,
        }
    }

    /// What the caller gets in place of `reply`; `before` is the token that preceded the live one.
    pub(crate) fn deliver(&self, api: Option<Api>, mut reply: Reply, before: Option<&str>) -> Delivery {
        match self {
            Self::Hang { .. } => return Delivery::Hang,
            Self::Reset { .. } => return Delivery::Reset,
            Self::Truncate => return Delivery::Truncated(reply),
            Self::Fail { status, retry_after, body, .. } => reply = failure(api, *status, retry_after.as_deref(), body),
            Self::Redirect { status, location } => {
                reply = Reply::empty(*status).with_header("location", location);
            }
            Self::Pad { bytes } => reply.body = reply.body.padded(*bytes),
            Self::Encode(encoding) => reply = reply.encoded(*encoding),
            Self::ByteOrderMark => reply.body = reply.body.marked(),
            Self::Status(status) => reply.status = *status,
            Self::ValidityTime(form) => reply.write_validity(form),
            Self::TokenField(token) => reply.write_token(token.as_deref()),
            Self::Stale if before.is_some() => reply.write_token(before),
            Self::Stale | Self::Delay { .. } => {}
        }
        Delivery::Whole(reply)
    }
}

fn failure(api: Option<Api>, status: u16, retry_after: Option<&str>, body: &FailBody) -> Reply {
    let body = match body {
        FailBody::Envelope if api == Some(Api::Session) => Body::session_failure("GLOBAL_1001", "Service unavailable"),
        FailBody::Envelope if api == Some(Api::ClientCredentials) => {
            Body::oauth_failure("temporarily_unavailable", "The service cannot answer now")
        }
        FailBody::Envelope => Body::application_failure("The service cannot answer now"),
        FailBody::Xml => Body::xml(status),
        FailBody::Html => Body::html(status),
        FailBody::Empty => Body::Empty,
        FailBody::Text(text) => Body::Text { content_type: "application/json", text: text.clone() },
    };
    let reply = Reply { status, headers: Vec::new(), body };
    match retry_after {
        Some(value) => reply.with_header("retry-after", value),
        None => reply,
    }
}
