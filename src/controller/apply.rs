//! Carries out the steps of a plan, and decides nothing.

use crate::client::error::{describe, describe_write, is_namespace_ending, is_refused_as_it_stands, status_of};
use crate::controller::audit;
use crate::controller::context::Context;
use crate::controller::observe::sync_with_peers;
use crate::telemetry::audit::{AuditCause, CONFLICT, FAILED, GONE, REFUSED};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::effects;
use syniverse_token_core::fingerprint::fingerprint;
use syniverse_token_core::issuer::{Cause, Failure, TokenResponse};
use syniverse_token_core::memory::Memory;
use syniverse_token_core::observed::Observed;
use syniverse_token_core::plan::PlannedRequest;
use syniverse_token_core::queue::{EndpointResult, ObjectName, Priority, QueuedRequest};
use syniverse_token_core::secrets::{SecretWrite, operator_post_params};
use syniverse_token_core::state::TokenChange;
use syniverse_token_core::time::{Moment, Now};

/// A token that never expires sorts last: treated as expiring in a year.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// Result of a write.
#[derive(Debug)]
pub enum WriteResult {
    /// The Secret as the API server has it now.
    Written(Box<Secret>),
    /// Another writer was faster: observe again.
    Conflict,
    /// The resource or its namespace is deleted, or being deleted: nothing more is written.
    Gone,
    /// The API server did not accept the write.
    Failed(WriteFailure),
}

impl WriteResult {
    fn audited(&self, status: Option<u16>) -> audit::Written {
        match self {
            Self::Written(secret) => Ok(secret.resource_version()),
            Self::Conflict => Err((CONFLICT, status)),
            Self::Gone => Err((GONE, status)),
            Self::Failed(failure) if failure.is_refused || status == Some(403) => Err((REFUSED, status)),
            Self::Failed(_) => Err((FAILED, status)),
        }
    }
}

/// A write that the API server did not accept.
#[derive(Debug)]
pub struct WriteFailure {
    /// A clause for people.
    pub detail: String,
    /// The same write would be refused again.
    pub is_refused: bool,
}

/// Writes one Secret of the observed resource, fenced by the version that was read, or by creation only.
pub async fn write(context: &Context, observed: &Observed, write: &SecretWrite, cause: AuditCause) -> WriteResult {
    let namespace = observed.resource.namespace().unwrap_or_default();
    let in_progress = context.secret_write(ObjectName::new(namespace, write.secret().name_any()));
    let (result, status) = send(context, observed, write, &operator_post_params()).await;
    if let WriteResult::Written(secret) = &result {
        in_progress.written(secret.resource_version());
    }
    context.audit.record(|| audit::secret_write(observed, write, cause, result.audited(status)));
    result
}

/// Sends this write as a dry run; nothing is stored.
pub async fn dry_run(context: &Context, observed: &Observed, write: &SecretWrite) -> WriteResult {
    send(context, observed, write, &PostParams { dry_run: true, ..operator_post_params() }).await.0
}

/// The result, and the HTTP status of a refusal.
async fn send(
    context: &Context,
    observed: &Observed,
    write: &SecretWrite,
    how: &PostParams,
) -> (WriteResult, Option<u16>) {
    let api: Api<Secret> = context.api(&observed.resource);
    let name = write.secret().name_any();
    if !how.dry_run
        && let SecretWrite::Create(_) | SecretWrite::TakeOver(_) = write
        && let Some(outcome) = check_resource(context, &observed.resource).await
    {
        return (outcome, None);
    }
    let result = match write {
        SecretWrite::Create(secret) => api.create(how, secret).await,
        SecretWrite::Replace(secret) | SecretWrite::TakeOver(secret) => api.replace(&name, how, secret).await,
    };
    match result {
        Ok(secret) => (WriteResult::Written(Box::new(secret)), None),
        Err(error) => {
            let known = [Some(write.secret()), observed.state.secret(), observed.token.as_ref()];
            let result = failed_write(&name, &error, &known.into_iter().flatten().collect::<Vec<_>>());
            (result, status_of(&error))
        }
    }
}

/// A Secret is created, or given an owner, only while the resource exists. The API server is asked, because the cache
/// may be behind.
async fn check_resource(context: &Context, resource: &SyniverseToken) -> Option<WriteResult> {
    match live(context, resource).await {
        Ok(Some(_)) => None,
        Ok(None) => Some(WriteResult::Gone),
        Err(error) => {
            let detail = format!("failed to read SyniverseToken {}: {}", resource.name_any(), describe(&error));
            Some(WriteResult::Failed(WriteFailure { detail, is_refused: false }))
        }
    }
}

