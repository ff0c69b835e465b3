//! One table of requests and answers, held against the model and against a real API server: the model cannot drift
//! into fiction.

use crate::door::Door;
use crate::fault::Fault;
use crate::judge::Kind;
use crate::planted::Planted;
use crate::watch::{Told, Watch};
use crate::world::World;
use futures::TryStreamExt;
use harness::wait_for;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{WatchEvent, WatchParams};
use kube::client::Body;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

const SECRETS: &str = "api/v1/namespaces/{}/secrets";
const RESOURCES: &str = "apis/syniverse.dev/v1alpha1/namespaces/{}/syniversetokens";

/// A sentence, a method, where to, what is sent (from what was answered last for that place), what comes back.
type Row = (&'static str, &'static str, &'static str, fn(Value) -> Value, &'static str);

const TABLE: &[Row] = &[
    ("a Secret that is not there", "GET", "secrets/s", none, "404 NotFound"),
    ("is not created by a PUT", "PUT", "secrets/s", new_secret, "404 NotFound"),
    ("but by a POST", "POST", "secrets/s", new_secret, "201 new version, type Opaque"),
    ("and only once", "POST", "secrets/s", new_secret, "409 AlreadyExists"),
    ("it is read as it was stored", "GET", "secrets/s", none, "200 same version, type Opaque"),
    ("a PUT of the same changes nothing", "PUT", "secrets/s", same, "200 same version, type Opaque"),
    ("nor do empty maps", "PUT", "secrets/s", with_empty_maps, "200 same version, type Opaque"),
    ("a label makes a new version", "PUT", "secrets/s", labelled, "200 new version, type Opaque"),
    ("an old version is a conflict", "PUT", "secrets/s", of_an_old_version, "409 Conflict"),
    ("another UID is a conflict", "PUT", "secrets/s", of_another_life, "409 Conflict"),
    ("immutable is set", "PUT", "secrets/s", immutable, "200 new version, type Opaque"),
    ("and keeps the data", "PUT", "secrets/s", with_other_data, "422 Invalid"),
    ("it is deleted", "DELETE", "secrets/s", none, "200"),
    ("it is gone", "GET", "secrets/s", none, "404 NotFound"),
    ("and not revived by a PUT", "PUT", "secrets/s", same, "404 NotFound"),
    ("a status of nothing", "PUT", "syniversetokens/t/status", new_resource, "404 NotFound"),
    (
        "a resource begins unobserved",
        "POST",
        "syniversetokens/t",
        new_resource,
        "201 new version, generation 1, observed -1",
    ),
    ("a status is stored", "PUT", "syniversetokens/t/status", observed, "200 new version, generation 1, observed 1"),
    (
        "the same status changes nothing",
        "PUT",
        "syniversetokens/t/status",
        same,
        "200 same version, generation 1, observed 1",
    ),
    (
        "nor does a spec in it",
        "PUT",
        "syniversetokens/t/status",
        suspended,
        "200 same version, generation 1, observed 1",
    ),
    (
        "nor a status without /status",
        "PUT",
        "syniversetokens/t",
        with_other_status,
        "200 same version, generation 1, observed 1",
    ),
    (
        "an annotation is no new generation",
        "PUT",
        "syniversetokens/t",
        annotated,
        "200 new version, generation 1, observed 1",
    ),
    ("an old version is a conflict", "PUT", "syniversetokens/t/status", of_an_old_version, "409 Conflict"),
    ("a new spec is", "PUT", "syniversetokens/t", suspended, "200 new version, generation 2, observed 1"),
    ("a Secret can have an owner", "POST", "secrets/owned", new_secret, "201 new version, type Opaque"),
    ("which goes", "DELETE", "syniversetokens/t", none, "200"),
    ("a status of what is gone", "PUT", "syniversetokens/t/status", same, "404 NotFound"),
];

/// What a watch of Secrets tells of all that, the collection of the owned one included.
const WATCHED: &[&str] = &["is s", "is s", "is s", "deleted s", "is owned", "deleted owned"];

fn none(_: Value) -> Value {
    Value::Null
}

fn same(last: Value) -> Value {
    last
}

fn new_secret(_: Value) -> Value {
    json!({"data": {"a": "YQ=="}})
}

fn new_resource(_: Value) -> Value {
    json!({"spec": {"application": {"credentials": {"secretRef": {"name": "c"}}}}})
}

fn with(mut last: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    last.pointer_mut(parent).unwrap()[name] = value;
    last
}

fn labelled(last: Value) -> Value {
    with(last, "/metadata/labels", json!({"a": "b"}))
}

fn annotated(last: Value) -> Value {
    with(last, "/metadata/annotations", json!({"a": "b"}))
}

fn with_empty_maps(last: Value) -> Value {
    with(with(last, "/metadata/labels", json!({})), "/metadata/ownerReferences", json!([]))
}

fn of_an_old_version(last: Value) -> Value {
    with(last, "/metadata/resourceVersion", json!("1"))
}

fn of_another_life(last: Value) -> Value {
    with(last, "/metadata/uid", json!("another"))
}

fn immutable(last: Value) -> Value {
    with(last, "/immutable", json!(true))
}

fn with_other_data(last: Value) -> Value {
    with(last, "/data", json!({"a": "Yg=="}))
}

fn observed(last: Value) -> Value {
    with(last, "/status", json!({"observedGeneration": 1}))
}

