//! What the resource says of itself.

use crate::cluster::{Cluster, credentials, now};
use serde_json::json;
use syniverse_token_core::api::{PropagationStatus, SyniverseTokenStatus};
use syniverse_token_core::issuer::{Failure, FailureKind};
use syniverse_token_core::memory::WrittenStatus;
use syniverse_token_core::plan::{Plan, Step};
use syniverse_token_core::reason::{Finding, Reason};
use syniverse_token_core::status::{TokenHealth, reason, status};
use syniverse_token_core::time::Now;

/// The status now, of a cluster in which everything that needs no call has been done.
fn said(cluster: &mut Cluster, at: Now) -> SyniverseTokenStatus {
    let plan = cluster.settle(at);
    let health = TokenHealth::of(&cluster.observed, &cluster.memory, &plan.findings, at);
    let old = cluster.memory.status.as_ref().map(|written| &written.status);
    let new = status(&cluster.observed, &health, old, at);
    cluster.memory.status = Some(WrittenStatus { status: new.clone(), version: None });
    new
}

fn conditions(status: &SyniverseTokenStatus) -> Vec<String> {
    status.conditions.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.reason)).collect()
}

#[test]
fn before_the_first_token_it_is_reconciling() {
    let mut cluster = Cluster::new(json!({}));
    let said = said(&mut cluster, now(0.0));
    assert_eq!(conditions(&said), ["Reconciling=True Pending", "Stalled=False Pending", "Ready=False Pending"]);
    assert_eq!((said.observed_generation, said.fingerprint), (Some(1), None));
}

#[test]
fn with_a_live_token_it_is_ready_and_says_until_when() {
    let mut cluster = Cluster::with_token(json!({}));
    let said = said(&mut cluster, now(1.0));
    assert_eq!(conditions(&said), ["Reconciling=False Issued", "Stalled=False Issued", "Ready=True Issued"]);
    let expires = said.expiration_time.clone().unwrap();
    assert_eq!(expires, now(600.0).wall.to_string());
    assert!(said.conditions[2].message.ends_with(&expires), "{}", said.conditions[2].message);
    assert_eq!(said.next_refresh_time, Some(now(540.0).wall.to_string()));
    assert_eq!(said.secret_name.as_deref(), Some("messaging"));
}

#[test]
fn the_same_facts_give_the_same_status_at_another_time() {
    let mut cluster = Cluster::with_token(json!({}));
    let first = said(&mut cluster, now(1.0));
    assert_eq!(said(&mut cluster, now(500.0)), first);
}

#[test]
fn a_person_who_must_act_is_told_so_and_the_token_still_counts() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.observed.credentials = None.into();
    let said = said(&mut cluster, now(1.0));
    let reason = "CredentialsNotFound";
    let expected =
        [format!("Reconciling=False {reason}"), format!("Stalled=True {reason}"), format!("Ready=True {reason}")];
    assert_eq!(conditions(&said), expected);
    assert_eq!(said.next_refresh_time, None);
}

#[test]
fn ready_stays_true_for_ten_seconds_after_the_expiry_while_nothing_fails() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.answer(now(540.0), "first", 60);
    cluster.answer(now(600.0), "first", 0);
    assert_eq!(conditions(&said(&mut cluster, now(609.9)))[2], "Ready=True Issued");
    assert_eq!(conditions(&said(&mut cluster, now(610.0)))[2], "Ready=False Expired");
}

#[test]
fn the_first_failed_call_past_the_expiry_ends_ready() {
    let mut cluster = Cluster::with_token(json!({}));
    let planned = cluster.call(now(600.0));
    let failure = Failure { kind: FailureKind::Refused, detail: "HTTP 500".into(), retry_after: None, status: None };
    cluster.end(&planned, now(600.0), &Err(failure));
    assert_eq!(conditions(&said(&mut cluster, now(600.1)))[2], "Ready=False RefreshFailed");
}

#[test]
fn a_suspended_token_is_ready_until_it_dies_and_not_a_second_longer() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.respec(json!({"suspend": true}));
    assert_eq!(conditions(&said(&mut cluster, now(599.9)))[2], "Ready=True Suspended");
    assert_eq!(conditions(&said(&mut cluster, now(600.0)))[2], "Ready=False Suspended");
}

