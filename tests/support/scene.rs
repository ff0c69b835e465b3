//! The token of a client of a real OAuth 2.0 server, which is asked whether the token in the Secret is alive.

use super::*;
use harness::{ClientAuthentication, OAuth2Client, OAuth2Server, wait_for};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// With what is reserved in a header or a form.
pub(crate) const CLIENT: OAuth2Client<'_> = OAuth2Client {
    id: "canary client",
    secret: "canary:s3+c%r&=t",
    scopes: &["a", "b"],
    authentication: ClientAuthentication::Basic,
};
pub(crate) const CLIENT_CREDENTIALS: &str = "oauth-client";
pub(crate) const LIFESPAN: Duration = Duration::from_secs(20);
/// As much as a lifespan allows, for a slow machine.
const REFRESH_BEFORE: &str = "10s";
/// How long until the next token, with the same patience.
const NEXT: Duration = Duration::from_secs(40);

/// A server, and a stage whose operator may ask it.
pub(crate) struct Scene<S> {
    pub(crate) stage: Stage,
    pub(crate) server: S,
}

impl<S: OAuth2Server> Scene<S> {
    /// Opens one at a server that knows `CLIENT`, with an operator.
    pub(crate) async fn at(server: S) -> Self {
        let scene = Self { stage: Stage::open().await, server };
        scene.give(CLIENT.secret).await;
        scene
    }

    pub(crate) async fn give(&self, secret: &str) {
        self.stage.put_secret(CLIENT_CREDENTIALS, &[("clientId", CLIENT.id), ("clientSecret", secret)]).await;
    }

    /// Applies a resource with these fields beside those that every test needs.
    pub(crate) async fn apply(&self, fields: Value) {
        let mut client = json!({"tokenURL": self.server.token_url(), "scopes": ["a"],
            "credentials": {"secretRef": {"name": CLIENT_CREDENTIALS}}});
        client.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.stage.apply(NAME, json!({"clientCredentials": client, "refreshBefore": REFRESH_BEFORE})).await;
    }

    /// What the server knows of the token in the Secret, which must be alive.
    pub(crate) async fn alive(&self) -> Value {
        let token = self.stage.token().await;
        let known = self.server.introspect(&token).await.unwrap();
        assert_eq!(known["active"], true, "the Secret holds a dead token: {known}");
        known
    }

    /// Looks at the Secret without a pause until it has held so many further tokens: each one is alive at each look, and
    /// the one before when the next one comes. Returns the scopes of each.
    pub(crate) async fn follow(&self, renewals: usize) -> Vec<String> {
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
    pub(crate) async fn assert_in_time(&self, old: &str) {
        let known = self.server.introspect(old).await.unwrap();
        assert_eq!(known["active"], true, "replaced after its end: {known}");
        let left = known["exp"].as_i64().unwrap() - Timestamp::now().as_second();
        assert!(left > 2, "replaced {left} s before its end");
    }

    /// Waits until a request is refused with this code, and returns what is said of it, in which nothing of the server's
    /// own words and of the credentials shows.
    pub(crate) async fn until_refused(&mut self, code: &str) -> String {
        let refused = self.stage.until_reason(NAME, "RequestRejected").await;
        assert!(is_stalled(&refused));
        let said = ready_message(&refused).to_owned();
        assert!(said.contains(&format!("the issuer answered {code} (HTTP 4")), "{said}");
        let shown = serde_json::to_string(&refused).unwrap() + &self.stage.operator().log();
        for hidden in
            ["canary", "lient authentication failed", "requested scope is invalid", "Invalid", "error_description"]
        {
            assert!(!shown.contains(hidden), "{hidden}: {shown}");
        }
        said
    }
}

pub(crate) fn scope(known: &Value) -> String {
    known["scope"].as_str().unwrap().to_owned()
}
