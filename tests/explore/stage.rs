//! What a scenario is played on: a world, the processes in it, and a hand that does what users do.

use crate::api_server::{Key, Kind, Verb};
use crate::fault::{Fault, RESTART};
use crate::history::{CREDENTIALS, History, NAME, What};
use crate::planted::Planted;
use crate::process::operate;
use crate::scenarios::Scenario;
use crate::world::{Point, World};
use issuer_simulator::application::NewApplication;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub(crate) const NAMESPACE: &str = "exploration";
pub(crate) const KEY: &str = "key";
pub(crate) const SECRET: &str = "secret";
pub(crate) const PORTAL_TOKEN: &str = "portal-token";
/// How long a garbage collector takes.
const COLLECTION: Duration = Duration::from_millis(300);

pub(crate) struct Stage {
    pub(crate) world: Arc<World>,
    processes: Mutex<HashMap<String, JoinHandle<()>>>,
}

/// One run: the points of its script, and all that happened.
pub(crate) struct Run {
    pub(crate) points: Vec<Point>,
    pub(crate) history: History,
}

/// Plays a scenario with these faults, heals everything, and lets it run on until it is quiet.
pub(crate) fn play(scenario: &Scenario, faults: BTreeMap<usize, Fault>, planted: Planted) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (world, dead) = World::new(faults, planted);
        let stage = Arc::new(Stage { world, processes: Mutex::default() });
        tokio::spawn(Arc::clone(&stage).undertake(dead));
        (scenario.script)(Arc::clone(&stage)).await;
        stage.world.heal();
        sleep(scenario.tail).await;
        stage.world.say(None, What::Ended);
        let points = stage.world.inside().points.clone();
        Run { points, history: stage.world.history() }
    })
}

impl Stage {
    /// Buries what died, and starts it again.
    async fn undertake(self: Arc<Self>, mut dead: UnboundedReceiver<String>) {
        while let Some(name) = dead.recv().await {
            if !self.stop(&name).await {
                continue;
            }
            let stage = Arc::clone(&self);
            tokio::spawn(async move {
                sleep(RESTART).await;
                stage.start(&name);
            });
        }
    }

    /// Starts a process of the operator.
    pub(crate) fn start(&self, name: &str) {
        self.world.say(Some(name), What::Started);
        let process = tokio::spawn(operate(Arc::clone(&self.world), name.to_owned()));
        self.processes.lock().unwrap().insert(name.to_owned(), process);
    }

    /// Kills a process; false when there is none.
    pub(crate) async fn stop(&self, name: &str) -> bool {
        let process = self.processes.lock().unwrap().remove(name);
        let Some(process) = process else { return false };
        process.abort();
        let _ = process.await;
        self.world.say(Some(name), What::Died);
        true
    }

    /// From here on every request and event is a point.
    pub(crate) fn explore(&self) {
        self.world.inside().is_counting = true;
    }

    pub(crate) async fn pause(&self, seconds: f64) {
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// Waits until `what` happens, but not for ever: a fault may have changed the course of things.
    pub(crate) async fn until(&self, what: impl Fn(&What) -> bool) {
        let (mut seen, mut length) = self.world.follow();
        let happens = async {
            loop {
                let happened = {
                    let inside = self.world.inside();
                    let found = inside.entries[seen..].iter().any(|entry| what(&entry.what));
                    seen = inside.entries.len();
                    found
                };
                if happened || length.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = timeout(Duration::from_secs(60), happens).await;
    }

    pub(crate) fn user(&self, deed: &str, is_cause: bool) {
        self.world.say(None, What::User { deed: deed.to_owned(), is_cause });
    }

    pub(crate) fn trouble(&self, with: &'static str, seconds: i64) {
        self.world.say(None, What::Trouble { with, until: self.now() + SignedDuration::from_secs(seconds) });
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// Registers the application, its portal token at its end, and stores its credentials.
    pub(crate) fn credentials(&self) {
        let now = self.now();
        self.world.inside().issuers.add_application(NewApplication::expired(KEY, SECRET, PORTAL_TOKEN), now);
        self.put_credentials(SECRET);
    }

    pub(crate) fn put_credentials(&self, secret: &str) {
        let data = json!({"consumerKey": base64(KEY), "consumerSecret": base64(secret),
            "oldToken": base64(PORTAL_TOKEN)});
        self.put_secret(CREDENTIALS, json!({"data": data}));
    }

    /// Creates a Secret, or sets these of its fields.
    pub(crate) fn put_secret(&self, name: &str, fields: Value) {
        let usual = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque"});
        self.put(secret(name), usual, fields);
    }

    /// Creates the resource, or sets these of its fields.
    pub(crate) fn put_resource(&self, fields: Value) {
        let spec = json!({"application": {"credentials": {"secretRef": {"name": CREDENTIALS}}, "validity": "20s"},
            "refreshBefore": "5s"});
        let usual = json!({"apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken",
            "metadata": {"name": NAME}, "spec": spec});
        self.put(resource(), usual, fields);
    }

    fn put(&self, key: Key, usual: Value, fields: Value) {
        let found = self.world.inside().api.get(&key).cloned();
        let verb = if found.is_some() { Verb::Replace } else { Verb::Create };
        let mut object = found.unwrap_or(usual);
        merge(&mut object, fields);
        let reply = self.world.by_hand(verb, key, object);
        assert!(reply.code < 300, "a user's write was refused: {}", reply.body);
    }

    /// Deletes an object and, a little later, what it owns.
    pub(crate) fn delete(self: &Arc<Self>, key: Key) {
        self.world.by_hand(Verb::Delete, key, Value::Null);
        let world = Arc::clone(&self.world);
        tokio::spawn(async move {
            sleep(COLLECTION).await;
            world.collect_garbage();
        });
    }
}

pub(crate) fn resource() -> Key {
    key(Kind::SyniverseToken, NAME)
}

pub(crate) fn secret(name: &str) -> Key {
    key(Kind::Secret, name)
}

fn key(kind: Kind, name: &str) -> Key {
    Key { kind, namespace: NAMESPACE.to_owned(), name: name.to_owned() }
}

/// Sets fields as a merge patch does.
fn merge(object: &mut Value, fields: Value) {
    match fields {
        Value::Object(fields) => {
            if !object.is_object() {
                *object = json!({});
            }
            for (name, value) in fields {
                merge(&mut object[name], value);
            }
        }
        value => *object = value,
    }
}

pub(crate) fn base64(text: &str) -> Value {
    serde_json::to_value(k8s_openapi::ByteString(text.as_bytes().to_vec())).unwrap()
}
