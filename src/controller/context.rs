//! What every pass is given: the two sides it talks to, the clock, and the memory of this process.

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

/// What every pass is given.
pub struct Context {
    client: kube::Client,
    /// The issuers.
    pub issuer: Arc<dyn Issuer>,
    /// Which endpoints may be asked.
    pub endpoints: EndpointRules,
    /// Credentials Secrets are used only where a label consents.
    pub require_credentials_label: bool,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Says what happened.
    pub reporter: Reporter,
    /// Between two daily checks of a long-lived token.
    pub daily_check: Duration,
    /// Which labels and annotations a spec may put on a Secret.
    pub secret_metadata: Arc<SecretMetadata>,
    /// Names this process in an intent.
    pub holder: String,
    /// The longest that a call takes.
    pub call_timeout: Duration,
    /// Whether this process may act.
    pub leadership: Leadership,
    /// What is counted and measured.
    pub metrics: Metrics,
    wake: UnboundedSender<ObjectName>,
    progress: Mutex<Progress>,
    queue: Mutex<RequestQueue>,
    memories: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Memory>>>>,
    /// What is left of the allowances of calls that are not whole, also of resources that are gone.
    allowances: Mutex<HashMap<ObjectName, RateLimiter>>,
    /// The UIDs of the resources that the watch has shown and not taken back.
    live_uids: Mutex<HashSet<String>>,
    dirty: Mutex<HashSet<ObjectName>>,
    own_writes: Mutex<HashMap<ObjectName, String>>,
    status_watches: Mutex<HashMap<ObjectName, StatusWatch>>,
    /// When the store of the API server was found to be set back.
    rollback: watch::Sender<Option<Moment>>,
}

/// What a [`Context`] is made of.
pub struct Parts {
    /// The API server.
    pub client: kube::Client,
    /// The issuers.
    pub issuer: Arc<dyn Issuer>,
    /// Which endpoints may be asked.
    pub endpoints: EndpointRules,
    /// Credentials Secrets are used only where a label consents.
    pub require_credentials_label: bool,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Says what happened.
    pub reporter: Reporter,
    /// Wakes a resource from outside its own watch.
    pub wake: UnboundedSender<ObjectName>,
    /// Between two daily checks of a long-lived token.
    pub daily_check: Duration,
    /// Which labels and annotations a spec may put on a Secret.
    pub secret_metadata: SecretMetadata,
    /// The longest that a call takes.
    pub call_timeout: Duration,
    /// How many calls each endpoint may be sent.
    pub budget: Budget,
    /// Whether this process may act.
    pub leadership: Leadership,
    /// Random: names this process, and keys the hashes that live no longer than it does.
    pub salt: String,
}

impl Context {
    /// A context in which nothing is known yet.
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

    /// How far things have come.
    pub fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    /// What resources know of each other.
    pub fn queue(&self) -> MutexGuard<'_, RequestQueue> {
        lock(&self.queue)
    }

    /// The memory of the resource `resource` with this UID. A pass holds it for as long as it runs. A resource that is made
    /// anew starts no new allowance of calls.
    pub fn memory(&self, resource: &ObjectName, uid: &str, now: Moment) -> Arc<tokio::sync::Mutex<Memory>> {
        let allowance = lock(&self.allowances).get(resource).cloned();
        let new = || {
            let mut memory = Memory::new(now);
            memory.rate_limiter = allowance.unwrap_or(memory.rate_limiter);
            Arc::new(tokio::sync::Mutex::new(memory))
        };
        Arc::clone(lock(&self.memories).entry(uid.to_owned()).or_insert_with(new))
    }

    /// Keeps what is left of the allowance of calls of `resource`, for as long as that is not all of it.
    pub fn keep_allowance(&self, resource: &ObjectName, limiter: &RateLimiter, now: Moment) {
        let mut allowances = lock(&self.allowances);
        if limiter.is_full(now, LONGEST_REFILL) {
            allowances.remove(resource);
        } else {
            allowances.insert(resource.clone(), limiter.clone());
        }
    }

    /// Wakes these resources: what they should say, or their token, may have changed by what happened to another one.
    pub fn wake_all(&self, names: Vec<ObjectName>) {
        for name in names {
            // The receiver lives as long as the controller; without one there is nobody to wake.
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

    /// Nothing is to be asked for this resource: others need not wait for it.
    pub fn withdraw(&self, name: &ObjectName) {
        let now = self.clock.now().mono;
        let woken = self.queue().withdraw(name, now);
        self.wake_each(woken, now);
    }

    /// Wakes each of these resources at its moment.
    pub fn wake_each(&self, wakes: Vec<Wake>, now: Moment) {
        wakes.into_iter().for_each(|(name, at)| self.wake_at(name, at, now));
    }

    /// True while an answer waits in memory to be written.
    pub async fn has_unrecorded_response(&self, uid: &str) -> bool {
        let memory = lock(&self.memories).get(uid).cloned();
        match memory {
            Some(memory) => memory.lock().await.unrecorded.is_some(),
            None => false,
        }
    }

    /// The watch shows this resource.
    pub fn mark_living(&self, uid: String) {
        lock(&self.live_uids).insert(uid);
    }

    /// True until the watch has taken it back.
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

    /// Notes that something about `resource` changed: its next pass looks at everything.
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
