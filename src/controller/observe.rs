//! Reads everything that a plan needs, from the API server itself and not from a cache.

use crate::client::error::describe;
use crate::controller::context::Context;
use crate::controller::own_writes::Seen;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use std::sync::Arc;
use syniverse_token_core::api::{IssuerSpec, SyniverseToken, SyniverseTokenStatus};
use syniverse_token_core::credential::consents;
use syniverse_token_core::issuer::endpoint::NotAllowed;
use syniverse_token_core::memory::Memory;
use syniverse_token_core::observed::{Observed, PeerHealth, SharedUse, Sharing};
use syniverse_token_core::propagation::Shown;
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::revision::is_later;
use syniverse_token_core::secrets::{DesiredSecrets, Owner};
use syniverse_token_core::state::State;

/// Number of consecutive refusals that are no accident.
const BELIEVED_REFUSALS: u32 = 3;

/// Reasons why nothing could be observed.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The API server did not give a Secret.
    #[error("failed to read Secret {secret}: {}", describe(source))]
    Read {
        /// Its name.
        secret: String,
        /// The error.
        source: kube::Error,
    },
    /// The system gave no random bits for a salt.
    #[error("failed to get randomness from the system: {0}")]
    Randomness(#[from] getrandom::Error),
}

impl ObserveError {
    /// True when the API server refused the request: the RBAC rules are missing, which is an observation like others.
    fn is_forbidden(&self) -> bool {
        matches!(self, Self::Read { source: kube::Error::Api(status), .. } if status.is_forbidden())
    }
}

/// Reads the Secrets of `resource`. A missing Secret is an observation; an unreachable API server is an error.
///
/// # Errors
/// When a Secret cannot be read.
pub async fn observe(
    context: &Context,
    resource: Arc<SyniverseToken>,
    memory: &mut Memory,
) -> Result<Observed, ObserveError> {
    let known_token = known_token(context, &resource, memory);
    let read = read_secrets(context, &resource, known_token).await;
    let (forbidden, Secrets { credentials, standby, state, token }) = believed(read, memory)?;
    let must_consent = context.require_credentials_label;
    let lacks_consent = |secret: &Option<Secret>| must_consent && secret.as_ref().is_some_and(|it| !consents(it));
    let (lacks_consent, standby_lacks_consent) = (lacks_consent(&credentials), lacks_consent(&standby));
    let mut observed = Observed {
        peers: PeerHealth::default(),
        salt: random_salt()?,
        daily_check: context.daily_check,
        spread_validity: context.spread_validity,
        secret_metadata: Arc::clone(&context.secret_metadata),
        holder: context.holder.clone(),
        call_timeout: context.call_timeout,
        acting_since: context.acting_since(),
        term: context.leadership.term(),
        not_allowed: not_allowed(context, &resource),
        resource,
        // A resource that may not use it does not see it.
        credentials: credentials.filter(|_| !lacks_consent).into(),
        lacks_consent,
        standby: standby.filter(|_| !standby_lacks_consent).into(),
        standby_lacks_consent,
        state: state.into(),
        token,
        forbidden,
        propagation: Shown::default(),
    };
    observed.propagation = context.propagation(&observed, said(&observed, memory));
    sync_with_peers(context, &mut observed, memory);
    Ok(observed)
}

/// The status that was written last.
fn said<'a>(observed: &'a Observed, memory: &'a Memory) -> Option<&'a SyniverseTokenStatus> {
    memory.last_status.as_ref().or(observed.resource.status.as_ref())
}

fn not_allowed(context: &Context, resource: &SyniverseToken) -> Option<NotAllowed> {
    let endpoint = resource.spec.issuer()?.endpoint();
    context.endpoints.admit(resource.namespace().as_deref(), endpoint).err()
}

/// The Secrets that a resource reads and writes, as they were found.
#[derive(Default)]
struct Secrets {
    credentials: Option<Secret>,
    standby: Option<Secret>,
    state: Option<Secret>,
    token: Option<Secret>,
}

/// A refusal counts once it was repeated. The first refusals are errors like others: an API server that has just
/// started refuses every request until it knows the rules.
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

/// The token Secret, if the last pass found nothing in it but what we write, and the watch shows no other version. It is
/// so believed once: what is not as believed makes a write a conflict, after which it is read.
fn known_token(context: &Context, resource: &SyniverseToken, memory: &mut Memory) -> Option<Secret> {
    let known = memory.token_secret.take()?;
    let namespace = resource.namespace().unwrap_or_default();
    let name = ObjectName::new(namespace, resource.secret_name());
    context.own_writes().is_current(&name, known.version()).then_some(())?;
    let desired = DesiredSecrets { resource, metadata: &context.secret_metadata };
    known.secret(desired, &Owner::of(resource)?, memory.state.as_ref()?)
}

