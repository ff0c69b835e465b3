//! A second release beside the first, on a control plane of their own: refused where both would work.

use crate::helm::{CHART, Helm};
use crate::release::{RELEASE, Release, write_kubeconfig};
use harness::ControlPlane;
use serde_json::{Value, json};

/// The definition is there, by the harness.
fn values(namespaces: &[&str], more: Value) -> Value {
    let mut values = json!({"crds": {"install": false}, "watchNamespaces": namespaces});
    values.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    values
}

/// What Helm complains of.
async fn refusal(release: &Release, verb: &str, values: &Value) -> String {
    let values = values.to_string();
    let arguments = [verb, RELEASE, CHART, "--namespace", &release.namespace, "--set-json", &values];
    release.helm.run(&arguments).await.expect_err(&format!("{verb} in {} is accepted", release.namespace))
}

#[tokio::test]
async fn a_second_release_is_refused_in_namespaces_where_another_one_works() {
    let plane = ControlPlane::start().await.unwrap();
    let cluster = plane.cluster();
    let [one, two, three] = ["one", "two", "three"].map(|namespace| {
        cluster.kubectl(&["create", "namespace", namespace]).unwrap();
        Release::planned(cluster, namespace)
    });
    let everywhere = values(&[], json!({}));
    one.install(&everywhere).await;
    let works = format!("the release {RELEASE} in the namespace one works in all namespaces");
    for wanted in [&everywhere, &values(&["two"], json!({}))] {
        let refused = refusal(&two, "install", wanted).await;
        assert!(refused.contains(&works) && refused.contains("allowSecondRelease"), "{refused}");
    }
    one.helm(&["upgrade", RELEASE, CHART, "--reuse-values", "--set", "fullnameOverride=renamed"]).await;
    let said = two.install(&values(&["two"], json!({"allowSecondRelease": true}))).await;
    assert!(said.contains("WARNING: allowSecondRelease is on"), "{said}");
    let refused = refusal(&one, "upgrade", &everywhere).await;
    assert!(refused.contains("in the namespace two works in the namespace two"), "{refused}");

    one.helm(&["uninstall", RELEASE]).await;
    three.install(&values(&["three"], json!({}))).await;
    let refused = refusal(&three, "upgrade", &values(&["three", "two"], json!({}))).await;
    assert!(refused.contains("in the namespace two works in the namespace two"), "{refused}");
    two.helm(&["upgrade", RELEASE, CHART, "--reuse-values", "--set", "allowSecondRelease=false"]).await;
}

#[tokio::test]
async fn who_may_do_everything_in_one_namespace_and_nothing_elsewhere_can_install_it_there() {
    let cluster = harness::shared().await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    let release = Release::planned(&cluster, namespace.name());
    release.kubectl(&["create", "serviceaccount", RELEASE]);
    release.kubectl(&["create", "role", "everything", "--verb=*", "--resource=*.*"]);
    let subject = format!("--serviceaccount={}:{RELEASE}", namespace.name());
    release.kubectl(&["create", "rolebinding", "everything", "--role=everything", &subject]);
    let kubeconfig = release.path("tenant");
    write_kubeconfig(&cluster, namespace.name(), &kubeconfig);
    let nothing_elsewhere = json!({"rbac": {"aggregateRoles": false}, "admissionPolicy": {"enabled": false},
        "serviceAccount": {"name": "operator"}});
    let values = values(&[namespace.name()], nothing_elsewhere);
    let arguments = ["install", RELEASE, CHART, "--namespace", namespace.name(), "--set-json", &values.to_string()];
    Helm::with(&kubeconfig).run(&arguments).await.unwrap();
}
