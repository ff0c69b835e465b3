//! The operator: its Deployments, their leader, its account and its metrics.

use super::metrics;
use super::operator_pods;
use super::report::Report;
use super::rights::{self, Account};
use crate::cli::commands::target::Target;
use crate::client::error::describe;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

/// Label of every Deployment that the chart makes, whatever it is named.
const SHARD_LABEL: &str = "syniverse.dev/shard";
const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// A Deployment of the operator, as far as its arguments tell.
pub(super) struct Installed {
    pub(super) namespace: String,
    pub(super) name: String,
    release: String,
    version: String,
    arguments: Vec<String>,
    service_account: String,
    /// Of its Pods.
    pub(super) selector: String,
    pub(super) wanted: i32,
    pub(super) ready: i32,
}

impl Installed {
    fn of(deployment: &Deployment) -> Self {
        let label = |name: &str| deployment.labels().get(name).cloned().unwrap_or_default();
        let spec = deployment.spec.as_ref();
        let pod = spec.and_then(|spec| spec.template.spec.as_ref());
        let status = deployment.status.as_ref();
        let arguments = pod.and_then(|pod| pod.containers.first()?.args.clone()).unwrap_or_default();
        Self {
            namespace: deployment.namespace().unwrap_or_default(),
            name: deployment.name_any(),
            release: label(INSTANCE_LABEL),
            version: label(VERSION_LABEL),
            arguments,
            service_account: pod
                .and_then(|pod| pod.service_account_name.clone())
                .unwrap_or_else(|| "default".to_owned()),
            selector: spec.map(|spec| joined(&spec.selector)).unwrap_or_default(),
            wanted: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            ready: status.and_then(|status| status.ready_replicas).unwrap_or_default(),
        }
    }

    /// `Deployment NAMESPACE/NAME`.
    pub(super) fn title(&self) -> String {
        format!("Deployment {}/{}", self.namespace, self.name)
    }

    /// The values of a flag of the operator.
    fn values<'a>(&'a self, flag: &'a str) -> impl Iterator<Item = &'a str> {
        self.arguments.iter().filter_map(move |argument| argument.strip_prefix(flag)?.strip_prefix('='))
    }

    /// The port of the metrics; none where they are off.
    pub(super) fn metrics_port(&self) -> Option<u16> {
        self.values("--listen").next()?.rsplit_once(':')?.1.parse().ok()
    }

    /// The Lease; none where the operator runs alone.
    fn lease(&self) -> Option<&str> {
        // That of a later shard has the shard's name.
        let own = self.values("--lease-name").next()?;
        Some(if self.name.starts_with(own) { &self.name } else { own })
    }

    fn account(&self) -> Account {
        let (namespace, name) = (&self.namespace, &self.service_account);
        Account {
            user: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
            namespaces: self.values("--namespace").map(str::to_owned).collect(),
        }
    }
}

/// A selector as the API server takes it.
fn joined(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    labels.collect::<Vec<_>>().join(",")
}

/// Checks it.
pub(super) async fn check(target: &Target, now: Timestamp, report: &mut Report) {
    let installed = match installed(target).await {
        Ok(installed) => installed,
        Err(error) => {
            let detail = format!("Deployments could not be listed: {}", describe(&error));
            report.warn("operator", detail, "ask for the right to list deployments in all namespaces");
            return;
        }
    };
    if installed.is_empty() {
        let remedy = "helm install syniverse-token-operator …, as the README says; one that runs outside of the cluster is not found";
        report.bad("operator", "no Deployment of the operator", remedy);
        return;
    }
    check_rivals(&installed, report);
    for operator in &installed {
        operator_pods::check(target, operator, now, report).await;
        check_version(operator, report);
        check_policy(target, operator, report).await;
        let leader = check_leader(target, operator, now, report).await;
        rights::check(target, &operator.account(), report).await;
        metrics::check(target, operator, leader.as_deref(), report).await;
    }
}

async fn installed(target: &Target) -> kube::Result<Vec<Installed>> {
    let api: Api<Deployment> = Api::all(target.client.clone());
    let deployments = api.list(&ListParams::default().labels(SHARD_LABEL)).await?;
    Ok(deployments.items.iter().map(Installed::of).collect())
}

