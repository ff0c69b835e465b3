//! The wall around the deciding rooms: they import no client, no clock and no randomness.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// The rooms that talk to the world. Every other one decides, and so does a new one until it is listed here.
const CLIENTS: &[&str] = &[
    "admin",
    "admin/connections",
    "admin/pages",
    "admission_policy",
    "apply",
    "clock",
    "connection",
    "connection/renewal",
    "context",
    "controller",
    "election",
    "error",
    "issuer/http",
    "kubeconfig",
    "main",
    "metrics",
    "observe",
    "process",
    "reconcile",
    "reconcile/saying",
    "report",
    "settings",
    "telemetry",
    "wake",
    "watches",
];
/// What the world is made of.
const WORLD: &[&str] = &[
    "kube::Client",
    "kube::Api",
    "kube::client",
    "kube::runtime",
    "Api<",
    "tokio",
    "std::time::Instant",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "getrandom",
    "rand::",
    "reqwest::Client",
    "reqwest::get",
    "std::fs",
    "std::env",
    "std::net::Tcp",
    "crate::clock",
    "crate::context",
    "crate::observe",
    "crate::apply",
    "crate::reconcile",
    "crate::report",
    "crate::controller",
    "crate::process",
    "issuer::http",
    "tracing::",
];

fn production(room: &str) -> String {
    let path = format!("{SOURCE}/{room}.rs");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

/// All rooms under this folder of `src`, by their paths without `.rs`.
fn rooms(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(format!("{SOURCE}/{folder}")).unwrap().map(|entry| entry.unwrap().path());
    let room = |path: std::path::PathBuf| {
        let name = format!("{folder}{}", stem(&path));
        if path.is_dir() { rooms(&format!("{name}/")) } else { vec![name] }
    };
    entries.flat_map(room).collect()
}

fn words_of_the_world(room: &str) -> Vec<String> {
    let text = production(room);
    WORLD.iter().filter(|word| text.contains(**word)).map(|word| format!("{room} sees {word}")).collect()
}

#[test]
fn the_deciding_rooms_cannot_see_the_world() {
    let rooms = rooms("");
    assert!(rooms.len() > 50 && CLIENTS.iter().all(|client| rooms.iter().any(|room| room == client)), "{rooms:?}");
    let deciding = rooms.iter().filter(|room| !CLIENTS.contains(&room.as_str()));
    let breaches: Vec<_> = deciding.flat_map(|room| words_of_the_world(room)).collect();
    assert_eq!(breaches, Vec::<String>::new());
}

#[test]
fn the_wall_would_be_seen_if_it_were_broken() {
    let unseen: Vec<_> = CLIENTS.iter().filter(|client| words_of_the_world(client).is_empty()).collect();
    assert_eq!(unseen, Vec::<&&str>::new(), "these could be on the other side");
}

/// For each room at the top of `src`, the other rooms that it or its own rooms name.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let names: Vec<String> = fs::read_dir(SOURCE).unwrap().map(|entry| stem(&entry.unwrap().path())).collect();
    let rooms: BTreeSet<_> = names.into_iter().filter(|name| !["lib", "main"].contains(&name.as_str())).collect();
    let text = |room: &str| {
        let inner = fs::read_dir(format!("{SOURCE}/{room}")).into_iter().flatten();
        let inner: String =
            inner.map(|entry| production(&format!("{room}/{}", stem(&entry.unwrap().path())))).collect();
        production(room) + &inner
    };
    let named = |room: &String| {
        let text = text(room);
        rooms.iter().filter(|other| *other != room && text.contains(&format!("crate::{other}::"))).cloned().collect()
    };
    rooms.iter().map(|room| (room.clone(), named(room))).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn imports_run_one_way() {
    let mut rooms = imports();
    assert!(rooms["plan"].contains("memory"), "imports are not seen at all");
    // Rooms that import nothing of what is left are taken away: what stays goes round in a circle.
    while let Some(leaf) = rooms.iter().find(|(_, to)| to.iter().all(|room| !rooms.contains_key(room))) {
        let leaf = leaf.0.clone();
        rooms.remove(&leaf);
    }
    assert_eq!(rooms.keys().collect::<Vec<_>>(), Vec::<&String>::new(), "rooms that import each other");
}
