//! The service account that operators under test run as: with the rights that the chart gives, in one namespace or in all.

use super::PATIENCE;
use harness::{Cluster, Namespace, Scratch, wait_for};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::{self, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use kube::api::{ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use serde::Deserialize;
use serde_json::{Value, from_value, json, to_value};
use std::path::{Path, PathBuf};
use syniverse_token_core::api::SyniverseToken;

/// Not the one that the chart makes: a test may install that beside it.
const NAME: &str = "operator-under-test";
/// What the chart makes; a test holds the two together.
const MANIFESTS: &str = include_str!("../../manifests/install.yaml");

/// A service account in one namespace.
pub(crate) struct Account {
    scratch: Scratch,
}

impl Account {
    /// Makes it, and waits until its rights are known.
    pub(crate) async fn in_namespace(cluster: &Cluster, namespace: &Namespace) -> Self {
        let client = cluster.client().await.unwrap();
        let account = Self { scratch: Scratch::new().unwrap() };
        let named = json!({"metadata": {"name": NAME}});
        let subject = json!({"kind": "ServiceAccount", "name": NAME, "namespace": namespace.name()});
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME});
        let binding = json!({"metadata": {"name": NAME}, "roleRef": role, "subjects": [subject]});
        create::<ServiceAccount>(&client, namespace, named.clone()).await;
        let mut rights: Role = from_value(named).unwrap();
        rights.rules = Some(rules());
        create::<Role>(&client, namespace, to_value(rights).unwrap()).await;
        create::<RoleBinding>(&client, namespace, binding).await;
        account.write_kubeconfig(cluster, &client, namespace).await;
        account.until_it_may(namespace).await;
        account
    }

    /// Adds rules to those of the chart, and waits until they are known.
    pub(crate) async fn grant(&self, cluster: &Cluster, namespace: &Namespace, rights: &[Value]) {
        self.add(cluster, namespace, rights).await;
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self::client(&self.kubeconfig()).await);
        for right in rights {
            let [group, resource, verb] = ["apiGroups", "resources", "verbs"].map(|list| right[list][0].clone());
            let (resource, part) =
                resource.as_str().unwrap().split_once('/').unwrap_or((resource.as_str().unwrap(), ""));
            let asked = json!({"metadata": {}, "spec": {"resourceAttributes": {"namespace": namespace.name(),
                "group": group, "resource": resource, "subresource": part, "verb": verb}}});
            let review: SelfSubjectAccessReview = from_value(asked).unwrap();
            let is_allowed = async || {
                let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
                answer.status.is_some_and(|status| status.allowed).then_some(())
            };
            wait_for("further rights of the service account", PATIENCE, is_allowed).await.unwrap();
        }
    }

    /// Adds rules to those of the chart.
    pub(crate) async fn add(&self, cluster: &Cluster, namespace: &Namespace, rights: &[Value]) {
        let client = cluster.client().await.unwrap();
        let roles: Api<Role> = Api::namespaced(client, namespace.name());
        let mut role = roles.get(NAME).await.unwrap();
        let further = rights.iter().map(|right| from_value::<PolicyRule>(right.clone()).unwrap());
        role.rules.get_or_insert_default().extend(further);
        roles.replace(NAME, &PostParams::default(), &role).await.unwrap();
    }

    /// Gives it its rights everywhere, as the chart does without a list of namespaces; they go with `home`, its own
    /// namespace.
    pub(crate) async fn grant_everywhere(&self, cluster: &Cluster, home: &Namespace) {
        let client = cluster.client().await.unwrap();
        let namespace = Api::<v1::Namespace>::all(client.clone()).get(home.name()).await.unwrap();
        let owner =
            json!({"apiVersion": "v1", "kind": "Namespace", "name": home.name(), "uid": namespace.uid().unwrap()});
        let metadata = json!({"name": home.name(), "ownerReferences": [owner]});
        let subject = json!({"kind": "ServiceAccount", "name": NAME, "namespace": home.name()});
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": home.name()});
        let rights = from_value(json!({"metadata": metadata, "rules": rules()})).unwrap();
        let binding = from_value(json!({"metadata": metadata, "roleRef": role, "subjects": [subject]})).unwrap();
        Api::<ClusterRole>::all(client.clone()).create(&PostParams::default(), &rights).await.unwrap();
        Api::<ClusterRoleBinding>::all(client).create(&PostParams::default(), &binding).await.unwrap();
        let secrets: Api<Secret> = Api::all(self::client(&self.kubeconfig()).await);
        let few = ListParams::default().limit(1);
        let may = async || secrets.list(&few).await.is_ok().then_some(());
        wait_for("the rights of the service account everywhere", PATIENCE, may).await.unwrap();
    }

    /// The way in for it.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.scratch.path().join("kubeconfig")
    }

    async fn write_kubeconfig(&self, cluster: &Cluster, client: &Client, namespace: &Namespace) {
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace.name());
        let request = TokenRequest::default();
        let issued = accounts.create_token_request(NAME, &PostParams::default(), &request).await.unwrap();
        let mut kubeconfig = to_value(Kubeconfig::read_from(cluster.kubeconfig()).unwrap()).unwrap();
        kubeconfig["users"][0]["user"] = json!({"token": issued.status.unwrap().token});
        std::fs::write(self.kubeconfig(), kubeconfig.to_string()).unwrap();
    }

    async fn until_it_may(&self, namespace: &Namespace) {
        let client = client(&self.kubeconfig()).await;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace.name());
        let resources: Api<SyniverseToken> = Api::namespaced(client, namespace.name());
        let few = ListParams::default().limit(1);
        let may = async || (secrets.list(&few).await.is_ok() && resources.list(&few).await.is_ok()).then_some(());
        wait_for("the rights of the service account", PATIENCE, may).await.unwrap();
    }
}

async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

async fn create<K>(client: &Client, namespace: &Namespace, object: Value)
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace.name());
    api.create(&PostParams::default(), &from_value(object).unwrap()).await.unwrap();
}

/// The rules that the chart gives the operator, cluster-wide ones and those for its Lease.
fn rules() -> Vec<PolicyRule> {
    let documents = serde_saphyr::from_multiple::<Value>(MANIFESTS).unwrap().into_iter();
    let of_operator = |object: &Value| {
        let rules = object["rules"].to_string();
        ["ClusterRole", "Role"].iter().any(|kind| object["kind"] == *kind)
            && (rules.contains("\"secrets\"") || rules.contains("\"leases\""))
    };
    let rules: Vec<_> = documents
        .filter(of_operator)
        .flat_map(|role| {
            from_value::<ClusterRole>(json!({"metadata": {}, "rules": role["rules"]})).unwrap().rules.unwrap()
        })
        .collect();
    assert!(rules.len() >= 6, "the manifests give fewer rights than expected: {rules:?}");
    rules
}
