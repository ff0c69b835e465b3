//! The entries of the audit log about what this process does. No client required.

use crate::controller::context::Context;
use crate::telemetry::audit::{Action, AuditCause, AuditedObject, AuditedResource, Entry, Phase, SUCCESS};
use crate::telemetry::traces;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::fingerprint::fingerprint;
use syniverse_token_core::issuer::{Failure, TokenResponse};
use syniverse_token_core::observed::Observed;
use syniverse_token_core::plan::PlannedRequest;
use syniverse_token_core::propagation::Delivery;
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::secrets::{SecretWrite, believed_token, read_state};
use syniverse_token_core::state::State;
use tracing::Span;

/// Notes what was done, in the audit log and in the span of the step.
pub(super) fn note(context: &Context, span: &Span, entry: impl FnOnce() -> Entry) {
    if context.audit.is_on() || !span.is_disabled() {
        let entry = entry();
        traces::note(span, &entry);
        context.audit.record(|| entry);
    }
}

/// A request to the issuer that is about to be sent.
pub(super) fn call(observed: &Observed, planned: &PlannedRequest) -> Entry {
    let cause = AuditCause::Request(planned.cause);
    Entry {
        issuer: Some(planned.request.wire().kind().as_str()),
        credentials_version: planned.credentials.clone(),
        before: planned.record.as_ref().map(|record| fingerprint(&record.token)),
        ..Entry::new(Action::IssuingCall, Phase::Attempt, audited(&observed.resource), cause)
    }
}

/// What became of the request whose line is `attempt`.
pub(super) fn call_outcome(
    observed: &Observed,
    planned: &PlannedRequest,
    attempt: Option<u64>,
    result: &Result<TokenResponse, Failure>,
) -> Entry {
    Entry {
        phase: Phase::Outcome,
        attempt,
        outcome: Some(result.as_ref().err().map_or(SUCCESS, |failure| failure.kind.as_str())),
        status: result.as_ref().err().and_then(|failure| failure.status),
        after: result.as_ref().ok().map(|response| fingerprint(&response.token)),
        ..call(observed, planned)
    }
}

/// The `resourceVersion` of an object that was written, or what came instead, with the HTTP status of a refusal.
pub(super) type Written = Result<Option<String>, (&'static str, Option<u16>)>;

/// A write of a Secret that has ended.
pub(super) fn secret_write(observed: &Observed, write: &SecretWrite, cause: AuditCause, result: Written) -> Entry {
    let (resource, name) = (&observed.resource, write.secret().name_any());
    let is_state = name == resource.state_secret_name();
    let read = if is_state { observed.state.secret() } else { observed.token.as_ref() };
    let token = |secret: &Secret| if is_state { token_of_state(secret) } else { token_of(secret, resource) };
    let action = if is_state { Action::WriteStateSecret } else { Action::WriteTokenSecret };
    let entry = Entry::new(action, Phase::Outcome, audited(resource), cause);
    Entry { before: read.and_then(token), after: token(write.secret()), ..written(entry, ("Secret", name), result) }
}

/// A write of a Pod or a workload that has ended.
pub(super) fn delivery(
    (action, kind, object): (Action, &'static str, &str),
    name: &ObjectName,
    delivery: &Delivery,
    result: Written,
) -> Entry {
    let resource = AuditedResource {
        namespace: name.namespace().to_owned(),
        name: name.name().to_owned(),
        uid: delivery.uid.clone(),
        generation: delivery.generation,
    };
    let entry = Entry::new(action, Phase::Outcome, resource, AuditCause::Delivery);
    Entry { after: Some(delivery.fingerprint.clone()), ..written(entry, (kind, object.to_owned()), result) }
}

fn written(entry: Entry, (kind, name): (&'static str, String), result: Written) -> Entry {
    let (outcome, status) = result.as_ref().err().copied().unwrap_or((SUCCESS, None));
    let object = AuditedObject { kind, name, resource_version: result.ok().flatten() };
    Entry { outcome: Some(outcome), status, object: Some(object), ..entry }
}

fn audited(resource: &SyniverseToken) -> AuditedResource {
    AuditedResource {
        namespace: resource.namespace().unwrap_or_default(),
        name: resource.name_any(),
        uid: resource.uid().unwrap_or_default(),
        generation: resource.metadata.generation.unwrap_or_default(),
    }
}

fn token_of(secret: &Secret, resource: &SyniverseToken) -> Option<String> {
    believed_token(secret, resource.spec.key()).map(|token| fingerprint(&token))
}

fn token_of_state(secret: &Secret) -> Option<String> {
    let state = read_state(secret).ok()?;
    State::active_token(&state).map(|record| fingerprint(&record.token))
}
