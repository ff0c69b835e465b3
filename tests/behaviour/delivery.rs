//! A new token is told to the Pods that mount its Secret, and workloads that cannot see it are restarted. There is no node
//! here: what a kubelet makes of it is a matter of `make test-node`.

use crate::support::*;
use harness::wait_for;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use syniverse_token_core::api::SyniverseToken;

#[tokio::test]
async fn pods_that_mount_the_secret_are_told_of_each_token_and_no_others() {
    let scene = Workloads::open(&may_tell()).await;
    let projected = json!({"projected": {"sources": [{"secret": {"name": NAME}}]}});
    let other = json!({"secret": {"secretName": CREDENTIALS}});
    scene.run_pod("volume", with_volume()).await;
    scene.run_pod("projected", mounting(projected, json!({}))).await;
    let part = json!({"subPath": "accessToken"});
    scene.run_pod("part", mounting(json!({"secret": {"secretName": NAME}}), part)).await;
    scene.run_pod("other", mounting(other, json!({}))).await;
    scene.run_pod("environment", with_environment()).await;
    scene.apply("6s", json!({"pods": "Annotate"})).await;
    scene.stage.until_ready(NAME).await;
    for _ in 0..2 {
        let token = scene.stage.token().await;
        scene.until_told("volume").await;
        scene.until_told("projected").await;
        let resource = scene.until_delivered().await;
        let said = resource.status.clone().unwrap().propagation.unwrap();
        assert_eq!(said.pods, Some(2));
        assert!(said.time.is_some());
        assert_eq!(ready_reason(&resource), "ConsumersUnaware");
        assert!(ready_message(&resource).contains("Pod environment, Pod part;"), "{}", ready_message(&resource));
        assert!(is_ready(&resource) && !is_stalled(&resource));
        scene.stage.until_rotated(&token).await;
    }
    for pod in ["part", "other", "environment"] {
        let pod = scene.pods.get(pod).await.unwrap();
        assert_eq!(pod.annotations().get(TOKEN), None, "{}", pod.name_any());
    }
}

#[tokio::test]
async fn a_pod_that_knows_of_the_token_is_left_alone_also_by_the_next_operator() {
    let mut scene = Workloads::open(&may_tell()).await;
    scene.run_pod("volume", with_volume()).await;
    scene.apply("1h", json!({"pods": "Annotate"})).await;
    scene.stage.until_ready(NAME).await;
    scene.until_told("volume").await;
    scene.until_delivered().await;
    let before = scene.pods.get("volume").await.unwrap().resource_version();
    scene.stage.restart_operator(NAME).await;
    scene.stage.until_noticed(NAME).await;
    // What a later Pod is told of shows that the list was looked through.
    scene.run_pod("later", with_volume()).await;
    scene.stage.change(NAME, json!({"spec": {"refreshBefore": "7m"}})).await;
    scene.until_told("later").await;
    assert_eq!(scene.pods.get("volume").await.unwrap().resource_version(), before);
}

#[tokio::test]
async fn two_tokens_in_one_pod_are_both_said() {
    let scene = Workloads::open(&may_tell()).await;
    let mut spec = with_volume();
    spec["volumes"][0] = json!({"name": "token", "projected": {"sources": [
        {"secret": {"name": NAME}}, {"secret": {"name": "second"}}]}});
    scene.run_pod("both", spec).await;
    let propagation = json!({"pods": "Annotate"});
    scene.apply("1h", propagation.clone()).await;
    scene.stage.until_ready(NAME).await;
    scene.until_told("both").await;
    let mut second = scene.stage.spec("1h");
    (second["propagation"], second["secret"]) = (propagation, json!({"name": "second"}));
    scene.stage.apply("second", second).await;
    scene.stage.until_ready("second").await;
    let token = fingerprint(&scene.stage.token().await);
    let said = async || {
        let annotation = scene.pods.get("both").await.unwrap().annotations().get(TOKEN).cloned();
        (annotation.as_deref() == Some(&format!("messaging={token},second={token}"))).then_some(())
    };
    wait_for("both tokens", PATIENCE, said).await.unwrap();
}

