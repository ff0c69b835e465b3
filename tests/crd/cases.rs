//! What is refused, what is said, and what is accepted beside it: `cases.yaml`, read.

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::{Value, json};
use std::fmt;

/// A change to the simplest resource that is refused, and the nearest one that is not.
#[derive(Debug)]
pub(crate) struct Case {
    /// The heading it stands under.
    pub(crate) section: String,
    /// The field that the API server complains of.
    pub(crate) field: String,
    /// What it says about it, in part.
    pub(crate) says: String,
    /// The change that is refused, as it stands in the file.
    pub(crate) refused: Value,
    /// The change that is accepted, as it stands in the file.
    pub(crate) accepted: Value,
}

impl Case {
    /// The object that is refused.
    pub(crate) fn refused(&self) -> Value {
        with(&self.refused)
    }

    /// The object that is accepted.
    pub(crate) fn accepted(&self) -> Value {
        with(&self.accepted)
    }
}

/// The resource that every change is made to.
pub(crate) fn simplest() -> Value {
    json!({
        "apiVersion": "syniverse.dev/v1alpha1",
        "kind": "SyniverseToken",
        "metadata": {"name": "messaging"},
        "spec": {"application": {"credentials": {"secretRef": {"name": "sdc-application"}}}},
    })
}

/// The simplest resource with a change, written in YAML.
pub(crate) fn changed(change: &str) -> Value {
    with(&serde_saphyr::from_str(change).unwrap())
}

/// Every case, in the order of the file.
pub(crate) fn all() -> impl Iterator<Item = Case> {
    let Sections(sections) = serde_saphyr::from_str(include_str!("cases.yaml")).unwrap();
    sections
        .into_iter()
        .flat_map(|(section, groups)| groups.into_iter().flat_map(move |group| group.into_cases(&section)))
}

/// The groups by section, in the order of the file.
struct Sections(Vec<(String, Vec<Group>)>);

impl<'de> Deserialize<'de> for Sections {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Sections;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("sections by their headings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sections, A::Error> {
                let mut sections = Vec::new();
                while let Some(section) = map.next_entry()? {
                    sections.push(section);
                }
                Ok(Sections(sections))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    field: String,
    says: String,
    cases: Vec<Pair>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    refused: Value,
    accepted: Value,
}

impl Group {
    fn into_cases(self, section: &str) -> Vec<Case> {
        let (field, says) = (self.field, self.says);
        let case = |Pair { refused, accepted }| Case {
            section: section.to_owned(),
            field: field.clone(),
            says: says.clone(),
            refused,
            accepted,
        };
        self.cases.into_iter().map(case).collect()
    }
}

fn with(change: &Value) -> Value {
    let mut object = simplest();
    merge(&mut object, change);
    serde_json::from_str(&written_out(&object.to_string())).unwrap()
}

/// A JSON merge patch (RFC 7396).
fn merge(target: &mut Value, change: &Value) {
    let Value::Object(fields) = change else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, change) in fields {
        match change {
            Value::Null => drop(target.as_object_mut().unwrap().remove(name)),
            change => merge(&mut target[name.as_str()], change),
        }
    }
}

/// Writes out each `<a x 254>`.
fn written_out(text: &str) -> String {
    let Some((before, rest)) = text.split_once('<') else { return text.to_owned() };
    let (repeat, after) = rest.split_once('>').unwrap();
    let (unit, times) = repeat.split_once(" x ").unwrap();
    format!("{before}{}{}", unit.repeat(times.parse().unwrap()), written_out(after))
}
