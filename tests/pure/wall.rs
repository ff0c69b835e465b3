//! The wall around the deciding rooms: they import no client, no clock and no randomness.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Rooms that decide. Everything else may talk to the world.
const PURE: &[&str] = &[
    "api",
    "credentials",
    "facts",
    "index",
    "intent",
    "issuer",
    "fingerprint",
    "fleet",
    "fleet/endpoint",
    "fleet/health",
    "fleet/sharing",
    "lease",
    "memory",
    "pass",
    "progress",
    "moment",
    "plan",
    "plan/application",
    "plan/question",
    "plan/session",
    "reason",
    "redacted",
    "schedule",
    "schedule/boundary",
    "schedule/extension",
    "schedule/governor",
    "schedule/retry",
    "secrets",
    "state",
    "status",
    "verdict",
    "issuer/application",
    "issuer/transport",
    "issuer/endpoint",
    "issuer/address",
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
    "issuer::http",
    "tracing::",
];

fn production(room: &str) -> String {
    let path = format!("{}/src/{room}.rs", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

#[test]
fn the_deciding_rooms_cannot_see_the_world() {
    let breaches: Vec<_> = PURE
        .iter()
        .flat_map(|room| {
            let text = production(room);
            WORLD.iter().filter(move |word| text.contains(**word)).map(move |word| format!("{room} sees {word}"))
        })
        .collect();
    assert_eq!(breaches, Vec::<String>::new());
}

#[test]
fn the_wall_would_be_seen_if_it_were_broken() {
    assert!(WORLD.iter().any(|word| production("observe").contains(word)));
}

/// For each room at the top of `src`, the other rooms that it or its own rooms name.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let names: Vec<String> = fs::read_dir(source).unwrap().map(|entry| stem(&entry.unwrap().path())).collect();
    let rooms: BTreeSet<_> = names.into_iter().filter(|name| !["lib", "main"].contains(&name.as_str())).collect();
    let text = |room: &str| {
        let inner = fs::read_dir(format!("{source}/{room}")).into_iter().flatten();
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