#[tokio::test]
async fn without_the_right_it_is_said_by_name_and_the_token_is_refreshed_all_the_same() {
    let scene = Workloads::open(&may_tell()[..1]).await;
    scene.run_pod("volume", with_volume()).await;
    scene.apply("4s", json!({"pods": "Annotate"})).await;
    let refused = scene.stage.until_reason(NAME, "PropagationRefused").await;
    assert!(is_ready(&refused) && is_stalled(&refused));
    let said = ready_message(&refused);
    assert!(said.contains("no right to patch pods/status") && said.contains("propagation.pods"), "{said}");
    let token = scene.stage.token().await;
    scene.stage.until_rotated(&token).await;
    scene.stage.grant(&may_tell()[1..]).await;
    scene.until_told("volume").await;
    let is_over = |resource: &SyniverseToken| ready_reason(resource) == "Issued" && !is_stalled(resource);
    scene.stage.until(NAME, "nothing refused", is_over).await;
}

#[tokio::test]
async fn a_right_that_is_granted_later_acts_without_a_new_token() {
    let scene = Workloads::open(&may_tell()[..1]).await;
    scene.run_pod("volume", with_volume()).await;
    scene.apply("1h", json!({"pods": "Annotate"})).await;
    scene.stage.until_reason(NAME, "PropagationRefused").await;
    scene.stage.grant(&may_tell()[1..]).await;
    scene.until_told("volume").await;
    assert_eq!(scene.stage.calls(), 1);
}

#[tokio::test]
async fn what_is_refused_for_one_keeps_no_other_from_its_token() {
    let few = |group: &str, resource: &str| {
        let names = json!(["b"]);
        json!({"apiGroups": [group], "resources": [resource], "verbs": ["patch"], "resourceNames": names})
    };
    let list_workloads =
        json!({"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"], "verbs": ["list"]});
    let [list_pods, _] = may_tell();
    let mut stage = Stage::dark().await;
    stage.grant(&[list_pods, list_workloads]).await;
    stage.grant_unseen(&[few("", "pods/status"), few("apps", "deployments")]).await;
    stage.start_operator(&[]);
    let scene = Workloads::on(stage).await;
    for name in ["a", "b", "c"] {
        scene.run_pod(name, with_volume()).await;
        scene.deploy(name, json!({}), with_environment()).await;
    }
    scene.apply("1h", json!({"pods": "Annotate", "restart": {"mode": "Unaware"}})).await;
    scene.stage.until_reason(NAME, "PropagationRefused").await;
    scene.until_told("b").await;
    scene.until_restarted("b").await;
    let resource = scene.stage.tokens.get(NAME).await.unwrap();
    assert!(resource.status.unwrap().propagation.is_none(), "not said to be done");
}

#[tokio::test]
async fn workloads_are_not_kept_waiting_for_the_end_of_a_token_that_is_dead() {
    let scene = Workloads::open(&[may_restart()]).await;
    for name in ["a", "b"] {
        scene.deploy(name, json!({}), with_environment()).await;
    }
    scene.apply("1h", json!({"restart": {"mode": "Unaware"}})).await;
    scene.stage.until_ready(NAME).await;
    scene.until_delivered().await;
    // In the portal: the old token had an hour left, and a consumer says that it is refused.
    let old = scene.stage.token().await;
    scene.stage.simulator.regenerate(CONSUMER_KEY).unwrap();
    let word = json!({"metadata": {"annotations": {"syniverse.dev/rejected": fingerprint(&old)}}});
    scene.stage.change(NAME, word).await;
    scene.stage.until_rotated(&old).await;
    for name in ["a", "b"] {
        scene.until_restarted(name).await;
    }
}

#[tokio::test]
async fn an_unaware_workload_is_restarted_once_for_each_token_and_for_nothing_else() {
    let mut scene = Workloads::open(&[may_restart()]).await;
    scene.deploy("unaware", json!({}), with_environment()).await;
    scene.deploy("aware", json!({}), with_volume()).await;
    scene.apply("1h", json!({"restart": {"mode": "Unaware"}})).await;
    scene.stage.until_ready(NAME).await;
    let first = scene.until_restarted("unaware").await;
    let resource = scene.until_delivered().await;
    assert_eq!(resource.status.unwrap().propagation.unwrap().workloads, ["Deployment unaware"]);
    scene.stage.restart_operator(NAME).await;
    scene.stage.until_noticed(NAME).await;
    scene.stage.change(NAME, json!({"spec": {"refreshBefore": "7m"}})).await;
    let generation = scene.stage.tokens.get(NAME).await.unwrap().metadata.generation;
    let is_seen = |resource: &SyniverseToken| {
        resource.status.as_ref().and_then(|status| status.propagation.as_ref()?.observed_generation) == generation
    };
    scene.stage.until(NAME, "looked at again", is_seen).await;
    assert_eq!(scene.deployments.get("unaware").await.unwrap().metadata.generation, first.metadata.generation);
    scene.stage.simulator.expire(CONSUMER_KEY).unwrap();
    scene.stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "1"}}})).await;
    let token = scene.stage.token().await;
    scene.stage.until_rotated(&token).await;
    let second = scene.until_restarted("unaware").await;
    assert_eq!(second.metadata.generation, first.metadata.generation.map(|generation| generation + 1));
    let aware = scene.deployments.get("aware").await.unwrap();
    assert_eq!((restarted_for(&aware), aware.metadata.generation), (None, Some(1)));
}

