//! Two resources that want the same thing.

use crate::support::*;
use issuer_simulator::fault::{Action, Fault};
use kube::ResourceExt;
use serde_json::json;

#[tokio::test]
async fn two_resources_of_one_application_both_get_each_rotation_and_say_so() {
    let stage = Stage::open().await;
    for name in ["a", "b"] {
        stage.apply(name, stage.spec("6s")).await;
    }
    for name in ["a", "b"] {
        let resource = stage.until_reason(name, "SharedApplication").await;
        assert!(is_ready(&resource), "{:?}", resource.status);
        let message = ready_message(&resource);
        assert!(message.starts_with("another SyniverseToken in this namespace"), "{message}");
    }
    let token = async |name: &str| text(&stage.secret(name).await, "accessToken").unwrap();
    let first = token("a").await;
    assert_eq!(token("b").await, first);
    let is_next = |secret: &k8s_openapi::api::core::v1::Secret| text(secret, "accessToken").unwrap() != first;
    for name in ["a", "b"] {
        stage.until_secret(name, "the next token", is_next).await;
    }
    assert_eq!(token("a").await, token("b").await);
}

#[tokio::test]
async fn a_rotation_that_one_resource_sees_makes_the_other_ask_with_its_own_secret() {
    let stage = Stage::open().await;
    stage.put_secret("second", &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)).await;
    let mut spec = stage.spec("1h");
    stage.apply("a", spec.clone()).await;
    stage.until_ready("a").await;
    spec["application"]["credentials"]["secretRef"]["name"] = json!("second");
    stage.apply("b", spec).await;
    stage.until_ready("b").await;
    let pressed = stage.simulator.regenerate(CONSUMER_KEY).unwrap();
    stage.change("a", json!({"metadata": {"annotations": {"syniverse.dev/refresh": "1"}}})).await;
    for name in ["a", "b"] {
        stage
            .until_secret(name, "the pressed token", |secret| text(secret, "accessToken").as_ref() == Some(&pressed))
            .await;
    }
    assert_eq!(stage.calls(), 4);
}

#[tokio::test]
async fn another_namespace_that_uses_the_application_is_not_named() {
    let (mut stage, other) = (Stage::dark().await, Stage::dark().await);
    stage.grant_everywhere().await;
    stage.start_operator(&["--namespace", other.namespace.name()]);
    stage.apply("here", stage.spec("1h")).await;
    other.apply("hidden", stage.spec("1h")).await;
    for (stage, name, foreign) in [(&stage, "here", &other), (&other, "hidden", &stage)] {
        let resource = stage.until_reason(name, "SharedApplication").await;
        let message = ready_message(&resource);
        assert!(message.contains("another namespace") && is_ready(&resource), "{message}");
        assert!(!["hidden", foreign.namespace.name()].iter().any(|name| message.contains(name)), "{message}");
    }
}

#[tokio::test]
async fn of_two_resources_that_name_one_secret_the_first_has_it() {
    let stage = Stage::open().await;
    let mut spec = stage.spec("1h");
    spec["secret"] = json!({"name": "wanted"});
    stage.apply("first", spec.clone()).await;
    stage.until_ready("first").await;
    let secret = stage.secret("wanted").await;
    stage.apply("second", spec).await;
    let resource = stage.until_reason("second", "SecretNotOwned").await;
    assert!(is_stalled(&resource) && ready_message(&resource).contains("SyniverseToken first"));
    assert_eq!((stage.secret("wanted").await, stage.calls()), (secret.clone(), 1));
    stage.delete("first").await;
    stage.until_ready("second").await;
    let taken = stage.secret("wanted").await;
    assert_eq!(taken.owner_references()[0].name, "second");
    assert_ne!(taken.uid(), secret.uid());
}

#[tokio::test]
async fn a_resource_that_no_longer_shares_its_application_no_longer_says_so() {
    let stage = Stage::open().await;
    for name in ["a", "b"] {
        stage.apply(name, stage.spec("1h")).await;
    }
    stage.until_reason("a", "SharedApplication").await;
    stage.delete("b").await;
    stage.until_reason("a", "Issued").await;
}

#[tokio::test]
async fn a_resource_deleted_during_its_call_is_not_counted_any_more() {
    let stage = Stage::open().await;
    for name in ["a", "b"] {
        stage.apply(name, stage.spec("1h")).await;
        stage.until_ready(name).await;
    }
    stage.until_reason("a", "SharedApplication").await;
    stage.simulator.fault(Fault::once(Action::Delay { millis: 1000, at: Default::default() }));
    stage.change("b", json!({"metadata": {"annotations": {"syniverse.dev/refresh": "1"}}})).await;
    stage.until_calls(3).await;
    stage.delete("b").await;
    stage.until_reason("a", "Issued").await;
    stage.simulator.until(|journal| journal.calls.iter().all(|call| call.ended.is_some())).await;
    stage.until_noticed("a").await;
    assert_eq!(ready_reason(&stage.tokens.get("a").await.unwrap()), "Issued");
}
