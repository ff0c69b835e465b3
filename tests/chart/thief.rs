//! What a thief of the operator's service account does to Pods and workloads, where the operator may tell them about
//! new tokens: he tells them, too. What else he tries is refused, by RBAC or by the admission policy.

use crate::helm::{Helm, Objects};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, from_value, json, to_value};
use std::collections::BTreeSet;

mod attempts;
mod room;

use attempts::*;
use room::*;

#[tokio::test]
async fn the_policies_refuse_a_thief_what_his_rights_allow_and_would_refuse_it_with_every_right() {
    let room = Room::open(true).await;
    for attempt in within_the_rights() {
        let refusal = room.attempt(&attempt).await.expect_err(&attempt.told()).to_string();
        assert!(refusal.contains(attempt.refusal), "{}: {refusal}", attempt.told());
    }
    for attempt in room.beyond_the_rights().await {
        let refusal = room.attempt(&attempt).await.expect_err(&attempt.told()).to_string();
        assert!(refusal.contains("cannot patch resource"), "{}: {refusal}", attempt.told());
    }
    room.grant_everything().await;
    for attempt in room.beyond_the_rights().await {
        let refusal = room.attempt(&attempt).await.expect_err(&attempt.told()).to_string();
        assert!(refusal.contains(attempt.refusal), "{}: {refusal}", attempt.told());
    }
}

/// So that what the test above sees refused is refused by the policies, and by nothing else.
#[tokio::test]
async fn without_the_policies_a_thief_may_do_all_that_his_rights_allow() {
    let room = Room::open(false).await;
    for attempt in within_the_rights() {
        let answer = room.attempt(&attempt).await;
        assert!(answer.is_ok(), "{}: {answer:?}", attempt.told());
    }
    for attempt in room.beyond_the_rights().await {
        let refusal = room.attempt(&attempt).await.expect_err(&attempt.told()).to_string();
        assert!(refusal.contains("cannot patch resource"), "{}: {refusal}", attempt.told());
    }
    room.grant_everything().await;
    for attempt in room.beyond_the_rights().await {
        let answer = room.attempt(&attempt).await;
        assert!(answer.is_ok(), "{}: {answer:?}", attempt.told());
    }
}

#[tokio::test]
async fn each_validation_of_the_policies_is_tried() {
    let tried: BTreeSet<_> = within_the_rights().iter().map(|attempt| attempt.refusal).collect();
    let objects = rendered(true, true).await;
    for policy in objects.of("ValidatingAdmissionPolicy").into_iter().filter(|policy| is_about_propagation(policy)) {
        for validation in policy["spec"]["validations"].as_array().unwrap() {
            let message = validation["message"].as_str().unwrap();
            assert!(tried.contains(message), "nobody tries: {message}");
        }
    }
}

/// With a policy or without. Entries of managedFields could make another tool remove what it did not set.
#[tokio::test]
async fn the_status_of_a_pod_takes_no_spec_no_owner_and_no_manager_of_fields() {
    let room = Room::open(false).await;
    let before = room.found("Pod").await;
    for change in [
        json!({"spec": {"containers": [container("other", "1")]}}),
        json!({"spec": {"containers": [{"name": "app", "image": "app", "command": ["sh"]}]}}),
        json!({"spec": {"activeDeadlineSeconds": 1}}),
        json!({"metadata": {"ownerReferences": [owner()]}}),
        json!({"metadata": {"managedFields": [claimed("gitops", "Apply")]}}),
    ] {
        let after = room.attempt(&Attempt::of("Pod", "status", change.clone(), "")).await.unwrap();
        assert_eq!((&after.data, &after.metadata), (&before.data, &before.metadata), "{change}");
    }
}

#[tokio::test]
async fn a_thief_makes_and_deletes_neither_pods_nor_workloads() {
    let room = Room::open(true).await;
    for kind in KINDS {
        let (api, absent) = (room.api(kind).await, object(kind, "absent"));
        let made = api.create(&PostParams::default(), &from_value(absent.clone()).unwrap()).await;
        let replaced = api.replace("absent", &PostParams::default(), &from_value(absent.clone()).unwrap()).await;
        let (deleted, read) = (api.delete(NAME, &DeleteParams::default()).await, api.get(NAME).await);
        let all_deleted = api.delete_collection(&DeleteParams::default(), &Default::default()).await;
        let applied = api.patch("absent", &PatchParams::apply(MANAGER), &Patch::Apply(absent)).await;
        let (verb, applied) = (if kind == "Pod" { "patch" } else { "create" }, applied.map(drop));
        for (verb, answer) in [
            ("create", made.map(drop)),
            ("update", replaced.map(drop)),
            ("delete", deleted.map(drop)),
            ("deletecollection", all_deleted.map(drop)),
            ("get", read.map(drop)),
            (verb, applied),
        ] {
            let refusal = answer.expect_err(verb).to_string();
            assert!(refusal.contains(&format!("cannot {verb} resource")), "{kind}: {refusal}");
        }
    }
}

