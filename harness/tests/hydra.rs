//! The OAuth2 server is a real one, whose answers are those of RFC 6749, and goes away with whoever started it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use form_urlencoded::byte_serialize;
use harness::{ClientAuthentication, Error, Hydra, HydraSettings, OAuth2Client, OAuth2Server, TokenFormat, wait_for};
use reqwest::{Certificate, Client};
use serde_json::Value;
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(20);

/// With what is reserved in a header or a form.
const IN_HEADER: OAuth2Client<'_> = OAuth2Client {
    id: "in header",
    secret: "s3:c+r%t&=é",
    scopes: &["read", "write"],
    authentication: ClientAuthentication::Basic,
};
const IN_BODY: OAuth2Client<'_> =
    OAuth2Client { id: "in-body", authentication: ClientAuthentication::Body, ..IN_HEADER };
const PLAIN: &str = "grant_type=client_credentials";

struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    fn token(&self) -> &str {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body["access_token"].as_str().unwrap()
    }

    fn refusal(&self) -> (u16, &str) {
        (self.status, self.body["error"].as_str().unwrap_or_default())
    }
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

fn caller(hydra: &Hydra) -> Client {
    let authorities = hydra.ca_pem().map(|pem| Certificate::from_pem(pem.as_bytes()).unwrap());
    Client::builder().no_proxy().timeout(SOON).tls_certs_only(authorities).build().unwrap()
}

/// Asks for a token, with id and secret in the header.
async fn by_header(hydra: &Hydra, id: &str, secret: &str, form: &str) -> Answer {
    let request = caller(hydra).post(hydra.token_url()).basic_auth(encoded(id), Some(encoded(secret)));
    answer(request, form.to_owned()).await
}

/// Asks for a token, with id and secret in the body.
async fn by_body(hydra: &Hydra, id: &str, secret: &str) -> Answer {
    let form = format!("{PLAIN}&client_id={}&client_secret={}", encoded(id), encoded(secret));
    answer(caller(hydra).post(hydra.token_url()), form).await
}

async fn answer(request: reqwest::RequestBuilder, form: String) -> Answer {
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let response = request.send().await.unwrap();
    Answer { status: response.status().as_u16(), body: serde_json::from_str(&response.text().await.unwrap()).unwrap() }
}

async fn with_both_clients(settings: HydraSettings) -> Hydra {
    let hydra = Hydra::start_with(settings).await.unwrap();
    hydra.create_client(&IN_HEADER).await.unwrap();
    hydra.create_client(&IN_BODY).await.unwrap();
    hydra
}

#[tokio::test]
async fn each_request_gives_another_token_and_all_of_them_are_alive() {
    let token_lifespan = Duration::from_secs(20);
    let hydra = with_both_clients(HydraSettings { token_lifespan, ..HydraSettings::default() }).await;

    let scoped = format!("{PLAIN}&scope=read");
    let first = by_header(&hydra, IN_HEADER.id, IN_HEADER.secret, &scoped).await;
    let second = by_header(&hydra, IN_HEADER.id, IN_HEADER.secret, PLAIN).await;
    let third = by_body(&hydra, IN_BODY.id, IN_BODY.secret).await;

    assert_ne!(first.token(), second.token());
    for token in [first.token(), second.token(), third.token()] {
        assert!(hydra.is_active(token).await.unwrap());
    }
    assert!(first.body["token_type"].as_str().unwrap().eq_ignore_ascii_case("bearer"), "{}", first.body);
    assert!((19..=20).contains(&first.body["expires_in"].as_i64().unwrap()), "{}", first.body);
    let known = hydra.introspect(first.token()).await.unwrap();
    assert_eq!((known["client_id"].as_str(), known["scope"].as_str()), (Some(IN_HEADER.id), Some("read")));
    assert!(!hydra.is_active("no & token=%").await.unwrap());
}

