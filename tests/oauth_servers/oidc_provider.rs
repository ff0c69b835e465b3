//! oidc-provider, one for each test.

use crate::promises::*;
use crate::support::*;
use harness::AuthorizationServer;
use serde_json::json;

async fn open() -> Scene<AuthorizationServer> {
    Scene::at(AuthorizationServer::oidc_provider(CLIENT, LIFESPAN).await.unwrap()).await
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
    recover_from_a_wrong_secret(&mut open().await, "invalid_client").await;
}

#[tokio::test]
#[ignore = "make test-oauth-servers"]
async fn a_secret_in_the_body_is_taken_though_the_client_is_registered_for_the_header() {
    get_a_token_by_the_body(&open().await).await;
}

#[tokio::test]
#[ignore = "make test-oauth-servers"]
async fn a_scope_that_the_server_leaves_out_is_said_and_the_token_used() {
    let scene = open().await;
    scene.apply(json!({"scopes": ["a", "c"]})).await;
    let said = scene.stage.until_reason(NAME, "ScopeNotGranted").await;
    assert!(is_ready(&said) && !is_stalled(&said), "{said:?}");
    assert!(ready_message(&said).contains("without the scopes c of"), "{}", ready_message(&said));
    assert_eq!(scope(&scene.alive().await), "a");
    scene.apply(json!({"scopes": ["a"]})).await;
    scene.stage.until_reason(NAME, "Issued").await;
}
