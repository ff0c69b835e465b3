//! One process of the operator: its context, its watches, its passes. The rules of the latter are those of
//! `controller.rs`; dropping the future is the death of the process.

use crate::api_server::Kind;
use crate::door::Door;
use crate::issuer::ModelIssuer;
use crate::planted::Planted;
use crate::watch::{Told, Watch};
use crate::world::World;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use syniverse_token_operator::api::SyniverseToken;
use syniverse_token_operator::context::Context;
use syniverse_token_operator::fleet::ObjectName;
use syniverse_token_operator::index::{Gone, Index};
use syniverse_token_operator::memory::Sleep;
use syniverse_token_operator::observe::object_name;
use syniverse_token_operator::reconcile::reconcile;
use syniverse_token_operator::report::Reporter;
use syniverse_token_operator::schedule::retry::growing;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

const DAILY_CHECK: Duration = Duration::from_secs(86_400);
const LONGEST_PASS: Duration = Duration::from_secs(60);
const LONGEST_BLIND_RETRY: Duration = Duration::from_secs(4);

struct Process {
    context: Context,
    world: Arc<World>,
    index: Mutex<Index>,
    /// The cache of resources, with what the filter of unchanged ones remembers.
    cache: Mutex<HashMap<ObjectName, Arc<SyniverseToken>>>,
    newness: Mutex<HashMap<ObjectName, Newness>>,
    bells: Mutex<HashMap<ObjectName, Arc<Notify>>>,
    first_rings: mpsc::UnboundedSender<(ObjectName, Arc<Notify>)>,
}

type Newness = (Option<String>, Option<i64>, BTreeMap<String, String>);

