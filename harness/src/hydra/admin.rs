//! The server's admin API, which speaks plain http on loopback.

use serde_json::{Value, json};

use crate::{
    OAuth2Client, Result,
    http::{JSON, Listener},
    oauth2_server,
};

fn admin_api(port: u16) -> Listener {
    Listener { server: "Hydra", port }
}

pub(crate) async fn create_client(port: u16, client: &OAuth2Client<'_>) -> Result<()> {
    let wanted = json!({
        "client_id": client.id,
        "client_secret": client.secret,
        "scope": client.scopes.join(" "),
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": client.authentication.method(),
    });
    let doing = format!("create the client {}", client.id);
    admin_api(port).post("/admin/clients", JSON, &wanted.to_string(), &doing).await.map(drop)
}

pub(crate) async fn introspect(port: u16, token: &str) -> Result<Value> {
    oauth2_server::introspect(admin_api(port), "/admin/oauth2/introspect", token, &[]).await
}

pub(crate) async fn readiness(port: u16) -> std::result::Result<(), String> {
    admin_api(port).readiness("/health/ready").await
}
