//! Who takes over announces no token again, and restarts nothing for a token that was restarted for.

use crate::replicas::{SHORT, replica, until_leads};
use crate::support::*;
use kube::ResourceExt;
use serde_json::json;

#[tokio::test]
async fn a_change_of_the_leader_tells_no_pod_and_restarts_no_workload_again() {
    let stage = Stage::dark().await;
    let [list, patch] = may_tell();
    stage.grant(&[list, patch, may_restart()]).await;
    let scene = Workloads::on(stage).await;
    let kubeconfig = scene.stage.kubeconfig();
    let mut leader = replica(&scene.stage, "a", SHORT, &kubeconfig, &[]);
    until_leads(&scene.stage, "a").await;
    let _heir = replica(&scene.stage, "b", SHORT, &kubeconfig, &[]);
    scene.run_pod("volume", with_volume()).await;
    scene.deploy("unaware", json!({}), with_environment()).await;
    scene.apply("1h", json!({"pods": "Annotate", "restart": {"mode": "Unaware"}})).await;
    scene.stage.until_ready(NAME).await;
    scene.until_told("volume").await;
    let restarted = scene.until_restarted("unaware").await;
    scene.until_delivered().await;
    let pod = scene.pods.get("volume").await.unwrap();
    leader.kill9();
    until_leads(&scene.stage, "b").await;
    scene.stage.until_noticed(NAME).await;
    // A later generation has all looked through, and a further Pod told.
    scene.run_pod("later", with_volume()).await;
    scene.stage.change(NAME, json!({"spec": {"refreshBefore": "7m"}})).await;
    scene.until_told("later").await;
    scene.until_delivered().await;
    assert_eq!(scene.pods.get("volume").await.unwrap().resource_version(), pod.resource_version());
    let after = scene.deployments.get("unaware").await.unwrap();
    assert_eq!(after.metadata.generation, restarted.metadata.generation);
}
