//! Every right that the chart grants is needed: without it a request is refused, and the status or the log names it.

use crate::helm::{Helm, Objects};
use crate::release::{apply, command, values_in, write_kubeconfig};
use crate::support::*;
use futures::future::join_all;
use harness::{Operator, Scratch, wait_for};
use issuer_simulator::application::NewApplication;
use issuer_simulator::model::Life;
use serde_json::{Value, from_value, json};
use std::collections::BTreeSet;
use syniverse_token_core::api::SyniverseToken;

/// The rights that a value of `propagation` adds, of all resources of each rule.
const PROPAGATION: [(&str, &[&str]); 2] = [
    ("pods", &["list pods", "patch pods/status"]),
    (
        "restart",
        &[
            "list deployments",
            "list statefulsets",
            "list daemonsets",
            "patch deployments",
            "patch statefulsets",
            "patch daemonsets",
        ],
    ),
];

/// The resource whose token is delivered to Pods.
const DELIVERED: &str = "delivered";

/// A verb of a rule of a Role.
#[derive(Debug)]
struct Right {
    role: usize,
    rule: usize,
    verb: usize,
    /// How the API server words its refusal.
    refusal: String,
}

#[tokio::test]
async fn with_all_rights_nothing_is_refused() {
    let trial = Trial::open(None).await;
    trial.until_tried().await;
    let log = trial.log();
    assert!(!log.contains("cannot"), "{log}");
}

#[tokio::test]
async fn without_any_one_of_them_a_refusal_is_named_in_the_status_or_the_log() {
    let rights = rights(&rendered("any").await);
    assert!(rights.len() >= 20, "{rights:?}");
    let trials = rights.iter().map(|right| async move { Trial::open(Some(right)).await.names(&right.refusal).await });
    let named = join_all(trials).await;
    let silent: Vec<_> =
        rights.iter().zip(named).filter(|(_, named)| !named).map(|(right, _)| &right.refusal).collect();
    assert!(silent.is_empty(), "nothing says {silent:?}");
}

#[tokio::test]
async fn propagation_adds_its_rights_where_a_value_asks_for_them_and_no_other() {
    let granted = async |values: Value| granted(&Helm::offline().template(&values).await.unwrap());
    for namespaces in [json!([]), json!(["a"])] {
        let without = granted(json!({"watchNamespaces": namespaces})).await;
        for (value, rights) in PROPAGATION {
            let with = granted(json!({"watchNamespaces": namespaces, "propagation": {value: true}})).await;
            let added: BTreeSet<_> = with.difference(&without).map(String::as_str).collect();
            assert_eq!(added, rights.iter().copied().collect());
            assert!(without.is_subset(&with));
        }
    }
}

/// Each verb with each resource.
fn granted(objects: &Objects) -> BTreeSet<String> {
    let roles = objects.of("ClusterRole").into_iter().chain(objects.of("Role"));
    let rules = roles.flat_map(|role| role["rules"].as_array().unwrap());
    let texts = |of: &Value| -> Vec<String> { from_value(of.clone()).unwrap() };
    let of_rule = |rule: &Value| {
        let (verbs, resources) = (texts(&rule["verbs"]), texts(&rule["resources"]));
        let with =
            |verb: String| resources.iter().map(move |resource| format!("{verb} {resource}")).collect::<Vec<_>>();
        verbs.into_iter().flat_map(with).collect::<Vec<_>>()
    };
    rules.flat_map(of_rule).collect()
}

/// Two replicas in a namespace of their own, with the rights of the chart or all but one.
struct Trial {
    users: Workloads,
    replicas: [Operator; 2],
    _scratch: Scratch,
}

