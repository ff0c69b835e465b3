//! Does what the plan says, and chooses nothing.

use crate::client::error::{is_namespace_ending, is_refused_as_it_stands, said, said_of_write};
use crate::controller::context::Context;
use crate::controller::observe::look_around;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::effects;
use syniverse_token_core::fingerprint::fingerprint;
use syniverse_token_core::issuer::{Answer, Cause, Failure};
use syniverse_token_core::memory::Memory;
use syniverse_token_core::observed::Observed;
use syniverse_token_core::plan::Call;
use syniverse_token_core::queue::{Admission, Fleet, ObjectName, Outcome, Wish};
use syniverse_token_core::secrets::{Write, in_our_name};
use syniverse_token_core::state::Brought;
use syniverse_token_core::time::{Moment, Now};

/// A token that never expires is the last to be in a hurry: a year.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// What became of a write.
#[derive(Debug)]
pub enum Wrote {
    /// The Secret as the API server has it now.
    Done(Box<Secret>),
    /// Somebody else was faster: look again.
    Overtaken,
    /// The resource, or its namespace, is going or gone: nothing is written any more.
    Gone,
    /// The API server did not take it.
    Failed(Unwelcome),
}

/// A write that the API server did not take.
#[derive(Debug)]
pub struct Unwelcome {
    /// One clause for people.
    pub detail: String,
    /// It will not be taken as it stands.
    pub is_refused: bool,
}

/// Writes one Secret of the observed resource, under the fence: the version that was read, or creation only.
pub async fn write(context: &Context, observed: &Observed, write: &Write) -> Wrote {
    let wrote = send(context, observed, write, &in_our_name()).await;
    if let Wrote::Done(secret) = &wrote {
        context.wrote(ObjectName::of(&**secret), secret.resource_version());
    }
    wrote
}

/// Asks the API server whether it would take this write; nothing is written.
pub async fn rehearse(context: &Context, observed: &Observed, write: &Write) -> Wrote {
    send(context, observed, write, &PostParams { dry_run: true, ..in_our_name() }).await
}

async fn send(context: &Context, observed: &Observed, write: &Write, how: &PostParams) -> Wrote {
    let api: Api<Secret> = context.api(&observed.resource);
    let name = write.secret().name_any();
    if let Write::Create(_) | Write::TakeOver(_) = write
        && let Some(outcome) = refuse_possession(context, &observed.resource).await
    {
        return outcome;
    }
    let result = match write {
        Write::Create(secret) => api.create(how, secret).await,
        Write::Replace(secret) | Write::TakeOver(secret) => api.replace(&name, how, secret).await,
    };
    match result {
        Ok(secret) => Wrote::Done(Box::new(secret)),
        Err(error) => {
            let known = [Some(write.secret()), observed.state.secret(), observed.token.as_ref()];
            failed_write(&name, &error, &known.into_iter().flatten().collect::<Vec<_>>())
        }
    }
}

/// A Secret is made, and given an owner, only for a resource that lives: asked of the API server, because the cache may not
/// know yet.
async fn refuse_possession(context: &Context, resource: &SyniverseToken) -> Option<Wrote> {
    match live(context, resource).await {
        Ok(Some(_)) => None,
        Ok(None) => Some(Wrote::Gone),
        Err(error) => {
            let detail = format!("failed to read SyniverseToken {}: {}", resource.name_any(), said(&error));
            Some(Wrote::Failed(Unwelcome { detail, is_refused: false }))
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

/// `secrets` are what whoever refuses the write may have been shown.
fn failed_write(name: &str, error: &kube::Error, secrets: &[&Secret]) -> Wrote {
    let is_refused = is_refused_as_it_stands(error);
    match error {
        error if is_namespace_ending(error) => Wrote::Gone,
        kube::Error::Api(status)
            if !is_refused && (status.is_not_found() || status.is_conflict() || status.is_already_exists()) =>
        {
            Wrote::Overtaken
        }
        error => {
            let detail = format!("failed to write Secret {name}: {}", said_of_write(error, secrets));
            Wrote::Failed(Unwelcome { detail, is_refused })
        }
    }
}

/// The right to make one call, as the fleet admits them.
pub struct Turn<'a> {
    context: &'a Context,
    member: ObjectName,
    endpoint: String,
    call_key: String,
    is_over: bool,
}

impl Turn<'_> {
    fn end(&mut self, outcome: Option<Outcome>) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let now = self.context.clock.now().mono;
        let woken = self.context.fleet().ended(&self.endpoint, &self.call_key, &self.member, outcome, now);
        self.context.wake_in_turn(woken, now);
    }
}

impl Drop for Turn<'_> {
    /// Also when the pass is cut short, or what comes before the call fails: the others must not wait for ever.
    fn drop(&mut self) {
        self.end(None);
    }
}

/// A call as the fleet is to judge it.
struct Claim {
    member: ObjectName,
    endpoint: String,
    call_key: String,
    expires: Moment,
    boundary: Option<Moment>,
    is_retry: bool,
}

