//! A release with several shards on a real API server: what an upgrade makes and takes away, and what each may do.

use crate::release::{RELEASE, Release, command, values_in};
use crate::support::*;
use harness::{Operator, wait_for};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::PostParams;
use serde_json::{from_value, json};

/// The operator of a Deployment, on a machine that has the ports only once.
fn start(release: &Release, deployment: &str) -> Operator {
    let mut pod = release.object("deployment", deployment)["spec"]["template"]["spec"].clone();
    let arguments = pod["containers"][0]["args"].as_array_mut().unwrap();
    arguments.retain(|argument| !argument.as_str().unwrap().contains("listen="));
    Operator::start(command(&pod, &release.kubeconfig())).unwrap()
}

fn deployments_and_budgets(release: &Release) -> Vec<String> {
    let release_labels = format!("--selector=app.kubernetes.io/instance={RELEASE}");
    let found = release.kubectl(&["get", "deployments,poddisruptionbudgets", &release_labels, "--output=name"]);
    found.lines().map(|line| line.rsplit('/').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_upgrade_adds_a_shard_that_may_hold_a_lease_of_its_own_and_another_takes_it_away() {
    let stage = Stage::dark().await;
    let release = Release::planned(&stage.cluster, stage.namespace.name());
    let mut values = values_in(stage.namespace.name());
    release.install(&values).await;
    values["shards"] = json!(2);
    release.helm(&["upgrade", RELEASE, crate::helm::CHART, "--set-json", &values.to_string()]).await;
    let second = format!("{RELEASE}-2");
    assert_eq!(deployments_and_budgets(&release), [RELEASE, &second, RELEASE, &second]);

    let _operators = [RELEASE, &second].map(|deployment| start(&release, deployment));
    let leases: Api<Lease> = Api::namespaced(release.client().await, stage.namespace.name());
    for name in [RELEASE, &second] {
        let held = async || leases.get(name).await.ok()?.spec?.holder_identity.filter(|holder| !holder.is_empty());
        wait_for(&format!("the Lease {name}"), PATIENCE, held).await.unwrap();
    }
    let third = from_value(json!({"metadata": {"name": format!("{RELEASE}-3")}})).unwrap();
    let refused = leases.create(&PostParams::default(), &third).await.unwrap_err();
    assert!(refused.to_string().contains("writes no Lease but its own"), "{refused}");
    stage.issued("1h").await;

    values["shards"] = json!(1);
    release.helm(&["upgrade", RELEASE, crate::helm::CHART, "--set-json", &values.to_string()]).await;
    assert_eq!(deployments_and_budgets(&release), [RELEASE, RELEASE]);
}
