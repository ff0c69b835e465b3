//! The way from the operator's client to the model API server: a tower service in place of a connection.

use crate::api_server::Verb;
use crate::judge::{Key, Kind, What};
use crate::world::{Inside, To, Trip, World, told};
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::Service;

/// One way, in the same rack.
const WAY: Duration = Duration::from_millis(2);
/// As the operator's client is set.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) world: Arc<World>,
    pub(crate) process: String,
}

#[derive(Debug, thiserror::Error)]
#[error("the connection is gone")]
pub(crate) struct Gone;

/// What a request asks for; none = an Event, which is taken and forgotten.
type Target = Option<(Verb, Key)>;

impl Service<http::Request<Body>> for Door {
    type Response = http::Response<Body>;
    type Error = Gone;
    type Future = BoxFuture<'static, Result<Self::Response, Gone>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let trigger = self.clone();
        Box::pin(async move {
            let target = target(request.method().as_str(), request.uri().path());
            let is_rehearsal = request.uri().query().is_some_and(|query| query.contains("dryRun=All"));
            let is_read = is_rehearsal || target.as_ref().is_none_or(|(verb, _)| *verb == Verb::Get);
            let bytes = request.into_body().collect_bytes().await.map_err(|_| Gone)?;
            let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let target = target.map(|(verb, key)| (verb, named(key, &body)));
            let request_name = match &target {
                Some((verb, key)) => told(*verb, key),
                None => "Event".to_owned(),
            };
            let (process, to) = (trigger.process.clone(), To::ApiServer);
            let trip = Trip { process, to, request: request_name, is_read, way: WAY, patience: PATIENCE };
            let process = trigger.process;
            let work = move |inside: &mut Inside, now: Timestamp| match target {
                // It is taken, and nothing comes of it.
                Some((verb, _)) if is_rehearsal => answer(if verb == Verb::Create { 201 } else { 200 }, &body),
                target => serve(inside, now, &process, target, body),
            };
            trigger.world.travel(trip, work).await.ok_or(Gone)
        })
    }
}

fn serve(inside: &mut Inside, now: Timestamp, process: &str, target: Target, body: Value) -> http::Response<Body> {
    let (code, body) = match target {
        Some((verb, key)) => {
            let reply = inside.request(now, Some(process), verb, key, body);
            (reply.code, reply.body)
        }
        None => {
            let about = body.pointer("/regarding/name").and_then(Value::as_str).unwrap_or_default();
            inside.say(now, Some(process), What::Requested { request: format!("Event {about}"), code: 201 });
            (201, with_name(body))
        }
    };
    answer(code, &body)
}

fn answer(code: u16, body: &Value) -> http::Response<Body> {
    let bytes = serde_json::to_vec(body).unwrap();
    http::Response::builder().status(code).body(Body::from(bytes)).unwrap()
}

fn with_name(mut event: Value) -> Value {
    event["metadata"]["name"] = json!("event");
    event
}

fn named(mut key: Key, body: &Value) -> Key {
    if key.name.is_empty() {
        key.name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    }
    key
}

fn target(method: &str, path: &str) -> Target {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let at = parts.iter().position(|part| *part == "namespaces").expect("every request is about a namespace");
    let kind = match parts[at + 2] {
        "secrets" => Kind::Secret,
        "syniversetokens" => Kind::SyniverseToken,
        "events" => return None,
        other => panic!("the operator has no business with {other}"),
    };
    let name = parts.get(at + 3).copied().unwrap_or_default().to_owned();
    let verb = match (method, parts.get(at + 4).copied()) {
        ("GET", None) => Verb::Get,
        ("POST", None) => Verb::Create,
        ("PUT", None) => Verb::Replace,
        ("PUT", Some("status")) => Verb::ReplaceStatus,
        ("DELETE", None) => Verb::Delete,
        other => panic!("the operator has no right to {other:?}"),
    };
    Some((verb, Key { kind, namespace: parts[at + 1].to_owned(), name }))
}
