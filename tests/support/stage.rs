//! A namespace with a simulator and an operator, and how a test looks at it.

use super::Account;
use harness::{Cluster, Namespace, Operator, wait_for};
use issuer_simulator::application::NewApplication;
use issuer_simulator::{Options, Simulator};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;

/// The name of the resource in a test that needs only one, and so of its token Secret.
pub(crate) const NAME: &str = "messaging";
/// The state Secret of that resource.
pub(crate) const STATE: &str = "messaging-syniverse-state";
/// The credentials Secret of a stage.
pub(crate) const CREDENTIALS: &str = "sdc-application";
/// The application of a stage, by its consumer key: values that could be mistaken for nothing else.
pub(crate) const CONSUMER_KEY: &str = "canary-consumer-key";
pub(crate) const CONSUMER_SECRET: &str = "canary-consumer-secret";
/// The token that the application has at first. Its time is over.
pub(crate) const PORTAL_TOKEN: &str = "canary-portal-token";
/// Who owns what a test itself writes.
pub(crate) const FIELD_MANAGER: &str = "test";
/// How long a test waits for what must come: far more than it takes, on a machine that compiles at the same time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Everything one test has to itself.
pub(crate) struct Stage {
    // Dropped in this order: nobody writes into a namespace that goes.
    operator: Option<Operator>,
    pub(crate) simulator: Simulator,
    pub(crate) tokens: Api<SyniverseToken>,
    pub(crate) secrets: Api<Secret>,
    pub(crate) cluster: Cluster,
    account: Account,
    pub(crate) namespace: Namespace,
}

impl Stage {
    /// A stage on the shared control plane with its credentials Secret and a running operator.
    pub(crate) async fn open() -> Self {
        let mut stage = Self::dark().await;
        stage.start_operator(&[]);
        stage
    }

    /// The same without an operator.
    pub(crate) async fn dark() -> Self {
        Self::dark_in(&harness::shared().await.unwrap()).await
    }