fn with_other_status(last: Value) -> Value {
    with(last, "/status", json!({"observedGeneration": 7}))
}

fn suspended(last: Value) -> Value {
    with(last, "/spec/suspend", json!(true))
}

/// Plays the table; one line a row, as the table has it.
async fn play_table(client: &Client, namespace: &str) -> Vec<String> {
    let mut known: HashMap<&str, Value> = HashMap::new();
    let mut lines = Vec::new();
    for (_, method, place, body, _) in TABLE {
        let place = place.trim_end_matches("/status");
        let last = known.get(place).cloned().unwrap_or_default();
        let owner = known.get("syniversetokens/t").cloned();
        let body = completed(place, body(last.clone()), owner.as_ref());
        let (code, answer) = send(client, namespace, method, TABLE[lines.len()].2, &body).await;
        lines.push(told(code, &last, &answer));
        if code < 300 && answer["kind"] != "Status" && *method != "DELETE" {
            known.insert(place, answer);
        }
    }
    lines
}

/// What every object of that place needs.
fn completed(place: &str, mut body: Value, owner: Option<&Value>) -> Value {
    let (kind, name) = place.split_once('/').unwrap();
    if body.is_null() {
        return body;
    }
    let (version, kind) =
        if kind == "secrets" { ("v1", "Secret") } else { ("syniverse.dev/v1alpha1", "SyniverseToken") };
    (body["apiVersion"], body["kind"], body["metadata"]["name"]) = (json!(version), json!(kind), json!(name));
    if name == "owned" {
        let uid = &owner.unwrap()["metadata"]["uid"];
        body["metadata"]["ownerReferences"] = json!([{"apiVersion": "syniverse.dev/v1alpha1",
            "kind": "SyniverseToken", "name": "t", "uid": uid, "controller": true}]);
    }
    body
}

async fn send(client: &Client, namespace: &str, method: &str, place: &str, body: &Value) -> (u16, Value) {
    let (kind, rest) = place.split_once('/').unwrap();
    let base = if kind == "secrets" { SECRETS } else { RESOURCES }.replace("{}", namespace);
    let path = if method == "POST" { format!("/{base}") } else { format!("/{base}/{rest}") };
    let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
    let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
    let response = client.send(request.body(Body::from(bytes)).unwrap()).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect_bytes().await.unwrap();
    (code, serde_json::from_slice(&bytes).unwrap())
}

fn told(code: u16, last: &Value, answer: &Value) -> String {
    if code >= 300 {
        return format!("{code} {}", answer["reason"].as_str().unwrap_or_default());
    }
    let (was, is) = (&last["metadata"]["resourceVersion"], &answer["metadata"]["resourceVersion"]);
    if answer["kind"] == "Status" {
        return code.to_string();
    }
    let version = if was == is { "same version" } else { "new version" };
    match answer["kind"].as_str() {
        Some("SyniverseToken") => {
            let (generation, observed) = (&answer["metadata"]["generation"], &answer["status"]["observedGeneration"]);
            format!("{code} {version}, generation {generation}, observed {observed}")
        }
        _ => format!("{code} {version}, type {}", answer["type"].as_str().unwrap_or_default()),
    }
}

fn assert_as_expected(lines: &[String]) {
    for ((sentence, method, place, _, expected), line) in TABLE.iter().zip(lines) {
        assert_eq!(line, expected, "{sentence}: {method} {place}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_model_answers_as_the_table_says() {
    let (world, _dead) = World::new(BTreeMap::<usize, Fault>::new(), Planted::Nothing);
    let mut watch = Watch::open(&mut world.inside(), "test", Kind::Secret);
    let client = Client::new(Door { world: Arc::clone(&world), process: "test".to_owned() }, "n");
    assert_as_expected(&play_table(&client, "n").await);
    world.collect_garbage();
    let mut told = Vec::new();
    while told.len() < WATCHED.len() {
        let name = |object: Value| object["metadata"]["name"].as_str().unwrap().to_owned();
        match watch.next().await.unwrap() {
            Told::ListAgain => {}
            Told::Is(object) => told.push(format!("is {}", name(object))),
            Told::Deleted(object) => told.push(format!("deleted {}", name(object))),
        }
    }
    assert_eq!(told, WATCHED);
}

#[tokio::test]
async fn a_real_api_server_answers_as_the_table_says() {
    let cluster = harness::shared().await.unwrap();
    let (client, namespace) = (cluster.client().await.unwrap(), cluster.namespace().await.unwrap());
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace.name());
    let begin = secrets.list(&Default::default()).await.unwrap().metadata.resource_version.unwrap();
    assert_as_expected(&play_table(&client, namespace.name()).await);
    let collected = async || secrets.get_opt("owned").await.unwrap().is_none().then_some(());
    wait_for("the collection of what the resource owned", Duration::from_secs(60), collected).await.unwrap();
    let watch = secrets.watch(&WatchParams::default().timeout(2), &begin).await.unwrap();
    let told = watch.try_filter_map(async |event| {
        Ok(match event {
            WatchEvent::Added(secret) | WatchEvent::Modified(secret) => Some(format!("is {}", secret.name_any())),
            WatchEvent::Deleted(secret) => Some(format!("deleted {}", secret.name_any())),
            _ => None,
        })
    });
    assert_eq!(told.try_collect::<Vec<_>>().await.unwrap(), WATCHED);
}
