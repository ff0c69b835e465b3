//! The token of a client of a real OAuth 2.0 server, Ory Hydra.

use crate::support::*;
use harness::{ClientAuthentication, Hydra, HydraSettings, OAuth2Client, Scratch, TokenFormat};
use serde_json::json;
use std::time::Duration;

impl Scene<Hydra> {
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
    async fn dark_with(settings: HydraSettings, client: OAuth2Client<'_>) -> Self {
        let (stage, server) = tokio::join!(Stage::dark(), Hydra::start_with(settings));
        let scene = Self { stage, server: server.unwrap() };
        scene.server.create_client(&client).await.unwrap();
        scene.give(client.secret).await;
        scene
    }
}

fn living(token_lifespan: Duration) -> HydraSettings {
    HydraSettings { token_lifespan, ..HydraSettings::default() }
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
    scene.server.stop();
    assert!(is_ready(&scene.stage.until_reason(NAME, "RefreshFailed").await));
    scene.server.restart().await.unwrap();
    scene.stage.until_rotated(&old).await;
    scene.assert_in_time(&old).await;
    scene.alive().await;
    scene.stage.until_reason(NAME, "Issued").await;
}

#[tokio::test]
async fn over_https_a_token_comes_only_where_the_servers_authority_is_trusted() {
    let settings = HydraSettings { https: true, token_format: TokenFormat::Jwt, ..HydraSettings::default() };
    let in_body = OAuth2Client { authentication: ClientAuthentication::Body, ..CLIENT };
    let mut scene = Scene::dark_with(settings, in_body).await;
    let scratch = Scratch::new().unwrap();
    let bundle = scratch.path().join("authority.pem");
    std::fs::write(&bundle, scene.server.ca_pem().unwrap()).unwrap();
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