    /// The same on another control plane.
    pub(crate) async fn dark_in(cluster: &Cluster) -> Self {
        let simulator = Simulator::start(Options::default()).await.unwrap();
        simulator.add_application(NewApplication::expired(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN));
        let (client, namespace) = (cluster.client().await.unwrap(), cluster.namespace().await.unwrap());
        let account = Account::in_namespace(cluster, &namespace).await;
        let stage = Self {
            operator: None,
            simulator,
            tokens: Api::namespaced(client.clone(), namespace.name()),
            secrets: Api::namespaced(client, namespace.name()),
            cluster: cluster.clone(),
            account,
            namespace,
        };
        stage.put_secret(CREDENTIALS, &credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN)).await;
        stage
    }

    /// The kubeconfig of an account with the rights that the chart gives.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.account.kubeconfig()
    }

    /// Gives that account its rights in all namespaces.
    pub(crate) async fn grant_everywhere(&self) {
        self.account.grant_everywhere(&self.cluster, &self.namespace).await;
    }

    /// Gives that account further rights in its namespace.
    pub(crate) async fn grant(&self, rights: &[Value]) {
        self.account.grant(&self.cluster, &self.namespace, rights).await;
    }

    /// The same without waiting until they are known, as for a right to single objects.
    pub(crate) async fn grant_unseen(&self, rights: &[Value]) {
        self.account.add(&self.cluster, &self.namespace, rights).await;
    }

    /// Starts the operator with the rights that the chart gives, and with further arguments of `run`.
    pub(crate) fn start_operator(&mut self, arguments: &[&str]) {
        let kubeconfig = self.kubeconfig();
        self.start_operator_as(&kubeconfig, arguments);
    }

    /// Starts the operator with another kubeconfig.
    pub(crate) fn start_operator_as(&mut self, kubeconfig: &Path, arguments: &[&str]) {
        let usual = ["--insecure-endpoints", "--endpoint-host=*", "--log-level=debug"];
        self.start_operator_with(kubeconfig, &[&usual, arguments].concat());
    }

    /// Starts the operator with another kubeconfig and with no other arguments than these and the namespace.
    pub(crate) fn start_operator_with(&mut self, kubeconfig: &Path, arguments: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syniverse-token-operator"));
        command.args(["run", "--namespace", self.namespace.name()]).args(arguments).env("KUBECONFIG", kubeconfig);
        self.operator = Some(Operator::start(command).unwrap());
    }

    /// A second operator in this namespace.
    pub(crate) fn another_operator(&self) -> Operator {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syniverse-token-operator"));
        command.args(["run", "--insecure-endpoints", "--endpoint-host=*", "--namespace", self.namespace.name()]);
        command.env("KUBECONFIG", self.kubeconfig());
        Operator::start(command).unwrap()
    }

    /// The running operator: to be killed, stopped, started again or read.
    pub(crate) fn operator(&mut self) -> &mut Operator {
        self.operator.as_mut().expect("an operator was started")
    }

    /// Kills the operator, starts it again and waits until it has looked at the resource `name`.
    pub(crate) async fn restart_operator(&mut self, name: &str) {
        let operator = self.operator();
        operator.kill9();
        let before = operator.log().len();
        operator.restart().unwrap();
        let looked = async || operator.log()[before..].lines().any(|line| is_pass_over(line, name)).then_some(());
        wait_for("a pass after the restart", PATIENCE, looked).await.unwrap();
    }

    /// The spec of a resource for the application of this stage; tests change it by index: `spec["suspend"] = …`.
    pub(crate) fn spec(&self, validity: &str) -> Value {
        json!({"application": {
            "endpoint": self.simulator.endpoint(),
            "credentials": {"secretRef": {"name": CREDENTIALS}},
            "validity": validity,
        }})
    }

    /// Creates or replaces a resource with this spec.
    pub(crate) async fn apply(&self, name: &str, spec: Value) -> SyniverseToken {
        self.apply_object(name, json!({"spec": spec})).await
    }

    /// Creates or replaces a resource; `object` lacks only its kind and name.
    pub(crate) async fn apply_object(&self, name: &str, mut object: Value) -> SyniverseToken {
        object["apiVersion"] = json!("syniverse.dev/v1alpha1");
        object["kind"] = json!("SyniverseToken");
        object["metadata"]["name"] = json!(name);
        self.tokens.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(object)).await.unwrap()
    }

    /// Changes a resource by a merge patch.
    pub(crate) async fn change(&self, name: &str, change: Value) -> SyniverseToken {
        self.tokens.patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap()
    }

    /// Deletes a resource, in the background as kubectl does.
    pub(crate) async fn delete(&self, name: &str) {
        self.tokens.delete(name, &DeleteParams::background()).await.unwrap();
    }

    /// Applies [`NAME`] with this validity and waits until it is ready.
    pub(crate) async fn issued(&self, validity: &str) -> SyniverseToken {
        self.apply(NAME, self.spec(validity)).await;
        self.until_ready(NAME).await
    }

    /// Waits until the status of a resource speaks of its present generation and is as `holds` says.
    pub(crate) async fn until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&SyniverseToken) -> bool,
    ) -> SyniverseToken {
        let what = format!("SyniverseToken {name}: {what}");
        let seen = async || {
            let token = self.tokens.get(name).await.ok()?;
            let observed = token.status.as_ref().and_then(|status| status.observed_generation);
            (observed == token.metadata.generation && holds(&token)).then_some(token)
        };
        wait_for(&what, PATIENCE, seen).await.unwrap()
    }

    /// Waits until Ready is True.
    pub(crate) async fn until_ready(&self, name: &str) -> SyniverseToken {
        self.until(name, "Ready", is_ready).await
    }

    /// Waits until Ready has this reason.
    pub(crate) async fn until_reason(&self, name: &str, reason: &str) -> SyniverseToken {
        self.until(name, reason, |token| ready_reason(token) == reason).await
    }

    /// A Secret that must be there.
    pub(crate) async fn secret(&self, name: &str) -> Secret {
        self.secrets.get(name).await.unwrap()
    }

    /// Waits until a Secret is there and is as `holds` says.
    pub(crate) async fn until_secret(&self, name: &str, what: &str, holds: impl Fn(&Secret) -> bool) -> Secret {
        let seen = async || self.secrets.get_opt(name).await.ok()?.filter(|secret| holds(secret));
        wait_for(&format!("Secret {name}: {what}"), PATIENCE, seen).await.unwrap()
    }

    /// Creates a Secret, or replaces the values that the test itself put there.
    pub(crate) async fn put_secret(&self, name: &str, values: &[(&str, &str)]) -> Secret {
        let data = values.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let secret = Secret { metadata, data: Some(data.collect()), ..Secret::default() };
        self.secrets.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(secret)).await.unwrap()
    }

    /// Changes a Secret by a merge patch.
    pub(crate) async fn change_secret(&self, name: &str, change: Value) -> Secret {
        self.secrets.patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap()
    }

    /// Deletes a Secret.
    pub(crate) async fn delete_secret(&self, name: &str) {
        self.secrets.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// The token in the token Secret [`NAME`].
    pub(crate) async fn token(&self) -> String {
        text(&self.secret(NAME).await, "accessToken").expect("the Secret holds a token")
    }

    /// Waits until the token Secret [`NAME`] holds another token than `old`, and returns it.
    pub(crate) async fn until_rotated(&self, old: &str) -> String {
        let is_other = |secret: &Secret| text(secret, "accessToken").is_some_and(|token| token != old);
        text(&self.until_secret(NAME, "another token", is_other).await, "accessToken").unwrap()
    }

    /// Makes something that only a later pass can heal, and waits for it: whatever changed before has been seen then.
    pub(crate) async fn until_noticed(&self, secret: &str) {
        self.delete_secret(secret).await;
        self.until_secret(secret, "restored", |_| true).await;
    }

    /// Waits until the issuer was asked `calls` times.
    pub(crate) async fn until_calls(&self, calls: usize) {
        let asked = self.simulator.until(|journal| journal.calls.len() >= calls);
        tokio::time::timeout(PATIENCE, asked).await.expect("the issuer is asked");
    }

    /// Runs kubectl in the namespace, beside the simulator.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        let (cluster, namespace) = (self.cluster.clone(), self.namespace.name().to_owned());
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let run = move || {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            cluster.kubectl(&[&["--namespace", &namespace], arguments.as_slice()].concat())
        };
        tokio::task::spawn_blocking(run).await.unwrap().unwrap()
    }

    /// How often the issuer was asked so far.
    pub(crate) fn calls(&self) -> usize {
        self.simulator.journal().calls.len()
    }
}

