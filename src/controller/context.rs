//! Shared context of all passes: the clients, the clock, and the memory of this process.

use crate::clock::Clock;
use crate::controller::credentials_cache::CredentialsCache;
use crate::controller::deliveries::Deliveries;
use crate::controller::election::Leadership;
use crate::controller::own_writes::OwnWrites;
use crate::controller::progress::Progress;
use crate::controller::report::Reporter;
use crate::controller::resources::Resources;
use crate::controller::status_watch::StatusWatch;
use crate::issuer_client::Issuer;
use crate::telemetry::audit::AuditLog;
use crate::telemetry::metrics::Metrics;
use kube::{Api, ResourceExt};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::fingerprint::fingerprint;
use syniverse_token_core::issuer::endpoint::EndpointRules;
use syniverse_token_core::memory::{Memory, PackedMemory};
use syniverse_token_core::queue::passes::PassQueue;
use syniverse_token_core::queue::{Budget, ObjectName, RequestQueue};
use syniverse_token_core::redacted::Redacted;
use syniverse_token_core::schedule::rate_limiter::{LONGEST_REFILL, RateLimiter};
use syniverse_token_core::secret_metadata::SecretMetadata;
use syniverse_token_core::shard::Shard;
use syniverse_token_core::time::Moment;
use tokio::sync::{Notify, watch};
use waits::Waits;

mod deliveries;
mod held_memory;
mod own_writes;
mod passes;
mod waits;

/// The memory of a resource; none before its first pass, and during a pass, which holds it.
type SharedMemory = Arc<tokio::sync::Mutex<Option<PackedMemory>>>;

/// Shared context of all passes.
pub struct Context {
    client: kube::Client,
    /// The issuers.
    pub issuer: Arc<dyn Issuer>,
    /// Rules for the endpoints that may be called.
    pub endpoints: EndpointRules,
    /// Use credentials Secrets only with the consent label.
    pub require_credentials_label: bool,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Reports what happened.
    pub reporter: Reporter,
    /// Interval between two checks of a long-lived token.
    pub daily_check: Duration,
    /// Spread the ends of many tokens of one endpoint.
    pub spread_validity: bool,
    /// Labels and annotations that a spec may set on a Secret.
    pub secret_metadata: Arc<SecretMetadata>,
    /// Identity of this process in an intent.
    pub holder: String,
    /// Longest duration of a request to an issuer.
    pub call_timeout: Duration,
    /// Whether this process may act.
    pub leadership: Leadership,
    /// The part of the namespaces to work in.
    pub shard: Shard,
    /// Metrics of this process.
    pub metrics: Metrics,
    /// The audit log of this process.
    pub audit: AuditLog,
    progress: Mutex<Progress>,
    /// The resources as the watch shows them.
    resources: Mutex<Resources>,
    /// Locked before the queue of requests where both are needed.
    passes: Mutex<PassQueue>,
    queue: Mutex<RequestQueue>,
    waits: Mutex<Waits>,
    /// Rung when another pass may be able to begin.
    bell: Notify,
    memories: Mutex<HashMap<Box<str>, SharedMemory>>,
    /// Rate limiters that are not full, also of resources that are gone.
    allowances: Mutex<HashMap<ObjectName, RateLimiter>>,
    /// UIDs of the resources that exist according to the watch.
    live_uids: Mutex<HashSet<String>>,
    own_writes: Mutex<OwnWrites>,
    credentials: Mutex<CredentialsCache>,
    status_watches: Mutex<HashMap<ObjectName, StatusWatch>>,
    deliveries: Mutex<Deliveries>,
    /// Rung when a token is to be delivered.
    delivery_bell: Notify,
    /// When the store of the API server was found to be rolled back.
    rollback: watch::Sender<Option<Moment>>,
}

/// Parts of a [`Context`].
pub struct Parts {
    /// The API server.
    pub client: kube::Client,
    /// The issuers.
    pub issuer: Arc<dyn Issuer>,
    /// Rules for the endpoints that may be called.
    pub endpoints: EndpointRules,
    /// Use credentials Secrets only with the consent label.
    pub require_credentials_label: bool,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Reports what happened.
    pub reporter: Reporter,
    /// Interval between two checks of a long-lived token.
    pub daily_check: Duration,
    /// Spread the ends of many tokens of one endpoint.
    pub spread_validity: bool,
    /// Labels and annotations that a spec may set on a Secret.
    pub secret_metadata: SecretMetadata,
    /// Longest duration of a request to an issuer.
    pub call_timeout: Duration,
    /// Limits of the requests to each endpoint.
    pub budget: Budget,
    /// Whether this process may act.
    pub leadership: Leadership,
    /// The part of the namespaces to work in.
    pub shard: Shard,
    /// Metrics of this process.
    pub metrics: Metrics,
    /// The audit log of this process.
    pub audit: AuditLog,
    /// Random identity of this process; also keys the hashes that do not outlive it.
    pub salt: String,
}

