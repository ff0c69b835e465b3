//! What the operator does at each server.

use crate::support::*;
use harness::OAuth2Server;
use serde_json::json;

/// Gets a first token with two scopes.
pub(crate) async fn get_a_first_token(scene: &Scene<impl OAuth2Server>) {
    scene.apply(json!({"scopes": ["b", "a"]})).await;
    assert_eq!(ready_reason(&scene.stage.until_ready(NAME).await), "Issued");
    let known = scene.alive().await;
    let mut scopes: Vec<_> = known["scope"].as_str().unwrap().split(' ').collect();
    scopes.sort_unstable();
    assert_eq!((known["client_id"].as_str(), scopes), (Some(CLIENT.id), vec!["a", "b"]));
}

/// Gets two further tokens, each while the one before lives.
pub(crate) async fn renew_with_overlap(scene: &Scene<impl OAuth2Server>) {
    scene.apply(json!({})).await;
    scene.stage.until_ready(NAME).await;
    assert_eq!(scene.follow(2).await, ["a"; 3]);
}

/// Is refused with a code for a wrong secret, and gets a token with the right one.
pub(crate) async fn recover_from_a_wrong_secret(scene: &mut Scene<impl OAuth2Server>, code: &str) {
    scene.give("canary wrong").await;
    scene.apply(json!({})).await;
    let said = scene.until_refused(code).await;
    assert!(said.contains(&format!("Secret {CLIENT_CREDENTIALS}")), "{said}");
    scene.give(CLIENT.secret).await;
    scene.stage.until_ready(NAME).await;
    scene.alive().await;
}

/// Gets a token with the secret in the body, although the client is registered for the header.
pub(crate) async fn get_a_token_by_the_body(scene: &Scene<impl OAuth2Server>) {
    scene.apply(json!({"authentication": "Body"})).await;
    scene.stage.until_ready(NAME).await;
    scene.alive().await;
}
