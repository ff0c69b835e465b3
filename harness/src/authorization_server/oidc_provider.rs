//! oidc-provider, which is a library: a script of a few lines serves it.

use std::{fs, process::Command};

use serde_json::json;

use super::{Product, Setup};
use crate::{Error, Result, tools};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/authorization_server/oidc_provider.mjs");

pub(super) const PRODUCT: Product = Product {
    name: "oidc-provider",
    token_path: "/token",
    introspection_path: "/token/introspection",
    metadata_path: "/.well-known/openid-configuration",
    command,
};

/// Writes its settings; all that it learns while it runs stays in its memory.
fn command(setup: &Setup<'_>) -> Result<Command> {
    let client = json!({
        "client_id": setup.client.id,
        "client_secret": setup.client.secret,
        "grant_types": ["client_credentials"],
        "response_types": [],
        "redirect_uris": [],
        "scope": setup.client.scopes.join(" "),
        "token_endpoint_auth_method": setup.client.authentication.method(),
    });
    let settings = json!({
        "port": setup.port,
        "configuration": {
            "clients": [client],
            "scopes": setup.client.scopes,
            "ttl": {"ClientCredentials": setup.token_lifespan.as_secs()},
            "features": {
                "clientCredentials": {"enabled": true},
                "introspection": {"enabled": true},
                "devInteractions": {"enabled": false},
            },
        },
    });
    let file = setup.folder.join("settings.json");
    fs::write(&file, settings.to_string()).map_err(Error::io("write settings.json"))?;
    let mut command = Command::new("node");
    command.arg(SCRIPT).arg(tools::oauth2_server("oidc-provider")?).arg(file);
    Ok(command)
}
