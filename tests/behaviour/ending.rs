//! Deletion never blocks, and nothing is made anew meanwhile.

use crate::support::*;
use harness::{ControlPlane, wait_for};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

#[tokio::test]
async fn a_resource_that_is_going_is_neither_repaired_nor_refreshed() {
    let stage = Stage::open().await;
    stage.apply("other", stage.spec("1h")).await;
    stage.until_ready("other").await;
    let mut object = json!({"metadata": {"finalizers": ["example.com/somebody-elses"]}});
    object["spec"] = stage.spec("1h");
    stage.apply_object(NAME, object).await;
    stage.until_ready(NAME).await;
    let calls = stage.calls();
    stage.delete(NAME).await;
    stage.delete_secret(NAME).await;
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "1"}}})).await;
    stage.until_noticed("other").await;
    assert_eq!((stage.secrets.get_opt(NAME).await.unwrap(), stage.calls()), (None, calls));
    stage.change(NAME, json!({"metadata": {"finalizers": null}})).await;
}

#[tokio::test]
async fn a_namespace_ends_quietly_and_nothing_is_made_anew_in_it() {
    // The operator's account does not go with the namespace, nor do its rights.
    let office = Stage::dark().await;
    office.grant_everywhere().await;
    let mut stage = Stage::dark().await;
    stage.start_operator_as(&office.kubeconfig(), &[]);
    for name in [NAME, "second", "third"] {
        stage.apply(name, stage.spec("1h")).await;
        stage.until_ready(name).await;
    }
    let (calls, said) = (stage.calls(), stage.operator().log().len());
    let namespaces: Api<Namespace> = Api::all(stage.cluster.client().await.unwrap());
    namespaces.delete(stage.namespace.name(), &DeleteParams::default()).await.unwrap();
    let gone = async || namespaces.get_opt(stage.namespace.name()).await.unwrap().is_none().then_some(());
    wait_for("the end of the namespace", PATIENCE, gone).await.unwrap();
    let log = stage.operator().log();
    assert!(!log[said..].contains(" WARN ") && !log[said..].contains(" ERROR "), "{}", &log[said..]);
    assert_eq!(stage.calls(), calls);
    assert!(stage.operator().process().status().unwrap().is_none(), "the operator still runs");
}

/// On a control plane of its own: the definition is everybody's.
#[tokio::test]
async fn a_deleted_definition_ends_nothing_else_and_a_new_one_is_served() {
    let plane = ControlPlane::start().await.unwrap();
    let mut stage = Stage::dark_in(plane.cluster()).await;
    stage.start_operator(&[]);
    stage.issued("1h").await;
    stage.kubectl(&["delete", "crd", "syniversetokens.syniverse.dev", "--timeout=30s"]).await;
    // The garbage collector may be faster; either way it is not to come back.
    stage.kubectl(&["delete", "secret", NAME, "--ignore-not-found"]).await;
    plane.cluster().install_crds(concat!(env!("CARGO_MANIFEST_DIR"), "/crds").as_ref()).unwrap();
    stage.apply("later", stage.spec("1h")).await;
    stage.until_ready("later").await;
    assert_eq!((stage.secrets.get_opt(NAME).await.unwrap(), stage.calls()), (None, 2));
    assert!(stage.operator().process().status().unwrap().is_none(), "the operator still runs");
}
