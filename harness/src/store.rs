//! What etcd holds, change by change.
//!
//! A watch of the API server ends with it, and the next one begins with what there is by then. etcd keeps every change
//! of the last minutes, in one order, and says it over its JSON gateway.

use std::{collections::HashMap, future::ready};

use futures::{AsyncBufReadExt, Stream, StreamExt, TryStreamExt, stream};
use k8s_openapi::ByteString;
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Error, Result};

/// All that the API server stores lies between these.
const REGISTRY: [&str; 2] = ["/registry/", "/registry0"];

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where it is stored: `/registry/secrets/NAMESPACE/NAME`.
    pub key: String,
    /// The object before; none = it was made.
    pub was: Option<Value>,
    /// The object after; none = it was deleted.
    pub is: Option<Value>,
}

/// One message of a watch.
#[derive(Deserialize)]
struct Told {
    result: Batch,
}

#[derive(Deserialize)]
struct Batch {
    #[serde(default)]
    events: Vec<Event>,
    #[serde(default)]
    canceled: bool,
}

#[derive(Deserialize)]
struct Event {
    kv: Entry,
}

#[derive(Deserialize)]
struct Entry {
    key: ByteString,
    /// A number as a text.
    mod_revision: String,
    /// Empty for a deletion.
    #[serde(default)]
    value: ByteString,
}

/// The changes of everything under one of these keys, since etcd began.
pub(crate) async fn changes(port: u16, under: Vec<String>) -> Result<impl Stream<Item = Result<Change>> + Send> {
    let address = format!("http://127.0.0.1:{port}");
    let address = address.parse().map_err(|_| Error::Store(format!("no address: {address}")))?;
    let [key, range_end] = REGISTRY.map(|key| ByteString(key.as_bytes().to_vec()));
    let wanted = json!({"create_request": {"key": key, "range_end": range_end, "start_revision": "1"}});
    let request = http::Request::post("/v3/watch").body(wanted.to_string().into_bytes());
    let request = request.map_err(|error| Error::Store(error.to_string()))?;
    let lines = Client::try_from(Config::new(address))?.request_stream(request).await?.lines();
    let events = lines.map(|line| events(&line.map_err(Error::io("read from etcd"))?)).map_ok(stream::iter);
    let mut known = HashMap::new();
    Ok(events.try_flatten().try_filter_map(move |event| {
        let wanted = under.iter().any(|prefix| event.kv.key.0.starts_with(prefix.as_bytes()));
        ready(wanted.then(|| change(&mut known, event)).transpose())
    }))
}

fn events(line: &str) -> Result<Vec<Result<Event>>> {
    let told: Told = serde_json::from_str(line).map_err(|error| Error::Store(format!("{error}: {line}")))?;
    if told.result.canceled {
        return Err(Error::Store(line.to_owned()));
    }
    Ok(told.result.events.into_iter().map(Ok).collect())
}

/// An event as a change of what is known to be stored.
fn change(known: &mut HashMap<String, Value>, Event { kv }: Event) -> Result<Change> {
    let key = String::from_utf8_lossy(&kv.key.0).into_owned();
    if kv.value.0.is_empty() {
        return Ok(Change { was: known.remove(&key), key, is: None });
    }
    let is = serde_json::from_slice::<Value>(&kv.value.0);
    let mut is = is.map_err(|error| Error::Store(format!("{key} is not stored as JSON: {error}")))?;
    is["metadata"]["resourceVersion"] = Value::String(kv.mod_revision);
    Ok(Change { was: known.insert(key.clone(), is.clone()), key, is: Some(is) })
}