/// The credentials Secret, the state Secret and the token Secret, which may be known.
async fn read_secrets(
    context: &Context,
    resource: &SyniverseToken,
    known_token: Option<Secret>,
) -> Result<Secrets, ObserveError> {
    let api = context.api(resource);
    let seen = context.own_writes().seen();
    let read = |name| read(context, resource, &api, name);
    let issuer = resource.spec.issuer();
    let state = resource.state_secret_name();
    let (credentials, standby, token) = tokio::try_join!(
        read_credentials(context, resource, &api, issuer.map(IssuerSpec::credentials_secret)),
        read_credentials(context, resource, &api, issuer.and_then(IssuerSpec::standby_secret)),
        async {
            match known_token {
                Some(known) => Ok(Some(known)),
                None => {
                    let found = read(resource.secret_name()).await?;
                    note_read(context, found.as_ref(), seen);
                    Ok(found)
                }
            }
        },
    )?;
    // Written first and read last, the state is never older than the token Secret beside it: another operator's writes
    // in between make our own write of the token Secret a conflict, not a step back.
    let state = read(&state).await?;
    Ok(Secrets { credentials, standby, state, token })
}

fn note_read(context: &Context, found: Option<&Secret>, seen: Seen) {
    if let Some((found, version)) = found.and_then(|found| Some((found, found.resource_version()?))) {
        context.own_writes().read(&ObjectName::of(found), &version, seen);
    }
}

/// Credentials are read once for all resources that use them, until the watch shows a change.
async fn read_credentials(
    context: &Context,
    resource: &SyniverseToken,
    api: &Api<Secret>,
    name: Option<&str>,
) -> Result<Option<Secret>, ObserveError> {
    let Some(name) = name else { return Ok(None) };
    let secret = ObjectName::new(resource.namespace().unwrap_or_default(), name);
    if let Some(known) = context.credentials().get(&secret) {
        return Ok(Some(known));
    }
    let seen = context.credentials().seen();
    let found = read(context, resource, api, name).await?;
    found.iter().for_each(|found| context.credentials().insert(&secret, found, seen));
    Ok(found)
}

async fn read(
    context: &Context,
    resource: &SyniverseToken,
    api: &Api<Secret>,
    name: &str,
) -> Result<Option<Secret>, ObserveError> {
    let secret = ObjectName::new(resource.namespace().unwrap_or_default(), name);
    // Taken before the read: another pass may write the Secret meanwhile, and be answered first.
    let ours = context.own_writes().version(&secret).map(str::to_owned);
    let found = api.get_opt(name).await.map_err(|source| ObserveError::Read { secret: name.to_owned(), source })?;
    let version = found.as_ref().and_then(ResourceExt::resource_version);
    if is_later(ours.as_deref(), version.as_deref()) {
        context.stale_secret_found();
    }
    Ok(found)
}