/// The result of kstatus for a resource whose generation is observed: sigs.k8s.io/cli-utils, pkg/kstatus/status/generic.go.
fn kstatus(status: &SyniverseTokenStatus) -> &'static str {
    let is = |kind: &str, value: &str| status.conditions.iter().any(|c| c.type_ == kind && c.status == value);
    let has = |kind: &str| status.conditions.iter().any(|c| c.type_ == kind);
    match () {
        () if is("Reconciling", "True") => "InProgress",
        () if is("Stalled", "True") => "Failed",
        () if has("Ready") && !is("Ready", "True") => "InProgress",
        () => "Current",
    }
}

#[test]
fn a_resource_suspended_before_its_first_token_is_current_and_says_nothing_of_being_ready() {
    let mut cluster = Cluster::new(json!({"suspend": true}));
    let said = said(&mut cluster, now(0.0));
    assert_eq!(conditions(&said), ["Reconciling=False Suspended", "Stalled=False Suspended"]);
    assert!(said.conditions[0].message.contains("spec.suspend"), "{}", said.conditions[0].message);
    assert_eq!(kstatus(&said), "Current");
    cluster.respec(json!({"suspend": false}));
    assert_eq!(kstatus(&self::said(&mut cluster, now(1.0))), "InProgress");
}

#[test]
fn a_resource_suspended_before_its_first_token_that_a_person_must_act_for_is_failed() {
    let mut cluster = Cluster::new(json!({"suspend": true}));
    cluster.observed.forbidden = None;
    cluster.observed.token = Some(serde_json::from_value(json!({"metadata": {"name": "messaging"}})).unwrap());
    let said = said(&mut cluster, now(0.0));
    assert_eq!(conditions(&said)[1..], ["Stalled=True SecretNotOwned", "Ready=False SecretNotOwned"]);
    assert_eq!(kstatus(&said), "Failed");
}

#[test]
fn a_transition_time_changes_with_the_status_of_its_condition_alone() {
    let mut cluster = Cluster::with_token(json!({}));
    let first = said(&mut cluster, now(1.0));
    cluster.observed.credentials = None.into();
    let second = said(&mut cluster, now(50.0));
    assert_eq!(second.conditions[2].last_transition_time, first.conditions[2].last_transition_time);
    assert_eq!(second.conditions[1].last_transition_time.0, now(50.0).wall);
}

#[test]
fn a_correction_by_less_than_30_s_is_not_shown_and_a_different_token_always_is() {
    let mut cluster = Cluster::with_token(json!({}));
    let first = said(&mut cluster, now(1.0));
    cluster.answer(now(540.0), "first", 89);
    assert_eq!(said(&mut cluster, now(541.0)).expiration_time, first.expiration_time);
    cluster.answer(now(600.0), "second", 10);
    assert_eq!(said(&mut cluster, now(600.0)).expiration_time, Some(now(610.0).wall.to_string()));
}

#[test]
fn a_token_secret_that_holds_something_else_is_not_ready() {
    let mut cluster = Cluster::with_token(json!({}));
    let edited = cluster.observed.token.as_mut().unwrap();
    edited.data.as_mut().unwrap().get_mut("accessToken").unwrap().0 = b"forged".to_vec();
    let health = TokenHealth::of(&cluster.observed, &cluster.memory, &[], now(1.0));
    assert!(!health.is_ready(now(1.0).mono));
}

#[test]
fn secrets_of_a_former_resource_of_this_name_count_as_ours() {
    let mut cluster = Cluster::with_token(json!({}));
    let resource = std::sync::Arc::make_mut(&mut cluster.observed.resource);
    (resource.metadata.uid, resource.status) = (Some("uid-2".into()), None);
    cluster.restart(now(1.0));
    let said = said(&mut cluster, now(1.0));
    assert_eq!(conditions(&said)[2], "Ready=True Issued");
    assert!(said.fingerprint.is_some());
}

