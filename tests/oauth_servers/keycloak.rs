//! Keycloak, one for all tests, for it takes long to start.

use crate::promises::*;
use crate::support::*;
use harness::AuthorizationServer;
use serde_json::json;
use tokio::sync::OnceCell;

/// A start that failed is not tried again by each further test.
async fn open() -> Scene<&'static AuthorizationServer> {
    static STARTED: OnceCell<Result<AuthorizationServer, String>> = OnceCell::const_new();
    let start = async || AuthorizationServer::keycloak(CLIENT, LIFESPAN).await.map_err(|error| error.to_string());
    Scene::at(STARTED.get_or_init(start).await.as_ref().unwrap()).await
}

#[tokio::test]
#[ignore = "make test-oauth-servers"]
async fn a_first_token_is_one_that_the_server_takes() {
    get_a_first_token(&open().await).await;
}

#[tokio::test]
#[ignore = "make test-oauth-servers"]
async fn each_new_token_is_there_while_the_one_before_lives() {
    renew_with_overlap(&open().await).await;
}

#[tokio::test]
#[ignore = "make test-oauth-servers"]
async fn a_wrong_secret_is_said_and_the_right_one_gives_a_token() {
    recover_from_a_wrong_secret(&mut open().await, "unauthorized_client").await;
}

#[tokio::test]
#[ignore = "make test-oauth-servers"]
async fn a_secret_in_the_body_is_taken_as_in_the_header() {
    get_a_token_by_the_body(&open().await).await;
}

#[tokio::test]
#[ignore = "make test-oauth-servers"]
async fn a_scope_that_the_client_may_not_have_is_said_and_a_corrected_spec_gives_a_token() {
    let mut scene = open().await;
    scene.apply(json!({"scopes": ["a", "c"]})).await;
    let said = scene.until_refused("invalid_scope").await;
    assert!(said.contains("out of spec.clientCredentials.scopes"), "{said}");
    scene.apply(json!({"scopes": ["a"]})).await;
    scene.stage.until_ready(NAME).await;
    assert_eq!(scope(&scene.alive().await), "a");
}
