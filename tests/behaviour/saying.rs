//! What the operator says: status as kstatus and kubectl read it, and Events.

use crate::support::*;
use issuer_simulator::fault::{Action, Fault};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use syniverse_token_core::api::SyniverseToken;

fn is_true(resource: &SyniverseToken, kind: &str) -> bool {
    condition(resource, kind).unwrap().status == "True"
}

fn refusal() -> Fault {
    Fault::always(Action::Fail { status: 500, retry_after: None, body: Default::default(), at: Default::default() })
}

#[tokio::test]
async fn a_resource_that_nobody_has_seen_is_in_progress() {
    let stage = Stage::dark().await;
    let resource = stage.apply(NAME, stage.spec("1h")).await;
    assert_eq!(resource.status.unwrap().observed_generation, Some(-1));
}

#[tokio::test]
async fn a_resource_is_in_progress_until_its_first_token_and_never_again() {
    let stage = Stage::open().await;
    stage.simulator.fault(refusal());
    stage.apply(NAME, stage.spec("1h")).await;
    let failing = stage.until_reason(NAME, "RefreshFailed").await;
    assert!(is_true(&failing, "Reconciling") && !is_true(&failing, "Ready") && !is_true(&failing, "Stalled"));
    stage.simulator.clear_faults();
    let ready = stage.until_ready(NAME).await;
    assert!(!is_true(&ready, "Reconciling") && !is_true(&ready, "Stalled"));
    stage.simulator.fault(refusal());
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "1"}}})).await;
    let failing = stage.until_reason(NAME, "RefreshFailed").await;
    assert!(is_true(&failing, "Ready") && !is_true(&failing, "Reconciling") && !is_true(&failing, "Stalled"));
}

#[tokio::test]
async fn a_resource_whose_first_call_hangs_is_said_to_be_pending_meanwhile() {
    let mut stage = Stage::dark().await;
    stage.start_operator(&["--call-timeout=20s"]);
    stage.simulator.fault(Fault::always(Action::Hang { at: Default::default() }));
    stage.apply(NAME, stage.spec("1h")).await;
    stage.until_calls(1).await;
    // Said before the call, which hangs for 20 s from here on.
    let resource = stage.tokens.get(NAME).await.unwrap();
    assert_eq!((ready_reason(&resource), is_true(&resource, "Reconciling")), ("Pending", true));
    assert_eq!(resource.status.unwrap().observed_generation, Some(1));
}

/// What somebody else may make of a status.
fn forged(message: &str) -> serde_json::Value {
    let forged = json!({"type": "Ready", "status": "False", "reason": "Forged", "message": message,
        "lastTransitionTime": "2020-01-01T00:00:00Z"});
    json!({"status": {"conditions": [forged], "fingerprint": "00000000"}})
}

async fn forge(stage: &Stage, message: &str) {
    let (how, status) = (PatchParams::default(), Patch::Merge(forged(message)));
    stage.tokens.patch_status(NAME, &how, &status).await.unwrap();
}

