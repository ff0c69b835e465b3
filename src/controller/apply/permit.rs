//! The permit for a request, granted by the queue.

use crate::controller::context::Context;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::issuer::{Cause, SharedBy};
use syniverse_token_core::memory::Memory;
use syniverse_token_core::observed::Observed;
use syniverse_token_core::plan::PlannedRequest;
use syniverse_token_core::queue::{EndpointResult, ObjectName, Priority, QueuedRequest};
use syniverse_token_core::time::{Moment, Now};

/// A token that never expires sorts last: treated as expiring in a year.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// Permission to send a single request, granted by the queue.
pub struct Permit<'a> {
    pub(super) context: &'a Context,
    pub(super) resource: ObjectName,
    pub(super) request: QueuedRequest,
    is_over: bool,
}

impl Permit<'_> {
    pub(super) fn end(&mut self, result: Option<EndpointResult>) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.context.permit_ended(&self.request.endpoint, &self.resource, result);
        }
    }
}

impl Drop for Permit<'_> {
    /// Also runs when the pass is aborted, or fails before its request: others must not wait forever.
    fn drop(&mut self) {
        self.end(None);
    }
}

/// The request as the queue sees it.
pub fn queued(context: &Context, observed: &Observed, memory: &Memory, planned: &PlannedRequest) -> QueuedRequest {
    let (resource, endpoint, now) = (context.name(&observed.resource), planned.request.endpoint(), context.clock.now());
    let request_key = match planned.request.wire().properties().shared {
        Some(SharedBy { identifier, secret }) => {
            let queue = context.queue();
            queue.request_key(&queue.application_key(endpoint, identifier.expose()), secret.expose())
        }
        // Credentials of its own: no request of another resource conflicts.
        None => context.queue().exclusive_key(&resource),
    };
    let expires = match planned.live_token() {
        Some(record) => memory.lifetime(record, now).expires.unwrap_or(now.mono + NEVER),
        None => creation_moment(&observed.resource, now),
    };
    let expired_at = planned.is_renewal().then_some(planned.due);
    let priority = match planned.cause {
        // A resource whose last write failed may fail again before its request.
        _ if planned.is_retry || memory.writes.is_failing() => Priority::Retry,
        _ if planned.is_renewal() => Priority::Due,
        Cause::Ended | Cause::Rejected | Cause::RotatedElsewhere => Priority::Due,
        _ => Priority::New,
    };
    QueuedRequest { endpoint: endpoint.into(), request_key, expires, expired_at, priority }
}

/// When `resource` was created, which is when its first token became due. In whole seconds, as the two clocks are read
/// one after the other: a rank that moved by microseconds from pass to pass would shuffle all resources created in the
/// same second.
fn creation_moment(resource: &SyniverseToken, now: Now) -> Moment {
    let made = resource.metadata.creation_timestamp.as_ref();
    made.map_or(now.mono, |made| now.moment_of(made.0).whole_second().min(now.mono))
}

/// True when this request may be sent, so that writing its intent is worthwhile: its permit is held until the pass sends
/// it, or ends. Otherwise the request is in line.
pub fn reserve(context: &Context, observed: &Observed, memory: &Memory, planned: &PlannedRequest) -> bool {
    let (resource, request) = (context.name(&observed.resource), queued(context, observed, memory, planned));
    let priority = request.priority;
    let is_permitted = context.queue().acquire(&resource, request, context.clock.now().mono);
    if is_permitted {
        context.has_permit(&resource, priority);
    }
    is_permitted
}

/// The permit for this request; none while it is in line.
pub fn acquire<'a>(
    context: &'a Context,
    observed: &Observed,
    memory: &Memory,
    planned: &PlannedRequest,
) -> Option<Permit<'a>> {
    let (resource, request) = (context.name(&observed.resource), queued(context, observed, memory, planned));
    let is_permitted = reserve(context, observed, memory, planned);
    // Created only when permitted: dropping a permit ends its request.
    is_permitted.then(|| Permit { context, resource, request, is_over: false })
}
