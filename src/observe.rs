//! Reads everything that one decision needs, from the API server itself and not from a cache.

use crate::api::{IssuerSpec, SyniverseToken};
use crate::context::Context;
use crate::credentials::{Credentials, SessionCredentials, consents};
use crate::error::said;
use crate::facts::{Neighbours, Observed, Sharing};
use crate::fleet::{Fleet, ObjectName};
use crate::issuer::endpoint::NotAllowed;
use crate::memory::Memory;
use crate::state::{Inputs, State};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use std::sync::Arc;

/// So many refusals in a row are no accident.
const BELIEVED_REFUSALS: u32 = 3;

/// Why there are no facts.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The API server did not give a Secret.
    #[error("failed to read Secret {secret}: {}", said(source))]
    Read {
        /// Its name.
        secret: String,
        /// Whatever came instead.
        source: kube::Error,
    },
    /// The system gave no random bits for a salt.
    #[error("failed to get randomness from the system: {0}")]
    Randomness(#[from] getrandom::Error),
}

impl ObserveError {
    /// True when the API server could be asked and does not let us: rules are missing, which is a fact like others.
    fn is_forbidden(&self) -> bool {
        matches!(self, Self::Read { source: kube::Error::Api(status), .. } if status.is_forbidden())
    }
}

/// Reads the Secrets of `resource`. What does not exist is a fact; what cannot be reached is an error.
///
/// # Errors
/// When a Secret cannot be read.
pub async fn observe(
    context: &Context,
    resource: Arc<SyniverseToken>,
    memory: &mut Memory,
) -> Result<Observed, ObserveError> {
    let (forbidden, [credentials, state, token]) = believed(read_secrets(context, &resource).await, memory)?;
    let lacks_consent =
        context.require_credentials_label && credentials.as_ref().is_some_and(|secret| !consents(secret));
    let mut observed = Observed {
        neighbours: Neighbours::default(),
        salt: random_salt()?,
        daily_check: context.daily_check,
        secret_metadata: Arc::clone(&context.secret_metadata),
        holder: context.holder.clone(),
        call_timeout: context.call_timeout,
        acting_since: context.acting_since(),
        calls_over_by: context.leadership.calls_over_by(),
        not_allowed: not_allowed(context, &resource),
        resource,
        // Whoever may not use it does not see it.
        credentials: credentials.filter(|_| !lacks_consent),
        lacks_consent,
        state,
        token,
        forbidden,
    };
    look_around(context, &mut observed, memory);
    Ok(observed)
}

fn not_allowed(context: &Context, resource: &SyniverseToken) -> Option<NotAllowed> {
    let endpoint = resource.spec.issuer()?.endpoint();
    context.endpoints.admit(resource.namespace().as_deref(), endpoint).err()
}

type Secrets = [Option<Secret>; 3];

/// A refusal is a fact once it was repeated. The first ones are an error like others: an API server that has just started
/// refuses everybody until it knows the rules.
fn believed(
    read: Result<Secrets, ObserveError>,
    memory: &mut Memory,
) -> Result<(Option<String>, Secrets), ObserveError> {
    let is_refused = read.as_ref().is_err_and(ObserveError::is_forbidden);
    memory.refused_reads = if is_refused { memory.refused_reads.saturating_add(1) } else { 0 };
    match read {
        Err(refusal) if memory.refused_reads >= BELIEVED_REFUSALS => {
            Ok((Some(refusal.to_string()), Secrets::default()))
        }
        read => Ok((None, read?)),
    }
}

/// The credentials Secret, the state Secret and the token Secret.
async fn read_secrets(context: &Context, resource: &SyniverseToken) -> Result<Secrets, ObserveError> {
    let api = context.api(resource);
    let read = |name| read(context, &api, name);
    let credentials = resource.spec.issuer().map(IssuerSpec::credentials_secret);
    let state = resource.state_secret_name();
    let (credentials, token) = tokio::try_join!(
        async {
            match credentials {
                Some(name) => read(name).await,
                None => Ok(None),
            }
        },
        read(resource.secret_name()),
    )?;
    // Written first and read last, the state is never older than the token Secret beside it: another operator's writes
    // in between make our own write of the token Secret a conflict, not a step back.
    let state = read(&state).await?;
    Ok([credentials, state, token])
}

