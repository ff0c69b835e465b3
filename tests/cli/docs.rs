//! The page about the command line: each output is that of a run.

use crate::check::Installation;
use crate::command::said;
use crate::support::*;
use harness::Scratch;
use issuer_simulator::application::NewApplication;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PAGE: &str = "docs/command-line.md";
/// What the page shows instead of what differs from run to run.
const ENDPOINT: &str = "https://127.0.0.1:8443/refresh";
const NAMESPACE: &str = "payments";

/// A folder with a plugin, a kubeconfig of the stage's namespace, and the values of an application.
fn desk(stage: &Stage) -> Scratch {
    let desk = Scratch::new().unwrap();
    let at = |name: &str| desk.path().join(name);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_syniverse-token-operator"), at("kubectl-syniverse_token")).unwrap();
    std::os::unix::fs::symlink(Path::new(ROOT).join("examples"), at("examples")).unwrap();
    fs::copy(stage.cluster.kubeconfig(), at("kubeconfig")).unwrap();
    let mut kubectl = Command::new("env");
    let context = ["config", "set-context", "--current", "--namespace", stage.namespace.name()];
    kubectl.arg(stage.cluster.kubectl_command().get_program()).args(context).env("KUBECONFIG", at("kubeconfig"));
    assert!(kubectl.output().unwrap().status.success());
    fs::write(at("values.env"), "consumerKey=key\nconsumerSecret=secret\noldToken=old\n").unwrap();
    desk
}

/// What a command of the page says, on standard output and standard error.
async fn output(stage: &Stage, desk: &Path, line: &str) -> String {
    let words = line.strip_prefix("$ kubectl syniverse-token ").expect("a command of the plugin").split(' ');
    let own = |word: &str| match word {
        ENDPOINT => stage.simulator.endpoint(),
        NAMESPACE => stage.namespace.name().to_owned(),
        _ => word.to_owned(),
    };
    let words: Vec<_> = words.map(own).collect();
    let mut command = Command::new(desk.join("kubectl-syniverse_token"));
    command.args(words).current_dir(desk).env("KUBECONFIG", desk.join("kubeconfig"));
    let told = said(command, String::new()).await;
    format!("{}{}", told.err, told.out).replace(stage.namespace.name(), NAMESPACE)
}

/// The page with the output of every command that it shows, in their order.
async fn run_page(stage: &Stage, desk: &Path, page: &str) -> String {
    let (mut shown, mut is_console) = (String::new(), false);
    for line in page.lines() {
        match line {
            "```console" => is_console = true,
            "```" => is_console = false,
            _ => {}
        }
        if is_console && !line.starts_with("$ ") && line != "```console" {
            continue;
        }
        shown += line;
        shown += "\n";
        if is_console && line.starts_with("$ ") {
            shown += &output(stage, desk, line).await;
        }
    }
    shown
}

/// The text without what differs from run to run: numbers, times, fingerprints, and the width of columns.
fn masked(text: &str) -> String {
    let words = text.lines().map(|line| {
        let is_hex = |word: &str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mask = |word: &str| {
            let parts = word.split(|letter: char| !letter.is_ascii_alphanumeric()).any(is_hex);
            if parts || word.bytes().any(|byte| byte.is_ascii_digit()) { "#".to_owned() } else { word.to_owned() }
        };
        line.split_whitespace().map(mask).collect::<Vec<_>>().join(" ")
    });
    words.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_page_shows_what_each_command_says() {
    let Installation { stage, control_plane, .. } = Installation::healthy().await;
    let workloads = Workloads::on(stage).await;
    workloads.run_pod("web-1", with_volume()).await;
    workloads.run_pod("batch-1", json!({"container": {"envFrom": [{"secretRef": {"name": NAME}}]}})).await;
    workloads.run_since("batch-1", "2026-01-01T00:00:00Z").await;
    let stage = &workloads.stage;
    let mut billing = stage.spec("1h");
    billing["application"]["credentials"]["secretRef"]["name"] = json!("billing-credentials");
    stage.apply("billing", billing).await;
    stage.until_reason("billing", "CredentialsNotFound").await;
    stage.simulator.add_application(NewApplication::expired("key", "secret", "old"));
    let (file, desk) = (PathBuf::from(ROOT).join(PAGE), desk(stage));
    let page = fs::read_to_string(&file).unwrap();
    let shown = run_page(stage, desk.path(), &page).await;
    assert!(!shown.contains(&stage.token().await));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(file, shown).unwrap();
    } else {
        assert_eq!(masked(&page), masked(&shown), "make docs writes it anew");
    }
    drop(control_plane);
}
