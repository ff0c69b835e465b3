//! The admission policy: which Secrets the operator's service account may write, and which it may not.

use crate::release::{RELEASE, Release, values_in};
use crate::support::*;
use harness::wait_for;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
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
    let owners = owned["ownerReferences"].clone();
    let former = room.stage.apply("former", room.stage.spec("1h")).await.uid().unwrap();
    let former = controlled_by(owner("former", &former));
    for case in [
        made("of a SyniverseToken", owned.clone()),
        made("of a SyniverseToken, marked", with(&retained(), "ownerReferences", owners.clone())),
        made("to be kept when the SyniverseToken goes", adopting.clone()),
        changed("of a SyniverseToken", owned.clone(), owned.clone()),
        changed("that consents", adopting.clone(), adopting.clone()),
        changed("that consents, copied from another one's", copied(), copied()),
        changed(
            "that a person has given a finalizer",
            with(&adopting, "finalizers", json!(["a/b"])),
            with(&adopting, "finalizers", json!(["a/b"])),
        ),
        changed("made for Retain, and of the SyniverseToken from now on", retained(), owned.clone()),
        changed("restored without its owner", retained(), with(&retained(), "ownerReferences", owners.clone())),
        changed("restored with the owner of a former life", former, owned.clone()),
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
    let (copied, owners) = (copied(), owned["ownerReferences"].clone());
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
        changed("copied from another one's, taken over", copied.clone(), with(&copied, "ownerReferences", owners)),
        changed("copied from another one's, marked anew", copied, retained()),
        changed("made by it, whose consent a person took away", created(), created()),
        changed("whose consent goes", adopting.clone(), json!({})),
        changed("whose consent goes to another", adopting.clone(), self::adopting("other")),
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

/// What other tools and people put on Secrets that the operator writes.
const THEIRS: [(&str, &str, &str); 5] = [
    ("labels", "argocd.argoproj.io/instance", "app"),
    ("labels", "owner", "helm"),
    ("labels", "helm.sh/chart", "app-1.0.0"),
    ("annotations", "meta.helm.sh/release-name", "app"),
    ("annotations", "argocd.argoproj.io/tracking-id", "app:/Secret:default/messaging"),
];

#[tokio::test]
async fn what_others_put_on_a_secret_stays_and_is_no_obstacle_but_the_operators_account_adds_none_and_changes_none() {
    let room = Room::open().await;
    for secret in [room.owned_by("SyniverseToken"), adopting(NAME)] {
        let with = |to: &Value, (kind, key, value): (&str, &str, &str)| {
            let mut secret = to.clone();
            secret[kind][key] = json!(value);
            secret
        };
        let all = THEIRS.into_iter().fold(secret.clone(), |all, entry| with(&all, entry));
        let case = changed("with all of it", all.clone(), with(&all, ("labels", "app.kubernetes.io/name", "sms")));
        room.write(&case).await.unwrap();
        for (kind, key, value) in THEIRS {
            let theirs = with(&secret, (kind, key, value));
            for case in [made(key, theirs.clone()), changed(key, secret.clone(), theirs.clone())] {
                let refusal = room.write(&case).await.expect_err(key).to_string();
                assert!(refusal.contains("the operator writes no"), "{key}: {refusal}");
            }
            let other = if key == "owner" { "team" } else { value };
            room.write(&changed(key, with(&secret, (kind, key, other)), secret.clone())).await.expect("taking it away");
        }
        let other = with(&secret, ("labels", "argocd.argoproj.io/instance", "other"));
        let before = with(&secret, ("labels", "argocd.argoproj.io/instance", "app"));
        assert!(room.write(&changed("of another application", before, other)).await.is_err());
    }
}

#[tokio::test]
async fn the_operators_account_writes_events_about_syniversetokens_only() {
    let room = Room::open().await;
    let (as_operator, as_admin) =
        (room.events(room.release.client().await), room.events(room.stage.cluster.client().await.unwrap()));
    let token = room.event("token", "syniverse.dev/v1alpha1", "SyniverseToken");
    as_operator.create(&PostParams::default(), &token).await.unwrap();
    let change = Patch::Merge(json!({"series": {"count": 2, "lastObservedTime": "2026-01-02T03:04:06.000007Z"}}));
    as_operator.patch("token", &PatchParams::default(), &change).await.unwrap();
    for (name, version, kind) in [("pod", "v1", "Pod"), ("group", "example.com/v1", "SyniverseToken")] {
        let event = room.event(name, version, kind);
        let refusal = as_operator.create(&PostParams::default(), &event).await.unwrap_err().to_string();
        assert!(refusal.contains("the operator writes Events about SyniverseTokens only"), "{refusal}");
        as_admin.create(&PostParams::default(), &event).await.unwrap();
        let refusal = as_operator.patch(name, &PatchParams::default(), &change).await.unwrap_err().to_string();
        assert!(refusal.contains("the operator writes Events about SyniverseTokens only"), "{refusal}");
    }
}

#[tokio::test]
async fn the_operators_account_makes_no_lease_but_its_own() {
    let room = Room::open().await;
    let leases: Api<Lease> = Api::namespaced(room.release.client().await, room.stage.namespace.name());
    let lease = |name: &str| -> Lease { from_value(json!({"metadata": {"name": name}})).unwrap() };
    leases.create(&PostParams::default(), &lease(RELEASE)).await.unwrap();
    for name in ["another", "kube-scheduler"] {
        let refusal = leases.create(&PostParams::default(), &lease(name)).await.unwrap_err().to_string();
        assert!(refusal.contains("the operator writes no Lease but its own"), "{refusal}");
    }
}

/// A Secret kept in Git, and one that Argo CD was told to track.
#[tokio::test]
async fn tokens_rotate_into_secrets_that_argo_cd_tracks() {
    let room = Room::open().await;
    let stage = &room.stage;
    stage.apply(NAME, stage.spec("2s")).await;
    let operator = room.release.start();
    let tracked = json!({"metadata": {"labels": {"argocd.argoproj.io/instance": "app"}}});
    stage.put_secret("lent", &[("mine", "kept")]).await;
    stage.change_secret("lent", tracked.clone()).await;
    stage.change_secret("lent", json!({"metadata": {"annotations": {"syniverse.dev/adopt": "borrower"}}})).await;
    let mut spec = stage.spec("2s");
    spec["secret"] = json!({"name": "lent"});
    stage.apply("borrower", spec).await;
    stage.until_secret("lent", "filled", |lent| text(lent, "accessToken").is_some()).await;
    let first = stage.until_rotated("").await;
    stage.change_secret(NAME, tracked).await;
    let second = stage.until_rotated(&first).await;
    stage.until_rotated(&second).await;
    for secret in [NAME, "lent"] {
        assert_eq!(stage.secret(secret).await.labels()["argocd.argoproj.io/instance"], "app");
    }
    assert!(!operator.log().contains("denied request"), "{}", operator.log());
}

#[tokio::test]
async fn a_policy_that_is_not_there_although_the_chart_has_one_is_missed_once() {
    let room = Room::open().await;
    let name = format!("{RELEASE}.{}", room.stage.namespace.name());
    room.release.kubectl(&["delete", "validatingadmissionpolicybinding", &name]);
    wait_for("no policy", PATIENCE, async || room.try_what_is_refused().await.ok()).await.unwrap();
    let mut operator = room.release.start();
    const SAID: &str = "no admission policy binds the operator's account";
    operator.wait_for_log(SAID, PATIENCE * 3).await.unwrap();
    room.stage.until_ready(NAME).await;
    assert_eq!(operator.log().matches(SAID).count(), 1);
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
async fn the_policy_binds_nobody_else_with_a_syniversetoken_or_without() {
    let room = Room::open().await;
    room.stage.delete(NAME).await;
    let secret = room.secret(&made("of nobody", json!({})), "of-nobody");
    let mut made = room.stage.secrets.create(&PostParams::default(), &secret).await.unwrap();
    made.labels_mut().insert("changed".to_owned(), "yes".to_owned());
    room.stage.secrets.replace("of-nobody", &PostParams::default(), &made).await.unwrap();
}

#[tokio::test]
async fn the_policy_is_never_in_the_operators_own_way() {
    let room = Room::open().await;
    let mut operator = room.release.start();
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
    let is_owned = |secret: &Secret| !secret.owner_references().is_empty();
    stage.until_secret(NAME, "owned anew", is_owned).await;
    for secret in [STATE, NAME] {
        // As a backup brings it back.
        stage.change_secret(secret, json!({"metadata": {"ownerReferences": null}})).await;
        stage.until_secret(secret, "owned again", is_owned).await;
    }
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
    operator.wait_for_log("the admission policy binds the operator's account", PATIENCE).await.unwrap();
    assert!(!operator.log().contains("ValidatingAdmissionPolicy"), "{}", operator.log());
}

/// As a SyniverseToken with deletionPolicy Retain leaves its Secrets, and as a backup may bring back any.
fn retained() -> Value {
    json!({"annotations": {"syniverse.dev/adopt": NAME, "syniverse.dev/created-by": NAME}})
}

/// As a person lends what was made for another SyniverseToken, copied with its marks.
fn copied() -> Value {
    json!({"annotations": {"syniverse.dev/adopt": NAME, "syniverse.dev/created-by": "other"}})
}

fn owner(name: &str, uid: &str) -> Value {
    json!({"apiVersion": "syniverse.dev/v1alpha1", "kind": "SyniverseToken", "name": name, "uid": uid})
}

fn controlled_by(mut owner: Value) -> Value {
    owner["controller"] = json!(true);
    json!({"ownerReferences": [owner]})
}

/// The operator's mark alone.
fn created() -> Value {
    json!({"annotations": {"syniverse.dev/created-by": NAME}})
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
            "SyniverseToken": owner(NAME, &token),
            "ConfigMap": {"apiVersion": "v1", "kind": "ConfigMap", "name": NAME, "uid": other},
        });
        let secrets = Api::namespaced(release.client().await, stage.namespace.name());
        let room = Self { stage, release, secrets, owners };
        // The API server takes a moment to follow a new policy.
        wait_for("the policy", PATIENCE, async || room.try_what_is_refused().await.err()).await.unwrap();
        room
    }

    async fn try_what_is_refused(&self) -> kube::Result<Secret> {
        let probe = self.secret(&made("of nobody", json!({})), "probe");
        self.secrets.create(&PostParams { dry_run: true, ..PostParams::default() }, &probe).await
    }

    fn owned_by(&self, kind: &str) -> Value {
        controlled_by(self.owners[kind].clone())
    }

    fn secret(&self, case: &Case, name: &str) -> Secret {
        let mut metadata = case.after.clone();
        metadata["name"] = json!(name);
        from_value(json!({"metadata": metadata, "type": case.kind, "stringData": {"accessToken": "written"}})).unwrap()
    }

    fn events(&self, client: Client) -> Api<Event> {
        Api::namespaced(client, self.stage.namespace.name())
    }

    fn event(&self, name: &str, version: &str, kind: &str) -> Event {
        let regarding =
            json!({"apiVersion": version, "kind": kind, "name": NAME, "namespace": self.stage.namespace.name()});
        from_value(json!({
            "metadata": {"name": name}, "regarding": regarding, "reason": "Tried", "action": "Try", "type": "Normal",
            "note": "told", "eventTime": "2026-01-02T03:04:05.000006Z",
            "reportingController": RELEASE, "reportingInstance": RELEASE,
        }))
        .unwrap()
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
