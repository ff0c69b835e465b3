//! The labels and annotations of a spec that are written to a Secret: all but those that make other controllers act on
//! it, unless the settings say otherwise.

use crate::api::{TokenSecretSpec, owner_of_annotation, owner_of_label};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// Stars that a pattern may have: matching takes a power of their number.
const MOST_STARS: usize = 2;

/// A tool that reads labels or annotations of Secrets.
#[derive(Clone, Copy, Debug)]
pub struct Watcher {
    /// Its name.
    pub name: &'static str,
    /// What the tool does with such a Secret.
    pub does: &'static str,
    /// The keys, as [`Entry`] writes them.
    pub keys: &'static [&'static str],
}

/// Replicators, sidecars, injectors and the like. Keys are those of their documentation.
pub const WATCHERS: &[Watcher] = &[
    Watcher { name: "Reflector", does: COPIES, keys: &["*.k8s.emberstack.com/*", "reflector.havulv.io/*"] },
    Watcher { name: "kubernetes-replicator, secret-generator", does: COPIES, keys: &["*.mittwald.de/*"] },
    Watcher { name: "config-syncer (kubed)", does: COPIES, keys: &["*.appscode.com/*"] },
    Watcher { name: "ClusterSecret", does: COPIES, keys: &["clustersecret.io/*", "*.clustersecret.io/*"] },
    Watcher { name: "Replizieren", does: COPIES, keys: &["replizieren.dev/*"] },
    Watcher { name: "Kyverno", does: COPIES, keys: &["generate.kyverno.io/*"] },
    Watcher { name: "secretgen-controller", does: COPIES, keys: &["secretgen.carvel.dev/*"] },
    Watcher { name: "vCluster", does: COPIES, keys: &["*.loft.sh/*"] },
    Watcher { name: "Rancher, Fleet", does: COPIES, keys: &["*.cattle.io/*"] },
    Watcher {
        name: "Open Cluster Management, Karmada, Liqo, Admiralty",
        does: COPIES,
        keys: &["*.open-cluster-management.io/*", "*.karmada.io/*", "liqo.io/*", "*.liqo.io/*", "*.admiralty.io/*"],
    },
    Watcher { name: "Grafana's and Loki's sidecars", does: LOADS, keys: &["grafana_*", "loki_*", "k8s-sidecar-*"] },
    Watcher { name: "Jenkins", does: LOADS, keys: &["jenkins.io/*", "*.jenkins.io/*", "*-jenkins-config"] },
    Watcher { name: "Istio", does: TRUSTS, keys: &["istio/*", "istio.io/*", "*.istio.io/*"] },
    Watcher { name: "Linkerd", does: TRUSTS, keys: &["linkerd.io/*", "*.linkerd.io/*"] },
    Watcher { name: "Kong", does: TRUSTS, keys: &["konghq.com/*", "*.konghq.com/*"] },
    Watcher { name: "Authorino", does: TRUSTS, keys: &["kuadrant.io/*", "*.kuadrant.io/*"] },
    Watcher { name: "Cluster API and other SIG projects", does: TRUSTS, keys: &["*.x-k8s.io/*"] },
    Watcher { name: "Argo Workflows, Argo Events", does: TRUSTS, keys: &["argoproj.io/*", "*.argoproj.io/*"] },
    Watcher { name: "Tekton", does: TRUSTS, keys: &["tekton.dev/*", "*.tekton.dev/*"] },
    Watcher { name: "Sealed Secrets", does: WRITES, keys: &["sealedsecrets.bitnami.com/*"] },
    Watcher { name: "External Secrets", does: WRITES, keys: &["external-secrets.io/*", "*.external-secrets.io/*"] },
    Watcher { name: "cert-manager", does: WRITES, keys: &["cert-manager.io/*", "*.cert-manager.io/*"] },
    Watcher { name: "Vault", does: WRITES, keys: &["*.hashicorp.com/*"] },
    Watcher {
        name: "Bank-Vaults and its kin",
        does: WRITES,
        keys: &["*.banzaicloud.io/*", "*.bank-vaults.io/*", "*.secret.manager/*"],
    },
    Watcher {
        name: "1Password, Doppler, Infisical",
        does: WRITES,
        keys: &["*.1password.io/*", "*.doppler.com/*", "*.infisical.com/*"],
    },
    Watcher { name: "Crossplane", does: WRITES, keys: &["crossplane.io/*", "*.crossplane.io/*"] },
    Watcher { name: "Gardener", does: WRITES, keys: &["gardener.cloud/*", "*.gardener.cloud/*"] },
    Watcher { name: "OpenShift", does: WRITES, keys: &["openshift.io/*", "*.openshift.io/*"] },
];

