//! The custom resource on a real API server: what it refuses and says, what it fills in, and how it shows it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cases;
mod documentation;

use cases::{Case, changed, simplest};
use harness::{Cluster, Namespace};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    core::{DynamicObject, Status},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use syniverse_token_core::api::{self, SyniverseToken};

/// A namespace of a control plane, and the resources in it, typed and as they are.
struct Room {
    cluster: Cluster,
    namespace: Namespace,
    tokens: Api<SyniverseToken>,
    objects: Api<DynamicObject>,
}

impl Room {
    async fn open() -> Self {
        let cluster = harness::shared().await.unwrap();
        let namespace = cluster.namespace().await.unwrap();
        let client = cluster.client().await.unwrap();
        let kind = kube::api::ApiResource::erase::<SyniverseToken>(&());
        Self {
            tokens: Api::namespaced(client.clone(), namespace.name()),
            objects: Api::namespaced_with(client, namespace.name(), &kind),
            namespace,
            cluster,
        }
    }

    /// What the API server makes of an object, without keeping it.
    async fn try_to_create(&self, object: &Value) -> Result<DynamicObject, Status> {
        self.post(object, &PostParams { dry_run: true, ..PostParams::default() }).await
    }

    async fn create(&self, object: &Value) -> DynamicObject {
        self.post(object, &PostParams::default()).await.unwrap()
    }

    async fn post(&self, object: &Value, how: &PostParams) -> Result<DynamicObject, Status> {
        self.objects.create(how, &serde_json::from_value(object.clone()).unwrap()).await.map_err(refusal)
    }

    /// What the API server makes of a change to the object that is there, without keeping it.
    async fn try_to_change(&self, name: &str, change: &Value) -> Result<DynamicObject, Status> {
        let how = PatchParams { dry_run: true, ..PatchParams::default() };
        self.objects.patch(name, &how, &Patch::Merge(change)).await.map_err(refusal)
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["--namespace", self.namespace.name()], arguments].concat()).unwrap()
    }
}

fn refusal(error: kube::Error) -> Status {
    match error {
        kube::Error::Api(status) => *status,
        other => panic!("no answer from the API server: {other}"),
    }
}

/// The fields that an answer complains of, and what it says about each.
fn causes(status: &Status) -> Vec<(String, String)> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.map(|cause| (cause.field.clone(), cause.message.clone())).collect()
}

fn complains(status: &Status, case: &Case) -> bool {
    causes(status).iter().any(|(field, message)| *field == case.field && message.contains(&case.says))
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_with_its_message_and_its_valid_neighbour_is_accepted() {
    let room = Room::open().await;
    for case in cases::all() {
        let refused = room.try_to_create(&case.refused()).await.expect_err(&format!("{:?} is accepted", case.refused));
        assert!(complains(&refused, &case), "{:?}: {}", case.refused, refused.message);
        let accepted = room.try_to_create(&case.accepted()).await;
        let accepted = accepted.unwrap_or_else(|why| panic!("{:?} is refused: {}", case.accepted, why.message));
        // Whatever the API server stores, the operator can read: one object that it cannot would hide all the others.
        accepted.try_parse::<SyniverseToken>().unwrap_or_else(|why| panic!("{:?} is unreadable: {why}", case.accepted));
    }
}

#[test]
fn every_rule_of_the_schema_is_tried() {
    let crd = serde_json::to_value(api::crd()).unwrap();
    let root = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut rules = BTreeSet::new();
    collect_rules("", root, &mut rules);
    assert!(rules.len() >= 40, "{rules:?}");
    let tried = cases::all().map(|case| (case.field.replace("[0]", ""), case.says)).collect();
    let on_change = BTreeSet::from([("spec.secret.name".to_owned(), IMMUTABLE.to_owned())]);
    let untried: BTreeSet<_> = rules.difference(&tried).cloned().collect();
    assert_eq!(untried, on_change);
}

/// The rules of a schema: the field that each complains of, and what it says.
fn collect_rules(path: &str, schema: &Value, rules: &mut BTreeSet<(String, String)>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let field = if path.is_empty() { "<nil>" } else { path };
        let field = rule["fieldPath"].as_str().map_or(field, |path| path.trim_start_matches('.'));
        rules.insert((field.to_owned(), rule["message"].as_str().unwrap().to_owned()));
    }
    for below in [schema, &schema["items"]] {
        for (name, schema) in below["properties"].as_object().into_iter().flatten() {
            collect_rules(format!("{path}.{name}").trim_start_matches('.'), schema, rules);
        }
    }
}

