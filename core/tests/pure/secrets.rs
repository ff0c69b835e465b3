//! Whose Secrets they are, and what is written into them.

use crate::cluster::{Cluster, credentials, now, resource, secret};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};
use std::sync::Arc;
use syniverse_token_core::effects;
use syniverse_token_core::issuer::{Kind, Lifetime};
use syniverse_token_core::plan::Step;
use syniverse_token_core::reason::Reason;
use syniverse_token_core::redacted::Redacted;
use syniverse_token_core::secrets;
use syniverse_token_core::secrets::{KnownTokenSecret, Owner, SecretWrite, repeats};
use syniverse_token_core::state::CallResult;

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
    Owner::of(&resource(json!({}))).unwrap().obstacle(secret).map(|finding| finding.reason)
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
    assert!(owner.obstacle(&owned_by("uid-2", true)).unwrap().message.contains("Deployment theirs"));
    assert!(owner.obstacle(&secret("messaging", &[])).unwrap().message.contains("syniverse.dev/adopt: messaging"));
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
    for secret in [cluster.observed.state.secret(), cluster.observed.token.as_ref()] {
        let owners = secret.as_ref().unwrap().metadata.owner_references.clone().unwrap();
        assert_eq!((owners.len(), owners[0].uid.as_str(), owners[0].controller), (1, "uid-1", Some(true)));
        assert_eq!(owners[0].block_owner_deletion, None);
    }
}

#[test]
fn under_retain_both_secrets_have_no_owner_and_a_changed_policy_is_followed_both_ways() {
    let mut cluster = Cluster::with_token(json!({"deletionPolicy": "Retain"}));
    for policy in ["Delete", "Retain", "Delete"] {
        cluster.respec(json!({"deletionPolicy": policy}));
        cluster.steps.clear();
        cluster.rest(now(1.0));
        assert_eq!(cluster.steps, ["state", "token"], "a change of ours is no repair");
        for secret in [cluster.observed.state.secret(), cluster.observed.token.as_ref()] {
            let metadata = &secret.as_ref().unwrap().metadata;
            assert_eq!(metadata.owner_references.is_some(), policy == "Delete");
            assert!(is_marked(secret.as_ref().unwrap()));
        }
    }
}

/// As everything that we create, whoever owns it.
fn is_marked(secret: &Secret) -> bool {
    let mark = |name: &str| secret.metadata.annotations.as_ref()?.get(name);
    ["syniverse.dev/adopt", "syniverse.dev/created-by"]
        .iter()
        .all(|name| mark(name).is_some_and(|by| by == "messaging"))
}

#[test]
fn secrets_without_owners_or_with_those_of_a_former_life_are_taken_over_at_once_under_both_policies() {
    for (policy, owners) in [("Delete", 1), ("Retain", 0)] {
        for strip in [true, false] {
            let mut cluster = Cluster::with_token(json!({"deletionPolicy": policy}));
            let data = cluster.observed.token.clone().unwrap().data;
            let former = cluster.observed.token.clone().unwrap().metadata.owner_references;
            re_create(&mut cluster);
            for secret in [cluster.observed.state.secret_mut(), cluster.observed.token.as_mut()].into_iter().flatten() {
                secret.metadata.owner_references = former.clone().filter(|_| !strip);
            }
            assert_eq!(cluster.rest(now(5.0)), (Some(now(540.0).mono), vec![]));
            for secret in [cluster.observed.state.secret(), cluster.observed.token.as_ref()].into_iter().flatten() {
                let now = secret.metadata.owner_references.clone().unwrap_or_default();
                assert_eq!((now.len(), now.iter().all(|owner| owner.uid == "uid-2")), (owners, true));
                assert!(is_marked(secret));
            }
            assert_eq!(cluster.observed.token.unwrap().data, data);
        }
    }
}

