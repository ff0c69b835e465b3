//! An object that an older schema let in: what is unusable in it is named, and served as far as it can be.

use crate::support::*;
use harness::{ControlPlane, wait_for};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

const CRD: &str = "syniversetokens.syniverse.dev";

/// The definition without any rule about values, as if an older one had none. The API server serves a changed
/// definition a moment after it accepted it: ended once `unusable` would be accepted.
async fn loosen(plane: &ControlPlane, stage: &Stage, unusable: &Value) {
    let crds: Api<CustomResourceDefinition> = Api::all(plane.cluster().client().await.unwrap());
    let mut crd = serde_json::to_value(crds.get(CRD).await.unwrap()).unwrap();
    without_rules(&mut crd["spec"]);
    let loose = json!({"spec": crd["spec"]});
    crds.patch(CRD, &PatchParams::default(), &Patch::Merge(loose)).await.unwrap();
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let is_served = async || stage.tokens.patch(NAME, &dry, &Patch::Merge(unusable)).await.ok();
    wait_for("the loosened definition", PATIENCE, is_served).await.unwrap();
}

/// Merge patches take a null for "remove this".
fn without_rules(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if ["pattern", "x-kubernetes-validations"].contains(&name.as_str()) && !field.is_object() {
                    *field = Value::Null;
                } else {
                    without_rules(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_rules),
        _ => {}
    }
}

#[tokio::test]
async fn a_duration_that_a_schema_let_in_and_is_none_is_named_and_takes_no_token_away() {
    let plane = ControlPlane::start().await.unwrap();
    let mut stage = Stage::dark_in(plane.cluster()).await;
    stage.start_operator(&[]);
    stage.issued("1h").await;
    let (token, calls) = (stage.token().await, stage.calls());
    let unusable = json!({"spec": {"application": {"validity": "a while"}}});
    loosen(&plane, &stage, &unusable).await;

    stage.change(NAME, unusable).await;
    let told = stage.until(NAME, "the finding", is_stalled).await;
    let message = "spec.application.validity is \"a while\", which is not a duration";
    let stalled = condition(&told, "Stalled").unwrap();
    assert_eq!(stalled.reason, "SpecInvalid");
    assert!(stalled.message.starts_with(message), "{}", stalled.message);
    assert!(is_ready(&told), "the token lives on");

    stage.change(NAME, json!({"spec": {"application": {"validity": "1h"}, "refreshBefore": "soon"}})).await;
    let told = stage
        .until(NAME, "the other finding", |told| {
            condition(told, "Stalled").is_some_and(|stalled| stalled.message.contains("spec.refreshBefore is \"soon\""))
        })
        .await;
    assert!(is_ready(&told));
    assert_eq!((stage.token().await, stage.calls()), (token.clone(), calls), "nothing was requested");

    // The default is in force: a person's wish is heard.
    stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": "1"}}})).await;
    stage.until_calls(calls + 1).await;
    stage.change(NAME, json!({"spec": {"refreshBefore": "5m"}})).await;
    stage.until(NAME, "no finding", |told| !is_stalled(told)).await;
    assert_eq!(stage.token().await, token);
}
