//! The store of the API server is set back to an earlier state under an operator that works on.

use crate::support::*;
use harness::{ControlPlane, wait_for};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::time::{Duration, Instant};
use syniverse_token_core::api::SyniverseToken;

/// The store is found to be set back, and put right, within this after it can be asked again.
const PUT_RIGHT: Duration = Duration::from_secs(30);

/// What happens in a cluster while nobody looks: hundreds of writes.
async fn life_goes_on(stage: &Stage) {
    let maps: Api<ConfigMap> = Api::namespaced(stage.cluster.client().await.unwrap(), stage.namespace.name());
    for round in 0..300 {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "life"}, "data": {"round": round.to_string()}});
        maps.patch("life", &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(map)).await.unwrap();
    }
}

#[tokio::test]
async fn after_etcd_was_set_back_the_last_token_is_written_again_and_the_watches_hear_again() {
    let mut plane = ControlPlane::start().await.unwrap();
    let mut stage = Stage::dark_in(plane.cluster()).await;
    stage.start_operator(&[]);
    stage.issued("5s").await;
    let first = stage.token().await;
    let earlier = plane.backup().await.unwrap();
    stage.change(NAME, json!({"spec": {"application": {"validity": "1h"}}})).await;
    stage.until(NAME, "the longer life", |resource| is_ready(resource) && lives_long(resource)).await;
    let last = stage.token().await;
    assert_ne!(first, last);
    life_goes_on(&stage).await;

    plane.set_back(&earlier).await.unwrap();
    let back = Instant::now();
    stage
        .until_secret(NAME, "the last token again", |secret| text(secret, "accessToken").as_ref() == Some(&last))
        .await;
    println!("put right {:.1?} after the API server was back", back.elapsed());
    assert!(back.elapsed() < PUT_RIGHT);
    stage.operator().wait_for_log("was rolled back to an earlier state", PATIENCE).await.unwrap();
    let is_told = |resource: &SyniverseToken| {
        resource.status.as_ref().and_then(|status| status.fingerprint.clone()) == Some(fingerprint(&last))
    };
    stage.until(NAME, "the last token", |resource| is_ready(resource) && is_told(resource)).await;
    // The watch of Secrets hears.
    stage.until_noticed(NAME).await;
    let calls = stage.calls();
    stage.change_secret(CREDENTIALS, json!({"stringData": {"consumerSecret": "changed"}})).await;
    let asked = async || (stage.calls() > calls).then_some(());
    wait_for("a call with the new credentials", Duration::from_secs(5), asked).await.unwrap();
}

fn lives_long(resource: &SyniverseToken) -> bool {
    let expires =
        resource.status.as_ref().and_then(|status| status.expiration_time.as_ref()?.parse::<Timestamp>().ok());
    expires.is_some_and(|expires| expires.duration_since(Timestamp::now()).as_secs() > 1800)
}