/// Two releases in one namespace would ask for each token twice.
fn check_rivals(installed: &[Installed], report: &mut Report) {
    let release = |one: &Installed| (one.namespace.clone(), one.release.clone());
    let namespaces = |one: &Installed| one.values("--namespace").map(str::to_owned).collect::<Vec<_>>();
    for (place, one) in installed.iter().enumerate() {
        for other in &installed[place + 1..] {
            let (own, theirs) = (namespaces(one), namespaces(other));
            let is_shared =
                own.is_empty() || theirs.is_empty() || own.iter().any(|namespace| theirs.contains(namespace));
            if release(one) != release(other) && is_shared {
                let detail = format!("{} and {} work in the same namespaces", one.title(), other.title());
                report.bad("rival", detail, "give each its own watchNamespaces, or uninstall one");
            }
        }
    }
}

fn check_version(operator: &Installed, report: &mut Report) {
    let own = env!("CARGO_PKG_VERSION");
    if operator.version != own {
        let detail = format!("{} is version {}, this command {own}", operator.title(), operator.version);
        report.warn("version", detail, "use the command of the operator's version");
    }
}

/// Without the chart's policy, who steals the operator's account may overwrite any Secret.
async fn check_policy(target: &Target, operator: &Installed, report: &mut Report) {
    if !operator.arguments.iter().any(|argument| argument == "--expect-admission-policy") {
        return;
    }
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(target.client.clone());
    let own = ListParams::default().labels(&format!("{INSTANCE_LABEL}={}", operator.release));
    // Who may not look is not told that there is nothing.
    let Ok(bindings) = bindings.list(&own).await else { return };
    let denies = |binding: &ValidatingAdmissionPolicyBinding| {
        let spec = binding.spec.as_ref();
        let is_own = spec
            .and_then(|spec| spec.policy_name.as_ref())
            .is_some_and(|policy| policy.ends_with(&format!(".{}", operator.namespace)));
        is_own && spec.is_some_and(|spec| spec.validation_actions.iter().flatten().any(|action| action == "Deny"))
    };
    if bindings.items.iter().any(denies) {
        report.good("admission-policy", format!("the admission policy of {} is bound", operator.title()));
    } else {
        let detail = format!("the admission policy of {} is not bound, or does not deny", operator.title());
        report.bad(
            "admission-policy",
            detail,
            "helm upgrade … --reset-then-reuse-values, with admissionPolicy.enabled=true",
        );
    }
}

/// Checks that somebody leads, and gives the Pod that does.
async fn check_leader(target: &Target, operator: &Installed, now: Timestamp, report: &mut Report) -> Option<String> {
    let name = operator.lease()?;
    let leases: Api<Lease> = Api::namespaced(target.client.clone(), &operator.namespace);
    let lease = match leases.get_opt(name).await {
        Ok(lease) => lease,
        Err(error) => {
            let detail = format!("Lease {name} could not be read: {}", describe(&error));
            report.warn("leader", detail, format!("ask for the right to get leases in {}", operator.namespace));
            return None;
        }
    };
    match led(operator, name, lease.and_then(|lease| lease.spec).unwrap_or_default(), now) {
        Ok(holder) => {
            report.good("leader", format!("{} is led by {holder}", operator.title()));
            Some(holder)
        }
        Err(detail) => {
            let remedy = format!("kubectl -n {} logs deployment/{}", operator.namespace, operator.name);
            report.bad("leader", detail, remedy);
            None
        }
    }
}

/// Who leads by this Lease, or why nobody does.
fn led(operator: &Installed, name: &str, lease: LeaseSpec, now: Timestamp) -> Result<String, String> {
    let holder = lease.holder_identity.filter(|holder| !holder.is_empty());
    let (Some(holder), Some(renewed)) = (holder, lease.renew_time) else {
        return Err(format!("nobody leads {}: Lease {name} has no holder", operator.title()));
    };
    let limit = SignedDuration::from_secs(i64::from(lease.lease_duration_seconds.unwrap_or(15)) * 2);
    let age = now.duration_since(renewed.0);
    match age.as_secs() {
        _ if age.abs() <= limit => Ok(holder),
        seconds if seconds < 0 => {
            Err(format!("{holder} renewed Lease {name} {} s in the future: whose clock is wrong?", -seconds))
        }
        seconds => Err(format!("nobody leads {}: {holder} renewed Lease {name} {seconds} s ago", operator.title())),
    }
}
