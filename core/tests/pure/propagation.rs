//! Who is told of a new token, which workloads are restarted for it, and what the status says.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use serde_json::{Value, from_value, json};
use std::time::Duration;
use syniverse_token_core::api::{PropagationSpec, RestartPropagation, SyniverseTokenStatus};
use syniverse_token_core::propagation::*;
use syniverse_token_core::reason::Reason;

const SECRET: &str = "messaging";
const TOKEN: &str = "ba7816bf";

fn spec(volumes: Value, container: Value) -> PodSpec {
    let mut container = container;
    container["name"] = json!("app");
    from_value(json!({"containers": [container], "volumes": volumes, "nodeName": "node"})).unwrap()
}

fn mount(fields: Value) -> Value {
    let mut mount = fields;
    (mount["name"], mount["mountPath"]) = (json!("v"), json!("/token"));
    json!({"volumeMounts": [mount]})
}

fn secret_volume() -> Value {
    json!([{"name": "v", "secret": {"secretName": SECRET}}])
}

fn uses(volumes: Value, container: Value) -> (bool, bool) {
    let found = secret_use(&spec(volumes, container), SECRET);
    (found.sees_changes, found.is_blind)
}

#[test]
fn a_mounted_volume_sees_changes_and_everything_else_does_not() {
    let projected = json!([{"name": "v", "projected": {"sources": [{"configMap": {"name": SECRET}}, {"secret": {"name": SECRET}}]}}]);
    let other = json!([{"name": "v", "secret": {"secretName": "other"}}]);
    let of_map = json!([{"name": "v", "configMap": {"name": SECRET}}]);
    assert_eq!(uses(secret_volume(), mount(json!({}))), (true, false));
    assert_eq!(uses(projected, mount(json!({}))), (true, false));
    assert_eq!(uses(secret_volume(), mount(json!({"subPath": ""}))), (true, false));
    assert_eq!(uses(secret_volume(), mount(json!({"subPath": "accessToken"}))), (false, true));
    assert_eq!(uses(secret_volume(), mount(json!({"subPathExpr": "$(A)"}))), (false, true));
    assert_eq!(uses(secret_volume(), json!({})), (false, false), "no container mounts it");
    assert_eq!(uses(other, mount(json!({}))), (false, false));
    assert_eq!(uses(of_map, mount(json!({}))), (false, false));
    let single = json!({"env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": SECRET, "key": "k"}}}]});
    let whole = json!({"envFrom": [{"secretRef": {"name": SECRET}}]});
    let other = json!({"envFrom": [{"secretRef": {"name": "other"}}, {"configMapRef": {"name": SECRET}}]});
    assert_eq!(uses(json!([]), single), (false, true));
    assert_eq!(uses(json!([]), whole), (false, true));
    assert_eq!(uses(json!([]), other), (false, false));
}

#[test]
fn containers_of_every_kind_are_looked_at() {
    for kind in ["initContainers", "ephemeralContainers"] {
        let mut container = mount(json!({}));
        container["name"] = json!("other");
        let spec = json!({"containers": [{"name": "app"}], "volumes": secret_volume(), kind: [container]});
        assert!(secret_use(&from_value(spec).unwrap(), SECRET).sees_changes, "{kind}");
    }
}

fn pod(metadata: Value) -> Pod {
    from_value(json!({"metadata": metadata, "spec": spec(secret_volume(), mount(json!({})))})).unwrap()
}