#[tokio::test]
async fn a_status_that_somebody_else_writes_is_put_right_within_seconds_without_a_call() {
    let stage = Stage::open().await;
    let before = stage.issued("1h").await;
    forge(&stage, "not ours").await;
    assert_eq!(stage.until_ready(NAME).await.status, before.status);
    // A status that was ours before is somebody else's as well.
    let older = json!({"status": {"observedGeneration": 1, "conditions": null, "fingerprint": null}});
    stage.tokens.patch_status(NAME, &PatchParams::default(), &Patch::Merge(older)).await.unwrap();
    assert_eq!(stage.until_ready(NAME).await.status, before.status);
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn who_writes_the_status_again_and_again_is_not_fought_for_ever() {
    let mut stage = Stage::open().await;
    stage.issued("1h").await;
    let written = |log: String| log.matches("wrote status").count();
    let before = written(stage.operator().log());
    for round in 0..200 {
        forge(&stage, &format!("round {round}")).await;
    }
    // Something else makes a pass, whose event comes after all of these, and puts it right.
    stage.change(NAME, json!({"spec": {"secret": {"labels": {"a": "b"}}}})).await;
    stage.until_ready(NAME).await;
    let after = written(stage.operator().log());
    assert!(after - before <= 12, "{} writes", after - before);
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn status_speaks_of_the_generation_it_has_seen_and_keeps_transition_times() {
    let stage = Stage::open().await;
    let before = stage.issued("1h").await;
    // Times are whole seconds: a new one would not show within the same second.
    let since = condition(&before, "Ready").unwrap().last_transition_time.0;
    let later = async || (Timestamp::now().as_second() > since.as_second()).then_some(());
    harness::wait_for("the next second", PATIENCE, later).await.unwrap();
    stage.change(NAME, json!({"spec": {"secret": {"labels": {"a": "b"}}}})).await;
    let after = stage.until_ready(NAME).await;
    assert_eq!(after.metadata.generation, Some(2));
    let (ready, was) = (condition(&after, "Ready").unwrap(), condition(&before, "Ready").unwrap());
    assert_eq!(ready.observed_generation, Some(2));
    assert_eq!(ready.last_transition_time, was.last_transition_time);
    let status = after.status.as_ref().unwrap();
    assert_eq!(status.secret_name.as_deref(), Some(NAME));
    assert_eq!(status.fingerprint, Some(fingerprint(&stage.token().await)));
}

#[tokio::test]
async fn the_next_refresh_is_planned_a_lead_before_expiry() {
    let stage = Stage::open().await;
    let status = stage.issued("1h").await.status.unwrap();
    let time = |text: Option<String>| text.unwrap().parse::<Timestamp>().unwrap();
    let lead = time(status.expiration_time).duration_since(time(status.next_refresh_time));
    assert_eq!(lead.as_secs(), 300);
}

#[tokio::test]
async fn kubectl_waits_for_ready_and_shows_the_token_at_a_glance() {
    let stage = Stage::open().await;
    stage.apply(NAME, stage.spec("1h")).await;
    let waited = stage.kubectl(&["wait", "--for=condition=Ready", "syt/messaging", "--timeout=30s"]).await;
    assert!(waited.contains("condition met"), "{waited}");
    let expires = stage.tokens.get(NAME).await.unwrap().status.unwrap().expiration_time.unwrap();
    let table = stage.kubectl(&["get", "syt"]).await;
    let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "READY", "REASON", "SECRET", "EXPIRES", "AGE"]);
    assert_eq!(rows[1][..5], [NAME, "True", "Issued", NAME, &expires]);
    let wide = stage.kubectl(&["get", "syniverse", "--output=wide", "--no-headers"]).await;
    assert_eq!(wide.split_whitespace().count(), 7, "{wide}");
}

#[tokio::test]
async fn a_token_its_rotation_its_repair_a_failure_and_the_recovery_are_events() {
    let stage = Stage::open().await;
    stage.issued("3s").await;
    let old = stage.token().await;
    stage.until_rotated(&old).await;
    stage.until_ready(NAME).await;
    stage.until_noticed(NAME).await;
    stage.simulator.fault(refusal());
    stage.until_reason(NAME, "RefreshFailed").await;
    stage.simulator.clear_faults();
    stage.until(NAME, "recovered", |resource| is_ready(resource) && ready_reason(resource) == "Issued").await;
    let wanted = [
        ("Normal", "Issued"),
        ("Normal", "Rotated"),
        ("Normal", "Repaired"),
        ("Warning", "RefreshFailed"),
        ("Normal", "Recovered"),
    ];
    for (kind, reason) in wanted {
        until_event(&stage, kind, reason).await;
    }
}

async fn until_event(stage: &Stage, kind: &str, reason: &str) {
    let events: Api<Event> = Api::namespaced(stage.cluster.client().await.unwrap(), stage.namespace.name());
    let about = ListParams::default().fields(&format!("involvedObject.name={NAME},reason={reason},type={kind}"));
    let seen = async || (!events.list(&about).await.ok()?.items.is_empty()).then_some(());
    harness::wait_for(&format!("the Event {reason}"), PATIENCE, seen).await.unwrap();
}