const IMMUTABLE: &str = "secret.name (by default the resource's own name) cannot be changed: create a new resource";

#[tokio::test]
async fn the_name_of_the_token_secret_cannot_be_changed() {
    let room = Room::open().await;
    room.create(&simplest()).await;
    room.create(&changed("{metadata: {name: named}, spec: {secret: {name: chosen}}}")).await;
    for (name, secret) in
        [("messaging", json!({"name": "other"})), ("named", json!({"name": "other"})), ("named", Value::Null)]
    {
        let change = json!({"spec": {"secret": secret}});
        let refused = room.try_to_change(name, &change).await.expect_err(&format!("{name}: {change} is accepted"));
        let says = ("spec.secret.name".to_owned(), format!("Invalid value: {IMMUTABLE}"));
        assert_eq!(causes(&refused), [says], "{name}: {change}");
    }
}

#[tokio::test]
async fn all_but_the_name_of_the_token_secret_can_be_changed() {
    let room = Room::open().await;
    room.create(&simplest()).await;
    room.create(&changed("{metadata: {name: named}, spec: {secret: {name: chosen}}}")).await;
    let session = json!({"endpoint": "https://sma.example.com", "credentials": {"secretRef": {"name": "sma"}}});
    let client = json!({"tokenURL": "https://api.syniverse.com/token", "credentials": {"secretRef": {"name": "scg"}}});
    for (name, spec) in [
        ("messaging", json!({"secret": {"name": "messaging"}})),
        ("messaging", json!({"secret": {"key": "token", "labels": {"a": "b"}}})),
        ("named", json!({"secret": {"name": "chosen", "key": "token"}})),
        ("messaging", json!({"application": {"credentials": {"secretRef": {"name": "rotated"}}}})),
        ("messaging", json!({"application": null, "session": session})),
        ("messaging", json!({"application": null, "clientCredentials": client})),
        ("messaging", json!({"deletionPolicy": "Retain", "suspend": true})),
    ] {
        let changed = room.try_to_change(name, &json!({"spec": spec})).await;
        assert!(changed.is_ok(), "{name}: {spec}: {}", changed.unwrap_err().message);
    }
}

#[tokio::test]
async fn what_the_simplest_resource_leaves_out_is_filled_in() {
    let room = Room::open().await;
    let stored = room.create(&changed("{spec: {secret: {}, propagation: {restart: {}}}}")).await;
    let keys = json!({"consumerKey": "consumerKey", "consumerSecret": "consumerSecret", "oldToken": "oldToken"});
    assert_eq!(
        stored.data["spec"],
        json!({
            "application": {
                "endpoint": api::DEFAULT_APPLICATION_ENDPOINT,
                "credentials": {"secretRef": {"name": "sdc-application"}, "keys": keys},
                "validity": "24h",
            },
            "secret": {"key": "accessToken"},
            "deletionPolicy": "Delete",
            "suspend": false,
            "propagation": {"restart": {"mode": "None"}},
        })
    );
}

