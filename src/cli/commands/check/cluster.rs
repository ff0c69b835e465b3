//! The cluster: its version, the custom resource definition, and before an installation the rights of the user.

use super::report::Report;
use super::rights::may_i;
use crate::cli::commands::target::Target;
use crate::client::error::describe;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use serde_json::Value;
use std::collections::BTreeSet;
use syniverse_token_core::api;

/// The oldest minor version of Kubernetes 1 that the project is tested on.
const OLDEST: u32 = 32;
/// Fields named in a message.
const NAMED: usize = 5;

/// How the definition of this version is installed.
const INSTALL: &str = "kubectl syniverse-token crd | kubectl apply --server-side --force-conflicts -f -";

/// What an installation makes in the whole cluster: group and resource.
const INSTALLED: [(&str, &str); 4] = [
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
];

/// What there is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// The API server does not answer.
    Nothing,
    /// There are no SyniverseTokens.
    Cluster,
    /// SyniverseTokens as well.
    All,
}

/// Checks it.
pub(super) async fn check(target: &Target, is_before: bool, report: &mut Report) -> Reached {
    match target.client.apiserver_version().await {
        Ok(version) => check_version(&version.git_version, &version.minor, report),
        Err(error) => {
            let remedy = "look at the kubeconfig, the context and the network";
            report.bad("api-server", describe(&error), remedy);
            return Reached::Nothing;
        }
    }
    if is_before {
        check_rights(target, report).await;
    }
    let name = api::crd().metadata.name.unwrap_or_default();
    let definitions: Api<CustomResourceDefinition> = Api::all(target.client.clone());
    let is_served = match definitions.get_opt(&name).await {
        Ok(Some(found)) => check_definition(&found, report),
        Ok(None) if is_before => {
            report.good("crd", format!("{name} is not there yet: the chart brings it"));
            false
        }
        Ok(None) => {
            report.bad("crd", format!("{name} is missing"), INSTALL);
            false
        }
        Err(error) => {
            report.warn(
                "crd",
                format!("{name} could not be read: {}", describe(&error)),
                "ask for the right to get it",
            );
            true
        }
    };
    if is_served { Reached::All } else { Reached::Cluster }
}

fn check_version(version: &str, minor: &str, report: &mut Report) {
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    let is_new = digits.parse::<u32>().is_ok_and(|minor| minor >= OLDEST);
    if is_new {
        report.good("api-server", format!("API server {version} (1.{OLDEST} or newer)"));
    } else {
        report.bad("api-server", format!("API server {version} is older than 1.{OLDEST}"), "upgrade the cluster first");
    }
}

/// Whether the user may install the chart.
async fn check_rights(target: &Target, report: &mut Report) {
    let mut missing = Vec::new();
    for (group, resource) in INSTALLED {
        match may_i(target, group, resource, "create").await {
            Ok(true) => {}
            Ok(false) => missing.push(resource),
            Err(error) => {
                report.warn("install-rights", format!("rights could not be asked for: {}", describe(&error)), "go on");
                return;
            }
        }
    }
    if missing.is_empty() {
        report.good("install-rights", "you may create what the chart installs");
    } else {
        let detail = format!("you may not create {}", missing.join(", "));
        report.bad(
            "install-rights",
            detail,
            "install with an account that may, or set watchNamespaces and install these apart",
        );
    }
}

fn check_definition(found: &CustomResourceDefinition, report: &mut Report) -> bool {
    let conditions = found.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let is_served = conditions.into_iter().any(|it| it.type_ == "Established" && it.status == "True");
    let name = found.metadata.name.clone().unwrap_or_default();
    let (there, own) = (fields(found), fields(&api::crd()));
    let absent: Vec<_> = own.difference(&there).map(String::as_str).collect();
    let foreign: Vec<_> = there.difference(&own).map(String::as_str).collect();
    match () {
        () if !is_served => {
            let remedy = format!("kubectl describe crd {name}: its conditions say why");
            report.bad("crd", format!("{name} is not served"), remedy);
        }
        () if !absent.is_empty() => {
            let detail = format!("{name} is older than this command: it lacks {}", few(&absent));
            report.bad(
                "crd",
                detail,
                "syniverse-token-operator crd | kubectl apply --server-side --force-conflicts -f -",
            );
        }
        () if !foreign.is_empty() => {
            let detail = format!("{name} is newer than this command: it has {}", few(&foreign));
            report.warn("crd", detail, "use the command of the operator's version");
        }
        () => report.good("crd", format!("{name} v1alpha1, with all fields of this command")),
    }
    is_served
}

fn few(names: &[&str]) -> String {
    let more = if names.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "))
}

/// The paths of the fields of the schema, such as `spec.application.validity`.
fn fields(definition: &CustomResourceDefinition) -> BTreeSet<String> {
    let version = definition.spec.versions.iter().find(|version| version.name == "v1alpha1");
    let schema = version.and_then(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
    let schema = schema.and_then(|schema| serde_json::to_value(schema).ok()).unwrap_or_default();
    let mut found = BTreeSet::new();
    for part in ["spec", "status"] {
        collect(&schema["properties"][part], part, &mut found);
    }
    found
}

fn collect(schema: &Value, path: &str, into: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, field) in properties {
        let path = format!("{path}.{name}");
        collect(field, &path, into);
        into.insert(path);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::commands::terminal::{Mark, Terminal};
    use serde_json::json;

    /// The definition of this version as the API server would show it.
    fn served() -> Value {
        let mut definition = serde_json::to_value(api::crd()).unwrap();
        definition["status"] = json!({"conditions": [{"type": "Established", "status": "True",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "r", "message": "m"}]});
        definition
    }

    fn said(definition: Value) -> (Mark, String) {
        let mut report = Report::default();
        check_definition(&serde_json::from_value(definition).unwrap(), &mut report);
        (report.worst(), report.text(Terminal::stdout(), false))
    }

    #[test]
    fn an_older_definition_is_found_by_the_fields_that_it_lacks_and_a_newer_one_by_those_it_has() {
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        assert_eq!(said(served()).0, Mark::Good);
        let mut older = served();
        older.pointer_mut(spec).unwrap().as_object_mut().unwrap().remove("propagation");
        let (mark, text) = said(older);
        assert!(mark == Mark::Bad && text.contains("spec.propagation"), "{text}");
        let mut newer = served();
        newer.pointer_mut(spec).unwrap()["future"] = json!({"type": "string"});
        let (mark, text) = said(newer);
        assert!(mark == Mark::Warning && text.contains("spec.future"), "{text}");
        let mut unserved = served();
        unserved["status"] = Value::Null;
        assert_eq!(said(unserved).0, Mark::Bad);
    }

    #[test]
    fn a_version_that_is_too_old_is_named() {
        for (minor, mark) in [("31", Mark::Bad), ("32", Mark::Good), ("33+", Mark::Good), ("", Mark::Bad)] {
            let mut report = Report::default();
            check_version("v1", minor, &mut report);
            assert_eq!(report.worst(), mark, "{minor}");
        }
    }
}
