//! The commands about tokens.

use crate::command::{Said, on, on_with, said};
use crate::support::*;
use harness::{Scratch, wait_for};
use issuer_simulator::fault::{Action, Fault};
use serde_json::{Value, json};
use std::process::Command;

/// What no command may print.
const SECRETS: [&str; 3] = [CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN];

async fn assert_says_no_secret(stage: &Stage, told: &Said) {
    let token = stage.token().await;
    for secret in SECRETS.into_iter().chain([token.as_str()]) {
        assert!(!told.out.contains(secret) && !told.err.contains(secret), "{told:?}");
    }
}

#[tokio::test]
async fn status_shows_a_live_token_with_exit_0_and_one_without_a_token_with_exit_1() {
    let stage = Stage::open().await;
    let token = stage.issued("1h").await;
    let told = on(&stage, &["status"]).await;
    let fingerprint = token.status.unwrap().fingerprint.unwrap();
    let row: Vec<_> = told.out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((told.code, &row[..2], row[5]), (0, ["messaging", "ok"].as_slice(), fingerprint.as_str()), "{told:?}");
    assert!(row[2].starts_with("59m") || row[2] == "1h", "{row:?}");
    assert_says_no_secret(&stage, &told).await;

    let mut lost = stage.spec("1h");
    lost["application"]["credentials"]["secretRef"]["name"] = json!("nowhere");
    stage.apply("lost", lost).await;
    stage.until_reason("lost", "CredentialsNotFound").await;
    let told = on(&stage, &["status", "--only", "failing"]).await;
    assert_eq!(told.code, 1);
    assert!(told.out.contains("CredentialsNotFound: ") && !told.out.contains("messaging "), "{told:?}");
    let told = on(&stage, &["status", "-o", "json"]).await;
    let document: Value = serde_json::from_str(&told.out).unwrap();
    let ready: Vec<_> = document["tokens"].as_array().unwrap().iter().map(|token| token["ready"].clone()).collect();
    assert_eq!((told.code, ready), (1, vec![json!(false), json!(true)]));
}

#[tokio::test]
async fn the_story_of_a_token_has_what_to_know_of_it() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let issued = async || on(&stage, &["events", NAME]).await.out.contains("Issued").then_some(());
    wait_for("the Event", PATIENCE, issued).await.unwrap();
    let told = on(&stage, &["status", NAME]).await;
    for part in
        ["in Secret messaging, key accessToken", "Issued: ", "check at", "credentials in Secret sdc-application"]
    {
        assert!(told.out.contains(part), "{part}: {told:?}");
    }
    assert_says_no_secret(&stage, &told).await;
    let told = on(&stage, &["status", "nobody"]).await;
    assert_eq!(told.code, 2);
    assert!(told.err.contains("\"nobody\" not found"), "{told:?}");
}

#[tokio::test]
async fn a_refresh_says_whether_the_token_is_another_one() {
    let stage = Stage::open().await;
    let token = stage.issued("1h").await;
    let fingerprint = token.status.unwrap().fingerprint.unwrap();
    let told = on(&stage, &["refresh", NAME, "--wait"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.out.starts_with(&format!("messaging: asked, same token {fingerprint}, 59m")), "{told:?}");
    let told = on(&stage, &["refresh", "nobody", NAME]).await;
    assert_eq!((told.code, told.out.as_str()), (1, "messaging: asked for\n"), "{told:?}");
    stage.change(NAME, json!({"spec": {"suspend": true}})).await;
    let told = on(&stage, &["refresh", NAME, "--wait"]).await;
    assert!(told.code == 1 && told.err.contains("it is suspended"), "{told:?}");
    stage.change(NAME, json!({"spec": {"suspend": false}})).await;
    stage.simulator.fault(Fault::always(Action::Fail {
        status: 503,
        retry_after: None,
        body: Default::default(),
        at: Default::default(),
    }));
    let told = on(&stage, &["refresh", NAME, "--wait=2s"]).await;
    assert_eq!(told.code, 1);
    assert!(told.out.starts_with("messaging: no answer within 2s"), "{told:?}");
}

#[tokio::test]
async fn suspend_and_resume_are_seen_by_the_operator() {
    let stage = Stage::open().await;
    stage.issued("1h").await;
    let told = on(&stage, &["suspend", NAME]).await;
    assert!(told.out.starts_with("messaging: suspended; its token runs out at 20"), "{told:?}");
    stage.until_reason(NAME, "Suspended").await;
    assert!(on(&stage, &["status"]).await.out.contains("suspended"));
    let told = on(&stage, &["resume", NAME]).await;
    assert_eq!((told.code, told.out.as_str()), (0, "messaging: resumed\n"));
    stage.until_reason(NAME, "Issued").await;
}

#[tokio::test]
async fn create_makes_both_objects_and_waits_and_takes_no_value_as_an_argument() {
    let stage = Stage::open().await;
    let endpoint = stage.simulator.endpoint();
    let create = |name: &'static str| vec!["create", name, "--endpoint", &endpoint, "--from-env-file", "-"];
    let lines = format!("consumerKey={CONSUMER_KEY}\nconsumerSecret={CONSUMER_SECRET}\noldToken={PORTAL_TOKEN}\n");
    let told = on_with(&stage, &create(NAME), &lines).await;
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.out.contains("Secret messaging holds token "), "{told:?}");
    assert_says_no_secret(&stage, &told).await;
    let told = on_with(&stage, &[create("another"), vec!["--credentials", "messaging-credentials"]].concat(), "").await;
    assert_eq!(told.code, 2);
    assert!(told.err.contains("Secret messaging-credentials exists"), "{told:?}");
    let told = on(&stage, &["create", "Upper", "--from-env-file", "-"]).await;
    assert!(told.code == 2 && told.err.contains("does not take this SyniverseToken"), "{told:?}");
    let told = on_with(&stage, &create("half"), "consumerKey=canary-half\n").await;
    assert!(told.code == 2 && told.err.contains("no value of consumerSecret, oldToken"), "{told:?}");
    let told = on(&stage, &["create", "third"]).await;
    assert!(told.code == 2 && told.err.contains("standard input is no terminal"), "{told:?}");
    assert!(stage.tokens.get_opt("third").await.unwrap().is_none());
}

