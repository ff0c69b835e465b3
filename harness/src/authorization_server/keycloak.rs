//! Keycloak with one realm, and with its database in its memory.

use std::{fs, io, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::{Value, json};

use super::{Product, Setup};
use crate::{Error, Result, tools};

pub(super) const PRODUCT: Product = Product {
    name: "Keycloak",
    token_path: "/realms/test/protocol/openid-connect/token",
    introspection_path: "/realms/test/protocol/openid-connect/token/introspect",
    metadata_path: "/realms/test/.well-known/openid-configuration",
    command,
};

/// Writes the realm, which it imports when it starts.
fn command(setup: &Setup<'_>) -> Result<Command> {
    let distribution = tools::oauth2_server("keycloak")?;
    let home = setup.folder.join("home");
    make_home(&home, &distribution, &realm(setup)).map_err(Error::io("make the home of Keycloak"))?;
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-XX:TieredStopAtLevel=1"]);
    // Neither leaves files in the folder for temporary ones, not even when it is killed.
    command.arg("-XX:-UsePerfData").arg(format!("-Djava.io.tmpdir={}", setup.folder.display()));
    command.arg(format!("-Dkc.home.dir={}", home.display()));
    command.arg("-Djava.util.logging.manager=org.jboss.logmanager.LogManager");
    command.arg("-cp").arg(distribution.join("lib/quarkus-run.jar"));
    command.args(["io.quarkus.bootstrap.runner.QuarkusEntryPoint", "start", "--optimized", "--import-realm"]);
    command.args(["--cache=local", "--http-enabled=true", "--http-host=127.0.0.1"]);
    command.arg(format!("--http-port={}", setup.port)).arg(format!("--hostname=http://127.0.0.1:{}", setup.port));
    Ok(command)
}

/// Makes a folder with the distribution's parts and data of its own.
fn make_home(home: &Path, distribution: &Path, realm: &Value) -> io::Result<()> {
    let import = home.join("data/import");
    fs::create_dir_all(&import)?;
    for part in ["conf", "lib", "providers", "themes"] {
        symlink(distribution.join(part), home.join(part))?;
    }
    fs::write(import.join("test.json"), realm.to_string())
}

fn realm(setup: &Setup<'_>) -> Value {
    let scopes = setup.client.scopes;
    let client_scope = |name: &&str| json!({"name": name, "protocol": "openid-connect", "attributes": {"include.in.token.scope": "true"}});
    json!({
        "realm": "test",
        "enabled": true,
        "clientScopes": scopes.iter().map(client_scope).collect::<Vec<_>>(),
        "clients": [{
            "clientId": setup.client.id,
            "secret": setup.client.secret,
            "clientAuthenticatorType": "client-secret",
            "serviceAccountsEnabled": true,
            "standardFlowEnabled": false,
            "defaultClientScopes": [],
            "optionalClientScopes": scopes,
            "attributes": {"access.token.lifespan": setup.token_lifespan.as_secs().to_string()},
        }],
    })
}