#[tokio::test]
async fn several_workloads_are_restarted_one_after_the_other_and_none_while_it_replaces_its_pods() {
    let scene = Workloads::open(&[may_restart()]).await;
    for name in ["a", "b"] {
        scene.deploy(name, json!({}), with_environment()).await;
    }
    let strategy = json!({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}});
    scene.deploy("rolling", json!({"replicas": 1, "strategy": strategy}), with_environment()).await;
    scene.make_ready("rolling", 1).await;
    // Its next Pod is not ready, so that the first one stays.
    let change = json!({"spec": {"template": {"metadata": {"annotations": {"change": "1"}}}}});
    scene.deployments.patch("rolling", &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    scene.until_pods("rolling", 2).await;
    scene.apply("1h", json!({"restart": {"mode": "Unaware"}})).await;
    scene.stage.until_ready(NAME).await;
    scene.until_restarted("a").await;
    scene.until_restarted("b").await;
    assert_eq!(restarted_for(&scene.deployments.get("rolling").await.unwrap()), None);
    scene.make_ready("rolling", 2).await;
    scene.until_restarted("rolling").await;
}

#[tokio::test]
async fn a_restart_leaves_to_other_field_managers_what_is_theirs_and_they_leave_it_ours() {
    let scene = Workloads::open(&[may_restart()]).await;
    scene.deploy("listed", json!({}), with_volume()).await;
    let theirs = |image: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "listed"}, "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "listed"}}, "template": {
                "metadata": {"labels": {"app": "listed"}, "annotations": {"team": "a"}},
                "spec": {"containers": [{"name": "app", "image": image}]}}}})
    };
    let apply = async |image: &str| {
        let params = PatchParams::apply("gitops").force();
        scene.deployments.patch("listed", &params, &Patch::Apply(theirs(image))).await.unwrap()
    };
    apply("one").await;
    let workloads = json!([{"kind": "Deployment", "name": "listed"}, {"kind": "StatefulSet", "name": "nobody"}]);
    scene.apply("1h", json!({"restart": {"mode": "Listed", "workloads": workloads}})).await;
    scene.stage.until_ready(NAME).await;
    let restarted = scene.until_restarted("listed").await;
    // A restored backup has an old value, and sets it in the name of who restores.
    let backup = json!({"spec": {"template": {"metadata": {"annotations": {RESTART: "messaging=00000000"}}}}});
    let restorer = PatchParams { field_manager: Some("restorer".to_owned()), ..PatchParams::default() };
    scene.deployments.patch("listed", &restorer, &Patch::Merge(backup)).await.unwrap();
    scene.stage.change(NAME, json!({"spec": {"refreshBefore": "7m"}})).await;
    assert_eq!(restarted_for(&scene.until_restarted("listed").await), restarted_for(&restarted));
    let after = apply("two").await;
    assert_eq!(restarted_for(&after), restarted_for(&restarted), "kept by the next apply");
    let annotations = after.spec.unwrap().template.metadata.unwrap().annotations.unwrap();
    assert_eq!(annotations["team"], "a");
    let resource = scene.stage.until_reason(NAME, "RestartWithheld").await;
    assert!(ready_message(&resource).contains("StatefulSet nobody does not exist"), "{}", ready_message(&resource));
}

#[tokio::test]
async fn a_workload_that_is_paused_or_slower_than_the_token_lives_is_not_restarted_and_that_is_said() {
    let scene = Workloads::open(&[may_restart()]).await;
    scene.deploy("paused", json!({"paused": true}), with_environment()).await;
    scene.deploy("slow", json!({"minReadySeconds": 3600, "progressDeadlineSeconds": 4000}), with_environment()).await;
    scene.apply("1h", json!({"restart": {"mode": "Unaware"}})).await;
    let resource = scene.stage.until_reason(NAME, "RestartWithheld").await;
    let said = ready_message(&resource);
    assert!(said.contains("Deployment paused is paused"), "{said}");
    assert!(said.contains("Deployment slow takes longer than the token lives"), "{said}");
    for name in ["paused", "slow"] {
        assert_eq!(restarted_for(&scene.deployments.get(name).await.unwrap()), None);
    }
}
