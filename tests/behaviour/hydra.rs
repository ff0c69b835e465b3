//! The token of a client of a real OAuth 2.0 server, which is asked whether the token in the Secret is alive.

use crate::support::*;
use harness::{ClientAuthentication, Hydra, HydraClient, HydraSettings, Scratch, TokenFormat, wait_for};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// With what is reserved in a header or a form.
const CLIENT: HydraClient<'_> = HydraClient {
    id: "canary client",
    secret: "canary:s3+c%r&=t",
    scopes: &["a", "b"],
    authentication: ClientAuthentication::Basic,
};
const CLIENT_CREDENTIALS: &str = "oauth-client";
const LIFESPAN: Duration = Duration::from_secs(20);
/// As much as a lifespan allows, for a slow machine.
const REFRESH_BEFORE: &str = "10s";
/// How long until the next token, with the same patience.
const NEXT: Duration = Duration::from_secs(40);

/// A server, and a stage whose operator may ask it.
struct Scene {
    stage: Stage,
    hydra: Hydra,
}

impl Scene {
    /// With tokens that live for an hour.
    async fn open() -> Self {
        Self::open_with(HydraSettings::default()).await
    }

    /// With tokens that live for `LIFESPAN`.
    async fn open_with_short_lives() -> Self {
        Self::open_with(living(LIFESPAN)).await
    }

    async fn open_with(settings: HydraSettings) -> Self {
        let mut scene = Self::dark_with(settings, CLIENT).await;
        scene.stage.start_operator(&[]);
        scene
    }

    /// Without an operator.
    async fn dark_with(settings: HydraSettings, client: HydraClient<'_>) -> Self {
        let (stage, hydra) = tokio::join!(Stage::dark(), Hydra::start_with(settings));
        let scene = Self { stage, hydra: hydra.unwrap() };
        scene.hydra.create_client(&client).await.unwrap();
        scene.give(client.secret).await;
        scene
    }

    async fn give(&self, secret: &str) {
        self.stage.put_secret(CLIENT_CREDENTIALS, &[("clientId", CLIENT.id), ("clientSecret", secret)]).await;
    }

    /// Applies a resource with these fields beside those that every test needs.
    async fn apply(&self, fields: Value) {
        let mut client = json!({"tokenURL": self.hydra.token_url(), "scopes": ["a"],
            "credentials": {"secretRef": {"name": CLIENT_CREDENTIALS}}});
        client.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.stage.apply(NAME, json!({"clientCredentials": client, "refreshBefore": REFRESH_BEFORE})).await;
    }

    /// What the server knows of the token in the Secret, which must be alive.
    async fn alive(&self) -> Value {
        let token = self.stage.token().await;
        let known = self.hydra.introspect(&token).await.unwrap();
        assert_eq!(known["active"], true, "the Secret holds a dead token: {known}");
        known
    }

    /// Looks at the Secret without a pause until it has held so many further tokens: each one is alive at each look, and
    /// the one before when the next one comes. Returns the scopes of each.
    async fn follow(&self, renewals: usize) -> Vec<String> {
        let mut token = self.stage.token().await;
        let mut scopes = vec![scope(&self.alive().await)];
        while scopes.len() <= renewals {
            let renewed = async || {
                let known = self.alive().await;
                (self.stage.token().await != token).then_some(known)
            };
            wait_for("the next token", NEXT, renewed).await.unwrap();
            self.assert_in_time(&token).await;
            token = self.stage.token().await;
            scopes.push(scope(&self.alive().await));
        }
        scopes
    }

    /// Asserts that a token that was just replaced lives on, and by more than `expires_in` was short of its end.
    async fn assert_in_time(&self, old: &str) {
        let known = self.hydra.introspect(old).await.unwrap();
        assert_eq!(known["active"], true, "replaced after its end: {known}");
        let left = known["exp"].as_i64().unwrap() - Timestamp::now().as_second();
        assert!(left > 2, "replaced {left} s before its end");
    }

    /// Waits until a request is refused with this code, and returns what is said of it, in which nothing of the server's
    /// own words and of the credentials shows.
    async fn until_refused(&mut self, code: &str) -> String {
        let refused = self.stage.until_reason(NAME, "RequestRejected").await;
        assert!(is_stalled(&refused));
        let said = ready_message(&refused).to_owned();
        assert!(said.contains(&format!("the issuer answered {code} (HTTP 4")), "{said}");
        let shown = serde_json::to_string(&refused).unwrap() + &self.stage.operator().log();
        for hidden in ["canary", "lient authentication failed", "requested scope is invalid", "error_description"] {
            assert!(!shown.contains(hidden), "{hidden}: {shown}");
        }
        said
    }
}

fn living(token_lifespan: Duration) -> HydraSettings {
    HydraSettings { token_lifespan, ..HydraSettings::default() }
}