impl Trial {
    async fn open(without: Option<&Right>) -> Self {
        let stage = Stage::dark().await;
        let namespace = stage.namespace.name();
        let mut objects = rendered(namespace).await;
        if let Some(right) = without {
            take_away(&mut objects, right);
        }
        // A Pod has an address of its own; here each needs a port of its own.
        let pods = [objects.pod().clone(), rendered(namespace).await.pod().clone()];
        objects.0.retain(|object| object["kind"] != "Deployment");
        apply(&stage.cluster, &objects);
        let scratch = Scratch::new().unwrap();
        let kubeconfig = scratch.path().join("kubeconfig");
        write_kubeconfig(&stage.cluster, namespace, &kubeconfig);
        // Rotations are made and told again and again.
        let application = NewApplication::expired(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN);
        stage.simulator.add_application(application.living(Life::Millis(0)));
        let replicas = pods.map(|pod| Operator::start(command(&pod, &kubeconfig)).unwrap());
        stage.apply(NAME, stage.spec("2s")).await;
        let users = Workloads::on(stage).await;
        users.run_pod("volume", with_volume_of(DELIVERED)).await;
        users.deploy("environment", json!({}), with_environment_of(DELIVERED)).await;
        apply_delivered(&users.stage).await;
        Self { users, replicas, _scratch: scratch }
    }

    /// Waits for two rotations, so that each kind of request was made.
    async fn until_tried(&self) {
        let stage = &self.users.stage;
        let first = stage.until_rotated(PORTAL_TOKEN).await;
        let second = stage.until_rotated(&first).await;
        stage.until_rotated(&second).await;
        let is_delivered =
            |resource: &SyniverseToken| resource.status.as_ref().is_some_and(|status| status.propagation.is_some());
        stage.until(DELIVERED, "delivered", is_delivered).await;
    }

    /// What both have said, quotes within quotes being quotes.
    fn log(&self) -> String {
        self.replicas.each_ref().map(Operator::log).concat().replace('\\', "")
    }

    /// Waits until the status or the log says so.
    async fn names(self, refusal: &str) -> bool {
        let said = async || {
            let tokens = &self.users.stage.tokens;
            let statuses = [tokens.get(NAME).await.unwrap(), tokens.get(DELIVERED).await.unwrap()];
            let is_said = statuses.iter().any(|status| ready_message(status).contains(refusal));
            (is_said || self.log().contains(refusal)).then_some(())
        };
        wait_for(refusal, PATIENCE, said).await.is_ok()
    }
}

/// A token that lives long enough for a restart.
async fn apply_delivered(stage: &Stage) {
    stage.simulator.add_application(NewApplication::expired("second-key", "secret", "second-token"));
    stage.put_secret("second", &credentials("second-key", "secret", "second-token")).await;
    let mut spec = stage.spec("1h");
    spec["application"]["credentials"]["secretRef"]["name"] = json!("second");
    spec["propagation"] = json!({"pods": "Annotate", "restart": {"mode": "Unaware"}});
    stage.apply(DELIVERED, spec).await;
}

async fn rendered(namespace: &str) -> Objects {
    let mut values = values_in(namespace);
    values["admissionPolicy"] = json!({"enabled": false});
    values["rbac"] = json!({"aggregateRoles": false});
    values["fullnameOverride"] = json!(crate::release::RELEASE);
    values["podDisruptionBudget"] = json!({"enabled": false});
    values["logFormat"] = json!("text");
    values["propagation"] = json!({"pods": true, "restart": true});
    Helm::offline().template_in(namespace, &values).await.unwrap()
}

/// Removes a verb from its rule; a rule must not be left without any.
fn take_away(objects: &mut Objects, right: &Right) {
    let role = objects.0.iter_mut().filter(|object| object["kind"] == "Role").nth(right.role).unwrap();
    let rules = role["rules"].as_array_mut().unwrap();
    match rules[right.rule]["verbs"].as_array_mut().unwrap() {
        verbs if verbs.len() > 1 => drop(verbs.remove(right.verb)),
        _ => drop(rules.remove(right.rule)),
    }
}

fn rights(objects: &Objects) -> Vec<Right> {
    let mut rights = Vec::new();
    for (role, object) in objects.of("Role").into_iter().enumerate() {
        for (rule, granted) in object["rules"].as_array().unwrap().iter().enumerate() {
            let resource = granted["resources"][0].as_str().unwrap();
            for (verb, name) in granted["verbs"].as_array().unwrap().iter().enumerate() {
                let refusal = format!("cannot {} resource \"{resource}\"", name.as_str().unwrap());
                rights.push(Right { role, rule, verb, refusal });
            }
        }
    }
    rights
}
