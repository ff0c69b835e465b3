//! What the Dockerfile's last stage declares, so that an archive made without a builder says the same.

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const DOCKERFILE: &str = include_str!("../../../Dockerfile");

/// The `config` of an image's configuration, with the build's arguments put in.
pub fn config(arguments: &BTreeMap<&str, String>) -> anyhow::Result<Value> {
    let mut config = Map::new();
    let mut labels = Map::new();
    let start = DOCKERFILE.rfind("\nFROM scratch\n").context("the last stage of the Dockerfile is not from scratch")?;
    for line in DOCKERFILE[start..].lines().skip(2) {
        let (instruction, rest) = line.split_once(' ').unwrap_or((line, ""));
        match instruction {
            "LABEL" => {
                let (key, value) = rest.split_once('=').with_context(|| format!("one label a line: {line}"))?;
                labels.insert(key.to_owned(), json!(filled(value.trim_matches('"'), arguments)?));
            }
            "USER" => drop(config.insert("User".to_owned(), json!(rest))),
            "ENTRYPOINT" => drop(config.insert("Entrypoint".to_owned(), serde_json::from_str(rest)?)),
            "" | "#" | "ARG" => {}
            "COPY" if rest == "--from=build /image/rootfs/ /" => {}
            _ => bail!("the Dockerfile has an instruction that archives do not know: {line}"),
        }
    }
    config.insert("Labels".to_owned(), Value::Object(labels));
    config.insert("WorkingDir".to_owned(), json!("/"));
    Ok(Value::Object(config))
}

/// `${NAME}` in `text` replaced by its argument.
fn filled(text: &str, arguments: &BTreeMap<&str, String>) -> anyhow::Result<String> {
    let mut parts = text.split("${");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').with_context(|| format!("not closed: {text}"))?;
        filled += arguments.get(name).with_context(|| format!("no build argument {name}"))?;
        filled += rest;
    }
    Ok(filled)
}
