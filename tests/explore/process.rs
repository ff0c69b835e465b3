//! One process of the operator: its context, its watches, and the wakes of its resources, as the controller wires them;
//! dropping the future is the death of the process.

use crate::door::Door;
use crate::issuer::{ModelIssuer, PATIENCE};
use crate::judge::Kind;
use crate::planted::Planted;
use crate::watch::{Told, Watch};
use crate::world::World;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::issuer::endpoint::EndpointRules;
use syniverse_token_core::queue::{Budget, ObjectName};
use syniverse_token_core::revision::Horizon;
use syniverse_token_core::secret_metadata::SecretMetadata;
use syniverse_token_operator::controller::context::{Context, Parts};
use syniverse_token_operator::controller::election::Leadership;
use syniverse_token_operator::controller::report::Reporter;
use syniverse_token_operator::controller::secret_index::SecretIndex;
use syniverse_token_operator::controller::wake::wake;
use syniverse_token_operator::controller::watches::{affected_resources, change_hash, update_index};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// As the controller does it.
const STORE_LOOK: Duration = Duration::from_secs(10);
const DAILY_CHECK: Duration = Duration::from_secs(86_400);
/// As the operator's settings are by default.
pub(crate) const BUDGET: Budget = Budget { in_flight: 16, per_second: 50 };

struct Process {
    context: Context,
    world: Arc<World>,
    index: Mutex<SecretIndex>,
    /// The cache of resources.
    cache: Mutex<HashMap<ObjectName, Arc<SyniverseToken>>>,
    /// What the filter of unchanged resources remembers.
    seen: Mutex<HashMap<ObjectName, Option<u64>>>,
    bells: Mutex<HashMap<ObjectName, Arc<Notify>>>,
    first_rings: mpsc::UnboundedSender<(ObjectName, Arc<Notify>)>,
}

/// Runs a process until it is dropped.
pub(crate) async fn operate(world: Arc<World>, name: String, budget: Budget, leadership: Leadership) {
    let client = kube::Client::new(Door { world: Arc::clone(&world), process: name.clone() }, "default");
    let issuer = Arc::new(ModelIssuer { world: Arc::clone(&world), process: name.clone() });
    let (reporter, events) = Reporter::new(client.clone());
    let (waker, mut woken) = mpsc::unbounded_channel();
    // Of this start: a process that is started again is another one.
    let (clock, salt) = (Arc::new(world.clock()), format!("{name} since {}", world.now()));
    let (daily_check, call_timeout) = (DAILY_CHECK, PATIENCE);
    let secret_metadata = SecretMetadata::default();
    let endpoints = EndpointRules { hosts: vec!["*".parse().unwrap()], ..EndpointRules::default() };
    let parts = Parts {
        client,
        issuer,
        endpoints,
        require_credentials_label: false,
        clock,
        reporter,
        wake: waker,
        daily_check,
        secret_metadata,
        call_timeout,
        budget,
        salt,
        leadership,
    };
    let (first_rings, mut first_rung) = mpsc::unbounded_channel();
    let process = Arc::new(Process {
        context: Context::new(parts),
        world: Arc::clone(&world),
        index: Mutex::default(),
        cache: Mutex::default(),
        seen: Mutex::default(),
        bells: Mutex::default(),
        first_rings,
    });
    let [resources, secrets] =
        [Kind::SyniverseToken, Kind::Secret].map(|kind| Watch::open(&mut world.inside(), &name, kind));
    let mut tasks = JoinSet::new();
    tasks.spawn(events);
    tasks.spawn(Arc::clone(&process).follow_resources(resources));
    tasks.spawn(Arc::clone(&process).follow_secrets(secrets));
    tasks.spawn(Arc::clone(&process).watch_the_store(name));
    loop {
        tokio::select! {
            biased;
            Some((name, bell)) = first_rung.recv() => drop(tasks.spawn(Arc::clone(&process).serve(name, bell))),
            Some(name) = woken.recv() => process.knock(&name),
            else => return,
        }
    }
}

impl Process {
    async fn follow_resources(self: Arc<Self>, mut watch: Watch) {
        while let Some(told) = watch.next().await {
            for event in self.events::<SyniverseToken>(told, Kind::SyniverseToken) {
                update_index(&self.context, &mut self.index.lock().unwrap(), &event);
                self.store(event);
            }
        }
    }

