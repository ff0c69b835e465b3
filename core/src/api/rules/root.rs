//! The rules that need the name of the resource, and so stand at its root.

use crate::api::STATE_SECRET_SUFFIX;
use crate::api::reserved::HELM_RELEASE_PREFIX;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::ValidationRule;

/// The references to Secrets that credentials are read from.
const CREDENTIALS: [&str; 5] = [
    "application.?credentials",
    "application.?standby.?credentials",
    "session.?credentials",
    "clientCredentials.?credentials",
    "clientCredentials.?standby.?credentials",
];

/// The rules at the root of the resource.
pub(in crate::api) fn root() -> Vec<ValidationRule> {
    let (name, old_name) = (secret_name("self"), secret_name("oldSelf"));
    vec![
        ValidationRule {
            rule: "self.metadata.name.size() <= 63".into(),
            message: Some("metadata.name must be at most 63 characters".into()),
            ..ValidationRule::default()
        },
        of_secret_name(
            format!("{name} == {old_name}"),
            "secret.name (by default the resource's own name) cannot be changed: create a new resource",
        ),
        of_secret_name(
            format!("!{name}.endsWith('{STATE_SECRET_SUFFIX}')"),
            "secret.name (by default the resource's own name) must not end with -syniverse-state",
        ),
        // The name cannot be changed, so a resource that is older than this rule may stay as it is.
        ValidationRule {
            optional_old_self: Some(true),
            ..of_secret_name(
                format!("oldSelf.hasValue() || !{name}.startsWith('{HELM_RELEASE_PREFIX}')"),
                "secret.name (by default the resource's own name) must not begin with sh.helm.release.: Helm would \
                 treat the Secret as one of its releases",
            )
        },
        // No name is '/', so what is absent equals none.
        of_secret_name(
            CREDENTIALS
                .map(|credentials| format!("{name} != self.spec.?{credentials}.?secretRef.?name.orValue('/')"))
                .join(" && "),
            "secret.name (by default the resource's own name) must not be a Secret that credentials are read from",
        ),
    ]
}

/// The name of the token Secret as an expression. Not with `orValue`, which hides its greatest length from the cost
/// estimate.
fn secret_name(object: &str) -> String {
    format!(
        "(has({object}.spec.secret) && has({object}.spec.secret.name) ? {object}.spec.secret.name : {object}.metadata.name)"
    )
}

fn of_secret_name(rule: String, message: &str) -> ValidationRule {
    ValidationRule {
        rule,
        message: Some(message.into()),
        field_path: Some(".spec.secret.name".into()),
        ..ValidationRule::default()
    }
}
