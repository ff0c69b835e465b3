//! Does what the plan says, and chooses nothing.

use crate::api::SyniverseToken;
use crate::context::Context;
use crate::error::{is_namespace_ending, said};
use crate::facts::Observed;
use crate::fingerprint::fingerprint;
use crate::fleet::ObjectName;
use crate::issuer::{Answer, Failure};
use crate::memory::{Circumstances, Memory};
use crate::observe::look_around;
use crate::plan::Call;
use crate::secrets::Write;
use crate::state::Brought;
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
    let api: Api<Secret> = context.api(resource);
    let name = write.secret().name_any();
    let result = match write {
        Write::Create(secret) => {
            if let Some(outcome) = refuse_creation(context, resource).await {
                return outcome;
            }
            api.create(&PostParams::default(), secret).await
        }
        Write::Replace(secret) => api.replace(&name, &PostParams::default(), secret).await,
    };
    match result {
        Ok(secret) => {
            context.wrote(ObjectName::of(&secret), secret.resource_version());
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
    let api: Api<SyniverseToken> = context.api(resource);
    let found = api.get_opt(&resource.name_any()).await?;
    Ok(found.filter(|found| found.uid() == resource.uid() && found.metadata.deletion_timestamp.is_none()))
}

fn failed_write(name: &str, error: &kube::Error) -> Wrote {
    match error {
        error if is_namespace_ending(error) => Wrote::Gone,
        kube::Error::Api(status) if status.is_not_found() || status.is_conflict() || status.is_already_exists() => {
            Wrote::Overtaken
        }
        error => Wrote::Failed(format!("failed to write Secret {name}: {}", said(error))),
    }
}

/// The right to ask one application: its calls are made one at a time, whichever resource they are for.
pub struct Turn<'a> {
    context: &'a Context,
    call_key: String,
}

impl Drop for Turn<'_> {
    /// Also when the pass is cut short: the others must not wait for ever.
    fn drop(&mut self) {
        let waiting = self.context.fleet().call_ended(&self.call_key);
        self.context.wake_all(waiting);
    }
}

/// Takes the turn for this call; none while the application is being asked for another resource.
pub fn begin<'a>(context: &'a Context, observed: &Observed, call: &Call) -> Option<Turn<'a>> {
    let call_key = context.fleet().call_key(&call.ask.endpoint, call.ask.consumer_key.expose());
    let free = context.fleet().begins_call(&call_key, &ObjectName::of(&*observed.resource));
    // Made only if it is free: dropping a turn ends the call that it stands for.
    free.then(|| Turn { context, call_key })
}

/// Asks the issuer, once. The answer is in memory before anything else happens to it.
pub async fn call(turn: Turn<'_>, observed: &mut Observed, memory: &mut Memory, call: Call) -> Result<Answer, Failure> {
    let (context, member) = (turn.context, ObjectName::of(&*observed.resource));
    let sent = context.clock.now();
    memory.called(call.issued.as_ref(), sent);
    let result = context.issuer.refresh(&call.ask).await;
    context.fleet().called(&member, &call.ask, result.as_ref().err(), context.clock.now().mono);
    match &result {
        Ok(answer) => {
            let is_new = matches!(Brought::by(answer, call.issued.as_ref()), Brought::New);
            memory.answered(call.issued.as_ref(), call.answered(answer.clone(), sent));
            look_around(context, observed, memory);
            if is_new {
                let others = context.fleet().rotated(&member, &turn.call_key, &fingerprint(&answer.token));
                context.wake_all(others);
            }
        }
        Err(failure) => {
            look_around(context, observed, memory);
            let around = Circumstances { endpoint_down: observed.neighbours.endpoint_down, spread: observed.spread() };
            let life = call.issued.as_ref().map(|issued| memory.life(issued, sent));
            memory.failed(failure, call.attempt, life.as_ref(), context.clock.now().mono, around);
        }
    }
    result
}