#[tokio::test]
async fn every_example_is_accepted() {
    let room = Room::open().await;
    for example in ["syniversetoken", "session", "client-credentials", "standby", "propagation"] {
        let path = format!("{}/examples/{example}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        let resource = text.split("\n---\n").find(|document| document.contains("kind: SyniverseToken")).unwrap();
        let created = room.try_to_create(&serde_saphyr::from_str(resource).unwrap()).await;
        assert!(created.is_ok(), "{path}: {}", created.unwrap_err().message);
    }
}

#[tokio::test]
async fn what_client_credentials_leave_out_is_filled_in() {
    let room = Room::open().await;
    let client = "{tokenURL: 'https://x', credentials: {secretRef: {name: scg}}}";
    let stored = room.create(&changed(&format!("{{spec: {{application: null, clientCredentials: {client}}}}}"))).await;
    let keys = json!({"clientId": "clientId", "clientSecret": "clientSecret"});
    let credentials = json!({"secretRef": {"name": "scg"}, "keys": keys});
    let filled = json!({"tokenURL": "https://x", "credentials": credentials, "authentication": "Basic"});
    assert_eq!(stored.data["spec"]["clientCredentials"], filled);
}

#[tokio::test]
async fn each_key_of_the_credentials_that_is_left_out_is_filled_in() {
    let room = Room::open().await;
    let by_default = json!({"consumerKey": "consumerKey", "consumerSecret": "consumerSecret", "oldToken": "oldToken"});
    for given in ["null", "{}", "{consumerKey: other}", "{consumerSecret: other}", "{oldToken: other}"] {
        let both = changed(&format!(
            "{{spec: {{application: {{credentials: {{keys: {given}}}, \
             standby: {{credentials: {{secretRef: {{name: b}}, keys: {given}}}}}}}}}}}"
        ));
        let stored = room.try_to_create(&both).await.unwrap();
        let mut expected = by_default.clone();
        for (key, name) in serde_saphyr::from_str::<Value>(given).unwrap().as_object().into_iter().flatten() {
            expected[key] = name.clone();
        }
        let application = &stored.data["spec"]["application"];
        for credentials in [&application["credentials"], &application["standby"]["credentials"]] {
            assert_eq!(credentials["keys"], expected, "{credentials}: {given}");
        }
    }
}

#[tokio::test]
async fn the_operator_reads_exactly_the_durations_that_the_api_server_accepts() {
    let room = Room::open().await;
    for text in [
        "24h", "0s", "1h30m", "30m1h", "1h1h1h", "00001s", "99999s", "", "h", "24", "0", "000001s", "1hh", "1h1h1h1h",
        " 1h", "1h ", "1h\n", "\n1h", "1h 1m", "1H", "1d", "1.5h", "-1h", "+1h", "10ms", "1us", "٣s", "1h\u{0}", "1ｈ",
    ] {
        let mut object = simplest();
        object["spec"]["application"]["validity"] = json!(text);
        let accepted = room.try_to_create(&object).await.is_ok();
        assert_eq!(api::parse_duration(text).is_some(), accepted, "{text:?}");
    }
}

/// So that a resource that is older than the rules is read as one that follows them.
#[tokio::test]
async fn the_operator_knows_whose_keys_the_api_server_refuses() {
    let room = Room::open().await;
    for (kind, key, value) in [
        ("labels", "app.kubernetes.io/name", "x"),
        ("labels", "app.kubernetes.io/created-by", "x"),
        ("labels", "a.b.kubernetes.io/c", "x"),
        ("labels", "kubernetes.io.example.com/c", "x"),
        ("labels", "xkubernetes.io/c", "x"),
        ("labels", "kubernetes.io", "x"),
        ("labels", "k8s.io/c", "x"),
        ("labels", "sub.helm.sh/c", "x"),
        ("labels", "owner", "helm"),
        ("labels", "owner", "Helm"),
        ("labels", "example.com/owner", "helm"),
        ("labels", "argocd.argoproj.io/c", "x"),
        ("labels", "argoproj.io/c", "x"),
        ("annotations", "app.kubernetes.io/name", "x"),
        ("annotations", "owner", "helm"),
        ("annotations", "meta.helm.sh/c", "x"),
        ("annotations", "x.argocd.argoproj.io/c", "x"),
        ("annotations", "argocdxargoproj.io/c", "x"),
    ] {
        let mut object = simplest();
        object["spec"]["secret"][kind][key] = json!(value);
        let is_accepted = room.try_to_create(&object).await.is_ok();
        let owner = if kind == "labels" { api::owner_of_label(key, value) } else { api::owner_of_annotation(key) };
        assert_eq!(owner.is_none(), is_accepted, "{kind} {key}: {value}");
    }
}

/// As after an upgrade of the definition: what was stored before need not follow its newest rules to be changed
/// elsewhere, and to say how it fares.
#[tokio::test]
async fn a_resource_that_is_older_than_the_rules_for_keys_and_names_keeps_its_status_and_can_be_changed() {
    let plane = harness::ControlPlane::start().await.unwrap();
    let (cluster, crd) = (plane.cluster(), serde_json::to_value(api::crd()).unwrap());
    let define = |crd: &Value| {
        let how = ["apply", "--server-side", "--force-conflicts", "--filename=-"];
        cluster.kubectl_with(&how, &crd.to_string()).unwrap()
    };
    let mut without_rules = crd.clone();
    drop_rules(&mut without_rules);
    define(&without_rules);
    let old = json!({"spec": {"secret": {"name": "sh.helm.release.v1.app.v2", "labels": {"owner": "helm", "a": "b"},
        "annotations": {"argocd.argoproj.io/sync-options": "Prune=false", "a.kubernetes.io/b": "c"}}}});
    let old = changed(&old.to_string());
    let create = async || cluster.kubectl_with(&["create", "--filename=-"], &old.to_string()).ok();
    harness::wait_for("a definition without rules", Duration::from_secs(30), create).await.unwrap();
    define(&crd);
    let patch = |more: &[&str], change: Value| {
        let how = ["patch", "syniversetoken", "messaging", "--type=merge", "--patch"];
        cluster.kubectl(&[&how[..], &[change.to_string().as_str()], more].concat())
    };
    let forbidden = || patch(&["--dry-run=server"], json!({"spec": {"secret": {"labels": {"helm.sh/chart": "x"}}}}));
    let refused = async || forbidden().err().map(|error| error.to_string());
    let refusal = harness::wait_for("the rules", Duration::from_secs(30), refused).await.unwrap();
    assert!(refusal.contains("must not have keys of helm.sh"), "{refusal}");
    patch(&["--subresource=status"], json!({"status": {"secretName": "x"}})).unwrap();
    patch(&[], json!({"spec": {"suspend": true, "secret": {"labels": {"a": "c"}}}})).unwrap();
    patch(&[], json!({"spec": {"secret": {"labels": {"owner": null}}}})).unwrap();
    patch(&[], json!({"spec": {"secret": {"labels": {"owner": "helm"}}}})).unwrap_err();
}

fn drop_rules(schema: &mut Value) {
    if let Value::Object(fields) = schema {
        fields.remove("x-kubernetes-validations");
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(drop_rules),
        Value::Array(items) => items.iter_mut().for_each(drop_rules),
        _ => {}
    }
}

#[tokio::test]
async fn a_new_resource_is_in_progress_until_the_operator_has_seen_it() {
    let room = Room::open().await;
    room.create(&simplest()).await;
    let stored = room.tokens.get("messaging").await.unwrap();
    assert_eq!(stored.status.unwrap().observed_generation, Some(-1));
}

#[tokio::test]
async fn a_null_is_an_absent_field() {
    let room = Room::open().await;
    let nulls = r#"{"session": null, "refreshBefore": null, "secret": {"name": null, "key": null, "labels": null,
        "annotations": {"a": null}, "template": null}, "propagation": null, "deletionPolicy": null, "suspend": null}"#;
    let mut object = simplest();
    for (field, value) in serde_json::from_str::<Value>(nulls).unwrap().as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    room.create(&object).await;
    let stored = room.tokens.get("messaging").await.unwrap();
    assert!(stored.spec.session.is_none() && stored.spec.propagation.is_none());
    assert_eq!(stored.spec.secret, Some(api::TokenSecretSpec::default()));
}

