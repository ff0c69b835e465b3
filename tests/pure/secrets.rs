//! Whose Secrets they are, and what is written into them.

use crate::facts::{Cluster, now, resource, secret};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::json;
use std::sync::Arc;
use syniverse_token_operator::issuer::Lifetime;
use syniverse_token_operator::reason::Reason;
use syniverse_token_operator::secrets::{Owner, obstacle};
use syniverse_token_operator::state::Outcome;

fn owned_by(uid: &str, controller: bool) -> Secret {
    let mut owned = secret("messaging", &[]);
    owned.metadata.owner_references = Some(vec![OwnerReference {
        kind: "Deployment".into(),
        name: "theirs".into(),
        uid: uid.into(),
        controller: Some(controller),
        ..OwnerReference::default()
    }]);
    owned
}

fn lent_to(name: &str, mut secret: Secret) -> Secret {
    secret.metadata.annotations = Some([("syniverse.dev/adopt".to_owned(), name.to_owned())].into());
    secret
}

fn refusal(secret: &Secret) -> Option<Reason> {
    obstacle(&Owner::of(&resource(json!({}))).unwrap(), Some(secret)).map(|finding| finding.reason)
}

#[test]
fn ours_is_what_our_uid_controls_or_what_consents_and_has_no_controller() {
    assert_eq!(refusal(&owned_by("uid-1", true)), None);
    assert_eq!(refusal(&lent_to("messaging", secret("messaging", &[]))), None);
    for foreign in [
        secret("messaging", &[]),
        owned_by("uid-1", false),
        owned_by("uid-2", true),
        lent_to("other", secret("messaging", &[])),
        lent_to("messaging", owned_by("uid-2", true)),
    ] {
        assert_eq!(refusal(&foreign), Some(Reason::SecretNotOwned));
    }
}

#[test]
fn the_owner_of_a_foreign_secret_is_named() {
    let owner = Owner::of(&resource(json!({}))).unwrap();
    assert!(obstacle(&owner, Some(&owned_by("uid-2", true))).unwrap().message.contains("Deployment theirs"));
    assert!(
        obstacle(&owner, Some(&secret("messaging", &[]))).unwrap().message.contains("syniverse.dev/adopt: messaging")
    );
}

#[test]
fn an_immutable_secret_and_one_of_another_type_are_obstacles() {
    let immutable = Secret { immutable: Some(true), ..owned_by("uid-1", true) };
    assert_eq!(refusal(&immutable), Some(Reason::SecretImmutable));
    let tls = Secret { type_: Some("kubernetes.io/tls".into()), ..owned_by("uid-1", true) };
    assert_eq!(refusal(&tls), Some(Reason::SecretWrongType));
}

#[test]
fn under_delete_both_secrets_get_an_owner_that_blocks_no_deletion() {
    let cluster = Cluster::with_token(json!({}));
    for secret in [&cluster.observed.state, &cluster.observed.token] {
        let owners = secret.as_ref().unwrap().metadata.owner_references.clone().unwrap();
        assert_eq!((owners.len(), owners[0].uid.as_str(), owners[0].controller), (1, "uid-1", Some(true)));
        assert_eq!(owners[0].block_owner_deletion, None);
    }
}

#[test]
fn under_retain_both_secrets_consent_instead_and_a_changed_policy_is_followed_both_ways() {
    let mut cluster = Cluster::with_token(json!({"deletionPolicy": "Retain"}));
    for policy in ["Delete", "Retain", "Delete"] {
        cluster.respec(json!({"deletionPolicy": policy}));
        cluster.steps.clear();
        cluster.rest(now(1.0));
        assert_eq!(cluster.steps, ["state", "token"], "a change of ours is no repair");
        for secret in [&cluster.observed.state, &cluster.observed.token] {
            let metadata = &secret.as_ref().unwrap().metadata;
            let consent = metadata.annotations.as_ref().and_then(|all| all.get("syniverse.dev/adopt"));
            assert_eq!(metadata.owner_references.is_some(), policy == "Delete");
            assert_eq!(consent.is_some(), policy == "Retain");
        }
    }
}

