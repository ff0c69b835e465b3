//! Fields that are unknown to this version: kept, so that an older operator beside a newer operator loses nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// The fields of a stored object that this version does not know. They may be secrets: `Debug` shows their names alone.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnknownFields(Map<String, Value>);

impl UnknownFields {
    /// All texts in them.
    pub fn texts(&self) -> Vec<&str> {
        self.0.values().flat_map(texts).collect()
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

impl fmt::Debug for UnknownFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
