//! The admission policy: which Secrets the operator's service account may write, and which it may not.

use crate::release::{Release, values_in};
use crate::support::*;
use harness::wait_for;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, from_value, json};

/// A change of a Secret: what its metadata are before, none = it is made; and what they are to be.
struct Case {
    what: &'static str,
    before: Option<Value>,
    after: Value,
    kind: &'static str,
}

fn made(what: &'static str, after: Value) -> Case {
    Case { what, before: None, after, kind: "Opaque" }
}

fn changed(what: &'static str, before: Value, after: Value) -> Case {
    Case { what, before: Some(before), after, kind: "Opaque" }
}

#[tokio::test]
async fn the_operators_account_may_write_secrets_of_syniversetokens_and_consenting_ones() {
    let room = Room::open().await;
    let (owned, adopting) = (room.owned_by("SyniverseToken"), adopting(NAME));
    for case in [
        made("of a SyniverseToken", owned.clone()),
        made("to be kept when the SyniverseToken goes", adopting.clone()),
        changed("of a SyniverseToken", owned.clone(), owned.clone()),
        changed("that consents", adopting.clone(), adopting.clone()),
        changed(
            "that a person has given a finalizer",
            with(&adopting, "finalizers", json!(["a/b"])),
            with(&adopting, "finalizers", json!(["a/b"])),
        ),
        changed("whose consent goes", adopting.clone(), json!({})),
        changed("made for Retain, and of the SyniverseToken from now on", retained(), owned.clone()),
        changed("to be kept from now on", owned.clone(), adopting.clone()),
    ] {
        let answer = room.write(&case).await;
        assert!(answer.is_ok(), "a Secret {}: {answer:?}", case.what);
    }
}

#[tokio::test]
async fn the_operators_account_may_write_no_other_secret_not_even_to_add_the_consent_itself() {
    let room = Room::open().await;
    let (owned, adopting) = (room.owned_by("SyniverseToken"), adopting(NAME));
    let (other, mut both, mut uncontrolled) = (room.owned_by("ConfigMap"), room.owned_by("ConfigMap"), owned.clone());
    both["annotations"] = adopting["annotations"].clone();
    uncontrolled["ownerReferences"][0]["controller"] = json!(false);
    let (mut of_another_kind, mut of_another_group) = (owned.clone(), owned.clone());
    of_another_kind["ownerReferences"][0]["kind"] = json!("Other");
    of_another_group["ownerReferences"][0]["apiVersion"] = json!("example.com/v1");
    let token = json!({"annotations": {
        "syniverse.dev/adopt": NAME, "kubernetes.io/service-account.name": "default",
    }});
    for case in [
        made("of nobody", json!({})),
        made("of something else", other.clone()),
        made("of a SyniverseToken that does not control it", uncontrolled.clone()),
        made("of another kind of the group", of_another_kind),
        made("of a kind of that name in another group", of_another_group),
        made("with an empty consent", self::adopting("")),
        changed("of nobody", json!({}), json!({})),
        changed("of nobody, with a consent added", json!({}), adopting.clone()),
        changed("of nobody, with an owner added", json!({}), owned.clone()),
        changed("of something else", other.clone(), other.clone()),
        changed("of something else, taken over", other, owned.clone()),
        changed("of something else, that consents", both.clone(), both),
        changed("of a SyniverseToken that does not control it", uncontrolled, owned.clone()),
        made("with a blank for consent", self::adopting(" ")),
        made("that Helm would take for a release", with(&owned, "labels", json!({"owner": "helm"}))),
        made(
            "that Argo CD would take for a cluster",
            with(&owned, "labels", json!({"argocd.argoproj.io/secret-type": "cluster"})),
        ),
        changed("that Helm would take for a release", owned.clone(), with(&owned, "labels", json!({"owner": "helm"}))),
        made("with a finalizer", with(&owned, "finalizers", json!(["a/b"]))),
        changed("with a finalizer", owned.clone(), with(&owned, "finalizers", json!(["a/b"]))),
        changed("that consents, taken over", adopting.clone(), owned.clone()),
        changed("that consents, with a mark", adopting.clone(), retained()),
        changed("of a SyniverseToken, handed on", owned, room.owned_by("ConfigMap")),
        Case {
            what: "with a service account's token",
            before: None,
            after: token,
            kind: "kubernetes.io/service-account-token",
        },
    ] {
        let refusal = room.write(&case).await.expect_err(case.what).to_string();
        assert!(refusal.contains("the operator writes"), "a Secret {}: {refusal}", case.what);
    }
}

#[tokio::test]
async fn the_operators_account_makes_no_secret_immutable_and_no_release_of_helm() {
    let room = Room::open().await;
    let case = made("of a SyniverseToken", room.owned_by("SyniverseToken"));
    let mut immutable = room.secret(&case, "immutable");
    immutable.immutable = Some(true);
    for secret in [immutable, room.secret(&case, "sh.helm.release.v1.victim.v2")] {
        let refusal = room.secrets.create(&PostParams::default(), &secret).await.unwrap_err().to_string();
        assert!(refusal.contains("the operator writes no"), "{refusal}");
    }
}