async fn read(context: &Context, api: &Api<Secret>, name: &str) -> Result<Option<Secret>, ObserveError> {
    let found = api.get_opt(name).await.map_err(|source| ObserveError::Read { secret: name.to_owned(), source })?;
    let version = |secret: &Secret| secret.metadata.resource_version.clone();
    if found.as_ref().is_some_and(|found| context.is_behind(&ObjectName::of(found), version(found).as_deref())) {
        context.set_back();
    }
    Ok(found)
}

/// Takes what the fleet knows: it may have changed by this resource's own call.
pub fn look_around(context: &Context, observed: &mut Observed, memory: &mut Memory) {
    if !observed.resource.metadata.uid.as_deref().is_some_and(|uid| context.is_living(uid)) {
        // A pass may outlive its resource: who is gone joins nobody.
        return;
    }
    let member = ObjectName::of(&*observed.resource);
    let mut fleet = context.fleet();
    let Some(Membership { endpoint, key, has_asked }) = membership(observed, &member, &fleet) else { return };
    let now = context.clock.now();
    context.wake_in_turn(fleet.moves_to(&member, endpoint, now.mono), now.mono);
    let served = observed.stored_state().filter(|state| state.was_asked_at(endpoint));
    if let Some(issued) = served.as_ref().and_then(State::active_token) {
        fleet.was_served(&member, endpoint, now.moment_of(issued.issue_time).min(now.mono), now.mono);
    }
    context.wake_all(fleet.joins(&member, &key, has_asked));
    if let Some(rotation) = fleet.take_rotation(&member) {
        memory.rotated_elsewhere = Some(rotation);
    }
    if fleet.take_release(&member) {
        memory.endpoint_is_up(now.mono);
    }
    let neighbours = fleet.neighbours(&member, endpoint, &key, now.mono);
    memory.met_sharers |= neighbours.sharing != Sharing::default();
    observed.neighbours = neighbours;
}

/// What a resource asks with, as far as it concerns others.
struct Membership<'a> {
    endpoint: &'a str,
    /// What others may use as well: the application, or the pair that was pasted.
    key: String,
    /// It has used that pair, which is no other's then.
    has_asked: bool,
}

fn membership<'a>(observed: &'a Observed, member: &ObjectName, fleet: &Fleet) -> Option<Membership<'a>> {
    let (issuer, secret) = (observed.resource.spec.issuer()?, observed.credentials.as_ref());
    let endpoint = issuer.endpoint();
    let (key, has_asked) = match issuer {
        IssuerSpec::Application(spec) => {
            let credentials = Credentials::read(&spec.credentials, secret).ok()?;
            (fleet.call_key(endpoint, credentials.consumer_key.expose()), false)
        }
        IssuerSpec::Session(spec) => {
            let credentials = SessionCredentials::read(&spec.credentials, secret);
            match &credentials.pair {
                Some(pair) => {
                    (fleet.call_key(endpoint, pair.token.expose()), has_used(observed, endpoint, &credentials))
                }
                None => (fleet.own_key(member), false),
            }
        }
    };
    Some(Membership { endpoint, key, has_asked })
}

/// True when the pair in the credentials Secret is one that this resource has asked with.
fn has_used(observed: &Observed, endpoint: &str, credentials: &SessionCredentials) -> bool {
    let is_used = |state: State| !Inputs::of_session(&state.salt, endpoint, credentials).has_new_pair(&state.inputs);
    observed.stored_state().is_some_and(is_used)
}

/// 128 random bits in hex.
///
/// # Errors
/// When the system gives none.
pub fn random_salt() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