#[test]
fn a_pod_is_reached_while_a_kubelet_runs_it() {
    assert!(is_reached(&pod(json!({})), SECRET));
    assert!(!is_reached(&pod(json!({})), "other"));
    assert!(!is_reached(&pod(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"})), SECRET));
    assert!(!is_reached(&pod(json!({"annotations": {"kubernetes.io/config.mirror": "x"}})), SECRET));
    let mut unplaced = pod(json!({}));
    unplaced.spec.as_mut().unwrap().node_name = None;
    assert!(!is_reached(&unplaced, SECRET));
}

#[test]
fn a_pod_is_called_by_what_a_person_made() {
    let owned = |kind: &str, name: &str, labels: Value| {
        let owner = json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": "1", "controller": true});
        owner_of(&pod(json!({"name": "pod", "labels": labels, "ownerReferences": [owner]})))
    };
    assert_eq!(owner_of(&pod(json!({"name": "pod"}))), "Pod pod");
    assert_eq!(owned("ReplicaSet", "web-app-5d8c", json!({"pod-template-hash": "5d8c"})), "Deployment web-app");
    assert_eq!(owned("ReplicaSet", "by-hand", json!({})), "ReplicaSet by-hand");
    assert_eq!(owned("StatefulSet", "db", json!({"pod-template-hash": "x"})), "StatefulSet db");
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn template(annotation: Option<&str>) -> Value {
    let source = json!({"secretKeyRef": {"name": SECRET, "key": "k"}});
    let container = json!({"name": "app", "env": [{"name": "T", "valueFrom": source}]});
    let annotations: serde_json::Map<_, _> =
        annotation.into_iter().map(|value| ("syniverse.dev/token-restart".to_owned(), json!(value))).collect();
    json!({"metadata": {"annotations": annotations}, "spec": {"containers": [container]}})
}

/// Made before the token was issued, with its Pods as they should be.
fn deployment(annotation: Option<&str>, spec: Value, status: Value) -> Workload {
    let mut wanted = json!({"replicas": 4, "selector": {}, "template": template(annotation)});
    wanted.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let mut found = json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 4});
    found.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
    let metadata = json!({"name": "web", "uid": "1", "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z"});
    let deployment = json!({"metadata": metadata, "spec": wanted, "status": found});
    from_value::<Deployment>(deployment).unwrap().into()
}

fn verdict(workload: &Workload, life: Option<u64>) -> Verdict {
    workload.verdict(SECRET, TOKEN, at("2026-01-01T01:00:00Z"), life.map(Duration::from_secs))
}

#[test]
fn a_workload_is_restarted_once_for_each_token() {
    let usual = deployment(None, json!({}), json!({}));
    assert_eq!(verdict(&usual, None), Verdict::Restart);
    assert_eq!(verdict(&deployment(Some("messaging=00000000"), json!({}), json!({})), None), Verdict::Restart);
    assert_eq!(verdict(&deployment(Some("messaging=ba7816bf"), json!({}), json!({})), None), Verdict::Done);
    assert_eq!(verdict(&deployment(Some("other=ba7816bf"), json!({}), json!({})), None), Verdict::Restart);
    // Made after the token was in the Secret: its Pods have come up with it. The clocks may differ.
    let known_since = |since: &str| usual.verdict(SECRET, TOKEN, at(since), None);
    assert_eq!(known_since("2025-12-31T23:58:59Z"), Verdict::Done);
    assert_eq!(known_since("2025-12-31T23:59:01Z"), Verdict::Restart);
}

#[test]
fn a_workload_is_left_alone_while_it_is_paused_or_replaces_its_pods_or_would_be_too_late() {
    assert_eq!(verdict(&deployment(None, json!({"paused": true}), json!({})), None), Verdict::Paused);
    for status in [json!({"observedGeneration": 1}), json!({"updatedReplicas": 3}), json!({"replicas": 5})] {
        assert_eq!(verdict(&deployment(None, json!({}), status.clone()), None), Verdict::Rolling, "{status}");
    }
    // Two at a time, four Pods: twice 10 s.
    assert_eq!(verdict(&deployment(None, json!({}), json!({})), Some(19)), Verdict::TooLate);
    assert_eq!(verdict(&deployment(None, json!({}), json!({})), Some(20)), Verdict::Restart);
    let slow = deployment(None, json!({"minReadySeconds": 30}), json!({}));
    assert_eq!((verdict(&slow, Some(79)), verdict(&slow, Some(80))), (Verdict::TooLate, Verdict::Restart));
    let recreate = deployment(None, json!({"strategy": {"type": "Recreate"}}), json!({}));
    assert_eq!((verdict(&recreate, Some(9)), verdict(&recreate, Some(10))), (Verdict::TooLate, Verdict::Restart));
    let quick = json!({"strategy": {"rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 2}}});
    assert_eq!(verdict(&deployment(None, quick, json!({})), Some(10)), Verdict::Restart);
}

#[test]
fn restarts_are_spread_so_that_the_last_one_is_over_when_the_old_token_ends() {
    // A step of 10 s, two steps each.
    let workload = deployment(None, json!({}), json!({}));
    let pause = |lives: Option<u64>, left: usize| {
        pause_between(lives.map(Duration::from_secs), &vec![&workload; left]).as_secs()
    };
    assert_eq!([pause(Some(80), 3), pause(Some(60), 2), pause(Some(40), 1)], [20, 20, 20]);
    assert_eq!([pause(Some(15), 1), pause(Some(80), 600), pause(None, 1)], [1, 1, 1]);
}

#[test]
fn stateful_sets_and_daemon_sets_are_told_the_same_way() {
    let metadata = json!({"name": "x", "uid": "1", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"});
    let stateful = |strategy: Value, revision: &str| -> Workload {
        let spec = json!({"replicas": 3, "selector": {}, "serviceName": "s", "template": template(None), "updateStrategy": strategy});
        let status =
            json!({"observedGeneration": 1, "replicas": 3, "currentRevision": "a", "updateRevision": revision});
        from_value::<StatefulSet>(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap().into()
    };
    assert_eq!(verdict(&stateful(json!({}), "a"), Some(30)), Verdict::Restart);
    assert_eq!(verdict(&stateful(json!({}), "a"), Some(29)), Verdict::TooLate);
    assert_eq!(verdict(&stateful(json!({}), "b"), None), Verdict::Rolling);
    assert_eq!(verdict(&stateful(json!({"type": "OnDelete"}), "a"), None), Verdict::Paused);
    assert_eq!(verdict(&stateful(json!({"rollingUpdate": {"partition": 3}}), "b"), None), Verdict::Paused);
    let daemons = |strategy: Value, updated: u32| -> Workload {
        let spec = json!({"selector": {}, "template": template(None), "updateStrategy": strategy});
        let status = json!({"observedGeneration": 1, "desiredNumberScheduled": 4, "updatedNumberScheduled": updated,
            "currentNumberScheduled": 4, "numberMisscheduled": 0, "numberReady": 4});
        from_value::<DaemonSet>(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap().into()
    };
    assert_eq!(verdict(&daemons(json!({}), 4), Some(40)), Verdict::Restart);
    assert_eq!(verdict(&daemons(json!({"rollingUpdate": {"maxUnavailable": "50%"}}), 4), Some(20)), Verdict::Restart);
    assert_eq!(verdict(&daemons(json!({}), 4), Some(39)), Verdict::TooLate);
    assert_eq!(verdict(&daemons(json!({}), 3), None), Verdict::Rolling);
    assert_eq!(verdict(&daemons(json!({"type": "OnDelete"}), 4), None), Verdict::Paused);
}

#[test]
fn unaware_workloads_are_selected_by_their_templates_and_listed_ones_by_name() {
    let restart = |text: Value| from_value::<RestartPropagation>(text).unwrap();
    let workload = deployment(None, json!({}), json!({}));
    assert!(workload.is_selected(&restart(json!({"mode": "Unaware"})), SECRET));
    assert!(!workload.is_selected(&restart(json!({"mode": "Unaware"})), "other"));
    let listed =
        |kind: &str, name: &str| restart(json!({"mode": "Listed", "workloads": [{"kind": kind, "name": name}]}));
    assert!(workload.is_selected(&listed("Deployment", "web"), "other"));
    assert!(!workload.is_selected(&listed("Deployment", "other"), SECRET));
    assert!(!workload.is_selected(&listed("StatefulSet", "web"), SECRET));
    assert!(!workload.is_selected(&restart(json!({"mode": "None"})), SECRET));
}

fn asked() -> PropagationSpec {
    from_value(json!({"pods": "Annotate"})).unwrap()
}

fn done() -> Outcome {
    let reached_at = Some(at("2026-01-01T01:00:01Z"));
    Outcome {
        generation: 2,
        fingerprint: TOKEN.to_owned(),
        is_complete: true,
        pods: Some(3),
        reached_at,
        ..Outcome::default()
    }
}

fn status(reason: &str, fingerprint: &str) -> SyniverseTokenStatus {
    let ready = json!({"type": "Ready", "status": "True", "reason": reason, "message": "as before",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let propagation = json!({"fingerprint": fingerprint, "observedGeneration": 2, "time": "2026-01-01T00:30:00Z"});
    from_value(json!({"conditions": [ready], "propagation": propagation})).unwrap()
}

#[test]
fn the_status_says_who_was_reached_and_when() {
    let shown_now = shown(Some(&asked()), Some(&done()), None);
    let said = shown_now.status.unwrap();
    assert_eq!((said.fingerprint.as_deref(), said.pods, said.observed_generation), (Some(TOKEN), Some(3), Some(2)));
    assert_eq!(said.time.as_deref(), Some("2026-01-01T01:00:01Z"));
    assert_eq!(shown_now.finding, None);
    // Nobody had to be told again: when that was done stands.
    let again = Outcome { reached_at: None, ..done() };
    let said = shown(Some(&asked()), Some(&again), Some(&status("Issued", TOKEN))).status.unwrap();
    assert_eq!(said.time.as_deref(), Some("2026-01-01T00:30:00Z"));
    assert_eq!(shown(None, Some(&done()), Some(&status("ConsumersUnaware", TOKEN))), Shown::default());
}

#[test]
fn what_is_not_done_is_not_said_to_be() {
    let before = status("Issued", "00000000");
    let old = |outcome: Outcome| {
        let said = shown(Some(&asked()), Some(&outcome), Some(&before)).status.unwrap();
        said.fingerprint.as_deref() == Some("00000000")
    };
    assert!(old(Outcome { is_complete: false, ..done() }));
    assert!(!old(done()));
    // Of the same token for a later spec neither, though nobody had to be told again.
    let known = status("Issued", TOKEN);
    let later = Outcome { generation: 3, reached_at: None, is_complete: false, ..done() };
    let said = |outcome: Outcome| shown(Some(&asked()), Some(&outcome), Some(&known)).status.unwrap();
    assert_eq!(said(later.clone()).observed_generation, Some(2));
    assert_eq!(said(Outcome { is_complete: true, ..later }).observed_generation, Some(3));
}

#[test]
fn what_a_newer_version_stored_is_said_at_once_and_not_said_to_be_done() {
    let newer = from_value(json!({"pods": "Evict"})).unwrap();
    let shown = shown(Some(&newer), Some(&done()), None);
    assert_eq!((shown.status, shown.finding.map(|finding| finding.reason)), (None, Some(Reason::PropagationRefused)));
}

#[test]
fn the_status_takes_no_more_workloads_than_its_schema() {
    let workloads = (0..2000).map(|number| format!("Deployment {number}")).collect();
    let many = Outcome { workloads, ..done() };
    assert_eq!(shown(Some(&asked()), Some(&many), None).status.unwrap().workloads.len(), 1024);
}

#[test]
fn what_is_wrong_is_said_until_a_delivery_shows_otherwise() {
    let reason = |outcome: Option<&Outcome>, before: &str| {
        shown(Some(&asked()), outcome, Some(&status(before, TOKEN))).finding.map(|finding| finding.reason)
    };
    for lasting in [Reason::PropagationRefused, Reason::ConsumersUnaware, Reason::RestartWithheld] {
        assert_eq!(reason(None, lasting.as_str()), Some(lasting));
        assert_eq!(reason(Some(&done()), lasting.as_str()), None);
    }
    assert_eq!(reason(None, "SharedApplication"), None);
    let everything = Outcome {
        refusal: Some("no right".to_owned()),
        withheld: ["Deployment web is paused".to_owned()].into_iter().collect(),
        unaware: (0..12).map(|number| format!("Pod {number}")).collect(),
        ..done()
    };
    assert_eq!(reason(Some(&everything), "Issued"), Some(Reason::PropagationRefused));
    let withheld = Outcome { refusal: None, ..everything };
    assert_eq!(reason(Some(&withheld), "Issued"), Some(Reason::RestartWithheld));
    let unaware = Outcome { withheld: Names::default(), ..withheld };
    let finding = shown(Some(&asked()), Some(&unaware), None).finding.unwrap();
    assert!(finding.message.contains("Pod 9 and 2 more"), "{}", finding.message);
}
