//! What a scenario is played on: a world, the processes in it, and a hand that does what users do.

use crate::api_server::Verb;
use crate::fault::{Fault, RESTART};
use crate::judge::{History, Key, Kind, Subject, What};
use crate::planted::Planted;
use crate::process::{Settings, operate};
use crate::scenarios::Scenario;
use crate::world::{Point, World};
use issuer_simulator::application::NewApplication;
use issuer_simulator::client::NewClient;
use issuer_simulator::model::Life;
use issuer_simulator::session::NewSession;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use syniverse_token_core::queue::Budget;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The resource of every scenario, and so its token Secret.
pub(crate) const NAME: &str = "messaging";
pub(crate) const STATE: &str = "messaging-syniverse-state";
/// The Secrets with the credentials of an application, of a session and of a client.
pub(crate) const CREDENTIALS: &str = "sdc-application";
pub(crate) const SESSION_CREDENTIALS: &str = "sma-session";
pub(crate) const CLIENT_CREDENTIALS: &str = "scg-client";
pub(crate) const NAMESPACE: &str = "exploration";
pub(crate) const KEY: &str = "key";
pub(crate) const SECRET: &str = "secret";
pub(crate) const PORTAL_TOKEN: &str = "portal-token";
/// A second application, which takes turns with the first.
pub(crate) const STANDBY_CREDENTIALS: &str = "sdc-application-b";
pub(crate) const STANDBY_KEY: &str = "key-b";
pub(crate) const STANDBY_PORTAL_TOKEN: &str = "portal-token-b";
/// How long a garbage collector takes.
const COLLECTION: Duration = Duration::from_millis(300);

/// The account of a scenario, and another one.
pub(crate) const USER: &str = "user";
pub(crate) const OTHER_USER: &str = "other-user";
pub(crate) const PASSWORD: &str = "password";
const VALIDITY_SECONDS: u32 = 20;
/// The client of a scenario.
pub(crate) const CLIENT: &str = "client";
pub(crate) const CLIENT_SECRET: &str = "client-secret";

/// What the credentials Secret of a session gives.
pub(crate) enum Given<'a> {
    /// The pair that this user pastes.
    Pair(&'a str),
    /// A user name and a password.
    Login(&'a str, &'a str),
}

fn pasted(user: &str) -> String {
    format!("pasted by {user}")
}

/// The resources of another namespace, where a scenario has some.
pub(crate) const BAD: [&str; 2] = ["bad-1", "bad-2"];

pub(crate) struct Stage {
    pub(crate) world: Arc<World>,
    processes: Mutex<HashMap<String, JoinHandle<()>>>,
    settings: Mutex<HashMap<String, Settings>>,
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
        let stage = Stage::on(world);
        tokio::spawn(Arc::clone(&stage).undertake(dead));
        (scenario.script)(Arc::clone(&stage)).await;
        stage.world.heal();
        sleep(scenario.tail()).await;
        stage.world.say(None, What::Ended);
        let subject = Subject::new(NAME, CREDENTIALS, KEY).and(SESSION_CREDENTIALS, USER);
        let mut subject = subject.and(STANDBY_CREDENTIALS, STANDBY_KEY).and(CLIENT_CREDENTIALS, CLIENT);
        subject.owners.push(OTHER_USER.to_owned());
        let (points, mut history) = stage.world.end(vec![subject]);
        history.neighbours = BAD.map(|name| Subject::new(name, &credentials_of(name), name)).into();
        Run { points, history }
    })
}