impl Context {
    /// A context without any knowledge yet.
    pub fn new(parts: Parts) -> Self {
        Self {
            client: parts.client,
            issuer: parts.issuer,
            endpoints: parts.endpoints,
            require_credentials_label: parts.require_credentials_label,
            clock: parts.clock,
            reporter: parts.reporter,
            daily_check: parts.daily_check,
            spread_validity: parts.spread_validity,
            secret_metadata: Arc::new(parts.secret_metadata),
            holder: fingerprint(&Redacted::new(parts.salt.as_str())),
            call_timeout: parts.call_timeout,
            leadership: parts.leadership,
            shard: parts.shard,
            metrics: parts.metrics,
            audit: parts.audit,
            progress: Mutex::default(),
            resources: Mutex::default(),
            passes: Mutex::default(),
            queue: Mutex::new(RequestQueue::new(parts.salt, parts.budget)),
            memories: Mutex::default(),
            allowances: Mutex::default(),
            live_uids: Mutex::default(),
            waits: Mutex::default(),
            bell: Notify::new(),
            own_writes: Mutex::default(),
            credentials: Mutex::default(),
            status_watches: Mutex::default(),
            deliveries: Mutex::default(),
            delivery_bell: Notify::new(),
            rollback: watch::Sender::default(),
        }
    }

    /// Resources or Secrets in the namespace of `resource`.
    pub fn api<K>(&self, resource: &SyniverseToken) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        self.api_in(&resource.namespace().unwrap_or_default())
    }

    /// Resources or Secrets in this namespace.
    pub fn api_in<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Progress of watches and passes.
    pub fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    /// Queue of the requests of all resources.
    pub fn queue(&self) -> MutexGuard<'_, RequestQueue> {
        lock(&self.queue)
    }

    /// The memory of the resource with this UID.
    fn memory(&self, uid: &str) -> SharedMemory {
        Arc::clone(lock(&self.memories).entry(uid.into()).or_default())
    }

    /// The memory of a new resource. A re-created resource keeps its rate limit.
    fn new_memory(&self, resource: &ObjectName, now: Moment) -> Memory {
        let mut memory = Memory::new(now);
        memory.rate_limiter = lock(&self.allowances).get(resource).cloned().unwrap_or(memory.rate_limiter);
        memory
    }

    /// Keeps the rate limiter of `resource` until it is full again.
    pub fn keep_allowance(&self, resource: &ObjectName, limiter: &RateLimiter, now: Moment) {
        let mut allowances = lock(&self.allowances);
        if limiter.is_full(now, LONGEST_REFILL) {
            allowances.remove(resource);
        } else {
            allowances.insert(resource.clone(), limiter.clone());
        }
    }

    /// The resources as the watch shows them.
    pub fn resources(&self) -> MutexGuard<'_, Resources> {
        lock(&self.resources)
    }

    /// The name of `resource`, whose text is shared with all that know it by its name.
    pub fn name(&self, resource: &SyniverseToken) -> ObjectName {
        self.resources().name(resource)
    }

    /// Credentials Secrets that have not changed since they were read.
    pub fn credentials(&self) -> MutexGuard<'_, CredentialsCache> {
        lock(&self.credentials)
    }

    /// Notes that the watch shows this resource.
    pub fn mark_living(&self, uid: String) {
        lock(&self.live_uids).insert(uid);
    }

    /// True until the watch shows its deletion.
    pub fn is_living(&self, uid: &str) -> bool {
        lock(&self.live_uids).contains(uid)
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, resource: &ObjectName, uid: Option<&str>) {
        if let Some(uid) = uid {
            lock(&self.live_uids).remove(uid);
            lock(&self.memories).remove(uid);
        }
        if self.resources().uid(resource).is_some_and(|now| now != uid) {
            // Another one of this name took its place.
            return;
        }
        let now = self.clock.now().mono;
        let left_behind = self.queue().forget(resource, now);
        self.all_changed(&left_behind);
        lock(&self.passes).forget(resource);
        self.waited(resource);
        self.metrics.forget(resource);
        lock(&self.status_watches).remove(resource);
        self.deliveries().forget(resource);
        lock(&self.allowances).retain(|_, limiter| !limiter.is_full(now, LONGEST_REFILL));
        self.bell.notify_one();
    }
}

/// A panic elsewhere leaves these maps whole: each change is a single insertion or removal.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
