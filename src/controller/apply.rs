//! Carries out the steps of a plan, and decides nothing.

use crate::client::error::{describe, describe_write, is_namespace_ending, is_refused_as_it_stands, status_of};
use crate::controller::audit;
use crate::controller::context::Context;
use crate::controller::observe::sync_with_peers;
use crate::telemetry::audit::{AuditCause, CONFLICT, FAILED, GONE, REFUSED};
use crate::telemetry::traces;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::effects;
use syniverse_token_core::fingerprint::fingerprint;
use syniverse_token_core::issuer::{Cause, Failure, SharedBy, TokenResponse};
use syniverse_token_core::memory::Memory;
use syniverse_token_core::observed::Observed;
use syniverse_token_core::plan::PlannedRequest;
use syniverse_token_core::queue::{EndpointResult, ObjectName};
use syniverse_token_core::secrets::{SecretWrite, operator_post_params};
use syniverse_token_core::state::TokenChange;
use tracing::Instrument;

mod permit;

pub use permit::{Permit, acquire, queued, reserve};

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
    let span = traces::step("write Secret");
    let (result, status) = send(context, observed, write, &operator_post_params()).instrument(span.clone()).await;
    if let WriteResult::Written(secret) = &result {
        in_progress.written(secret.resource_version());
    }
    audit::note(context, &span, || audit::secret_write(observed, write, cause, result.audited(status)));
    result
}

/// Sends this write as a dry run; nothing is stored.
pub async fn dry_run(context: &Context, observed: &Observed, write: &SecretWrite) -> WriteResult {
    let how = PostParams { dry_run: true, ..operator_post_params() };
    send(context, observed, write, &how).instrument(traces::step("dry run")).await.0
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
    let span = traces::step("issuing call");
    let result = send_measured(context, planned).instrument(span.clone()).await;
    permit.end(Some(EndpointResult::of(&result)));
    let ended = context.clock.now().mono;
    effects::request_ended(observed, memory, planned, &result, (sent, ended), |observed, memory| {
        sync_with_peers(context, observed, memory);
    });
    audit::note(context, &span, || audit::call_outcome(observed, planned, attempt, &result));
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
        if let Some(shared) = properties.shared {
            notify_sharers(&permit, planned, shared, response);
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
fn notify_sharers(permit: &Permit<'_>, planned: &PlannedRequest, shared: SharedBy<'_>, response: &TokenResponse) {
    // Where each may have a new token at any time, that of one is no news for the others.
    let is_news = !planned.request.wire().kind().renewal().may_come_early;
    if is_news && is_new(planned, response) {
        let mut queue = permit.context.queue();
        let application = queue.application_key(planned.request.endpoint(), shared.identifier.expose());
        let others = queue.rotated(&permit.resource, &application, &fingerprint(&response.token));
        drop(queue);
        permit.context.all_changed(&others);
    }
}
