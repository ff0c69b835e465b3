//! One process of the operator: its context, its watches, and its passes, as the controller wires them;
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
use std::sync::{Arc, Mutex};
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;
use syniverse_token_core::issuer::endpoint::EndpointRules;
use syniverse_token_core::queue::passes::PassEnd;
use syniverse_token_core::queue::{Budget, ObjectName};
use syniverse_token_core::revision::Horizon;
use syniverse_token_core::secret_metadata::SecretMetadata;
use syniverse_token_core::shard::Shard;
use syniverse_token_operator::controller::context::{Context, Parts};
use syniverse_token_operator::controller::election::Leadership;
use syniverse_token_operator::controller::pass::pass;
use syniverse_token_operator::controller::report::Reporter;
use syniverse_token_operator::controller::scheduler;
use syniverse_token_operator::controller::secret_index::{ListedSecrets, SecretIndex};
use syniverse_token_operator::controller::watches::{affected_resources, resource_event};
use syniverse_token_operator::telemetry::audit::AuditLog;
use syniverse_token_operator::telemetry::metrics::Metrics;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// As the controller does it.
const STORE_LOOK: Duration = Duration::from_secs(10);
const DAILY_CHECK: Duration = Duration::from_secs(86_400);
/// As the operator's settings are by default.
pub(crate) const BUDGET: Budget = Budget { in_flight: 16, per_second: 50 };

struct Process {
    context: Arc<Context>,
    world: Arc<World>,
    index: Mutex<SecretIndex>,
}

/// How a process is started.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) budget: Budget,
    pub(crate) leadership: Leadership,
    pub(crate) shard: Shard,
}

impl Default for Settings {
    fn default() -> Self {
        Self { budget: BUDGET, leadership: Leadership::sole(), shard: Shard::WHOLE }
    }
}

/// Runs a process until it is dropped.
pub(crate) async fn operate(world: Arc<World>, name: String, settings: Settings) {
    let client = kube::Client::new(Door { world: Arc::clone(&world), process: name.clone() }, "default");
    let issuer = Arc::new(ModelIssuer { world: Arc::clone(&world), process: name.clone() });
    let metrics = Metrics::default();
    let (reporter, events) = Reporter::new(client.clone(), &metrics);
    // Of this start: a process that is started again is another one.
    let (clock, salt) = (Arc::new(world.clock()), format!("{name} since {}", world.now()));
    let (daily_check, call_timeout) = (DAILY_CHECK, PATIENCE);
    let secret_metadata = SecretMetadata::default();
    let endpoints = EndpointRules { hosts: vec!["*".parse().unwrap()], ..EndpointRules::default() };
    let Settings { budget, leadership, shard } = settings;
    let parts = Parts {
        client,
        issuer,
        endpoints,
        require_credentials_label: false,
        clock,
        reporter,
        daily_check,
        spread_validity: true,
        secret_metadata,
        call_timeout,
        budget,
        salt,
        shard,
        metrics,
        audit: AuditLog::default(),
        leadership,
    };
    let context = Arc::new(Context::new(parts));
    let process =
        Arc::new(Process { context: Arc::clone(&context), world: Arc::clone(&world), index: Mutex::default() });
    let [resources, secrets] =
        [Kind::SyniverseToken, Kind::Secret].map(|kind| Watch::open(&mut world.inside(), &name, kind));
    let mut tasks = JoinSet::new();
    tasks.spawn(events);
    tasks.spawn(Arc::clone(&process).follow_resources(resources));
    tasks.spawn(Arc::clone(&process).follow_secrets(secrets));
    tasks.spawn(Arc::clone(&process).watch_the_store(name));
    // It is never told to stop.
    let (_going_on, stop) = watch::channel(false);
    scheduler::run(context, stop, |context, name| one_pass(Arc::clone(&world), context, name)).await;
}

async fn one_pass(world: Arc<World>, context: Arc<Context>, name: ObjectName) -> PassEnd {
    let end = pass(&context, &name).await;
    let resource = context.resources().get(&name);
    if let Some(resource) = resource.filter(|_| matches!(world.inside().planted, Planted::AnswersForgotten)) {
        context.hold_memory(&name, &resource.uid().unwrap()).await.unrecorded = None;
        return PassEnd { must_record: false, ..end };
    }
    end
}

impl Process {
    async fn follow_resources(self: Arc<Self>, mut watch: Watch) {
        let mut listed = Vec::new();
        while let Some(told) = watch.next().await {
            for event in self.events::<SyniverseToken>(told, Kind::SyniverseToken) {
                resource_event(&self.context, &mut self.index.lock().unwrap(), &mut listed, event);
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
                    let all = self.context.resources().names();
                    self.context.all_changed(&all);
                }
            }
        }
    }

    async fn follow_secrets(self: Arc<Self>, mut watch: Watch) {
        let mut listed = ListedSecrets::default();
        while let Some(told) = watch.next().await {
            for event in self.events::<PartialObjectMeta<Secret>>(told, Kind::Secret) {
                let names = affected_resources(&self.context, &self.index.lock().unwrap(), &mut listed, &event);
                self.context.all_changed(&names);
            }
        }
    }

    /// What a watcher makes of what it is told of the namespaces in its shard.
    fn events<K: kube::Resource + DeserializeOwned>(&self, told: Told, kind: Kind) -> Vec<Event<K>> {
        let read = |object: Value| serde_json::from_value::<K>(object).unwrap();
        let is_held = |object: &K| self.context.shard.holds(&object.namespace().unwrap_or_default());
        let one =
            |object, event: fn(K) -> Event<K>| Some(read(object)).filter(is_held).map(event).into_iter().collect();
        match told {
            Told::Is(object) => one(object, Event::Apply),
            Told::Deleted(object) => one(object, Event::Delete),
            Told::ListAgain => {
                let list = self.world.inside().list(kind).into_iter().map(read).filter(is_held);
                [Event::Init].into_iter().chain(list.map(Event::InitApply)).chain([Event::InitDone]).collect()
            }
        }
    }
}
