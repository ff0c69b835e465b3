//! A request in the queue, and what it may meet there.

use crate::issuer::{Failure, FailureKind, TokenResponse};
use crate::time::Moment;
use kube_core::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

/// Where an object is. A copy shares its text: a dozen maps know each resource by its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(Arc<Parts>);

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Parts {
    namespace: Box<str>,
    name: Box<str>,
}

impl ObjectName {
    /// The name of an object in this namespace.
    pub fn new(namespace: impl Into<Box<str>>, name: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Parts { namespace: namespace.into(), name: name.into() }))
    }

    /// Where `object` is.
    pub fn of(object: &impl ResourceExt) -> Self {
        Self::new(object.namespace().unwrap_or_default(), object.name_any())
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

/// Limits of the requests to an endpoint. A slow or failing endpoint does not use up those of others. All endpoints of
/// the same host and port together may be sent as many per second, and twice as many at a time: an endpoint that hangs
/// leaves room for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// In flight at a time.
    pub in_flight: usize,
    /// Per second, and per burst.
    pub per_second: u32,
}

impl Budget {
    /// The time until the next permit.
    pub(super) fn refill(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

/// Which requests come first. While all wait, half of the permits are for what is due, and a quarter each for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// The token in the Secret is at its end.
    Due,
    /// A first token, a changed value, a check: nothing dies meanwhile.
    New,
    /// The last request failed, whatever its inputs.
    Retry,
}

impl Priority {
    /// Every priority, the first first.
    pub const ALL: [Self; 3] = [Self::Due, Self::New, Self::Retry];

    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::New => "new",
            Self::Retry => "retry",
        }
    }
}

/// A request that waits for a permit, or has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedRequest {
    /// The endpoint.
    pub endpoint: Arc<str>,
    /// Requests with the same key are sent one at a time.
    pub request_key: String,
    /// When the token in the Secret expires, or since when it is missing: the earliest comes first.
    pub expires: Moment,
    /// When the token expired, if the request polls for its successor; none for every other request.
    pub expired_at: Option<Moment>,
    /// How it competes with others.
    pub priority: Priority,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is the turn of this resource: it has a permit, or its pass begins.
    Turn(ObjectName),
    /// The next permit is to be expected then.
    At(Moment),
    /// Not before something else happens.
    Later,
}

impl Next {
    pub(super) fn or_earlier(self, other: Self) -> Self {
        match (self, other) {
            (Self::At(one), Self::At(other)) => Self::At(one.min(other)),
            (Self::Later, next) | (_, next @ Self::Turn(_)) | (next, _) => next,
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointResult {
    /// With a token.
    Responded,
    /// Without.
    Failed(FailureKind),
}

impl EndpointResult {
    /// The outcome of `result`.
    pub fn of(result: &Result<TokenResponse, Failure>) -> Self {
        result.as_ref().map_or_else(|failure| Self::Failed(failure.kind), |_| Self::Responded)
    }
}