#[test]
fn what_an_older_version_marked_otherwise_was_not_changed_by_anybody_but_what_loses_its_marks_later_was() {
    let spec = json!({"secret": {"labels": {"team": "a"}}});
    let strip = |cluster: &mut Cluster| {
        for secret in [cluster.observed.state.secret_mut(), cluster.observed.token.as_mut()].into_iter().flatten() {
            secret
                .metadata
                .annotations
                .as_mut()
                .unwrap()
                .retain(|name, _| !["syniverse.dev/adopt", "syniverse.dev/created-by"].contains(&name.as_str()));
        }
        // Labels of the spec came to it later.
        cluster.observed.state.secret_mut().unwrap().metadata.labels.as_mut().unwrap().remove("team");
    };
    let mut cluster = Cluster::with_token(spec);
    strip(&mut cluster);
    cluster.restart(now(5.0));
    let stored = cluster.state();
    assert!(!cluster.memory.state_read(stored), "as a pass that begins");
    cluster.memory.written_token = cluster.observed.written_token(&cluster.state());
    cluster.rest(now(5.0));
    assert_eq!(cluster.steps, ["state", "token"]);
    strip(&mut cluster);
    cluster.rest(now(6.0));
    assert_eq!(cluster.steps, ["state", "token", "repair", "repair"]);
}

#[test]
fn a_secret_that_is_taken_over_was_not_changed_by_anybody_but_one_that_is_gone_or_filled_anew_was() {
    let begin = |change: fn(&mut Cluster)| {
        let mut cluster = Cluster::with_token(json!({}));
        cluster.restart(now(5.0));
        let stored = cluster.state();
        cluster.memory.state_read(stored);
        cluster.memory.written_token = cluster.observed.written_token(&cluster.state());
        change(&mut cluster);
        cluster.rest(now(5.0));
        cluster.steps
    };
    assert_eq!(begin(|_| {}), [""; 0]);
    assert_eq!(begin(|cluster| cluster.observed.state = None.into()), ["repair"]);
    assert_eq!(begin(|cluster| cluster.observed.token = None), ["repair"]);
    assert_eq!(begin(|cluster| cluster.observed.token.as_mut().unwrap().data = None), ["repair"]);
    let disown = |cluster: &mut Cluster| {
        for secret in [cluster.observed.state.secret_mut(), cluster.observed.token.as_mut()].into_iter().flatten() {
            secret.metadata.owner_references = None;
        }
    };
    assert_eq!(begin(disown), ["state", "token"]);
}

#[test]
fn only_a_write_that_changes_the_owners_takes_over() {
    let mut cluster = Cluster::with_token(json!({}));
    let owner = |cluster: &Cluster| Owner::of(&cluster.observed.resource).unwrap();
    let next = |cluster: &Cluster| {
        let state = cluster.state();
        secrets::next_token(cluster.observed.token.as_ref(), cluster.observed.desired(), &owner(cluster), &state)
    };
    cluster.respec(json!({"secret": {"key": "other"}}));
    assert!(matches!(next(&cluster), Some(SecretWrite::Replace(_))));
    cluster.observed.token.as_mut().unwrap().metadata.owner_references = None;
    assert!(matches!(next(&cluster), Some(SecretWrite::TakeOver(_))));
    cluster.observed.token = None;
    assert!(matches!(next(&cluster), Some(SecretWrite::Create(_))));
}

#[test]
fn a_lent_secret_keeps_its_labels_and_gets_no_mark() {
    let mut cluster = Cluster::new(json!({}));
    let mut lent = lent_to("messaging", secret("messaging", &[]));
    lent.metadata.labels = Some([("app.kubernetes.io/managed-by".to_owned(), "Helm".to_owned())].into());
    cluster.observed.token = Some(lent.clone());
    cluster.answer(now(0.0), "first", 600);
    let (filled, state) = (cluster.observed.token.unwrap(), cluster.observed.state.secret().cloned().unwrap());
    assert_eq!((filled.metadata.labels, filled.metadata.owner_references), (lent.metadata.labels, None));
    assert!(!filled.metadata.annotations.unwrap().contains_key("syniverse.dev/created-by"));
    assert_eq!(state.metadata.labels.unwrap()["app.kubernetes.io/managed-by"], "syniverse-token-operator");
}