#[tokio::test]
async fn a_request_is_refused_for_its_secret_its_place_or_its_scope() {
    let hydra = with_both_clients(HydraSettings::default()).await;
    let OAuth2Client { id, secret, .. } = IN_HEADER;

    let wrong = by_header(&hydra, id, "another secret", PLAIN).await;
    let unknown = by_header(&hydra, "nobody", secret, PLAIN).await;
    let in_body = by_body(&hydra, id, secret).await;
    let in_header = by_header(&hydra, IN_BODY.id, secret, PLAIN).await;
    let scope = by_header(&hydra, id, secret, &format!("{PLAIN}&scope=admin")).await;
    let grant = by_header(&hydra, id, secret, "grant_type=password").await;

    for refused in [wrong, unknown, in_body, in_header] {
        assert_eq!(refused.refusal(), (401, "invalid_client"), "{}", refused.body);
    }
    assert_eq!(scope.refusal(), (400, "invalid_scope"), "{}", scope.body);
    assert_eq!(grant.status, 400, "{}", grant.body);
}

#[tokio::test]
async fn a_token_dies_at_the_end_of_its_lifespan() {
    let token_lifespan = Duration::from_secs(1);
    let hydra = with_both_clients(HydraSettings { token_lifespan, ..HydraSettings::default() }).await;
    let given = by_header(&hydra, IN_HEADER.id, IN_HEADER.secret, PLAIN).await;

    let dead = async || (!hydra.is_active(given.token()).await.unwrap()).then_some(());
    wait_for("the token's end", SOON, dead).await.unwrap();
}

#[tokio::test]
async fn a_restarted_server_has_the_same_address_clients_and_tokens() {
    let mut hydra = with_both_clients(HydraSettings::default()).await;
    let url = hydra.token_url();
    let before = by_header(&hydra, IN_HEADER.id, IN_HEADER.secret, PLAIN).await;

    hydra.stop();
    assert!(caller(&hydra).get(&url).send().await.unwrap_err().is_connect());
    let unreachable = hydra.is_active(before.token()).await.unwrap_err();
    assert!(matches!(&unreachable, Error::Io { doing, .. } if doing.contains("introspect")), "{unreachable}");
    hydra.restart().await.unwrap();

    assert_eq!(hydra.token_url(), url);
    assert!(hydra.is_active(before.token()).await.unwrap());
    let after = by_header(&hydra, IN_HEADER.id, IN_HEADER.secret, PLAIN).await;
    assert!(hydra.is_active(after.token()).await.unwrap());
}

#[tokio::test]
async fn over_https_who_trusts_its_authority_gets_a_signed_token_and_nobody_else_an_answer() {
    let settings = HydraSettings { https: true, token_format: TokenFormat::Jwt, ..HydraSettings::default() };
    let mut hydra = with_both_clients(settings.clone()).await;
    let other = Hydra::start_with(settings).await.unwrap();

    let given = by_header(&hydra, IN_HEADER.id, IN_HEADER.secret, PLAIN).await;
    assert!(hydra.token_url().starts_with("https://127.0.0.1:"));
    assert_eq!(given.token().split('.').count(), 3);
    caller(&other).get(hydra.token_url()).send().await.unwrap_err();

    hydra.restart().await.unwrap();
    assert!(hydra.is_active(given.token()).await.unwrap());
    by_body(&hydra, IN_BODY.id, IN_BODY.secret).await.token();
}

#[tokio::test]
async fn many_requests_at_once_all_give_tokens() {
    let hydra = with_both_clients(HydraSettings::default()).await;

    let requests = (0..30).map(|_| by_header(&hydra, IN_HEADER.id, IN_HEADER.secret, PLAIN));
    let answers = futures::future::join_all(requests).await;

    let mut tokens: Vec<_> = answers.iter().map(Answer::token).collect();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 30);
}

#[tokio::test]
async fn a_client_that_is_refused_is_named_with_the_reason() {
    let hydra = with_both_clients(HydraSettings::default()).await;

    let twice = hydra.create_client(&IN_HEADER).await.unwrap_err().to_string();
    let short =
        hydra.create_client(&OAuth2Client { id: "short", secret: "12345", ..IN_HEADER }).await.unwrap_err().to_string();

    assert!(twice.starts_with("failed to create the client in header: Hydra answered 409 Conflict"), "{twice}");
    assert!(short.starts_with("failed to create the client short: Hydra answered 400 Bad Request"), "{short}");
}

#[tokio::test]
async fn a_dropped_server_answers_no_more() {
    let hydra = Hydra::start().await.unwrap();
    let url: reqwest::Url = hydra.token_url().parse().unwrap();
    let connect = || TcpStream::connect(("127.0.0.1", url.port().unwrap()));
    connect().await.unwrap();

    drop(hydra);

    assert!(connect().await.is_err());
}
