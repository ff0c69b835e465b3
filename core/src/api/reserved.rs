//! Labels and annotations that are reserved for others, and names by which others find Secrets: no spec may use them.

/// The domains whose keys, including those of their subdomains, are reserved, with their owners.
const DOMAINS: &[(&str, &str)] = &[
    ("kubernetes.io", "Kubernetes"),
    ("k8s.io", "Kubernetes"),
    ("helm.sh", "Helm"),
    ("argocd.argoproj.io", "Argo CD"),
];

/// The labels that Kubernetes recommends for all objects. Not managed-by, which the operator sets.
pub(super) const RECOMMENDED_LABELS: [&str; 5] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/component",
    "app.kubernetes.io/part-of",
];

/// Label by which Helm finds the Secrets of its releases.
pub(super) const HELM_RELEASE_LABEL: (&str, &str) = ("owner", "helm");

/// Prefix of the names of these Secrets.
pub(super) const HELM_RELEASE_PREFIX: &str = "sh.helm.release.";

/// The owner of a label that no spec may put on a Secret.
pub fn owner_of_label(key: &str, value: &str) -> Option<&'static str> {
    match (key, value) {
        HELM_RELEASE_LABEL => Some("Helm"),
        _ if RECOMMENDED_LABELS.contains(&key) => None,
        _ => owner_of_annotation(key),
    }
}

/// The owner of an annotation that no spec may put on a Secret.
pub fn owner_of_annotation(key: &str) -> Option<&'static str> {
    let (domain, _) = key.split_once('/')?;
    let is_below = |of: &str| domain == of || domain.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'));
    DOMAINS.iter().find(|(of, _)| is_below(of)).map(|(_, owner)| *owner)
}

/// A regular expression of RE2 for the keys that belong to `owner` by their domain.
pub(super) fn keys_of(owner: &str) -> String {
    let domains = DOMAINS.iter().filter(|(_, of)| *of == owner).map(|(domain, _)| domain.replace('.', "[.]"));
    format!("^([^/]*[.])?({})/", domains.collect::<Vec<_>>().join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_others_is_known_by_its_domain_or_subdomain() {
        for (key, owner) in [
            ("kubernetes.io/service-account.name", Some("Kubernetes")),
            ("app.kubernetes.io/managed-by", Some("Kubernetes")),
            ("secrets-store.csi.k8s.io/managed", Some("Kubernetes")),
            ("helm.sh/hook", Some("Helm")),
            ("meta.helm.sh/release-name", Some("Helm")),
            ("argocd.argoproj.io/secret-type", Some("Argo CD")),
            ("mykubernetes.io/a", None),
            ("kubernetes.io.example.com/a", None),
            ("kubernetes.io", None),
            ("example.com/kubernetes.io", None),
        ] {
            assert_eq!(owner_of_annotation(key), owner, "{key}");
            assert_eq!(owner_of_label(key, "x"), owner, "{key}");
        }
    }

    #[test]
    fn labels_that_are_recommended_to_everybody_belong_to_nobody_but_as_annotations_they_do() {
        for label in RECOMMENDED_LABELS {
            assert_eq!((owner_of_label(label, "x"), owner_of_annotation(label)), (None, Some("Kubernetes")), "{label}");
        }
    }

    #[test]
    fn helm_finds_its_releases_by_one_value_of_a_label() {
        assert_eq!(["helm", "team-a"].map(|value| owner_of_label("owner", value)), [Some("Helm"), None]);
        assert_eq!(owner_of_annotation("owner"), None);
    }
}