impl Stage {
    pub(crate) fn on(world: Arc<World>) -> Arc<Self> {
        Arc::new(Self { world, processes: Mutex::default(), settings: Mutex::default() })
    }

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
        let settings = self.settings.lock().unwrap().get(name).cloned();
        self.start_as(name, settings.unwrap_or_default());
    }

    /// Starts a process with this budget of calls.
    pub(crate) fn start_within(&self, name: &str, budget: Budget) {
        self.start_as(name, Settings { budget, ..Settings::default() });
    }

    /// Starts a process with these settings; so it is started again when it dies.
    pub(crate) fn start_as(&self, name: &str, settings: Settings) {
        self.world.say(Some(name), What::Started);
        self.settings.lock().unwrap().insert(name.to_owned(), settings.clone());
        let process = tokio::spawn(operate(Arc::clone(&self.world), name.to_owned(), settings));
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

    /// Something goes wrong for a while, in plain sight.
    pub(crate) fn trouble(&self, with: &str, seconds: i64) {
        self.troubled(with, seconds, false);
    }

    /// Something goes wrong for a while, and keeps the operator from knowing or saying how things stand.
    pub(crate) fn blindness(&self, with: &str, seconds: i64) {
        self.troubled(with, seconds, true);
    }

    fn troubled(&self, with: &str, seconds: i64, blinds: bool) {
        let until = self.now() + SignedDuration::from_secs(seconds);
        self.world.say(None, What::Trouble { with: with.to_owned(), until, blinds });
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

    /// Registers an account, with the pair that a scenario pastes.
    pub(crate) fn account(&self, user: &str) {
        self.account_with_pair_for(user, Life::Millis(30_000));
    }

    /// The same, the pair living for so long.
    pub(crate) fn account_with_pair_for(&self, user: &str, life: Life) {
        let new = NewSession::account(user, PASSWORD).valid_for(VALIDITY_SECONDS);
        let new = new.with_pair(pasted(user), format!("{} refresh", pasted(user)), life);
        let now = self.now();
        self.world.inside().issuers.add_session(new, now);
    }

    /// Creates the Secret with the credentials of a session, or sets what it gives.
    pub(crate) fn put_session_credentials(&self, given: &[Given<'_>]) {
        let mut data = json!({});
        for given in given {
            match given {
                Given::Pair(user) => {
                    data["token"] = base64(&pasted(user));
                    data["refreshToken"] = base64(&format!("{} refresh", pasted(user)));
                }
                Given::Login(user, password) => {
                    data["username"] = base64(user);
                    data["password"] = base64(password);
                }
            }
        }
        self.put_secret(SESSION_CREDENTIALS, json!({"data": data}));
    }

    /// Creates the resource with a session, or sets these of its fields.
    pub(crate) fn put_session(&self, fields: Value) {
        let session = json!({"endpoint": "https://sma.example.com/api/v2/auth/token",
            "credentials": {"secretRef": {"name": SESSION_CREDENTIALS}}});
        let mut spec = json!({"spec": {"session": session, "application": null, "refreshBefore": null}});
        merge(&mut spec, fields);
        self.put_resource(spec);
    }

    /// Registers a client, and stores its credentials.
    pub(crate) fn client(&self) {
        let new = NewClient::of(CLIENT, CLIENT_SECRET).with_scopes(&["a"]).valid_for(VALIDITY_SECONDS);
        self.world.inside().issuers.add_client(new);
        self.put_client_credentials(CLIENT_SECRET);
    }

    pub(crate) fn put_client_credentials(&self, secret: &str) {
        let data = json!({"clientId": base64(CLIENT), "clientSecret": base64(secret)});
        self.put_secret(CLIENT_CREDENTIALS, json!({"data": data}));
    }

    /// Creates the resource with a client, or sets these of its fields.
    pub(crate) fn put_client(&self, fields: Value) {
        let client = json!({"tokenURL": "https://api.syniverse.com/token", "scopes": ["a"],
            "credentials": {"secretRef": {"name": CLIENT_CREDENTIALS}}});
        let mut spec = json!({"spec": {"clientCredentials": client, "application": null, "refreshBefore": null}});
        merge(&mut spec, fields);
        self.put_resource(spec);
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

    /// Creates a resource of another namespace, and its credentials.
    pub(crate) fn put_neighbour(&self, name: &str) {
        self.put_neighbours_credentials(name, "secret");
        let spec = json!({"application": {"credentials": {"secretRef": {"name": credentials_of(name)}}}});
        let usual = json!({"apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken",
            "metadata": {"name": name}, "spec": spec});
        self.put(elsewhere(Kind::SyniverseToken, name), usual, json!({}));
    }

    /// Deletes that resource and, a little later, what it owns.
    pub(crate) fn delete_neighbour(self: &Arc<Self>, name: &str) {
        self.delete(elsewhere(Kind::SyniverseToken, name));
    }

    /// Creates the credentials of that resource, or changes their secret.
    pub(crate) fn put_neighbours_credentials(&self, name: &str, secret: &str) {
        let secret_name = credentials_of(name);
        let usual = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret_name}, "type": "Opaque"});
        let data = json!({"consumerKey": base64(name), "consumerSecret": base64(secret), "oldToken": base64("old")});
        self.put(elsewhere(Kind::Secret, &secret_name), usual, json!({"data": data}));
    }

    pub(crate) fn put(&self, key: Key, usual: Value, fields: Value) {
        let found = self.world.inside().api.get(&key).cloned();
        let verb = if found.is_some() { Verb::Replace } else { Verb::Create };
        let mut object = found.unwrap_or(usual);
        merge(&mut object, fields);
        let reply = self.world.by_hand(verb, key, object);
        assert!(reply.code < 300, "a user's write was refused: {}", reply.body);
    }

    /// Both Secrets as they are now.
    pub(crate) fn back_up(&self) -> Vec<Value> {
        let inside = self.world.inside();
        [NAME, STATE].iter().filter_map(|name| inside.api.get(&secret(name)).cloned()).collect()
    }

    /// Makes Secrets from a backup: without owners, or with those they had, which a garbage collector finds a little later.
    pub(crate) fn restore(self: &Arc<Self>, backup: &[Value], with_owners: bool) {
        for secret in backup {
            let mut secret = secret.clone();
            let name = secret["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let kept = ["name", "labels", "annotations"].into_iter().chain(with_owners.then_some("ownerReferences"));
            let kept: Vec<_> = kept.collect();
            let metadata = secret["metadata"].as_object_mut().unwrap();
            metadata.retain(|field, _| kept.contains(&field.as_str()));
            self.put(self::secret(&name), secret, json!({}));
        }
        self.collect_later();
    }

    /// Deletes an object and, a little later, what it owns.
    pub(crate) fn delete(self: &Arc<Self>, key: Key) {
        self.world.by_hand(Verb::Delete, key, Value::Null);
        self.collect_later();
    }

    fn collect_later(self: &Arc<Self>) {
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

fn credentials_of(neighbour: &str) -> String {
    format!("{neighbour}-application")
}

fn elsewhere(kind: Kind, name: &str) -> Key {
    Key { namespace: "elsewhere".to_owned(), ..key(kind, name) }
}

pub(crate) fn key(kind: Kind, name: &str) -> Key {
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
