//! `spec.suspend`.

use crate::support::*;
use serde_json::json;
use syniverse_token_core::api::SyniverseToken;

fn suspended(value: bool) -> serde_json::Value {
    json!({"spec": {"suspend": value}})
}

#[tokio::test]
async fn a_resource_suspended_from_the_start_asks_nobody_until_it_is_resumed() {
    let stage = Stage::open().await;
    let mut spec = stage.spec("1h");
    spec["suspend"] = json!(true);
    stage.apply(NAME, spec).await;
    let says = |kind, resource: &SyniverseToken| {
        condition(resource, kind).map(|said| (said.status.clone(), said.reason.clone()))
    };
    let resource = stage.until(NAME, "conditions", |resource| says("Stalled", resource).is_some()).await;
    // As it is wanted, for kstatus, and not ready either.
    let idle = Some(("False".to_owned(), "Suspended".to_owned()));
    assert_eq!([says("Reconciling", &resource), says("Stalled", &resource)], [idle.clone(), idle]);
    assert_eq!(says("Ready", &resource), None);
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, "changed", PORTAL_TOKEN)).await;
    stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)).await;
    assert_eq!(stage.calls(), 0);
    stage.change(NAME, suspended(false)).await;
    stage.until_ready(NAME).await;
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn a_suspended_resource_is_repaired_and_not_ready_once_its_token_is_dead() {
    let stage = Stage::open().await;
    stage.issued("3s").await;
    stage.change(NAME, suspended(true)).await;
    let resource = stage.until_reason(NAME, "Suspended").await;
    assert!(is_ready(&resource), "{:?}", resource.status);
    let token = stage.token().await;
    stage.until_noticed(NAME).await;
    let dead = stage.until(NAME, "not Ready", |resource| !is_ready(resource)).await;
    assert_eq!(ready_reason(&dead), "Suspended");
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "now"}}})).await;
    stage.until_noticed(NAME).await;
    assert_eq!((stage.token().await, stage.calls()), (token.clone(), 1));
    stage.change(NAME, suspended(false)).await;
    stage.until_rotated(&token).await;
    stage.until_ready(NAME).await;
}
