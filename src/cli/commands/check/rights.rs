//! Rights: of the user and of the operator's account.

use super::report::Report;
use crate::cli::commands::target::Target;
use crate::client::error::describe;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

/// What the operator cannot do without: group, resource, verb. `templates/rbac.yaml` of the chart says what for.
const NEEDED: [(&str, &str, &str); 11] = [
    ("syniverse.dev", "syniversetokens", "get"),
    ("syniverse.dev", "syniversetokens", "list"),
    ("syniverse.dev", "syniversetokens", "watch"),
    ("syniverse.dev", "syniversetokens/status", "update"),
    ("", "secrets", "get"),
    ("", "secrets", "list"),
    ("", "secrets", "watch"),
    ("", "secrets", "create"),
    ("", "secrets", "update"),
    ("events.k8s.io", "events", "create"),
    ("events.k8s.io", "events", "patch"),
];

/// The operator's account, and the namespaces that it works in.
pub(super) struct Account {
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub(super) user: String,
    pub(super) groups: Vec<String>,
    /// Empty = all.
    pub(super) namespaces: Vec<String>,
}

/// Whether the user has a right, in all namespaces.
pub(super) async fn may_i(target: &Target, group: &str, resource: &str, verb: &str) -> kube::Result<bool> {
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes(group, resource, verb, None)),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(target.client.clone());
    let review = reviews.create(&PostParams::default(), &review).await?;
    Ok(review.status.is_some_and(|status| status.allowed))
}

/// Checks the rights of the operator's account.
pub(super) async fn check(target: &Target, account: &Account, report: &mut Report) {
    let all = [None];
    let some: Vec<_> = account.namespaces.iter().map(|namespace| Some(namespace.as_str())).collect();
    let namespaces = if some.is_empty() { all.as_slice() } else { some.as_slice() };
    let mut lacks = false;
    for namespace in namespaces {
        let missing = match missing(target, account, *namespace).await {
            Ok(missing) => missing,
            Err(error) => {
                let detail = format!("the operator's rights could not be asked for: {}", describe(&error));
                report.warn("rbac", detail, "needs the right to create subjectaccessreviews");
                return;
            }
        };
        if !missing.is_empty() {
            lacks = true;
            let place = namespace.map_or("all namespaces".to_owned(), |namespace| format!("namespace {namespace}"));
            let detail = format!("{} lacks in {place}: {}", account.user, missing.join("; "));
            report.bad("rbac", detail, remedy(*namespace));
        }
    }
    if !lacks {
        let place = if some.is_empty() { "all namespaces".to_owned() } else { account.namespaces.join(", ") };
        report.good("rbac", format!("{} has its rights in {place}", account.user));
    }
}

fn remedy(namespace: Option<&str>) -> String {
    let values = namespace.map(|namespace| format!(" --set 'watchNamespaces={{{namespace}}}'")).unwrap_or_default();
    format!("helm upgrade … --reset-then-reuse-values{values}, with rbac.create=true, or bind these rights yourself")
}

/// The rights that are missing, as `update secrets`.
async fn missing(target: &Target, account: &Account, namespace: Option<&str>) -> kube::Result<Vec<String>> {
    let reviews: Api<SubjectAccessReview> = Api::all(target.client.clone());
    let mut missing = Vec::new();
    for (group, resource, verb) in NEEDED {
        let spec = SubjectAccessReviewSpec {
            user: Some(account.user.clone()),
            groups: Some(account.groups.clone()),
            resource_attributes: Some(attributes(group, resource, verb, namespace)),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = reviews.create(&PostParams::default(), &review).await?;
        if !answer.status.is_some_and(|status| status.allowed) {
            missing.push(format!("{verb} {resource}"));
        }
    }
    Ok(missing)
}

fn attributes(group: &str, resource: &str, verb: &str, namespace: Option<&str>) -> ResourceAttributes {
    let (resource, subresource) = resource.split_once('/').map_or((resource, None), |(main, sub)| (main, Some(sub)));
    ResourceAttributes {
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(str::to_owned),
        verb: Some(verb.to_owned()),
        namespace: namespace.map(str::to_owned),
        ..ResourceAttributes::default()
    }
}