/// Runs a process until it is dropped.
pub(crate) async fn operate(world: Arc<World>, name: String) {
    let client = kube::Client::new(Door { world: Arc::clone(&world), process: name.clone() }, "default");
    let issuer = ModelIssuer { world: Arc::clone(&world), process: name.clone() };
    let (reporter, events) = Reporter::new(client.clone());
    let (wake, mut woken) = mpsc::unbounded_channel();
    let salt = "salt of a process".to_owned();
    let clock = Arc::new(world.clock());
    let context = Context::new(client, Arc::new(issuer), clock, (reporter, wake), (DAILY_CHECK, salt));
    let (first_rings, mut first_rung) = mpsc::unbounded_channel();
    let process = Arc::new(Process {
        context,
        world: Arc::clone(&world),
        index: Mutex::default(),
        cache: Mutex::default(),
        newness: Mutex::default(),
        bells: Mutex::default(),
        first_rings,
    });
    let [resources, secrets] =
        [Kind::SyniverseToken, Kind::Secret].map(|kind| Watch::open(&mut world.inside(), &name, kind));
    let mut tasks = JoinSet::new();
    tasks.spawn(events);
    tasks.spawn(Arc::clone(&process).follow_resources(resources));
    tasks.spawn(Arc::clone(&process).follow_secrets(secrets));
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
            match told {
                Told::Is(resource) => self.is(resource),
                Told::Deleted(resource) => {
                    let name = object_name(&resource_of(resource));
                    let gone = self.index.lock().unwrap().remove(&name);
                    self.gone(gone);
                }
                Told::ListAgain => {
                    let list = self.world.inside().list(Kind::SyniverseToken);
                    self.index.lock().unwrap().list_begins();
                    list.into_iter().for_each(|resource| self.is(resource));
                    let gone = self.index.lock().unwrap().list_ends();
                    self.gone(gone);
                }
            }
        }
    }

    fn is(&self, resource: Value) {
        let resource = resource_of(resource);
        let name = object_name(&resource);
        let gone = self.index.lock().unwrap().set(&resource);
        gone.iter().for_each(|gone| self.context.forget(&gone.name, gone.uid.as_deref()));
        let newness = (resource.uid(), resource.metadata.generation, resource.annotations().clone());
        self.cache.lock().unwrap().insert(name.clone(), Arc::new(resource));
        if self.newness.lock().unwrap().insert(name.clone(), newness.clone()) != Some(newness) {
            self.knock(&name);
        }
    }

    fn gone(&self, gone: impl IntoIterator<Item = Gone>) {
        for gone in gone {
            self.context.forget(&gone.name, gone.uid.as_deref());
            self.cache.lock().unwrap().remove(&gone.name);
        }
    }

    async fn follow_secrets(self: Arc<Self>, mut watch: Watch) {
        while let Some(told) = watch.next().await {
            match told {
                Told::Is(secret) => self.secret(secret, false),
                Told::Deleted(secret) => self.secret(secret, true),
                Told::ListAgain => {
                    let list = self.world.inside().list(Kind::Secret);
                    list.into_iter().for_each(|secret| self.secret(secret, false));
                }
            }
        }
    }

    fn secret(&self, secret: Value, deleted: bool) {
        let secret: PartialObjectMeta<Secret> = serde_json::from_value(secret).unwrap();
        let name = ObjectName { namespace: secret.namespace().unwrap(), name: secret.name_any() };
        if deleted {
            self.context.forget_write(&name);
        } else if self.context.is_echo(&name, secret.metadata.resource_version.as_deref()) {
            return;
        }
        let users = self.index.lock().unwrap().users(&name);
        users.iter().for_each(|user| self.knock(user));
    }

    fn knock(&self, name: &ObjectName) {
        self.context.touch(name);
        let mut bells = self.bells.lock().unwrap();
        let bell = bells.entry(name.clone()).or_insert_with(|| {
            let bell = Arc::new(Notify::new());
            self.first_rings.send((name.clone(), Arc::clone(&bell))).unwrap();
            bell
        });
        bell.notify_one();
    }

    /// The passes over one resource, one after the other.
    async fn serve(self: Arc<Self>, name: ObjectName, bell: Arc<Notify>) {
        let mut due: Option<Instant> = None;
        loop {
            match due {
                Some(due) => tokio::select! { biased; () = bell.notified() => {}, () = sleep_until(due) => {} },
                None => bell.notified().await,
            }
            let resource = self.cache.lock().unwrap().get(&name).cloned();
            due = match resource {
                Some(resource) => self.pass(resource).await.map(|delay| Instant::now() + delay),
                None => None,
            };
        }
    }

    /// As `controller::pass`: the time until the next one, or none.
    async fn pass(&self, resource: Arc<SyniverseToken>) -> Option<Duration> {
        let context = &self.context;
        let (name, uid) = (object_name(&resource), resource.uid().unwrap_or_default());
        let now = context.clock.now();
        let desk = context.desk(&uid, now.mono);
        let mut memory = desk.lock().await;
        let touched = context.take_touch(&name);
        if let Some(sleep) = memory.sleep.filter(|sleep| !touched && !sleep.is_over(now)) {
            return sleep.left(now);
        }
        memory.sleep = None;
        let result = timeout(LONGEST_PASS, reconcile(context, Arc::clone(&resource), &mut memory)).await;
        if matches!(self.world.inside().planted, Planted::AnswersForgotten) {
            memory.held = None;
        }
        let now = context.clock.now();
        let Ok(Ok(pass)) = result else {
            memory.blind = memory.blind.saturating_add(1);
            return Some((growing(memory.blind, 0) / 4).min(LONGEST_BLIND_RETRY));
        };
        memory.blind = 0;
        let sleep = Sleep::until(pass.wake, now);
        memory.sleep = Some(sleep);
        if pass.after.is_none() {
            context.forget(&name, Some(&uid));
        }
        context.reporter.report(&resource, &pass, now.mono);
        sleep.left(now)
    }
}

fn resource_of(object: Value) -> SyniverseToken {
    serde_json::from_value(object).unwrap()
}