#[test]
fn a_re_created_resource_carries_on_with_what_was_retained() {
    let mut cluster = Cluster::with_token(json!({"deletionPolicy": "Retain"}));
    re_create(&mut cluster);
    assert_eq!(cluster.rest(now(5.0)), (Some(now(540.0).mono), vec![]));
    assert!(cluster.steps.is_empty());
}

#[test]
fn a_refresh_annotation_that_a_re_created_resource_brings_counts_as_handled() {
    let mut cluster = Cluster::with_token(json!({"deletionPolicy": "Retain"}));
    re_create(&mut cluster);
    cluster.annotate("syniverse.dev/refresh", "1");
    cluster.rest(now(5.0));
    cluster.look();
    cluster.rest(now(6.0));
    assert_eq!(cluster.state().refresh.as_deref(), Some("1"));
    cluster.annotate("syniverse.dev/refresh", "2");
    cluster.call(now(7.0));
}

fn re_create(cluster: &mut Cluster) {
    let resource = Arc::make_mut(&mut cluster.observed.resource);
    (resource.metadata.uid, resource.status) = (Some("uid-2".into()), None);
    cluster.restart(now(5.0));
}

#[test]
fn what_others_put_there_survives_and_what_the_spec_drops_goes() {
    let spec = |team: &str| json!({"secret": {"labels": {(team): "x"}, "annotations": {(team): "y"}}});
    let mut cluster = Cluster::with_token(spec("a"));
    let metadata = &mut cluster.observed.token.as_mut().unwrap().metadata;
    metadata.labels.as_mut().unwrap().insert("theirs".into(), "1".into());
    metadata.annotations.as_mut().unwrap().insert("theirs".into(), "2".into());
    cluster.respec(spec("b"));
    cluster.rest(now(1.0));
    let metadata = cluster.observed.token.clone().unwrap().metadata;
    let labels: Vec<_> = metadata.labels.unwrap().into_keys().collect();
    assert_eq!(labels, ["app.kubernetes.io/managed-by", "b", "theirs"]);
    let annotations: Vec<_> = metadata.annotations.unwrap().into_keys().filter(|name| !name.contains('/')).collect();
    assert_eq!(annotations, ["b", "theirs"]);
}

#[test]
fn templates_replace_two_words_and_read_nothing_twice() {
    let template = json!({
        "both": "$(token) until $(expirationTime)", "other": "$(TOKEN) $token $$(token) $(", "twice": "$(token)$(token)"
    });
    let mut cluster = Cluster::new(json!({"secret": {"template": template}}));
    cluster.answer(now(0.0), "$(expirationTime)", 600);
    let time = cluster.token("expirationTime").unwrap();
    assert_eq!(cluster.token("both").unwrap(), format!("$(expirationTime) until {time}"));
    assert_eq!(cluster.token("other").unwrap(), "$(TOKEN) $token $$(expirationTime) $(");
    assert_eq!(cluster.token("twice").unwrap(), "$(expirationTime)$(expirationTime)");
}

#[test]
fn a_token_that_never_expires_has_no_expiration_time_anywhere() {
    let mut cluster = Cluster::with_token(json!({"application": {"validity": "0s"}}));
    let call = cluster.call(now(600.0));
    cluster.receive(&call, now(600.0), "second", 600);
    let held = cluster.memory.held.as_mut().unwrap();
    let Outcome::Token(answer) = &mut held.outcome else { panic!("a token was given") };
    answer.lifetime = Lifetime::Never;
    cluster.rest(now(601.0));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("second"));
    assert_eq!(cluster.token("expirationTime"), None);
    let annotations = cluster.observed.token.unwrap().metadata.annotations.unwrap();
    assert!(!annotations.contains_key("syniverse.dev/expiration-time"));
}

#[test]
fn a_small_correction_of_the_expiry_is_not_worth_a_write_and_a_large_one_changes_the_annotation_alone() {
    for (left, steps) in [(89, vec!["state"]), (91, vec!["state", "token"])] {
        let mut cluster = Cluster::with_token(json!({}));
        let data = cluster.observed.token.clone().unwrap().data;
        cluster.answer(now(540.0), "first", left);
        assert_eq!(cluster.steps, steps, "{left} s left");
        assert_eq!(cluster.observed.token.unwrap().data, data);
    }
}
