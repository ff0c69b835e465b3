//! Does what the plan says, and chooses nothing.

use crate::api::SyniverseToken;
use crate::context::Context;
use crate::error::{is_namespace_ending, said};
use crate::facts::Observed;
use crate::fingerprint::fingerprint;
use crate::issuer::{Answer, Failure};
use crate::memory::{Circumstances, Memory};
use crate::moment::Now;
use crate::observe::{look_around, object_name, secrets};
use crate::plan::Call;
use crate::secrets::Write;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, ResourceExt};

/// What became of a write.
#[derive(Debug)]
pub enum Wrote {
    /// The Secret as the API server has it now.
    Done(Box<Secret>),
    /// Somebody else was faster: look again.
    Overtaken,
    /// The resource, or its namespace, is going or gone: nothing is written any more.
    Gone,
    /// The API server did not take it; one clause for people.
    Failed(String),
}

/// Writes one Secret of the observed resource, under the fence: the version that was read, or creation only.
pub async fn write(context: &Context, resource: &SyniverseToken, write: &Write) -> Wrote {
    let api = secrets(context, resource);
    let name = write.secret().name_any();
    let result = match write {
        Write::Create(secret) => {
            if let Some(verdict) = refuse_creation(context, resource).await {
                return verdict;
            }
            api.create(&PostParams::default(), secret).await
        }
        Write::Replace(secret) => api.replace(&name, &PostParams::default(), secret).await,
    };
    match result {
        Ok(secret) => {
            let object = crate::fleet::ObjectName { namespace: secret.namespace().unwrap_or_default(), name };
            context.wrote(object, secret.resource_version());
            Wrote::Done(Box::new(secret))
        }
        Err(error) => failed_write(&name, &error),
    }
}

/// A Secret is made only for a resource that lives: asked of the API server, because the cache may not know yet.
async fn refuse_creation(context: &Context, resource: &SyniverseToken) -> Option<Wrote> {
    match live(context, resource).await {
        Ok(Some(_)) => None,
        Ok(None) => Some(Wrote::Gone),
        Err(error) => {
            Some(Wrote::Failed(format!("failed to read SyniverseToken {}: {}", resource.name_any(), said(&error))))
        }
    }
}

/// The resource as it is now; none when it is gone, going, or another one of that name.
///
/// # Errors
/// When the API server cannot tell.
pub async fn live(context: &Context, resource: &SyniverseToken) -> kube::Result<Option<SyniverseToken>> {
    let api: Api<SyniverseToken> = Api::namespaced(context.client.clone(), &resource.namespace().unwrap_or_default());
    let found = api.get_opt(&resource.name_any()).await?;
    Ok(found.filter(|found| found.uid() == resource.uid() && found.metadata.deletion_timestamp.is_none()))
}

fn failed_write(name: &str, error: &kube::Error) -> Wrote {
    match error {
        error if is_namespace_ending(error) => Wrote::Gone,
        kube::Error::Api(status) if status.is_not_found() || matches!(status.code, 409) => Wrote::Overtaken,
        error => Wrote::Failed(format!("failed to write Secret {name}: {}", said(error))),
    }
}

/// Asks the issuer, once. The answer is in memory before anything else happens to it.
pub async fn call(
    context: &Context,
    observed: &mut Observed,
    memory: &mut Memory,
    call: Call,
) -> Result<Answer, Failure> {
    let member = object_name(&observed.resource);
    let application = context.fleet().application(&call.ask.endpoint, call.ask.consumer_key.expose());
    let one_call = context.one_call(&application);
    let _one_at_a_time = one_call.lock().await;
    let sent = context.clock.now();
    memory.called(call.issued.as_ref(), sent);
    let result = context.issuer.refresh(&call.ask).await;
    context.fleet().called(&member, &call.ask, result.as_ref().err(), context.clock.now().mono);
    match &result {
        Ok(answer) => take_in(context, observed, memory, &call, answer, sent),
        Err(failure) => {
            look_around(context, observed, memory);
            let around = Circumstances { endpoint_down: observed.neighbours.endpoint_down, spread: observed.spread() };
            let life = call.issued.as_ref().map(|issued| memory.life(issued, sent));
            memory.failed(failure, call.attempt, life.as_ref(), context.clock.now().mono, around);
        }
    }
    result
}

fn take_in(context: &Context, observed: &mut Observed, memory: &mut Memory, call: &Call, answer: &Answer, sent: Now) {
    let is_new = call.issued.as_ref().is_none_or(|issued| issued.token != answer.token && !issued.is_stale(answer));
    memory.answered(call.issued.as_ref(), call.answered(answer.clone(), sent));
    look_around(context, observed, memory);
    if is_new {
        tell_the_others(context, &object_name(&observed.resource), call, &fingerprint(&answer.token));
    }
}

fn tell_the_others(context: &Context, member: &crate::fleet::ObjectName, call: &Call, token: &str) {
    let mut fleet = context.fleet();
    let application = fleet.application(&call.ask.endpoint, call.ask.consumer_key.expose());
    context.wake_all(fleet.rotated(member, &application, token));
}