#[tokio::test]
async fn an_unknown_field_is_dropped_and_a_strict_client_is_told() {
    let room = Room::open().await;
    let mistyped = changed("{spec: {refreshbefore: 5m}}");
    assert_eq!(room.create(&mistyped).await.data["spec"].get("refreshbefore"), None);
    let told = room.cluster.kubectl_with(
        &["--namespace", room.namespace.name(), "create", "--dry-run=server", "-f", "-"],
        &changed("{metadata: {name: another}, spec: {refreshbefore: 5m}}").to_string(),
    );
    let told = told.expect_err("kubectl creates it").to_string();
    assert!(told.contains("unknown field \"spec.refreshbefore\""), "{told}");
}

#[tokio::test]
async fn kubectl_get_shows_what_one_wants_to_know() {
    let room = Room::open().await;
    room.create(&simplest()).await;
    let at = "2026-01-02T03:04:05Z";
    let ready = json!({"type": "Ready", "status": "True", "reason": "Live", "message": "", "lastTransitionTime": at});
    let status = json!({"status": {"conditions": [ready], "secretName": "messaging",
        "expirationTime": "2126-01-02T03:04:05Z", "nextRefreshTime": "2126-01-02T02:59:05Z"}});
    room.tokens.patch_status("messaging", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();

    let rows = |arguments: &[&str]| -> Vec<Vec<String>> {
        let shown = room.kubectl(arguments);
        shown.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let short = rows(&["get", "syt"]);
    assert_eq!(short[0], ["NAME", "READY", "REASON", "SECRET", "EXPIRES", "AGE"]);
    assert_eq!(short[1][..5], ["messaging", "True", "Live", "messaging", "2126-01-02T03:04:05Z"]);
    let wide = rows(&["get", "syniverse", "-o", "wide"]);
    assert_eq!(wide[0], ["NAME", "READY", "REASON", "SECRET", "EXPIRES", "AGE", "NEXT"]);
    assert_eq!(wide[1][6], "2126-01-02T02:59:05Z");
}

#[tokio::test]
async fn kubectl_explain_reads_like_documentation() {
    let room = Room::open().await;
    for (field, text) in [
        ("syt", "keeps a live Syniverse access token in a Secret of its namespace"),
        (
            "syniversetoken.spec",
            "refreshBefore <string> How long before its expiry the token is refreshed, as a duration",
        ),
        ("syniversetoken.spec.deletionPolicy", "ENUM: Delete Retain DESCRIPTION: What happens to the Secrets"),
        ("syniversetoken.status.conditions", "Stalled: whether somebody must act."),
    ] {
        let explained = room.kubectl(&["explain", field]);
        let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(explained.contains(text), "{text:?} is not in {explained}");
    }
}

#[tokio::test]
async fn two_conditions_of_one_type_are_refused() {
    let room = Room::open().await;
    let name = room.create(&simplest()).await.name_any();
    let ready = json!({"type": "Ready", "status": "True", "reason": "Live", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"});
    let status = json!({"status": {"conditions": [ready, ready]}});
    let refused = room.tokens.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap_err();
    assert!(refusal(refused).message.contains("Duplicate value"));
}

#[tokio::test]
async fn more_entries_than_a_list_or_map_may_have_are_refused() {
    let room = Room::open().await;
    let map = |entries: usize| -> Value { (0..entries).map(|n| (format!("k{n}"), json!("v"))).collect() };
    let restart = |entries: usize| {
        let workloads: Value = (0..entries).map(|n| json!({"kind": "Deployment", "name": n.to_string()})).collect();
        json!({"propagation": {"restart": {"mode": "Listed", "workloads": workloads}}})
    };
    let client = |fields: Value| {
        let mut client = json!({"tokenURL": "https://x", "credentials": {"secretRef": {"name": "scg"}}});
        client.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"application": null, "clientCredentials": client})
    };
    for (most, spec) in [
        (32, &(|entries| json!({"secret": {"labels": map(entries)}})) as &dyn Fn(usize) -> Value),
        (32, &|entries| json!({"secret": {"annotations": map(entries)}})),
        (16, &|entries| json!({"secret": {"template": map(entries)}})),
        (64, &restart),
        (32, &|entries| client(json!({"scopes": (0..entries).map(|n| n.to_string()).collect::<Vec<_>>()}))),
        (16, &|entries| client(json!({"endpointParams": map(entries)}))),
    ] {
        let with = |entries| changed(&json!({"spec": spec(entries)}).to_string());
        assert!(room.try_to_create(&with(most)).await.is_ok(), "{}", spec(most));
        let refused = room.try_to_create(&with(most + 1)).await.expect_err("one too many");
        assert!(refused.message.contains(&format!("Too many: {}", most + 1)), "{}", refused.message);
    }
}

#[tokio::test]
async fn the_documented_messages_are_those_of_the_api_server() {
    let room = Room::open().await;
    let mut page = documentation::Page::new();
    for case in cases::all() {
        let refused = room.try_to_create(&case.refused()).await.expect_err("a case that is not refused");
        page.add(&case, &causes(&refused));
    }
    page.compare_with_the_committed_one();
}