/// Takes the knowledge of the queue, which this resource's own request may have changed.
pub fn sync_with_peers(context: &Context, observed: &mut Observed, memory: &mut Memory) {
    if !observed.resource.metadata.uid.as_deref().is_some_and(|uid| context.is_living(uid)) {
        // A pass may outlive its resource: a deleted resource shares nothing.
        return;
    }
    let resource = context.name(&observed.resource);
    let Some(issuer) = observed.resource.spec.issuer() else { return };
    let Some(SharedUse { by, has_used }) = observed.shared(issuer) else { return };
    let (endpoint, now) = (issuer.endpoint(), context.clock.now());
    let mut queue = context.queue();
    let key =
        by.map_or_else(|| queue.exclusive_key(&resource), |shared| queue.application_key(endpoint, shared.expose()));
    queue.set_endpoint(&resource, endpoint, now.mono);
    let served = observed.stored_state().filter(|state| state.was_asked_at(endpoint));
    let record = served.and_then(State::active_token);
    if let Some(record) = record {
        queue.was_served(&resource, endpoint, now.moment_of(record.issue_time).min(now.mono), now.mono);
    }
    if let Some(expires) = memory.newest_expiry(record, now) {
        queue.token_until(&resource, endpoint, expires, now.mono);
    }
    let affected = queue.set_application(&resource, &key, has_used);
    if let Some(rotation) = queue.take_rotation(&resource) {
        memory.rotated_elsewhere = Some(rotation);
    }
    if queue.take_retry_release(&resource) {
        memory.endpoint_is_up(now.mono);
    }
    let peers = queue.peer_health(&resource, endpoint, &key, now.mono);
    drop(queue);
    context.all_changed(&affected);
    memory.met_sharers |= peers.sharing != Sharing::default();
    observed.peers = peers;
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::controller::context::Parts;
    use crate::controller::election::Leadership;
    use crate::controller::report::Reporter;
    use crate::issuer_client::Issuer;
    use crate::telemetry::audit::AuditLog;
    use crate::telemetry::metrics::Metrics;
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::json;
    use std::convert::Infallible;
    use std::panic::AssertUnwindSafe;
    use std::sync::OnceLock;
    use std::time::Duration;
    use syniverse_token_core::issuer::endpoint::EndpointRules;
    use syniverse_token_core::issuer::{Failure, TokenRequest, TokenResponse};
    use syniverse_token_core::queue::Budget;
    use syniverse_token_core::secret_metadata::SecretMetadata;
    use syniverse_token_core::shard::Shard;

    struct Nobody;

    impl Issuer for Nobody {
        fn send<'a>(&'a self, _: &'a TokenRequest) -> BoxFuture<'a, Result<TokenResponse, Failure>> {
            Box::pin(std::future::pending())
        }
    }

    fn context(client: Client) -> Arc<Context> {
        let (budget, metrics) = (Budget { in_flight: 1, per_second: 1 }, Metrics::default());
        Arc::new(Context::new(Parts {
            reporter: Reporter::new(client.clone(), &metrics).0,
            client,
            issuer: Arc::new(Nobody),
            endpoints: EndpointRules::default(),
            require_credentials_label: false,
            clock: Arc::new(SystemClock::start()),
            daily_check: Duration::MAX,
            spread_validity: false,
            secret_metadata: SecretMetadata::default(),
            call_timeout: Duration::MAX,
            budget,
            leadership: Leadership::sole(),
            shard: Shard::WHOLE,
            metrics,
            audit: AuditLog::default(),
            salt: String::new(),
        }))
    }

    const NAME: &str = "messaging";

    fn noted(context: &Context, version: &str) {
        let name = ObjectName::new("n", NAME);
        context.secret_write(name).written(Some(version.into()));
    }

    /// A context whose API server has all Secrets in the version 5, and where `meanwhile` happens before each answer.
    fn at_version_5(meanwhile: fn(&Context)) -> Arc<Context> {
        let found: Arc<OnceLock<Arc<Context>>> = Arc::default();
        let known = Arc::clone(&found);
        let service = tower::service_fn(move |request: Request<Body>| {
            meanwhile(known.get().unwrap());
            let name = request.uri().path().rsplit('/').next().unwrap_or_default();
            let secret = json!({"metadata": {"namespace": "n", "name": name, "resourceVersion": "5"}});
            std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(secret.to_string().into_bytes()))))
        });
        Arc::clone(found.get_or_init(|| context(Client::new(service, "n"))))
    }

    async fn look(context: &Context) {
        let resource = json!({"apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken",
            "metadata": {"namespace": "n", "name": NAME, "uid": "uid"}, "spec": {}});
        let resource = serde_json::from_value(resource).unwrap();
        let mut memory = Memory::new(context.clock.now().mono);
        observe(context, Arc::new(resource), &mut memory).await.unwrap();
    }

    #[tokio::test]
    async fn a_secret_that_we_write_while_it_is_read_is_not_behind() {
        let context = at_version_5(|context| noted(context, "6"));
        look(&context).await;
        assert!(!context.rollbacks().has_changed().unwrap() && context.rollbacks().borrow().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_is_older_than_what_we_wrote_is_one_set_back_a_minute() {
        let context = at_version_5(|_| {});
        let mut rollbacks = context.rollbacks();
        for (seconds, is_found) in [(0, true), (1, false), (58, false), (2, true)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            noted(&context, "6");
            look(&context).await;
            assert_eq!(rollbacks.has_changed().unwrap(), is_found, "{seconds}");
            rollbacks.mark_unchanged();
        }
    }

    #[tokio::test]
    async fn what_a_pass_knows_is_kept_when_it_panics_or_is_aborted() {
        let (context, name) = (at_version_5(|_| {}), ObjectName::new("n", NAME));
        let panics = async {
            context.hold_memory(&name, "uid").await.failed_passes = 7;
            let mut memory = context.hold_memory(&name, "uid").await;
            memory.status_failures = 3;
            std::panic::resume_unwind(Box::new("in the middle of a pass"));
        };
        assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
        let memory = context.hold_memory(&name, "uid").await;
        assert_eq!((memory.failed_passes, memory.status_failures), (7, 3));
    }
}
