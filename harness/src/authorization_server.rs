//! Real OAuth2 servers that need a runtime of their own, on loopback: oidc-provider runs in Node, Keycloak in a JVM.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    OAuth2Client, OAuth2Server, Process, Result, Scratch, http::Listener, oauth2_server, process::tail,
    ready::wait_longer_while_running, tools::free_port,
};

mod keycloak;
mod oidc_provider;

/// Keycloak usually takes 20 s, and a machine that compiles at the same time needs more.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// A running OAuth2 server that has one client. The end of its log is shown when a test panics. Dropping it kills it and
/// removes its data.
#[derive(Debug)]
pub struct AuthorizationServer {
    // Dropped before the folder that holds its files.
    _process: Process,
    listener: Listener,
    product: Product,
    client: OAuth2Client<'static>,
    scratch: Scratch,
}

/// How a server is started, and where it answers what.
#[derive(Clone, Copy, Debug)]
struct Product {
    name: &'static str,
    token_path: &'static str,
    introspection_path: &'static str,
    metadata_path: &'static str,
    command: fn(&Setup<'_>) -> Result<Command>,
}

/// What one server is made with.
struct Setup<'a> {
    port: u16,
    client: OAuth2Client<'static>,
    token_lifespan: Duration,
    folder: &'a Path,
}

impl AuthorizationServer {
    /// Starts oidc-provider, usually in half a second, and waits until it serves. Its tokens are opaque.
    ///
    /// # Errors
    /// If it cannot be fetched, ends (its log is in the error), or is not ready in time.
    pub async fn oidc_provider(client: OAuth2Client<'static>, token_lifespan: Duration) -> Result<Self> {
        Self::start(oidc_provider::PRODUCT, client, token_lifespan).await
    }

    /// Starts Keycloak, usually in 20 s, and waits until it serves. Its tokens are signed. It registers no way of
    /// authentication for the client.
    ///
    /// # Errors
    /// As `oidc_provider`.
    pub async fn keycloak(client: OAuth2Client<'static>, token_lifespan: Duration) -> Result<Self> {
        Self::start(keycloak::PRODUCT, client, token_lifespan).await
    }

    async fn start(product: Product, client: OAuth2Client<'static>, token_lifespan: Duration) -> Result<Self> {
        let (port, scratch) = (free_port()?, Scratch::new()?);
        let command = (product.command)(&Setup { port, client, token_lifespan, folder: scratch.path() })?;
        let mut process = Process::spawn(&command, &log(&scratch))?;
        let listener = Listener { server: product.name, port };
        let is_ready = async || listener.readiness(product.metadata_path).await;
        wait_longer_while_running(product.name, READY_WITHIN, &mut [&mut process], is_ready).await?;
        Ok(Self { _process: process, listener, product, client, scratch })
    }
}

impl OAuth2Server for AuthorizationServer {
    fn token_url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.listener.port, self.product.token_path)
    }

    /// Asks as the client.
    async fn introspect(&self, token: &str) -> Result<Value> {
        let asker = [("client_id", self.client.id), ("client_secret", self.client.secret)];
        oauth2_server::introspect(self.listener, self.product.introspection_path, token, &asker).await
    }
}

impl Drop for AuthorizationServer {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the log of {} ends with:\n{}", self.product.name, tail(&log(&self.scratch)));
        }
    }
}

fn log(scratch: &Scratch) -> PathBuf {
    scratch.path().join("server.log")
}