const COPIES: &str = "copies the Secret to other namespaces or clusters";
const LOADS: &str = "loads the Secret's contents as its own configuration";
const TRUSTS: &str = "takes the Secret for credentials, keys or clusters to trust";
const WRITES: &str = "writes into the Secret, or gives it to others";

/// A line of the setting: allowed or forbidden keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// A key; `*` stands for any text.
    pattern: String,
    is_allowed: bool,
}

impl FromStr for Entry {
    type Err = &'static str;

    /// Reads `PATTERN`, or `!PATTERN` for keys that are not allowed.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pattern, is_allowed) = text.strip_prefix('!').map_or((text, true), |pattern| (pattern, false));
        let is_of_a_key = |c: char| c.is_ascii_alphanumeric() || "-_./*".contains(c);
        let is_pattern = !pattern.is_empty() && pattern.chars().all(is_of_a_key);
        (is_pattern && pattern.matches('*').count() <= MOST_STARS)
            .then(|| Self { pattern: pattern.to_owned(), is_allowed })
            .ok_or("a key such as grafana_dashboard or example.com/*, with at most two *, perhaps after !")
    }
}

/// The labels and annotations that specs may set on Secrets, besides the reserved keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretMetadata {
    entries: Vec<Entry>,
}

/// The keys of a spec that are left out of the Secret, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Keys that no setting allows: the API server refuses them as well, but not in an older resource.
    pub reserved: BTreeSet<String>,
    /// Keys that a setting could allow.
    pub not_allowed: BTreeSet<String>,
}

impl SecretMetadata {
    /// The rules of a setting: of its entries, which come after those of the [`WATCHERS`], the last that matches decides.
    pub fn new(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// True for a key that no entry speaks against.
    pub fn allows(&self, key: &str) -> bool {
        let last = self.entries.iter().rev().find(|entry| matches(&entry.pattern, key));
        last.map_or_else(|| !is_watched(key), |entry| entry.is_allowed)
    }

    /// The labels that `spec` may put on a Secret.
    pub fn labels(&self, spec: &TokenSecretSpec) -> BTreeMap<String, String> {
        self.kept(&spec.labels, owner_of_label)
    }

    /// The annotations that `spec` may put on a Secret.
    pub fn annotations(&self, spec: &TokenSecretSpec) -> BTreeMap<String, String> {
        self.kept(&spec.annotations, |key, _| owner_of_annotation(key))
    }

    fn kept(&self, of: &BTreeMap<String, String>, owner: impl Fn(&str, &str) -> Owner) -> BTreeMap<String, String> {
        let is_kept = |(key, value): &(&String, &String)| owner(key, value).is_none() && self.allows(key);
        of.iter().filter(is_kept).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The labels and annotations that it may not.
    pub fn left_out(&self, spec: &TokenSecretSpec) -> LeftOut {
        let labels = spec.labels.iter().map(|(key, value)| (key, owner_of_label(key, value)));
        let annotations = spec.annotations.keys().map(|key| (key, owner_of_annotation(key)));
        let mut left_out = LeftOut::default();
        for (key, owner) in labels.chain(annotations) {
            if owner.is_some() {
                left_out.reserved.insert(key.clone());
            } else if !self.allows(key) {
                left_out.not_allowed.insert(key.clone());
            }
        }
        left_out
    }
}

type Owner = Option<&'static str>;

fn is_watched(key: &str) -> bool {
    WATCHERS.iter().flat_map(|watcher| watcher.keys).any(|pattern| matches(pattern, key))
}

/// True when `key` is `pattern`, each `*` standing for any text.
fn matches(pattern: &str, key: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == key,
        Some((start, rest)) => key.strip_prefix(start).is_some_and(|key| {
            key.char_indices().map(|(at, _)| at).chain([key.len()]).any(|at| matches(rest, &key[at..]))
        }),
    }
}
