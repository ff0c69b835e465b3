//! The wall around the core: its manifest keeps libraries that reach the world out, and it uses none of the standard
//! library's ways there either. Modules import each other one way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const CORE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/core/src");
const OPERATOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// Crates that the core must not depend on, not even through others.
const FORBIDDEN: [&str; 14] = [
    "async-std",
    "axum",
    "clap",
    "futures",
    "getrandom",
    "hyper",
    "kube",
    "kube-client",
    "kube-runtime",
    "rand",
    "reqwest",
    "tokio",
    "tower",
    "tracing",
];
/// The standard library's and jiff's ways to the world.
const WORLD: [&str; 9] = [
    "std::time::Instant",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "std::fs",
    "std::env",
    "std::net::Tcp",
    "std::process",
    "std::thread",
];

fn production(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

/// The paths of all modules under this folder, without `.rs`.
fn modules(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let module = |path: std::path::PathBuf| {
        let name = format!("{folder}/{}", stem(&path));
        match path.extension() {
            _ if path.is_dir() => modules(&name),
            Some(extension) if extension == "rs" => vec![name],
            _ => Vec::new(),
        }
    };
    entries.flat_map(module).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

fn words_of_the_world(folder: &str) -> Vec<String> {
    let found = modules(folder).into_iter().flat_map(|module| {
        let text = production(&format!("{module}.rs"));
        WORLD
            .iter()
            .filter(|word| text.contains(**word))
            .map(|word| format!("{module} uses {word}"))
            .collect::<Vec<_>>()
    });
    found.collect()
}

/// What `cargo tree` lists for a package, without development dependencies.
fn dependencies(package: &str) -> BTreeSet<String> {
    let tree = ["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--package", package];
    let output = Command::new(env!("CARGO")).args(tree).current_dir(ROOT).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_core_depends_on_nothing_that_reaches_the_world() {
    let (core, operator) = (dependencies("syniverse-token-core"), dependencies("syniverse-token-operator"));
    let breaches: Vec<_> = FORBIDDEN.iter().filter(|name| core.contains(**name)).collect();
    assert_eq!(breaches, Vec::<&&str>::new());
    assert!(["tokio", "kube-client", "reqwest"].iter().all(|name| operator.contains(*name)), "{operator:?}");
}

#[test]
fn the_core_uses_no_way_of_the_standard_library_to_the_world() {
    assert_eq!(words_of_the_world(CORE), Vec::<String>::new());
    assert!(!words_of_the_world(OPERATOR).is_empty(), "nothing is seen at all");
}

/// For each module at the top of `folder`, the others that it, or a module in it, names.
fn imports(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let names = fs::read_dir(folder).unwrap().map(|entry| stem(&entry.unwrap().path()));
    let tops: BTreeSet<_> = names.filter(|name| !["lib", "main"].contains(&name.as_str())).collect();
    let text = |top: &str| {
        let inner = Path::new(&format!("{folder}/{top}")).is_dir().then(|| modules(&format!("{folder}/{top}")));
        let files = inner.into_iter().flatten().chain([format!("{folder}/{top}")]);
        files.map(|file| production(&format!("{file}.rs"))).collect::<String>()
    };
    let named = |top: &String| {
        let text = text(top);
        tops.iter().filter(|other| *other != top && text.contains(&format!("crate::{other}::"))).cloned().collect()
    };
    tops.iter().map(|top| (top.clone(), named(top))).collect()
}

/// The modules that import each other, directly or by way of others.
fn circles(mut imports: BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    while let Some(leaf) = imports.iter().find(|(_, to)| to.iter().all(|other| !imports.contains_key(other))) {
        let leaf = leaf.0.clone();
        imports.remove(&leaf);
    }
    imports.into_keys().collect()
}

#[test]
fn imports_run_one_way() {
    assert!(imports(CORE)["plan"].contains("memory"), "imports are not seen at all");
    assert_eq!(circles(imports(CORE)), Vec::<String>::new());
    assert_eq!(circles(imports(OPERATOR)), Vec::<String>::new());
    assert_eq!(circles(imports(&format!("{OPERATOR}/controller"))), Vec::<String>::new());
}