#[test]
fn a_copy_of_a_secret_that_was_made_for_another_resource_is_lent_and_gets_no_owner() {
    let mut cluster = Cluster::new(json!({}));
    let mut copied = lent_to("messaging", secret("messaging", &[]));
    let annotations = copied.metadata.annotations.as_mut().unwrap();
    annotations.insert("syniverse.dev/created-by".into(), "other".into());
    cluster.observed.token = Some(copied);
    cluster.answer(now(0.0), "first", 600);
    let filled = cluster.observed.token.unwrap().metadata;
    assert_eq!((filled.owner_references, filled.labels), (None, None));
    assert_eq!(filled.annotations.unwrap()["syniverse.dev/created-by"], "other");
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
fn labels_of_the_spec_are_on_both_secrets_from_the_first_write_and_leave_both() {
    let spec = |labels: Value| json!({"secret": {"labels": labels, "annotations": {"copy": "yes"}}});
    let labels = |secret: Option<&Secret>| {
        let labels = secret.unwrap().metadata.labels.clone().unwrap();
        labels.into_keys().filter(|name| !name.contains('/')).collect::<Vec<_>>()
    };
    let mut cluster = Cluster::new(spec(json!({"team": "a"})));
    let planned = cluster.call(now(0.0));
    assert_eq!(labels(cluster.observed.state.secret()), ["team"]);
    cluster.respec(spec(json!({"unit": "b"})));
    cluster.receive(&planned, now(0.0), "first", 600);
    cluster.rest(now(0.1));
    cluster.observed.state.secret_mut().unwrap().metadata.labels.as_mut().unwrap().insert("theirs".into(), "1".into());
    for (wanted, on_state, on_token) in
        [(json!({"unit": "b"}), vec!["theirs", "unit"], vec!["unit"]), (json!({}), vec!["theirs"], vec![])]
    {
        cluster.respec(spec(wanted));
        cluster.rest(now(1.0));
        assert_eq!(labels(cluster.observed.state.secret()), on_state);
        assert_eq!(labels(cluster.observed.token.as_ref()), on_token as Vec<&str>);
        assert!(!cluster.steps.contains(&"repair"), "{:?}", cluster.steps);
    }
    let of_state = cluster.observed.state.secret().cloned().unwrap().metadata.annotations.unwrap();
    assert!(!of_state.contains_key("copy"), "what an annotation sets off must not happen to the state Secret");
}

#[test]
fn a_label_that_leaves_the_spec_while_the_token_secret_is_away_leaves_the_state_secret() {
    let mut cluster = Cluster::with_token(json!({"secret": {"labels": {"team": "a"}}}));
    cluster.observed.token = None;
    cluster.respec(json!({"secret": {"labels": {"unit": "b"}}}));
    cluster.rest(now(1.0));
    let labels = cluster.observed.state.secret().cloned().unwrap().metadata.labels.unwrap();
    assert!(labels.contains_key("unit") && !labels.contains_key("team"), "{labels:?}");
}

#[test]
fn a_text_repeats_a_secret_when_it_holds_eight_characters_of_it_plain_or_in_base64() {
    let mut cluster = Cluster::new(json!({"secret": {"template": {"header": "Bearer $(token)", "short": "hunter2"}}}));
    cluster.answer(now(0.0), "canary-0123456789", 600);
    let (token, state) = (cluster.observed.token.unwrap(), cluster.observed.state.secret().cloned().unwrap());
    for (text, of_token, of_state) in [
        ("label team is required: metadata.annotations, state.json, expirationTime", false, false),
        ("you sent canary-0123456789", true, true),
        ("you sent y-012345 or so", true, true),
        ("you sent y-01234", false, false),
        ("you sent Y2FuYXJ5LTAx", true, false),
        ("you sent hunter2", true, false),
        ("salted with salt", false, true),
    ] {
        assert_eq!((repeats(text, &token), repeats(text, &state)), (of_token, of_state), "{text}");
    }
    let whole = serde_json::to_value(&state.data.as_ref().unwrap()["state.json"]).unwrap();
    assert!(repeats(&format!("you sent {}", &whole.as_str().unwrap()[40..60]), &state));
}

/// A spec whose token Secret holds the token that often under each of 16 keys.
fn repeating(times: usize) -> Value {
    let template: serde_json::Map<_, _> =
        (0..16).map(|key| (format!("key-{key}"), json!("$(token)".repeat(times)))).collect();
    json!({"secret": {"template": template}})
}

#[test]
fn what_is_too_large_for_a_secret_is_known_before_anybody_is_asked() {
    // 36 bytes, 16 times 456: 256 KiB and a little more.
    for (times, refused) in [(454, false), (456, true), (1900, true)] {
        let mut cluster = Cluster::new(repeating(times));
        cluster.observed.credentials = Some(credentials("secret", Some(&"t".repeat(36)))).into();
        let plan = cluster.settle(now(0.0));
        let said = plan.findings.first().map(|finding| finding.reason);
        assert_eq!(said, refused.then_some(Reason::SecretTooLarge), "{times} times");
        assert_eq!(matches!(plan.step, Step::Wait(None)), refused);
        if let Some(finding) = plan.findings.first() {
            let sizes = finding.message.contains("36 bytes") && finding.message.contains("262144");
            assert!(sizes, "{}", finding.message);
        }
    }
}

#[test]
fn the_time_of_an_end_takes_no_room_where_there_is_none() {
    let template: serde_json::Map<_, _> =
        (0..16).map(|key| (format!("key-{key}"), json!("$(expirationTime)".repeat(900)))).collect();
    for (validity, refused) in [("600s", true), ("0s", false)] {
        let mut cluster =
            Cluster::new(json!({"application": {"validity": validity}, "secret": {"template": template}}));
        let plan = cluster.settle(now(0.0));
        let said = plan.findings.first().map(|finding| finding.reason);
        assert_eq!(said, refused.then_some(Reason::SecretTooLarge), "{validity}");
        let Step::Request(planned) = plan.step else { continue };
        // It has an end after all.
        cluster.receive(&planned, now(0.0), "first", 600);
        assert_eq!(cluster.rest(now(0.1)).1, [Reason::SecretTooLarge]);
    }
}

#[test]
fn a_token_that_turns_out_to_be_too_long_is_kept_and_delivered_once_the_template_is_shorter() {
    let mut cluster = Cluster::with_token(repeating(100));
    let planned = cluster.call(now(540.0));
    cluster.receive(&planned, now(540.0), &"t".repeat(2000), 600);
    cluster.steps.clear();
    assert_eq!(cluster.rest(now(540.1)), (None, vec![Reason::SecretTooLarge]));
    assert_eq!(cluster.steps, ["state"]);
    cluster.restart(now(541.0));
    assert_eq!(cluster.rest(now(541.0)), (None, vec![Reason::SecretTooLarge]));
    assert_eq!(cluster.token("accessToken").as_deref(), Some("first"));
    // Its end is no cause to ask for another one that cannot be delivered either.
    assert_eq!(cluster.rest(now(1200.0)), (None, vec![Reason::SecretTooLarge]));
    cluster.respec(json!({}));
    cluster.rest(now(600.0));
    assert_eq!(cluster.token("accessToken"), Some("t".repeat(2000)));
}

#[test]
fn a_session_whose_token_is_too_long_is_extended_all_the_same() {
    let mut cluster = Cluster::session(&[("username", "user"), ("password", "password")]);
    cluster.answer(now(0.0), "first", 600);
    let resource = Arc::make_mut(&mut cluster.observed.resource);
    resource.spec.secret = serde_json::from_value(repeating(456 * 8)["secret"].clone()).unwrap();
    resource.metadata.generation = Some(2);
    let (until, reasons) = cluster.rest(now(1.0));
    assert_eq!(reasons, [Reason::SecretTooLarge]);
    cluster.call(now(until.unwrap().until(now(0.0).mono).as_secs_f64()));
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
    let planned = cluster.call(now(600.0));
    cluster.receive(&planned, now(600.0), "second", 600);
    let unrecorded = cluster.memory.unrecorded.as_mut().unwrap();
    let CallResult::Token(response) = &mut unrecorded.result else { panic!("a token was given") };
    response.lifetime = Lifetime::Never;
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

#[test]
fn the_sample_of_a_token_secret_has_all_that_the_first_one_has_but_a_token() {
    let spec = json!({"secret": {
        "labels": {"team": "a"}, "annotations": {"note": "b"}, "template": {"header": "Bearer $(token)"}
    }});
    let mut cluster = Cluster::new(spec);
    let owner = Owner::of(&cluster.observed.resource).unwrap();
    let sample = secrets::dry_run_write(None, Kind::Application, cluster.observed.desired(), &owner, now(0.0).wall);
    let Some(SecretWrite::Create(sample)) = sample else { panic!("nothing to create but {sample:?}") };
    cluster.answer(now(0.0), "first", 600);
    let first = cluster.observed.token.unwrap();
    assert_eq!((sample.type_.as_deref(), first.type_.as_deref()), (Some("Opaque"), Some("Opaque")));
    let (of_sample, of_first) = (sample.metadata, first.metadata);
    assert_eq!((of_sample.name.as_deref(), of_first.name.as_deref()), (Some("messaging"), Some("messaging")));
    assert_eq!(of_sample.labels, of_first.labels);
    assert_eq!(of_sample.owner_references, of_first.owner_references);
    assert!(of_sample.annotations.unwrap().keys().eq(of_first.annotations.unwrap().keys()));
    let (in_sample, in_first) = (sample.data.unwrap(), first.data.unwrap());
    assert!(in_sample.keys().eq(in_first.keys()));
    assert_eq!(in_sample["header"].0, b"Bearer not-a-token");
}

#[test]
fn a_token_secret_may_hold_256_kib_of_keys_and_values_to_the_byte() {
    // accessToken, expirationTime and header with a token of 5 bytes in two of them, a time of 20 or none in the other two.
    for (expires, fixed) in [(true, 11 + 5 + 14 + 20 + 6 + 14 + 5 + 20), (false, 11 + 5 + 14 + 6 + 14 + 5)] {
        let refusal = |size: usize| {
            let header = format!("Bearer $(token) until $(expirationTime){}", "x".repeat(size - fixed));
            let resource = resource(json!({"secret": {"template": {"header": header}}}));
            secrets::too_large(&resource, &Redacted::new("token"), expires).map(|finding| finding.message)
        };
        assert_eq!(refusal(262_144), None);
        assert!(refusal(262_145).unwrap().contains("would hold 262145 bytes"), "{:?}", refusal(262_145));
    }
}

#[test]
fn an_expiry_is_shown_as_it_was_until_it_is_half_a_minute_off() {
    let shown = now(600.0).wall;
    for (expires, stays) in [(570.0, false), (571.0, true), (629.0, true), (630.0, false)] {
        let expires = now(expires).wall;
        assert_eq!(secrets::shown_expiry(expires, Some(shown)), if stays { shown } else { expires });
    }
}

#[test]
fn a_whole_value_is_told_by_four_characters_and_not_by_three() {
    let told = secret("messaging", &[("word", "pass"), ("article", "the")]);
    assert!(repeats("the first word was pass", &told));
    assert!(!repeats("the first word was another", &told));
}

#[test]
fn an_owner_of_another_kind_group_or_name_is_no_former_life_of_ours() {
    let owned = |api_version: &str, kind: &str, name: &str| {
        let mut owned = owned_by("uid-0", true);
        let owner = &mut owned.metadata.owner_references.as_mut().unwrap()[0];
        (owner.api_version, owner.kind, owner.name) = (api_version.into(), kind.into(), name.into());
        refusal(&owned)
    };
    assert_eq!(owned("syniverse.dev/v1alpha1", "SyniverseToken", "messaging"), None);
    assert_eq!(owned("syniverse.dev/v9", "SyniverseToken", "messaging"), None);
    for (api_version, kind, name) in [
        ("example.com/v1alpha1", "SyniverseToken", "messaging"),
        ("syniverse.dev/v1alpha1", "Other", "messaging"),
        ("syniverse.dev/v1alpha1", "SyniverseToken", "other"),
    ] {
        assert_eq!(owned(api_version, kind, name), Some(Reason::SecretNotOwned), "{api_version} {kind} {name}");
    }
}

#[test]
fn a_lost_state_that_is_made_of_the_token_secret_keeps_the_first_end_beside_a_later_one() {
    let mut cluster = Cluster::with_token(json!({}));
    cluster.answer(now(540.0), "first", 100);
    cluster.observed.state = None.into();
    cluster.restart(now(541.0));
    cluster.rest(now(541.0));
    let state = cluster.state();
    let restored = state.active_token().unwrap();
    let ends = (restored.first_expiration_time, restored.expiration_time, restored.lifetime_seconds);
    assert_eq!(ends, (Some(now(600.0).wall), Some(now(640.0).wall), Some(640)));
}

#[test]
fn everything_is_written_in_the_name_of_the_operator_and_in_earnest() {
    let params = secrets::operator_post_params();
    assert_eq!((params.field_manager.as_deref(), params.dry_run), (Some("syniverse-token-operator"), false));
}

/// As the API server gives it back, and what is known of it after a pass.
fn stored(cluster: &mut Cluster) -> Option<KnownTokenSecret> {
    let token = cluster.observed.token.as_mut().unwrap();
    token.metadata.namespace = Some("n".into());
    token.metadata.uid = Some("uid-of-the-secret".into());
    token.metadata.resource_version = Some("7".into());
    token.metadata.creation_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    effects::pass_ended(&cluster.observed, &mut cluster.memory);
    cluster.memory.token_secret.clone()
}

/// What is derived from that: none when it has to be read.
fn derived(cluster: &Cluster, known: &KnownTokenSecret) -> Option<Secret> {
    let owner = Owner::of(&cluster.observed.resource).unwrap();
    known.secret(cluster.observed.desired(), &owner, cluster.memory.state.as_ref().unwrap())
}

#[test]
fn a_token_secret_with_nothing_but_ours_is_known_without_a_read_also_after_a_small_correction() {
    let template = json!({"secret": {"template": {"env": "TOKEN=$(token) UNTIL=$(expirationTime)"},
        "metadata": {"labels": {"app": "x"}, "annotations": {"note": "y"}}}});
    for corrected in [false, true] {
        let mut cluster = Cluster::with_token(template.clone());
        if corrected {
            cluster.answer(now(540.0), "first", 65);
            cluster.rest(now(541.0));
        }
        let known = stored(&mut cluster).unwrap();
        assert_eq!(known.version(), "7");
        let mut read = cluster.observed.token.clone().unwrap();
        read.metadata.creation_timestamp = None;
        assert_eq!(derived(&cluster, &known), Some(read), "{corrected}");
        cluster.respec(json!({"secret": {"template": {"env": "another"}}}));
        assert_eq!(derived(&cluster, &known), None, "another spec");
    }
}

#[test]
fn a_token_secret_to_which_somebody_added_something_is_read_again() {
    let additions: [fn(&mut Secret); 4] = [
        |secret| drop(secret.data.as_mut().unwrap().insert("theirs".into(), k8s_openapi::ByteString(vec![1]))),
        |secret| drop(secret.metadata.labels.as_mut().unwrap().insert("theirs".into(), "1".into())),
        |secret| secret.metadata.finalizers = Some(vec!["theirs".into()]),
        |secret| secret.immutable = Some(true),
    ];
    for add in additions {
        let mut cluster = Cluster::with_token(json!({}));
        add(cluster.observed.token.as_mut().unwrap());
        assert_eq!(stored(&mut cluster), None);
    }
}