/// A policy sees the values, and may quote them.
#[tokio::test]
async fn what_a_policy_says_of_the_credentials_is_not_repeated_where_it_quotes_them() {
    let stage = Stage::dark().await;
    let name = format!("quotes-{}", stage.namespace.name());
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name}, "spec": {"failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["secrets"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace.name()}}},
            "validations": [{"expression": "!('consumerSecret' in object.data)",
                "messageExpression": "'bad value ' + object.data['consumerSecret']"}]}});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}});
    for object in [policy, binding] {
        stage.cluster.kubectl_with(&["apply", "-f", "-"], &object.to_string()).unwrap();
    }
    let values = "consumerKey=canary-a\nconsumerSecret=canary-b\noldToken=canary-c\n";
    let encoded = "Y2FuYXJ5LWI=";
    let refused = async || {
        let told = on_with(&stage, &["create", "quoted", "--from-env-file", "-", "--wait", "0s"], values).await;
        assert!(!told.err.contains(encoded) && !told.err.contains("canary-b"), "{told:?}");
        let made = stage.tokens.get_opt("quoted").await.unwrap().is_some();
        if made {
            // The API server learns of a policy some time later.
            stage.delete("quoted").await;
            stage.delete_secret("quoted-credentials").await;
        }
        (!made).then_some(told)
    };
    let told = wait_for("the policy", PATIENCE, refused).await.unwrap();
    assert!(told.err.contains("Secret quoted-credentials could not be made") && told.code == 2, "{told:?}");
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        stage.cluster.kubectl(&["delete", kind, &name]).unwrap();
    }
}

#[tokio::test]
async fn consumers_tells_who_holds_an_older_token() {
    let workloads = Workloads::on(Stage::open().await).await;
    workloads.run_pod("file", with_volume()).await;
    workloads.run_pod("variable", json!({"container": {"envFrom": [{"secretRef": {"name": NAME}}]}})).await;
    workloads.run_since("variable", "2026-01-01T00:00:00Z").await;
    workloads.run_pod("other", with_volume_of("another")).await;
    let stage = &workloads.stage;
    stage.issued("1h").await;
    let told = on(stage, &["consumers", NAME]).await;
    assert_eq!(told.code, 1);
    let line = |pod: &str| told.out.lines().find(|line| line.contains(pod)).unwrap_or_default().to_owned();
    assert!(line(" variable ").contains("environment or subPath"), "{told:?}");
    assert!(line(" variable ").contains("an older token"), "{told:?}");
    assert!(line(" file ").contains("within 90s") && !told.out.contains(" other "), "{told:?}");
    assert!(on(stage, &["status"]).await.out.contains("0/2"));
}

#[tokio::test]
async fn a_plugin_speaks_of_itself_as_one_and_a_shell_completes_it() {
    let scratch = Scratch::new().unwrap();
    let plugin = scratch.path().join("kubectl-syniverse_token");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_syniverse-token-operator"), &plugin).unwrap();
    let called = async |arguments: &[&str]| {
        let mut command = Command::new(&plugin);
        command.args(arguments);
        said(command, String::new()).await
    };
    let help = called(&["--help"]).await.out;
    assert!(help.contains("Usage: kubectl syniverse-token <COMMAND>") && !help.contains("  run "), "{help}");
    for (shell, word) in [("bash", "complete -F"), ("zsh", "#compdef"), ("fish", "complete -c")] {
        let script = called(&["completion", shell]).await.out;
        assert!(script.contains(word) && script.contains("kubectl-syniverse_token"), "{shell}");
    }
    let completing = scratch.path().join("kubectl_complete-syniverse_token");
    std::os::unix::fs::symlink(&plugin, &completing).unwrap();
    let mut command = Command::new(&completing);
    command.args(["s"]);
    assert_eq!(said(command, String::new()).await.out, "status\nsuspend\nsimulate\n:4\n");
    assert_eq!(called(&["version"]).await.out, concat!(env!("CARGO_PKG_VERSION"), "\n"));
    let told = called(&["status", "--kubeconfig", "nowhere"]).await;
    assert!(told.code == 2 && told.err.starts_with("error: no cluster"), "{told:?}");
}