/// The values of a credentials Secret.
pub(crate) fn credentials<'a>(key: &'a str, secret: &'a str, old: &'a str) -> [(&'static str, &'a str); 3] {
    [("consumerKey", key), ("consumerSecret", secret), ("oldToken", old)]
}

fn is_pass_over(line: &str, name: &str) -> bool {
    line.contains("pass") && line.contains(&format!("name=\"{name}\""))
}

/// One condition of a resource, where it has it.
pub(crate) fn condition<'a>(token: &'a SyniverseToken, kind: &str) -> Option<&'a Condition> {
    token.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}

/// True when Ready is True.
pub(crate) fn is_ready(token: &SyniverseToken) -> bool {
    condition(token, "Ready").is_some_and(|ready| ready.status == "True")
}

/// The reason of Ready; empty before the first pass.
pub(crate) fn ready_reason(token: &SyniverseToken) -> &str {
    condition(token, "Ready").map_or("", |ready| ready.reason.as_str())
}

/// True when Stalled is True.
pub(crate) fn is_stalled(token: &SyniverseToken) -> bool {
    condition(token, "Stalled").is_some_and(|stalled| stalled.status == "True")
}

/// The message of Ready; empty before the first pass.
pub(crate) fn ready_message(token: &SyniverseToken) -> &str {
    condition(token, "Ready").map_or("", |ready| ready.message.as_str())
}

/// What status and annotations show of a token, computed anew: the first 8 hex digits of its SHA-256.
pub(crate) fn fingerprint(token: &str) -> String {
    Sha256::digest(token)[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text under a key of a Secret.
pub(crate) fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

/// An annotation of a Secret.
pub(crate) fn annotation<'a>(secret: &'a Secret, name: &str) -> Option<&'a str> {
    secret.annotations().get(name).map(String::as_str)
}