/// Reads the resource; none when it is deleted, being deleted, or re-created under that name.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn live(context: &Context, resource: &SyniverseToken) -> kube::Result<Option<SyniverseToken>> {
    let api: Api<SyniverseToken> = context.api(resource);
    let found = api.get_opt(&resource.name_any()).await?;
    Ok(found.filter(|found| found.uid() == resource.uid() && found.metadata.deletion_timestamp.is_none()))
}

/// `secrets` are values that a refusing webhook or policy has seen, and may repeat.
fn failed_write(name: &str, error: &kube::Error, secrets: &[&Secret]) -> WriteResult {
    let is_refused = is_refused_as_it_stands(error);
    match error {
        error if is_namespace_ending(error) => WriteResult::Gone,
        kube::Error::Api(status)
            if !is_refused && (status.is_not_found() || status.is_conflict() || status.is_already_exists()) =>
        {
            WriteResult::Conflict
        }
        error => {
            let detail = format!("failed to write Secret {name}: {}", describe_write(error, secrets));
            WriteResult::Failed(WriteFailure { detail, is_refused })
        }
    }
}

/// Permission to send a single request, granted by the queue.
pub struct Permit<'a> {
    context: &'a Context,
    resource: ObjectName,
    request: QueuedRequest,
    is_over: bool,
}

impl Permit<'_> {
    fn end(&mut self, result: Option<EndpointResult>) {
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
    let request_key = match planned.request.wire().properties().shared_by {
        Some(shared) => context.queue().request_key(endpoint, shared.expose()),
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

/// Sends the request once. The response is in memory before anything else is done with it.
pub async fn request_token(
    mut permit: Permit<'_>,
    observed: &mut Observed,
    memory: &mut Memory,
    planned: &PlannedRequest,
) -> Result<TokenResponse, Failure> {
    let context = permit.context;
    let attempt = context.audit.attempt(|| audit::call(observed, planned)).await;
    let sent = context.clock.now();
    effects::request_sent(memory, planned, sent);
    context.queue().request_started(&permit.resource);
    let result = send_measured(context, planned).await;
    context.audit.record(|| audit::call_outcome(observed, planned, attempt, &result));
    permit.end(Some(EndpointResult::of(&result)));
    let ended = context.clock.now().mono;
    effects::request_ended(observed, memory, planned, &result, (sent, ended), |observed, memory| {
        sync_with_peers(context, observed, memory);
    });
    if result.is_err()
        && let Some(issuer) = observed.resource.spec.issuer()
    {
        // Whatever the watch shows: what did not do is read again.
        for name in [Some(issuer.credentials_secret()), issuer.standby_secret()].into_iter().flatten() {
            context.credentials().forget(&ObjectName::new(permit.resource.namespace(), name));
        }
    }
    if let Ok(response) = &result {
        let properties = planned.request.wire().properties();
        // Where each may have a new token at any time, that of one is no news for the others.
        if properties.shared_by.is_some() && !planned.request.wire().kind().renewal().may_come_early {
            notify_sharers(&permit, planned, response);
        }
        // The old token counts as dead from the moment at which the request was sent.
        if let Some(spent) = properties.spends {
            context.metrics.token_superseded(&permit.resource, &fingerprint(spent), sent.mono);
        }
    }
    result
}

/// Sends the request, and notes how long that took and what became of it.
async fn send_measured(context: &Context, planned: &PlannedRequest) -> Result<TokenResponse, Failure> {
    let _in_flight = context.metrics.request_started(&planned.request);
    let sent = context.clock.now().mono;
    let result = context.issuer.send(&planned.request).await;
    let now = context.clock.now();
    let kind = result.as_ref().err().map(|failure| failure.kind);
    context.metrics.observe_request(&planned.request, planned.cause, kind, now.mono.until(sent));
    if let Ok(response) = &result
        && (planned.cause == Cause::Boundary || is_new(planned, response))
    {
        // A request that came too early was faster than others: without it the shortest would seem longer than it is.
        context.queue().round_trip(planned.request.endpoint(), now.mono.until(sent));
    }
    if let Some(ahead) = result.as_ref().ok().and_then(|response| response.clock_skew(now.wall)) {
        context.metrics.set_clock_skew(&planned.request, ahead);
    }
    result
}

fn is_new(planned: &PlannedRequest, response: &TokenResponse) -> bool {
    matches!(TokenChange::of(response, planned.record.as_ref()), TokenChange::New)
}

/// The other resources of an application request the token themselves once a rotation was seen.
fn notify_sharers(permit: &Permit<'_>, planned: &PlannedRequest, response: &TokenResponse) {
    if is_new(planned, response) {
        let (token, key) = (fingerprint(&response.token), &permit.request.request_key);
        let others = permit.context.queue().rotated(&permit.resource, key, &token);
        permit.context.all_changed(&others);
    }
}