#[test]
fn what_an_earlier_process_said_about_sharing_holds_for_a_minute_unless_this_one_knows_better() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.observed.peers.sharing.here = true;
    let shared = said(&mut cluster, now(1.0));
    assert_eq!(conditions(&shared)[2], "Ready=True SharedApplication");
    std::sync::Arc::make_mut(&mut cluster.observed.resource).status = Some(shared.clone());
    cluster.observed.peers.sharing.here = false;
    cluster.restart(now(2.0));
    assert_eq!(cluster.rest(now(2.0)).0, Some(now(60.0).mono));
    assert_eq!(conditions(&said(&mut cluster, now(59.0))), conditions(&shared));
    assert_eq!(conditions(&said(&mut cluster, now(60.0)))[2], "Ready=True Issued");
    cluster.memory.met_sharers = true;
    assert_eq!(conditions(&said(&mut cluster, now(3.0)))[2], "Ready=True Issued");
}

#[test]
fn a_message_is_the_same_at_every_retry_and_another_one_with_other_values() {
    let mut cluster = Cluster::new(json!({}));
    let mut seen = Vec::new();
    for (at, secret, detail) in [
        (0.0, "wrong", "HTTP 500"),
        (10.0, "wrong", "HTTP 500 with other words"),
        (20.0, "wrong", "HTTP 500"),
        (30.0, "wrong as well", "HTTP 500 with other words"),
    ] {
        cluster.observed.credentials = Some(credentials(secret, Some("old"))).into();
        let Plan { step: Step::Request(planned), .. } = cluster.settle(now(at)) else { panic!("no call at {at}") };
        let failure = Failure { kind: FailureKind::Refused, detail: detail.into(), retry_after: None, status: None };
        cluster.end(&planned, now(at), &Err(failure));
        seen.push(said(&mut cluster, now(at + 0.1)));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1], seen[2]);
    assert_ne!(seen[2], seen[3]);
}

#[test]
fn consumers_that_see_no_change_are_said_before_what_is_only_worth_knowing_and_behind_what_is_wrong() {
    let mut cluster = Cluster::with_token(json!({"propagation": {"pods": "Annotate"}}));
    cluster.observed.propagation.finding = Some(Finding::new(Reason::ConsumersUnaware, "Pod a"));
    let said = |findings: &[Reason]| {
        let findings: Vec<_> = findings.iter().map(|reason| Finding::new(*reason, "x")).collect();
        let health = TokenHealth::of(&cluster.observed, &cluster.memory, &findings, now(1.0));
        let said = status(&cluster.observed, &health, None, now(1.0));
        reason(&said).unwrap()
    };
    assert_eq!(said(&[Reason::SharedApplication]), Reason::ConsumersUnaware);
    assert_eq!(said(&[Reason::RefreshFailed, Reason::SharedApplication]), Reason::RefreshFailed);
    assert_eq!(said(&[Reason::Suspended]), Reason::Suspended);
}

#[test]
fn two_operators_do_not_write_the_time_of_a_delivery_over_each_others() {
    let mut cluster = Cluster::with_token(json!({"propagation": {"pods": "Annotate"}}));
    let said_at = |time: &str| {
        let text = json!({"fingerprint": "ba7816bf", "observedGeneration": 1, "pods": 2, "time": time});
        serde_json::from_value::<PropagationStatus>(text).unwrap()
    };
    cluster.observed.propagation.status = Some(said_at("2026-01-01T00:00:02Z"));
    let health = TokenHealth::of(&cluster.observed, &cluster.memory, &[], now(1.0));
    let theirs =
        SyniverseTokenStatus { propagation: Some(Box::new(said_at("2026-01-01T00:00:01Z"))), ..Default::default() };
    let said =
        |old: Option<&SyniverseTokenStatus>| status(&cluster.observed, &health, old, now(1.0)).propagation.unwrap();
    assert_eq!(said(Some(&theirs)).time.as_deref(), Some("2026-01-01T00:00:01Z"));
    assert_eq!(said(None).time.as_deref(), Some("2026-01-01T00:00:02Z"));
}