impl Claim {
    fn of(fleet: &Fleet, observed: &Observed, memory: &Memory, call: &Call, now: Now) -> Self {
        let (member, endpoint) = (ObjectName::of(&*observed.resource), call.ask.endpoint().to_owned());
        let call_key = match call.ask.wire().properties().shared_by {
            Some(shared) => fleet.call_key(&endpoint, shared.expose()),
            // A pair or an account of its own: no other resource's call is in its way.
            None => fleet.own_key(&member),
        };
        let expires = match call.living() {
            Some(issued) => memory.life(issued, now).expires.unwrap_or(now.mono + NEVER),
            None => made(&observed.resource, now),
        };
        // Who could not write the last time may fail at it again before it calls.
        let is_retry = call.is_retry || memory.writes.is_failing();
        let boundary = matches!(call.cause, Cause::Boundary | Cause::Extension).then_some(call.due);
        Self { member, endpoint, call_key, expires, boundary, is_retry }
    }

    fn wish(&self) -> Wish<'_> {
        let Self { member, endpoint, call_key, expires, boundary, is_retry } = self;
        Wish { member, endpoint, call_key, expires: *expires, boundary: *boundary, is_retry: *is_retry }
    }
}

/// When `resource` was made: since then its first token is due. In whole seconds, as the two clocks are read one after
/// the other: a rank that moves by microseconds from pass to pass would shuffle all who were made in one second.
fn made(resource: &SyniverseToken, now: Now) -> Moment {
    let made = resource.metadata.creation_timestamp.as_ref();
    made.map_or(now.mono, |made| now.moment_of(made.0).whole_second().min(now.mono))
}

/// Whether this call could be made now, so that it is worth announcing. Nothing is held meanwhile that others wait for.
///
/// # Errors
/// With the moment to try again, where others come first; the resource may be woken before.
pub fn line_up(context: &Context, observed: &Observed, memory: &Memory, call: &Call) -> Result<(), Moment> {
    let (now, mut fleet) = (context.clock.now(), context.fleet());
    let claim = Claim::of(&fleet, observed, memory, call, now);
    let (admission, woken) = fleet.line_up(&claim.wish(), now.mono);
    context.wake_in_turn(woken, now.mono);
    match admission {
        Admission::Go => Ok(()),
        Admission::Later(at) => Err(at),
    }
}

/// Takes the turn for this call.
///
/// # Errors
/// As [`line_up`].
pub fn begin<'a>(context: &'a Context, observed: &Observed, memory: &Memory, call: &Call) -> Result<Turn<'a>, Moment> {
    let (now, mut fleet) = (context.clock.now(), context.fleet());
    let claim = Claim::of(&fleet, observed, memory, call, now);
    let (admission, woken) = fleet.admit(&claim.wish(), now.mono);
    context.wake_in_turn(woken, now.mono);
    match admission {
        // Made only where it is admitted: dropping a turn ends the call that it stands for.
        Admission::Go => {
            let Claim { member, endpoint, call_key, .. } = claim;
            Ok(Turn { context, member, endpoint, call_key, is_over: false })
        }
        Admission::Later(at) => Err(at),
    }
}

/// Asks the issuer, once. What its answer says is in memory before anything else happens to it.
pub async fn call(
    mut turn: Turn<'_>,
    observed: &mut Observed,
    memory: &mut Memory,
    call: &Call,
) -> Result<Answer, Failure> {
    let context = turn.context;
    let sent = context.clock.now();
    effects::request_sent(memory, call, sent);
    let result = ask(context, call).await;
    turn.end(Some(Outcome::of(&result)));
    let ended = context.clock.now().mono;
    effects::request_ended(observed, memory, call, &result, (sent, ended), |observed, memory| {
        look_around(context, observed, memory);
    });
    if let Ok(answer) = &result {
        let properties = call.ask.wire().properties();
        if properties.shared_by.is_some() {
            tell_others(&turn, call, answer);
        }
        // At the latest when the request was sent the issuer began to kill the old one.
        if let Some(spent) = properties.spends {
            context.metrics.superseded(&turn.member, &fingerprint(spent), sent.mono);
        }
    }
    result
}

async fn ask(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let _flying = context.metrics.call(&call.ask);
    let sent = context.clock.now().mono;
    let result = context.issuer.ask(&call.ask).await;
    let now = context.clock.now();
    let kind = result.as_ref().err().map(|failure| failure.kind);
    context.metrics.called(&call.ask, call.cause, kind, now.mono.until(sent));
    if let Some(date) = result.as_ref().ok().and_then(|answer| answer.date) {
        context.metrics.skewed(&call.ask, date.as_second() - now.wall.as_second());
    }
    result
}

/// The others of an application ask for themselves when one of them saw a rotation.
fn tell_others(turn: &Turn<'_>, call: &Call, answer: &Answer) {
    if matches!(Brought::by(answer, call.issued.as_ref()), Brought::New) {
        let others = turn.context.fleet().rotated(&turn.member, &turn.call_key, &fingerprint(&answer.token));
        turn.context.wake_all(others);
    }
}
