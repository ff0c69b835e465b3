//! Which labels and annotations of a spec come onto a Secret.

use crate::cluster::{Cluster, now};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::{env, fs};
use syniverse_token_core::api::TokenSecretSpec;
use syniverse_token_core::reason::Reason;
use syniverse_token_core::secret_metadata::{Entry, LeftOut, SecretMetadata, WATCHERS};
use syniverse_token_core::status::{TokenHealth, ready, status};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
const BEGIN: &str = "<!-- watchers -->\n";
const END: &str = "<!-- /watchers -->";

fn rules(entries: &[&str]) -> SecretMetadata {
    SecretMetadata::new(entries.iter().map(|entry| entry.parse().unwrap()).collect())
}

#[test]
fn everything_is_allowed_but_what_others_watch() {
    let rules = SecretMetadata::default();
    for key in [
        "team",
        "example.com/note",
        "app.kubernetes.io/name",
        "reloader.stakater.com/match",
        "velero.io/exclude-from-backup",
        "reconcile.fluxcd.io/watch",
        "mycert-manager.io/a",
        "istio-like",
        "grafana",
    ] {
        assert!(rules.allows(key), "{key}");
    }
    for key in [
        "reflector.v1.k8s.emberstack.com/reflection-auto-enabled",
        "replicator.v1.mittwald.de/replicate-to",
        "secret-generator.v1.mittwald.de/autogenerate",
        "kubed.appscode.com/sync",
        "grafana_dashboard",
        "grafana_datasource",
        "grafana_alert",
        "k8s-sidecar-target-directory",
        "jenkins.io/credentials-type",
        "jenkins-jenkins-config",
        "istio/multiCluster",
        "networking.istio.io/cluster",
        "sealedsecrets.bitnami.com/sealed-secrets-key",
        "external-secrets.io/type",
        "cert-manager.io/allow-direct-injection",
        "vault.security.banzaicloud.io/vault-addr",
        "crossplane.io/composite",
        "resources.gardener.cloud/purpose",
        "clusterctl.cluster.x-k8s.io/move",
        "management.cattle.io/project-scoped-secret",
        "operator.1password.io/item-path",
    ] {
        assert!(!rules.allows(key), "{key}");
    }
}

#[test]
fn of_the_entries_that_match_the_last_one_decides() {
    for (entries, allowed, refused) in [
        (vec!["grafana_dashboard"], vec!["grafana_dashboard", "team"], vec!["grafana_datasource"]),
        (vec!["*"], vec!["grafana_dashboard", "team"], vec![]),
        (vec!["!*", "example.com/*"], vec!["example.com/a"], vec!["team", "sub.example.com/a", "grafana_dashboard"]),
        (vec!["!team"], vec!["teams"], vec!["team", "grafana_dashboard"]),
        (vec!["*.istio.io/*", "!networking.istio.io/*"], vec!["a.istio.io/b"], vec!["networking.istio.io/a"]),
        (vec!["!a", "a"], vec!["a"], vec![]),
    ] {
        let rules = rules(&entries);
        assert!(allowed.iter().all(|key| rules.allows(key)), "{entries:?}");
        assert!(!refused.iter().any(|key| rules.allows(key)), "{entries:?}");
    }
}

#[test]
fn an_entry_that_no_key_can_match_or_that_takes_long_to_match_is_refused() {
    for entry in ["", "!", "a b", "a=b", "!!a", "*a*b*", "é"] {
        assert!(entry.parse::<Entry>().is_err(), "{entry:?}");
    }
}

