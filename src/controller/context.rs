//! Shared context of all passes: the clients, the clock, and the memory of this process.

use crate::clock::Clock;
use crate::controller::election::Leadership;
use crate::controller::progress::Progress;
use crate::controller::report::Reporter;
use crate::controller::status_watch::StatusWatch;
use crate::issuer_client::Issuer;
use crate::telemetry::metrics::Metrics;
use kube::{Api, ResourceExt};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::fingerprint::fingerprint;
use syniverse_token_core::issuer::endpoint::EndpointRules;
use syniverse_token_core::memory::Memory;
use syniverse_token_core::queue::{Budget, ObjectName, RequestQueue, Wake};
use syniverse_token_core::redacted::Redacted;
use syniverse_token_core::schedule::rate_limiter::{LONGEST_REFILL, RateLimiter};
use syniverse_token_core::secret_metadata::SecretMetadata;
use syniverse_token_core::time::Moment;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

mod own_writes;

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
    /// Labels and annotations that a spec may set on a Secret.
    pub secret_metadata: Arc<SecretMetadata>,
    /// Identity of this process in an intent.
    pub holder: String,
    /// Longest duration of a request to an issuer.
    pub call_timeout: Duration,
    /// Whether this process may act.
    pub leadership: Leadership,
    /// Metrics of this process.
    pub metrics: Metrics,
    wake: UnboundedSender<ObjectName>,
    progress: Mutex<Progress>,
    queue: Mutex<RequestQueue>,
    memories: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Memory>>>>,
    /// Rate limiters that are not full, also of resources that are gone.
    allowances: Mutex<HashMap<ObjectName, RateLimiter>>,
    /// UIDs of the resources that exist according to the watch.
    live_uids: Mutex<HashSet<String>>,
    dirty: Mutex<HashSet<ObjectName>>,
    own_writes: Mutex<HashMap<ObjectName, String>>,
    status_watches: Mutex<HashMap<ObjectName, StatusWatch>>,
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
    /// Wakes a resource from outside its own watch.
    pub wake: UnboundedSender<ObjectName>,
    /// Interval between two checks of a long-lived token.
    pub daily_check: Duration,
    /// Labels and annotations that a spec may set on a Secret.
    pub secret_metadata: SecretMetadata,
    /// Longest duration of a request to an issuer.
    pub call_timeout: Duration,
    /// Limits of the requests to each endpoint.
    pub budget: Budget,
    /// Whether this process may act.
    pub leadership: Leadership,
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
            secret_metadata: Arc::new(parts.secret_metadata),
            holder: fingerprint(&Redacted::new(parts.salt.as_str())),
            call_timeout: parts.call_timeout,
            leadership: parts.leadership,
            metrics: Metrics::default(),
            wake: parts.wake,
            progress: Mutex::default(),
            queue: Mutex::new(RequestQueue::new(parts.salt, parts.budget)),
            memories: Mutex::default(),
            allowances: Mutex::default(),
            live_uids: Mutex::default(),
            dirty: Mutex::default(),
            own_writes: Mutex::default(),
            status_watches: Mutex::default(),
            rollback: watch::Sender::default(),
        }
    }

    /// Resources or Secrets in the namespace of `resource`.
    pub fn api<K>(&self, resource: &SyniverseToken) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &resource.namespace().unwrap_or_default())
    }

    /// Progress of the watches and passes.
    pub fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    /// Queue of the requests of all resources.
    pub fn queue(&self) -> MutexGuard<'_, RequestQueue> {
        lock(&self.queue)
    }

    /// The memory of the resource `resource` with this UID. A pass holds it for as long as it runs. A re-created
    /// resource keeps its rate limit.
    pub fn memory(&self, resource: &ObjectName, uid: &str, now: Moment) -> Arc<tokio::sync::Mutex<Memory>> {
        let allowance = lock(&self.allowances).get(resource).cloned();
        let new = || {
            let mut memory = Memory::new(now);
            memory.rate_limiter = allowance.unwrap_or(memory.rate_limiter);
            Arc::new(tokio::sync::Mutex::new(memory))
        };
        Arc::clone(lock(&self.memories).entry(uid.to_owned()).or_insert_with(new))
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

    /// Wakes these resources: their status or token may have changed because of another resource.
    pub fn wake_all(&self, names: Vec<ObjectName>) {
        for name in names {
            // The receiver lives as long as the controller; without it there is no resource to wake.
            let _ = self.wake.send(name);
        }
    }

    fn wake_at(&self, name: ObjectName, at: Moment, now: Moment) {
        let (wake, wait) = (self.wake.clone(), at.until(now));
        if wait.is_zero() {
            return self.wake_all(vec![name]);
        }
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            // As above.
            let _ = wake.send(name);
        });
    }

    /// Withdraws the resource from the queue: others need not wait for it.
    pub fn withdraw(&self, name: &ObjectName) {
        let now = self.clock.now().mono;
        let woken = self.queue().withdraw(name, now);
        self.wake_each(woken, now);
    }

    /// Wakes each of these resources at its moment.
    pub fn wake_each(&self, wakes: Vec<Wake>, now: Moment) {
        wakes.into_iter().for_each(|(name, at)| self.wake_at(name, at, now));
    }

    /// True while a response waits in memory to be recorded.
    pub async fn has_unrecorded_response(&self, uid: &str) -> bool {
        let memory = lock(&self.memories).get(uid).cloned();
        match memory {
            Some(memory) => memory.lock().await.unrecorded.is_some(),
            None => false,
        }
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
        self.withdraw(resource);
        let left_behind = self.queue().forget(resource);
        self.wake_all(left_behind);
        self.metrics.forget(resource);
        self.progress().forget(resource);
        lock(&self.dirty).remove(resource);
        lock(&self.status_watches).remove(resource);
        let now = self.clock.now().mono;
        lock(&self.allowances).retain(|_, limiter| !limiter.is_full(now, LONGEST_REFILL));
        if let Some(uid) = uid {
            lock(&self.live_uids).remove(uid);
            lock(&self.memories).remove(uid);
        }
    }

    /// Marks `resource` as changed: its next pass checks everything.
    pub fn mark_dirty(&self, resource: &ObjectName) {
        lock(&self.dirty).insert(resource.clone());
    }

    /// True once after each [`Context::mark_dirty`].
    pub fn take_dirty(&self, resource: &ObjectName) -> bool {
        lock(&self.dirty).remove(resource)
    }
}

/// A panic elsewhere leaves these maps whole: each change is a single insertion or removal.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