    /// As the controller: a store that was set back is found, and everything listed and looked at anew.
    async fn watch_the_store(self: Arc<Self>, name: String) {
        let mut horizon = Horizon::default();
        let mut rollbacks = self.context.rollbacks();
        loop {
            tokio::select! {
                () = sleep(STORE_LOOK) => {
                    let version = self.world.inside().api.version();
                    if horizon.falls_back_to(Some(&version)) {
                        self.context.store_rolled_back();
                    }
                }
                Ok(()) = rollbacks.changed() => {
                    for feed in &mut self.world.inside().feeds {
                        [Kind::SyniverseToken, Kind::Secret].into_iter().for_each(|kind| feed.begins_anew(&name, kind));
                    }
                    let all: Vec<_> = self.cache.lock().unwrap().keys().cloned().collect();
                    all.iter().for_each(|name| self.knock(name));
                }
            }
        }
    }

    /// As the reflector and the filter behind it.
    fn store(&self, event: Event<SyniverseToken>) {
        match event {
            Event::Apply(resource) | Event::InitApply(resource) => {
                let (name, new) = (ObjectName::of(&resource), change_hash(&resource));
                let resource = Arc::new(resource);
                self.cache.lock().unwrap().insert(name.clone(), Arc::clone(&resource));
                self.context.check_status(&resource);
                if self.seen.lock().unwrap().insert(name.clone(), new) != Some(new) {
                    self.knock(&name);
                }
            }
            Event::Delete(resource) => drop(self.cache.lock().unwrap().remove(&ObjectName::of(&resource))),
            Event::Init => self.cache.lock().unwrap().clear(),
            Event::InitDone => {}
        }
    }

    async fn follow_secrets(self: Arc<Self>, mut watch: Watch) {
        let mut listed = HashSet::new();
        while let Some(told) = watch.next().await {
            for event in self.events::<PartialObjectMeta<Secret>>(told, Kind::Secret) {
                let names = affected_resources(&self.context, &self.index.lock().unwrap(), &mut listed, &event);
                names.iter().for_each(|name| self.knock(name));
            }
        }
    }

    /// What a watcher makes of what it is told.
    fn events<K: DeserializeOwned>(&self, told: Told, kind: Kind) -> Vec<Event<K>> {
        let read = |object: Value| serde_json::from_value::<K>(object).unwrap();
        match told {
            Told::Is(object) => vec![Event::Apply(read(object))],
            Told::Deleted(object) => vec![Event::Delete(read(object))],
            Told::ListAgain => {
                let list = self.world.inside().list(kind).into_iter().map(|object| Event::InitApply(read(object)));
                [Event::Init].into_iter().chain(list).chain([Event::InitDone]).collect()
            }
        }
    }

    fn knock(&self, name: &ObjectName) {
        self.context.mark_dirty(name);
        let mut bells = self.bells.lock().unwrap();
        let bell = bells.entry(name.clone()).or_insert_with(|| {
            let bell = Arc::new(Notify::new());
            self.first_rings.send((name.clone(), Arc::clone(&bell))).unwrap();
            bell
        });
        bell.notify_one();
    }

    /// The wakes of one resource, one after the other.
    async fn serve(self: Arc<Self>, name: ObjectName, bell: Arc<Notify>) {
        let mut due: Option<Instant> = None;
        loop {
            match due {
                Some(due) => tokio::select! { biased; () = bell.notified() => {}, () = sleep_until(due) => {} },
                None => bell.notified().await,
            }
            let resource = self.cache.lock().unwrap().get(&name).cloned();
            due = match resource {
                Some(resource) => self.wake(resource).await.map(|delay| Instant::now() + delay),
                None => None,
            };
        }
    }

    async fn wake(&self, resource: Arc<SyniverseToken>) -> Option<Duration> {
        let again = wake(&self.context, Arc::clone(&resource)).await.unwrap_or_else(Some);
        if matches!(self.world.inside().planted, Planted::AnswersForgotten) {
            let now = self.context.clock.now().mono;
            let (name, uid) = (ObjectName::of(&*resource), resource.uid().unwrap());
            self.context.memory(&name, &uid, now).lock().await.unrecorded = None;
        }
        again
    }
}