fn scope(known: &Value) -> String {
    known["scope"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_first_token_is_one_that_the_server_takes() {
    let scene = Scene::open().await;
    scene.apply(json!({"scopes": ["b", "a"]})).await;
    assert_eq!(ready_reason(&scene.stage.until_ready(NAME).await), "Issued");
    let known = scene.alive().await;
    assert_eq!((known["client_id"].as_str(), known["scope"].as_str()), (Some(CLIENT.id), Some("a b")));
}

#[tokio::test]
async fn each_new_token_is_there_while_the_one_before_lives() {
    let scene = Scene::open_with_short_lives().await;
    scene.apply(json!({})).await;
    scene.stage.until_ready(NAME).await;
    assert_eq!(scene.follow(3).await, ["a"; 4]);
}

#[tokio::test]
async fn with_a_standby_that_is_not_needed_each_new_token_is_there_while_the_one_before_lives() {
    let scene = Scene::open_with_short_lives().await;
    scene.apply(json!({"standby": {"scopes": ["b"]}})).await;
    scene.stage.until_ready(NAME).await;
    scene.follow(3).await;
}

#[tokio::test]
async fn a_standby_with_other_scopes_takes_over_and_hands_back_while_both_tokens_live() {
    let scene = Scene::open().await;
    scene.apply(json!({"standby": {"scopes": ["b"]}})).await;
    scene.stage.until_ready(NAME).await;
    assert_eq!(scope(&scene.alive().await), "a");
    for (refresh, next) in [("1", "b"), ("2", "a")] {
        // Time alone brings no hand-over of tokens that live so short that each check renews them.
        scene.stage.change(NAME, json!({"metadata": {"annotations": {"syniverse.dev/refresh": refresh}}})).await;
        assert_eq!(scene.follow(1).await[1], next);
    }
}

#[tokio::test]
async fn a_wrong_secret_is_said_and_the_right_one_gives_a_token_at_once() {
    let mut scene = Scene::open().await;
    scene.give("canary wrong").await;
    scene.apply(json!({})).await;
    let said = scene.until_refused("invalid_client").await;
    assert!(said.contains("check the client id and secret"), "{said}");
    assert!(said.contains(&format!("Secret {CLIENT_CREDENTIALS}")), "{said}");
    scene.give(CLIENT.secret).await;
    scene.stage.until_ready(NAME).await;
    scene.alive().await;
}

#[tokio::test]
async fn a_scope_that_the_client_may_not_have_is_said_and_a_corrected_spec_gives_a_token() {
    let mut scene = Scene::open().await;
    scene.apply(json!({"scopes": ["a", "c"]})).await;
    let said = scene.until_refused("invalid_scope").await;
    assert!(said.contains("out of spec.clientCredentials.scopes"), "{said}");
    scene.apply(json!({"scopes": ["a"]})).await;
    scene.stage.until_ready(NAME).await;
    assert_eq!(scope(&scene.alive().await), "a");
}

#[tokio::test]
async fn a_renewal_that_meets_a_server_at_rest_is_made_up_for_while_the_token_lives() {
    // The server starts within the second half of a life, on a machine that compiles at the same time too.
    let mut scene = Scene::open_with(living(LIFESPAN * 2)).await;
    scene.apply(json!({})).await;
    scene.stage.change(NAME, json!({"spec": {"refreshBefore": "20s"}})).await;
    scene.stage.until_ready(NAME).await;
    let old = scene.stage.token().await;
    scene.hydra.stop();
    assert!(is_ready(&scene.stage.until_reason(NAME, "RefreshFailed").await));
    scene.hydra.restart().await.unwrap();
    scene.stage.until_rotated(&old).await;
    scene.assert_in_time(&old).await;
    scene.alive().await;
    scene.stage.until_reason(NAME, "Issued").await;
}

#[tokio::test]
async fn over_https_a_token_comes_only_where_the_servers_authority_is_trusted() {
    let settings = HydraSettings { https: true, token_format: TokenFormat::Jwt, ..HydraSettings::default() };
    let in_body = HydraClient { authentication: ClientAuthentication::Body, ..CLIENT };
    let mut scene = Scene::dark_with(settings, in_body).await;
    let scratch = Scratch::new().unwrap();
    let bundle = scratch.path().join("authority.pem");
    std::fs::write(&bundle, scene.hydra.ca_pem().unwrap()).unwrap();
    let kubeconfig = scene.stage.kubeconfig();
    let usual = ["--endpoint-host=*", "--private-endpoints=127.0.0.0/8"];

    scene.stage.start_operator_with(&kubeconfig, &usual);
    scene.apply(json!({"authentication": "Body"})).await;
    let refused = scene.stage.until(NAME, "no trust", |token| ready_message(token).contains("--ca-bundle")).await;
    assert!(!is_ready(&refused));
    let trusting = format!("--ca-bundle={}", bundle.display());
    scene.stage.start_operator_with(&kubeconfig, &[&usual[..], &[&trusting]].concat());
    scene.stage.until_ready(NAME).await;
    scene.alive().await;
    assert_eq!(scene.stage.token().await.split('.').count(), 3);
}
