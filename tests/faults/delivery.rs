//! Many Pods: what they are told is bounded.

use crate::sizes::assert_was_small;
use crate::support::*;
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

#[tokio::test]
async fn what_a_thousand_pods_are_told_is_bounded_and_delays_no_refresh() {
    const PODS: usize = 1000;
    let scene = Workloads::open(&may_tell()).await;
    let names: Vec<_> = (0..PODS).map(|number| format!("pod-{number}")).collect();
    for some in names.chunks(20) {
        futures::future::join_all(some.iter().map(|name| scene.run_pod(name, with_volume()))).await;
    }
    let begin = Instant::now();
    let written = Arc::new(AtomicUsize::new(0));
    let counting = tokio::spawn(count_annotations(scene.pods.clone(), Arc::clone(&written)));
    scene.apply("8s", json!({"pods": "Annotate"})).await;
    scene.stage.until_ready(NAME).await;
    let mut token = scene.stage.token().await;
    for _ in 0..3 {
        token = scene.stage.until_rotated(&token).await;
    }
    let journal = scene.stage.simulator.journal();
    let births: Vec<_> = journal.tokens.iter().skip(1).map(|token| token.birth).collect();
    let gaps: Vec<_> = births.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64()).collect();
    assert!(gaps.iter().all(|gap| (8.0..9.0).contains(gap)), "{gaps:?}");
    let written = written.load(Ordering::Relaxed);
    let most = 50.0 + 50.0 * begin.elapsed().as_secs_f64();
    assert!(written > PODS / 2 && written as f64 <= most, "{written} of {most}");
    counting.abort();
    scene.pods.delete_collection(&DeleteParams::default().grace_period(0), &Default::default()).await.unwrap();
}

#[tokio::test]
async fn pods_that_are_too_large_to_be_listed_together_are_told_and_cost_little_memory() {
    const PODS: usize = 40;
    let mut scene = Workloads::open(&may_tell()).await;
    let mut large = with_volume();
    large["container"]["env"] = json!([{"name": "LARGE", "value": "x".repeat(900_000)}]);
    for number in 0..PODS {
        scene.run_pod(&format!("pod-{number}"), large.clone()).await;
    }
    scene.apply("1h", json!({"pods": "Annotate"})).await;
    scene.stage.until_ready(NAME).await;
    let delivered = scene.until_delivered().await;
    assert_eq!(delivered.status.unwrap().propagation.unwrap().pods, Some(40));
    assert_was_small(&mut scene.stage);
    scene.pods.delete_collection(&DeleteParams::default().grace_period(0), &Default::default()).await.unwrap();
}

/// Counts each change of a Pod that knows of a token.
async fn count_annotations(pods: Api<Pod>, written: Arc<AtomicUsize>) {
    let changes = watcher(pods, watcher::Config::default()).applied_objects();
    pin_mut!(changes);
    while let Some(pod) = changes.next().await {
        let is_told = pod.is_ok_and(|pod| pod.annotations().contains_key(TOKEN));
        written.fetch_add(usize::from(is_told), Ordering::Relaxed);
    }
}
