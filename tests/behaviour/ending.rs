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
    let mut stage = Stage::open().await;
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
async fn a_deleted_definition_takes_resources_and_secrets_with_it_and_a_new_one_is_served() {
    let plane = ControlPlane::start().await.unwrap();
    let mut stage = Stage::dark_in(plane.cluster()).await;
    stage.start_operator(&[]);
    stage.issued("1h").await;
    stage.kubectl(&["delete", "crd", "syniversetokens.syniverse.dev", "--timeout=30s"]).await;
    for name in [NAME, STATE] {
        let gone = async || stage.secrets.get_opt(name).await.unwrap().is_none().then_some(());
        wait_for("the end of a Secret", PATIENCE, gone).await.unwrap();
    }
    assert_eq!(stage.calls(), 1);
    plane.cluster().install_crds(concat!(env!("CARGO_MANIFEST_DIR"), "/crds").as_ref()).unwrap();
    stage.issued("1h").await;
    assert!(stage.operator().process().status().unwrap().is_none(), "the operator still runs");
}
