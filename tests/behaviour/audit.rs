//! The audit log: each request to an issuer and each write has its line, and no trouble of the log reaches a token.

use crate::support::*;
use harness::{Scratch, wait_for};
use issuer_simulator::fault::{Action, FailBody, Fault, Stage as When};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit.md");
const OPEN: &str = "<!-- sample -->\n```json\n";
const CLOSE: &str = "```\n<!-- /sample -->\n";

/// A stage whose operator has an audit log.
struct Audited {
    stage: Stage,
    path: PathBuf,
    _scratch: Scratch,
}

impl Audited {
    async fn open() -> Self {
        let (mut stage, scratch) = (Stage::dark().await, Scratch::new().unwrap());
        let path = scratch.path().join("audit.log");
        stage.start_operator(&["--audit-log", path.to_str().unwrap()]);
        Self { stage, path, _scratch: scratch }
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits for a line that is as `holds` says.
    async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let found = async || self.lines().into_iter().find(|line| holds(line));
        wait_for(&format!("a line of the audit log: {what}"), PATIENCE, found).await.unwrap()
    }
}

fn is(line: &Value, fields: Value) -> bool {
    fields.as_object().unwrap().iter().all(|(name, value)| line[name] == *value)
}

#[tokio::test]
async fn each_call_and_each_write_of_a_rotation_has_its_line() {
    let audited = Audited::open().await;
    let stage = &audited.stage;
    let resource = stage.issued("3s").await;
    let old = stage.token().await;
    let new = stage.until_rotated(&old).await;
    stage.change(NAME, json!({"spec": {"suspend": true}})).await;
    stage.until_reason(NAME, "Suspended").await;
    let (before, after) = (fingerprint(&old), fingerprint(&new));
    let written = stage.secret(NAME).await.resource_version();
    let write = audited.until("the write of the new token", |line| line["object"]["resourceVersion"] == json!(written));
    let write = write.await;
    let fields = json!({"action": "write-token-secret", "phase": "outcome", "cause": "boundary", "outcome": "success",
        "before": before, "after": after});
    assert!(is(&write, fields), "{write}");
    let generation = resource.metadata.generation;
    let of =
        json!({"namespace": stage.namespace.name(), "name": NAME, "uid": resource.uid(), "generation": generation});
    assert_eq!(write["resource"], of);

    let lines = audited.lines();
    let sequence: Vec<_> = lines.iter().map(|line| line["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequence, (1..=lines.len() as u64).collect::<Vec<_>>());
    let of_calls = |phase: &str| {
        let calls = lines.iter().filter(|line| is(line, json!({"action": "issuing-call", "phase": phase})));
        calls.collect::<Vec<_>>()
    };
    let (attempts, outcomes) = (of_calls("attempt"), of_calls("outcome"));
    let journal = stage.simulator.journal();
    assert_eq!((attempts.len(), outcomes.len()), (journal.calls.len(), journal.calls.len()));
    for ((attempt, outcome), call) in attempts.iter().zip(&outcomes).zip(&journal.calls) {
        assert_eq!(outcome["attempt"], attempt["sequence"]);
        assert_eq!(outcome["after"], json!(call.token.as_deref().map(fingerprint)));
        let begun: jiff::Timestamp = attempt["time"].as_str().unwrap().parse().unwrap();
        assert!(begun <= call.received, "{attempt} is later than the call");
    }
    assert!(is(attempts[0], json!({"cause": "first-issue", "issuer": "application"})), "{}", attempts[0]);
    let at = lines.iter().position(|line| *line == write).unwrap();
    sample(&audited, &lines[..=at]);
}

/// Compares the lines of the page, or writes them with `UPDATE_DOCS`: the last call to the issuer, and what followed.
fn sample(audited: &Audited, lines: &[Value]) {
    let begin = lines.iter().rposition(|line| line["action"] == "issuing-call" && line["phase"] == "attempt").unwrap();
    let page = fs::read_to_string(PAGE).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = fs::read_to_string(&audited.path).unwrap();
        let text: String = text.lines().take(lines.len()).skip(begin).map(|line| format!("{line}\n")).collect();
        let (before, rest) = page.split_once("<!-- sample -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- /sample -->\n").unwrap();
        return fs::write(PAGE, format!("{before}{OPEN}{text}{CLOSE}{after}")).unwrap();
    }
    let (_, rest) = page.split_once(OPEN).unwrap();
    let (text, _) = rest.split_once(CLOSE).unwrap();
    let shown: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shapes = |lines: &[Value]| lines.iter().map(shape).collect::<Vec<_>>();
    assert_eq!(shapes(&shown), shapes(&lines[begin..]), "{PAGE} is out of date: run `make docs`");
}

/// The names of the fields, and what is done.
fn shape(line: &Value) -> (String, BTreeSet<String>) {
    let fields = line.as_object().unwrap().iter();
    let names = fields.flat_map(|(name, value)| {
        let inner =
            value.as_object().into_iter().flat_map(move |inner| inner.keys().map(move |key| format!("{name}.{key}")));
        inner.chain([name.clone()])
    });
    (format!("{} {}", line["action"], line["phase"]), names.collect())
}

#[tokio::test]
async fn a_line_says_why() {
    let audited = Audited::open().await;
    let stage = &audited.stage;
    stage.issued("1h").await;
    stage.until_noticed(NAME).await;
    let repaired = json!({"action": "write-token-secret", "cause": "repair", "outcome": "success"});
    audited.until("the repair", |line| is(line, repaired.clone())).await;
    let refresh = json!({"metadata": {"annotations": {"syniverse.dev/refresh": "now"}}});
    stage.change(NAME, refresh).await;
    audited.until("the request", |line| is(line, json!({"action": "issuing-call", "cause": "requested"}))).await;
    let label = json!({"spec": {"secret": {"labels": {"team": "a"}}}});
    stage.change(NAME, label).await;
    let other = json!({"action": "write-token-secret", "cause": "content", "outcome": "success"});
    let line = audited.until("the label", |line| is(line, other.clone())).await;
    assert_eq!(line["before"], line["after"]);
    assert_eq!(line["before"], json!(fingerprint(&stage.token().await)));
}

#[tokio::test]
async fn a_failed_call_has_its_status_and_no_word_of_the_issuer() {
    let audited = Audited::open().await;
    let body = FailBody::Text(json!({"errorCode": 1, "userMsg": "free text"}).to_string());
    let action = Action::Fail { status: 503, retry_after: None, body, at: When::BeforeWork };
    audited.stage.simulator.fault(Fault::once(action));
    audited.stage.issued("1h").await;
    let failed = json!({"action": "issuing-call", "outcome": "unavailable", "status": 503});
    let line = audited.until("the failure", |line| is(line, failed.clone())).await;
    assert!(line.get("after").is_none(), "{line}");
    assert!(!fs::read_to_string(&audited.path).unwrap().contains("free text"));
}

#[tokio::test]
async fn a_call_that_a_kill_cut_off_is_in_the_log() {
    let mut audited = Audited::open().await;
    audited.stage.simulator.fault(Fault::once(Action::Hang { at: When::AfterWork }));
    audited.stage.apply(NAME, audited.stage.spec("1h")).await;
    audited.stage.until_calls(1).await;
    audited.stage.operator().kill9();
    let lines = audited.lines();
    let calls: Vec<_> = lines.iter().filter(|line| line["action"] == "issuing-call").collect();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(is(calls[0], json!({"phase": "attempt", "cause": "first-issue"})), "{}", calls[0]);
    audited.stage.operator().restart().unwrap();
    audited.stage.until_ready(NAME).await;
    let ended = json!({"action": "issuing-call", "phase": "outcome", "outcome": "success"});
    let later = audited.until("the call of the next process", |line| is(line, ended.clone())).await;
    assert_ne!(later["process"], calls[0]["process"]);
}

#[tokio::test]
async fn a_write_that_is_refused_has_its_line() {
    let audited = Audited::open().await;
    audited.stage.issued("1h").await;
    audited.stage.kubectl(&["create", "quota", "none", "--hard=count/secrets=1"]).await;
    audited.stage.delete_secret(NAME).await;
    let refused = json!({"action": "write-token-secret", "cause": "repair", "outcome": "refused", "status": 403});
    let line = audited.until("the refusal", |line| is(line, refused.clone())).await;
    assert!(line["object"].get("resourceVersion").is_none(), "{line}");
}

#[tokio::test]
async fn a_full_disk_stops_no_rotation_and_is_said_once() {
    let (mut stage, port) = (Stage::dark().await, harness::free_port().unwrap());
    stage.start_operator(&["--audit-log=/dev/full", &format!("--listen=127.0.0.1:{port}")]);
    stage.issued("3s").await;
    let old = stage.token().await;
    stage.until_rotated(&old).await;
    let said = stage.operator().log();
    assert_eq!(said.matches("the audit log cannot be written").count(), 1, "{said}");
    let page = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.unwrap().text().await.unwrap();
    let lost = page.lines().find_map(|line| line.strip_prefix("syniverse_token_audit_lines_lost_total "));
    assert!(lost.unwrap().parse::<u64>().unwrap() >= 8, "{lost:?}");
}

#[tokio::test]
async fn pods_and_workloads_have_their_lines() {
    let (mut stage, scratch) = (Stage::dark().await, Scratch::new().unwrap());
    let path = scratch.path().join("audit.log");
    let [list, patch] = may_tell();
    stage.grant(&[list, patch, may_restart()]).await;
    stage.start_operator(&["--audit-log", path.to_str().unwrap()]);
    let scene = Workloads::on(stage).await;
    scene.run_pod("volume", with_volume()).await;
    scene.deploy("web", json!({}), with_environment()).await;
    scene.apply("1h", json!({"pods": "Annotate", "restart": {"mode": "Unaware"}})).await;
    scene.stage.until_ready(NAME).await;
    scene.until_delivered().await;
    let pod = scene.pods.get("volume").await.unwrap().resource_version();
    let deployment = scene.until_restarted("web").await;
    let token = fingerprint(&scene.stage.token().await);
    let audited = Audited { stage: scene.stage, path, _scratch: scratch };
    let told = audited.until("the Pod", |line| line["action"] == "announce-pod").await;
    let fields = json!({"cause": "delivery", "outcome": "success", "after": token,
        "object": {"kind": "Pod", "name": "volume", "resourceVersion": pod}});
    assert!(is(&told, fields), "{told}");
    let restarted = audited.until("the Deployment", |line| line["action"] == "restart-workload").await;
    assert_eq!(restarted["object"]["name"], json!(deployment.meta().name));
    assert!(is(&restarted, json!({"cause": "delivery", "outcome": "success", "after": token})), "{restarted}");
    assert_eq!(restarted["object"]["kind"], "Deployment");
}

#[tokio::test]
async fn standard_output_holds_nothing_but_the_audit_log_to_its_last_line() {
    let mut stage = Stage::dark().await;
    stage.start_operator(&["--audit-log=-"]);
    stage.issued("1h").await;
    stage.operator().stop(PATIENCE).await.unwrap();
    let log = stage.operator().log();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(lines.last().unwrap()["action"], "write-token-secret", "{log}");
}