#[test]
fn what_belongs_to_kubernetes_helm_or_argo_cd_no_entry_allows() {
    let spec: TokenSecretSpec = serde_json::from_value(json!({
        "labels": {"owner": "helm", "team": "a", "app.kubernetes.io/name": "sms", "grafana_dashboard": "1"},
        "annotations": {"argocd.argoproj.io/tracking-id": "x", "app.kubernetes.io/name": "sms", "owner": "helm"},
    }))
    .unwrap();
    let everything = rules(&["*"]);
    assert_eq!(
        everything.labels(&spec).into_keys().collect::<Vec<_>>(),
        ["app.kubernetes.io/name", "grafana_dashboard", "team"]
    );
    assert_eq!(everything.annotations(&spec).into_keys().collect::<Vec<_>>(), ["owner"]);
    let named = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    let reserved = named(&["app.kubernetes.io/name", "argocd.argoproj.io/tracking-id", "owner"]);
    assert_eq!(everything.left_out(&spec), LeftOut { reserved: Clone::clone(&reserved), not_allowed: named(&[]) });
    let by_default = LeftOut { reserved, not_allowed: named(&["grafana_dashboard"]) };
    assert_eq!(SecretMetadata::default().left_out(&spec), by_default);
}

/// As after an upgrade of the operator: the Secret carries what was allowed before.
#[test]
fn a_key_that_is_no_longer_allowed_leaves_the_secret_and_the_token_is_kept_alive() {
    let spec = json!({"secret": {"labels": {"grafana_dashboard": "1", "team": "a"}}});
    let mut cluster = Cluster::new(spec);
    cluster.observed.secret_metadata = Arc::new(rules(&["*"]));
    cluster.answer(now(0.0), "first", 600);
    let labels = |cluster: &Cluster| cluster.observed.token.clone().unwrap().metadata.labels.unwrap();
    assert!(labels(&cluster).contains_key("grafana_dashboard"));

    cluster.observed.secret_metadata = Arc::default();
    cluster.restart(now(5.0));
    let (until, reasons) = cluster.rest(now(5.0));
    assert_eq!(labels(&cluster).into_keys().collect::<Vec<_>>(), ["app.kubernetes.io/managed-by", "team"]);
    assert_eq!((until, reasons), (Some(now(540.0).mono), vec![Reason::MetadataNotAllowed]));
    assert_eq!(cluster.token("accessToken").unwrap(), "first");
    cluster.answer(now(600.0), "second", 600);
    assert_eq!(cluster.token("accessToken").unwrap(), "second");
}

#[test]
fn it_is_said_with_the_key_and_the_setting_and_ready_stays_true_to_the_end_and_a_little_after() {
    let mut cluster = Cluster::new(json!({"secret": {"labels": {"grafana_dashboard": "1", "owner": "helm"}}}));
    cluster.answer(now(0.0), "first", 600);
    for (second, is_ready) in [(1.0, "True"), (600.5, "True"), (700.0, "False")] {
        let at = now(second);
        let findings = cluster.plan(at).findings;
        let health = TokenHealth::of(&cluster.observed, &cluster.memory, &findings, at);
        let said = status(&cluster.observed, &health, None, at);
        assert_eq!(ready(&said).unwrap().status, is_ready, "after {second} s");
        let stalled = said.conditions.iter().find(|condition| condition.type_ == "Stalled").unwrap();
        assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", "MetadataNotAllowed"));
        assert_eq!(
            stalled.message,
            "Secret messaging is written without grafana_dashboard: allow it with --secret-metadata (chart: \
             allowedSecretMetadata), or remove it from spec.secret; without owner, which belongs to Kubernetes, Helm or \
             Argo CD: remove it from spec.secret"
        );
        assert!(said.next_refresh_time.is_some(), "it is still refreshed");
    }
}

/// `make docs` writes it anew.
#[test]
fn the_page_lists_what_others_watch() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let mut table = "| tool | does what | keys |\n|---|---|---|\n".to_owned();
    for watcher in WATCHERS {
        let keys = watcher.keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        table += &format!("| {} | {} | {keys} |\n", watcher.name, watcher.does);
    }
    let expected = format!("{before}{BEGIN}{table}{END}{after}");
    if env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(Path::new(PAGE), expected).unwrap();
    }
    assert!(page == expected, "docs/security.md is out of date: run `make docs`");
}
