//! A request as it arrived, and what it says.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::journal::Api;

/// One HTTP request, read to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// HTTP method in upper case.
    pub method: String,
    /// Path without its query.
    pub path: String,
    /// Query as it was sent, without the question mark.
    pub query: String,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: Vec<u8>,
}

impl Request {
    /// A GET of the application API, for callers without a socket.
    pub fn refresh(consumer_key: &str, consumer_secret: &str, old_token: &str, validity: &str) -> Self {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("consumerkey", consumer_key)
            .append_pair("consumersecret", consumer_secret)
            .append_pair("oldtoken", old_token)
            .append_pair("validity", validity)
            .finish();
        Self { method: "GET".to_owned(), path: "/apptoken-refresh".to_owned(), query, ..Self::default() }
    }

    /// A PUT of the session API, for callers without a socket.
    pub fn extend(token: &str, refresh_token: &str) -> Self {
        Self::session("PUT", &serde_json::json!({"token": token, "refreshToken": refresh_token}))
    }

    /// A POST of the session API, for callers without a socket.
    pub fn log_in(username: &str, password: &str) -> Self {
        Self::session("POST", &serde_json::json!({"username": username, "password": password}))
    }

    /// A POST for client credentials in the form, for callers without a socket.
    pub fn client_credentials(client_id: &str, client_secret: &str, scope: &str, further: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", client_id)
            .append_pair("client_secret", client_secret)
            .append_pair("scope", scope)
            .extend_pairs(further)
            .finish();
        Self { method: "POST".to_owned(), path: "/token".to_owned(), body: body.into_bytes(), ..Self::default() }
    }

    fn session(method: &str, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { method: method.to_owned(), path: "/api/v2/auth/token".to_owned(), body, ..Self::default() }
    }

    /// The API the path belongs to. Bases differ between installations, so only its end counts.
    pub(crate) fn api(&self) -> Option<Api> {
        if self.path.ends_with("/apptoken-refresh") {
            Some(Api::Application)
        } else if self.path.ends_with("/auth/token") {
            Some(Api::Session)
        } else if self.path.ends_with("/token") {
            Some(Api::ClientCredentials)
        } else {
            None
        }
    }

    /// The token that the request carries, where it is one to the messaging API that the tokens are for: any path that ends
    /// with `/verify`. Empty without a token.
    pub(crate) fn presented_token(&self) -> Option<&str> {
        let header = self.path.ends_with("/verify").then(|| self.headers.get("authorization"))?;
        Some(header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default())
    }

    /// Query parameters of the application API, text fields of the session API's body, fields of the form for client
    /// credentials; the first of a name counts.
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        match self.api() {
            Some(Api::Session) => self.body_fields(),
            Some(Api::ClientCredentials) => fields(&self.body),
            Some(Api::Application) | None => fields(self.query.as_bytes()),
        }
    }

    fn body_fields(&self) -> BTreeMap<String, String> {
        let body: BTreeMap<String, Value> = serde_json::from_slice(&self.body).unwrap_or_default();
        body.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
    }
}

fn fields(form: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(form) {
        fields.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    fields
}