#[tokio::test]
async fn the_operator_tells_pods_through_their_status_again_and_again() {
    let room = Room::open(true).await;
    let (api, uid) = (room.api("Pod").await, room.found("Pod").await.metadata.uid.unwrap());
    for value in ["messaging=0123abcd", "messaging=89abcdef", "-a=0123ABCD,b.c=0123abcd,messaging=89abcdef"] {
        let change = json!({"metadata": {"uid": uid, "annotations": {"syniverse.dev/token": value}}});
        api.patch_subresource("status", NAME, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
        assert_eq!(room.found("Pod").await.metadata.annotations.unwrap()["syniverse.dev/token"], value);
    }
    api.list(&Default::default()).await.unwrap();
}

#[tokio::test]
async fn the_operator_restarts_workloads_whoever_else_applies_them() {
    let room = Room::open(true).await;
    for kind in KINDS.into_iter().filter(|kind| *kind != "Pod") {
        room.restart(kind, NAME, "messaging=0123abcd", false).await;
        room.apply_as("gitops", object(kind, NAME)).await;
        room.restart(kind, NAME, "messaging=89abcdef", false).await;
        room.make(restored(kind)).await;
        room.restart(kind, "restored", "messaging=0123abcd", true).await;
        // One of which nobody knows who has set what.
        room.make(object(kind, "unmanaged")).await;
        let forgotten = Patch::Merge(json!({"metadata": {"managedFields": [{}]}}));
        room.admin(kind).await.patch("unmanaged", &PatchParams::default(), &forgotten).await.unwrap();
        room.restart(kind, "unmanaged", "messaging=0123abcd", false).await;
        room.api(kind).await.list(&Default::default()).await.unwrap();
    }
}

/// An expression that costs too much is refused. Annotations may have 256 KiB in all.
#[tokio::test]
async fn the_policies_can_afford_the_largest_pods_and_workloads() {
    let room = Room::open(true).await;
    let many = (0..9_000).map(|number| (format!("a{number:07}"), json!("0123456789abcdef"))).collect::<Value>();
    let containers: Vec<_> = (0..500).map(|number| json!({"name": format!("c{number}"), "image": "app"})).collect();
    let mut pod = object("Pod", "large");
    pod["metadata"]["annotations"] = many.clone();
    pod["spec"]["containers"] = json!(containers);
    room.make(pod).await;
    let change = Patch::Merge(json!({"metadata": {"annotations": {"syniverse.dev/token": "messaging=0123abcd"}}}));
    room.api("Pod").await.patch_subresource("status", "large", &PatchParams::default(), &change).await.unwrap();
    let mut workload = object("Deployment", "large");
    workload["metadata"]["annotations"] = many.clone();
    workload["spec"]["template"]["metadata"]["annotations"] = many;
    workload["spec"]["template"]["spec"]["containers"] = json!(containers);
    room.make(workload).await;
    room.restart("Deployment", "large", "messaging=0123abcd", false).await;
}

/// Server-side apply says who has set which fields, and removes those that are no longer set.
#[tokio::test]
async fn a_thief_applies_nothing_in_the_name_of_others_and_no_more_than_the_annotation_in_the_operators() {
    let room = Room::open(true).await;
    room.restart("Deployment", NAME, "messaging=0123abcd", false).await;
    for manager in [MANAGER, "gitops"] {
        let mut taken = object("Deployment", NAME);
        taken["spec"]["template"]["metadata"]["annotations"]["syniverse.dev/token-restart"] = json!("messaging=0");
        let how = PatchParams { dry_run: true, ..PatchParams::apply(manager).force() };
        let refusal = room.api("Deployment").await.patch(NAME, &how, &Patch::Apply(taken)).await.unwrap_err();
        assert!(refusal.to_string().contains(MANAGERS), "{refusal}");
    }
}

/// Who has set the annotation may lose it to the operator: that opens no other entry than that of his.
#[tokio::test]
async fn a_thief_claims_no_fields_for_others_where_somebody_else_has_set_the_annotation() {
    let room = Room::open(true).await;
    room.make(restored("Deployment")).await;
    let found = to_value(room.admin("Deployment").await.get("restored").await.unwrap()).unwrap();
    for claim in [claimed("gitops", "Update"), claimed(RESTORER, "Apply")] {
        let mut fields = found["metadata"]["managedFields"].as_array().unwrap().clone();
        fields.push(claim);
        let change = Patch::Merge(json!({"metadata": {"managedFields": fields}}));
        let how = PatchParams { dry_run: true, ..PatchParams::default() };
        let refusal = room.api("Deployment").await.patch("restored", &how, &change).await.unwrap_err();
        assert!(refusal.to_string().contains(MANAGERS), "{refusal}");
        room.admin("Deployment").await.patch("restored", &how, &change).await.unwrap();
    }
}

#[tokio::test]
async fn the_policies_bind_nobody_else() {
    let room = Room::open(true).await;
    for attempt in within_the_rights().into_iter().chain(room.beyond_the_rights().await) {
        let answer = attempt.make(&room.admin(attempt.kind).await).await;
        assert!(answer.is_ok(), "{}: {answer:?}", attempt.told());
    }
}

#[tokio::test]
async fn without_a_value_that_asks_for_it_neither_rule_nor_policy_is_about_pods_or_workloads() {
    for (pods, restart) in [(false, false), (true, false), (false, true), (true, true)] {
        let objects = rendered(pods, restart).await;
        let rules: String = objects.of("ClusterRole").iter().map(|role| role["rules"].to_string()).collect();
        assert_eq!((rules.contains("pods"), rules.contains("\"apps\"")), (pods, restart), "{rules}");
        for kind in ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] {
            let has = |suffix| objects.of(kind).iter().any(|object| name(object).ends_with(suffix));
            assert_eq!((has(".pods"), has(".workloads")), (pods, restart), "{kind}");
        }
    }
    let off = json!({"admissionPolicy": {"enabled": false}, "propagation": {"pods": true, "restart": true}});
    assert!(Helm::offline().template(&off).await.unwrap().of("ValidatingAdmissionPolicy").is_empty());
}

async fn rendered(pods: bool, restart: bool) -> Objects {
    Helm::offline().template(&json!({"propagation": {"pods": pods, "restart": restart}})).await.unwrap()
}

fn is_about_propagation(policy: &Value) -> bool {
    [".pods", ".workloads"].iter().any(|suffix| name(policy).ends_with(suffix))
}
