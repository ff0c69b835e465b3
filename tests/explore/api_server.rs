//! An API server as far as the operator can tell: names, UIDs, versions, conflicts, the status subresource, owners.
//! Pure: requests and instants are arguments. Held against the real one in `conformance`.

use crate::judge::{Change, Key, Kind};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Create,
    Replace,
    ReplaceStatus,
    Delete,
}

/// An answer, and what it took to give it; an update that changes nothing is no change.
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) change: Option<Change>,
}

impl Reply {
    /// A webhook that has to be asked cannot be.
    pub(crate) fn of_webhook() -> Self {
        failure(500, "InternalError")
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ApiServer {
    objects: BTreeMap<Key, Value>,
    version: u64,
    births: u64,
}

impl ApiServer {
    pub(crate) fn handle(&mut self, verb: Verb, key: Key, body: Value, now: Timestamp) -> Reply {
        let found = self.objects.get(&key).cloned();
        match (verb, found) {
            (Verb::Create, None) => self.create(key, body, now),
            (Verb::Create, Some(_)) => failure(409, "AlreadyExists"),
            (_, None) => failure(404, "NotFound"),
            (Verb::Get, Some(object)) => Reply { code: 200, body: object, change: None },
            (Verb::Delete, Some(object)) => self.delete(key, object),
            (Verb::Replace, Some(was)) => self.replace(key, was.clone(), updated(&was, body)),
            (Verb::ReplaceStatus, Some(was)) => {
                let status = body.get("status").cloned().unwrap_or_default();
                let mut next = was.clone();
                next["metadata"]["resourceVersion"] = body["metadata"]["resourceVersion"].clone();
                next["metadata"]["uid"] = body["metadata"]["uid"].clone();
                next["status"] = status;
                self.replace(key, was, next)
            }
        }
    }

    /// The version of the store.
    pub(crate) fn version(&self) -> String {
        self.version.to_string()
    }

    /// What is different in `other`.
    pub(crate) fn changes_to(&self, other: &Self) -> Vec<Change> {
        let keys: BTreeSet<_> = self.objects.keys().chain(other.objects.keys()).collect();
        let change = |key: &Key| Change {
            key: key.clone(),
            was: self.objects.get(key).cloned(),
            is: other.objects.get(key).cloned(),
        };
        keys.into_iter().map(change).filter(|change| change.was != change.is).collect()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects.iter().filter(move |(key, _)| key.kind == kind)
    }

    /// One object whose owners are all gone, deleted; call it until there is none.
    pub(crate) fn collect(&mut self) -> Option<Change> {
        let uids: Vec<&Value> = self.objects.values().map(|object| &object["metadata"]["uid"]).collect();
        let orphaned = |object: &Value| {
            let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
            owners.is_some_and(|owners| owners.iter().all(|owner| !uids.contains(&&owner["uid"])))
        };
        let key = self.objects.iter().find(|(_, object)| orphaned(object)).map(|(key, _)| key.clone())?;
        let was = self.objects.remove(&key);
        self.version += 1;
        Some(Change { key, was, is: None })
    }

    fn create(&mut self, key: Key, mut object: Value, now: Timestamp) -> Reply {
        self.births += 1;
        normalise(&mut object);
        let metadata = &mut object["metadata"];
        metadata["namespace"] = json!(key.namespace);
        metadata["uid"] = json!(format!("uid-{}", self.births));
        metadata["creationTimestamp"] = json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        match key.kind {
            Kind::SyniverseToken => {
                metadata["generation"] = json!(1);
                object["status"] = json!({"observedGeneration": -1});
            }
            Kind::Secret => {
                object["type"] = object.get("type").cloned().unwrap_or(json!("Opaque"));
            }
        }
        self.store(key, None, object, 201)
    }

    fn delete(&mut self, key: Key, was: Value) -> Reply {
        self.version += 1;
        self.objects.remove(&key);
        let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
        Reply { code: 200, body, change: Some(Change { key, was: Some(was), is: None }) }
    }

    fn replace(&mut self, key: Key, was: Value, mut next: Value) -> Reply {
        let (old, new) = (&was["metadata"], &next["metadata"]);
        let stale = |field: &str| new.get(field).is_some_and(|value| !value.is_null() && *value != old[field]);
        if stale("resourceVersion") || stale("uid") {
            return failure(409, "Conflict");
        }
        if was.get("immutable") == Some(&json!(true)) && was.get("data") != next.get("data") {
            return failure(422, "Invalid");
        }
        for kept in ["resourceVersion", "uid", "creationTimestamp", "namespace"] {
            next["metadata"][kept] = was["metadata"][kept].clone();
        }
        if next == was {
            return Reply { code: 200, body: was, change: None };
        }
        self.store(key, Some(was), next, 200)
    }

    fn store(&mut self, key: Key, was: Option<Value>, mut object: Value, code: u16) -> Reply {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(key.clone(), object.clone());
        Reply { code, body: object.clone(), change: Some(Change { key, was, is: Some(object) }) }
    }
}

/// What a PUT of `body` makes of `was`: the status stays, a new spec is a new generation.
fn updated(was: &Value, mut body: Value) -> Value {
    normalise(&mut body);
    if let Some(status) = was.get("status") {
        body["status"] = status.clone();
    }
    if let Some(generation) = was["metadata"]["generation"].as_u64() {
        body["metadata"]["generation"] = json!(generation + u64::from(body["spec"] != was["spec"]));
    }
    body
}

/// Empty and absent are the same.
fn normalise(object: &mut Value) {
    let empty = |value: &Value| {
        value.is_null() || value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
    };
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, value| name != "managedFields" && !empty(value));
    }
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !empty(value));
    }
}

fn failure(code: u16, reason: &str) -> Reply {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code});
    Reply { code, body, change: None }
}
