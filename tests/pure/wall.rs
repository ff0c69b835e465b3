//! The wall around the deciding rooms: they import no client, no clock and no randomness.

use std::fs;

/// Rooms that decide. Everything else may talk to the world.
const PURE: &[&str] = &[
    "api",
    "credentials",
    "facts",
    "fingerprint",
    "fleet",
    "memory",
    "moment",
    "plan",
    "plan/question",
    "reason",
    "redacted",
    "schedule",
    "schedule/boundary",
    "schedule/governor",
    "schedule/retry",
    "secrets",
    "state",
    "status",
    "verdict",
    "issuer/application",
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

#[test]
fn nobody_imports_the_controller_but_main() {
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("main.rs") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("crate::controller"), "{} imports the controller", path.display());
        }
    }
}
