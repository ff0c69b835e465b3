//! Objects of the largest sizes that the API server takes, of whatever owner: they may cost time, and not the process.

use crate::support::*;
use futures::{StreamExt, TryStreamExt};
use harness::wait_for;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use tokio::sync::Mutex;

/// The most memory that the process may have had, in MiB: the chart's limit is 256, and this is a debug build.
const MOST_MEMORY: u64 = 128;
/// Objects that a test makes at a time.
const AT_ONCE: usize = 8;
/// One of these tests at a time: each keeps the API server busy.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn secrets_of_nobody_with_thousands_of_labels_kill_nobody() {
    let _turn = TURN.lock().await;
    let mut stage = Stage::dark().await;
    let labels: BTreeMap<_, _> = (0..4000).map(|number| (format!("label-{number}"), "x".repeat(40))).collect();
    make_secrets(&stage, 250, json!({"labels": labels})).await;
    stage.start_operator(&[]);
    assert_serves_and_is_small(&mut stage).await;
}

#[tokio::test]
async fn secrets_of_nobody_with_the_largest_annotations_kill_nobody() {
    let _turn = TURN.lock().await;
    let mut stage = Stage::dark().await;
    // In JSON each of these characters takes six bytes.
    make_secrets(&stage, 150, json!({"annotations": {"a": "<".repeat(255 * 1024)}})).await;
    stage.start_operator(&[]);
    assert_serves_and_is_small(&mut stage).await;
}

#[tokio::test]
async fn a_page_of_resources_that_is_too_large_is_asked_for_in_parts() {
    let _turn = TURN.lock().await;
    let mut stage = Stage::dark().await;
    let mut spec = stage.spec("24h");
    spec["suspend"] = json!(true);
    // About 1 MiB in JSON.
    let template: BTreeMap<_, _> = (0..12).map(|key| (format!("key-{key}"), "<".repeat(15 * 1024))).collect();
    spec["secret"] = json!({"template": template});
    for number in 0..20 {
        stage.apply(&format!("large-{number}"), spec.clone()).await;
    }
    stage.start_operator(&[]);
    assert_serves_and_is_small(&mut stage).await;
}

/// Secrets that belong to nobody.
async fn make_secrets(stage: &Stage, count: usize, metadata: serde_json::Value) {
    let making = (0..count).map(|number| {
        let mut metadata = metadata.clone();
        metadata["name"] = json!(format!("others-{number}"));
        let secret: Secret = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        async move { stage.secrets.create(&PostParams::default(), &secret).await.map(drop) }
    });
    futures::stream::iter(making).buffer_unordered(AT_ONCE).try_collect::<()>().await.unwrap();
}

/// A token is issued, a deleted Secret is restored, which takes a watch that has listed everything, and the operator has
/// at no time been large.
async fn assert_serves_and_is_small(stage: &mut Stage) {
    stage.issued("24h").await;
    stage.secrets.delete(NAME, &DeleteParams::default()).await.unwrap();
    let is_back = async || stage.secrets.get_opt(NAME).await.unwrap().map(drop);
    wait_for("the restored Secret", PATIENCE * 2, is_back).await.unwrap();
    assert_was_small(stage);
}

/// The operator has at no time been large.
pub(crate) fn assert_was_small(stage: &mut Stage) {
    let status = fs::read_to_string(format!("/proc/{}/status", stage.operator().id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak = peak.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024;
    println!("at most {peak} MiB");
    assert!(peak < MOST_MEMORY, "{peak} MiB");
}