#[tokio::test]
async fn the_policy_binds_nobody_else() {
    let room = Room::open().await;
    let secret = room.secret(&made("of nobody", json!({})), "of-nobody");
    let mut made = room.stage.secrets.create(&PostParams::default(), &secret).await.unwrap();
    made.labels_mut().insert("changed".to_owned(), "yes".to_owned());
    room.stage.secrets.replace("of-nobody", &PostParams::default(), &made).await.unwrap();
}

#[tokio::test]
async fn the_policy_is_never_in_the_operators_own_way() {
    let room = Room::open().await;
    let operator = room.release.start();
    let stage = &room.stage;
    stage.until_ready(NAME).await;
    for policy in ["Retain", "Delete", "Retain"] {
        stage.change(NAME, json!({"spec": {"deletionPolicy": policy}})).await;
        let is_kept = policy == "Retain";
        let follows = |secret: &Secret| secret.owner_references().is_empty() == is_kept;
        for secret in [NAME, STATE] {
            stage.until_secret(secret, policy, follows).await;
        }
    }
    stage.delete(NAME).await;
    stage.apply(NAME, stage.spec("1h")).await;
    stage.until_secret(NAME, "owned anew", |secret| !secret.owner_references().is_empty()).await;
    // As a backup leaves them: without an owner, and with that of a former life.
    let of_a_former_life = json!([{"apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken", "name": NAME,
        "uid": "00000000-0000-0000-0000-000000000000", "controller": true}]);
    for owners in [json!(null), of_a_former_life] {
        for secret in [NAME, STATE] {
            stage.change_secret(secret, json!({"metadata": {"ownerReferences": owners}})).await;
            let uid = stage.tokens.get(NAME).await.unwrap().uid().unwrap();
            let is_ours = |secret: &Secret| secret.owner_references().iter().any(|owner| owner.uid == uid);
            stage.until_secret(secret, "taken over", is_ours).await;
        }
    }

    stage.put_secret("lent", &[("mine", "kept")]).await;
    stage.change_secret("lent", json!({"metadata": {"annotations": {"syniverse.dev/adopt": "borrower"}}})).await;
    let mut spec = stage.spec("1h");
    spec["secret"] = json!({"name": "lent"});
    stage.apply("borrower", spec).await;
    stage.until_ready("borrower").await;
    assert!(!operator.log().contains("ValidatingAdmissionPolicy"), "{}", operator.log());
}

/// As a SyniverseToken with deletionPolicy Retain leaves its Secrets.
fn retained() -> Value {
    json!({"annotations": {"syniverse.dev/adopt": NAME, "syniverse.dev/created-by": NAME}})
}

fn with(metadata: &Value, name: &str, value: Value) -> Value {
    let mut metadata = metadata.clone();
    metadata[name] = value;
    metadata
}

fn adopting(name: &str) -> Value {
    json!({"annotations": {"syniverse.dev/adopt": name}})
}

/// A namespace with the chart, and the Secrets there as its service account sees them. No operator runs
/// at first.
struct Room {
    stage: Stage,
    release: Release,
    secrets: Api<Secret>,
    owners: Value,
}

impl Room {
    async fn open() -> Self {
        let stage = Stage::dark().await;
        let release = Release::planned(&stage.cluster, stage.namespace.name());
        release.install(&values_in(stage.namespace.name())).await;
        let token = stage.apply(NAME, stage.spec("1h")).await.uid().unwrap();
        release.kubectl(&["create", "configmap", NAME]);
        let other = release.object("configmap", NAME)["metadata"]["uid"].clone();
        let owners = json!({
            "SyniverseToken": {"apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken", "uid": token},
            "ConfigMap": {"apiVersion": "v1", "kind": "ConfigMap", "uid": other},
        });
        let secrets = Api::namespaced(release.client().await, stage.namespace.name());
        let room = Self { stage, release, secrets, owners };
        // The API server takes a moment to follow a new policy.
        let probe = room.secret(&made("of nobody", json!({})), "probe");
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let holds = async || room.secrets.create(&dry, &probe).await.is_err().then_some(());
        wait_for("the policy", PATIENCE, holds).await.unwrap();
        room
    }

    fn owned_by(&self, kind: &str) -> Value {
        let mut owner = self.owners[kind].clone();
        owner["name"] = json!(NAME);
        owner["controller"] = json!(true);
        json!({"ownerReferences": [owner]})
    }

    fn secret(&self, case: &Case, name: &str) -> Secret {
        let mut metadata = case.after.clone();
        metadata["name"] = json!(name);
        from_value(json!({"metadata": metadata, "type": case.kind, "stringData": {"accessToken": "written"}})).unwrap()
    }

    /// Lets the service account write what the case says.
    async fn write(&self, case: &Case) -> kube::Result<Secret> {
        const SECRET: &str = "secret";
        let how = PostParams::default();
        let mut wanted = self.secret(case, SECRET);
        let result = match &case.before {
            None => self.secrets.create(&how, &wanted).await,
            Some(before) => {
                let before = Case { before: None, after: before.clone(), ..*case };
                let made = self.stage.secrets.create(&how, &self.secret(&before, SECRET)).await.unwrap();
                wanted.metadata.resource_version = made.metadata.resource_version;
                self.secrets.replace(SECRET, &how, &wanted).await
            }
        };
        if case.before.is_some() || result.is_ok() {
            self.stage.change_secret(SECRET, json!({"metadata": {"finalizers": null}})).await;
            self.stage.delete_secret(SECRET).await;
        }
        result
    }
}
