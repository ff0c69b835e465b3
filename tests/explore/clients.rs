//! The scenarios of client credentials.

use crate::stage::{CLIENT_SECRET, NAME, Stage, secret};
use issuer_simulator::switches::TokenMode;
use serde_json::json;
use std::sync::Arc;

/// A resource with its first token, 3 s old; the next is requested at about 13 s, the first ends at 20 s.
async fn settled(stage: &Arc<Stage>, mode: TokenMode) {
    stage.world.inside().issuers.switches().clients.mode = mode;
    stage.client();
    stage.put_client(json!({}));
    stage.start("A");
    stage.pause(3.0).await;
    stage.explore();
}

pub(crate) async fn client_new_token_each_time(stage: &Arc<Stage>) {
    settled(stage, TokenMode::Jwt).await;
    stage.pause(15.0).await;
}

pub(crate) async fn client_new_token_kills_the_one_before(stage: &Arc<Stage>) {
    settled(stage, TokenMode::JwtRevoking).await;
    stage.pause(15.0).await;
}

pub(crate) async fn client_same_token_until_its_end(stage: &Arc<Stage>) {
    settled(stage, TokenMode::Opaque).await;
    stage.pause(20.0).await;
}

pub(crate) async fn client_secret_spoilt_and_mended(stage: &Arc<Stage>) {
    settled(stage, TokenMode::Jwt).await;
    stage.user("spoils the client's secret", true);
    stage.put_client_credentials("a wrong secret");
    stage.pause(4.0).await;
    stage.user("mends the client's secret", true);
    stage.put_client_credentials(CLIENT_SECRET);
    stage.pause(5.0).await;
}

pub(crate) async fn client_token_deleted(stage: &Arc<Stage>) {
    settled(stage, TokenMode::Jwt).await;
    stage.user("deletes the token Secret", false);
    stage.delete(secret(NAME));
    stage.pause(5.0).await;
}
