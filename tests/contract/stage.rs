//! What each test starts from: a simulator with one application and one session, and a client that may call it.

use issuer_simulator::application::NewApplication;
use issuer_simulator::model::Life;
use issuer_simulator::session::NewSession;
use issuer_simulator::{Options, Simulator};
use std::time::Duration;
use syniverse_token_core::issuer::endpoint::EndpointRules;
use syniverse_token_core::issuer::{
    Extend, Failure, FailureKind, LogIn, Login, Pair, Refresh, TokenRequest, TokenResponse,
};
use syniverse_token_core::redacted::Redacted;
use syniverse_token_operator::issuer_client::Issuer;
use syniverse_token_operator::issuer_client::http::HttpIssuer;
use syniverse_token_operator::issuer_client::transport::{CaBundle, IssuerSettings};

/// Needs encoding in a query, so that a wrong encoding fails every test.
pub(crate) const KEY: &str = "key &=?#+%/ü";
pub(crate) const SECRET: &str = "secret &=?#+%/ü";
pub(crate) const PORTAL_TOKEN: &str = "portal&=?#+%/";
pub(crate) const VALIDITY_SECONDS: u64 = 600;

/// Each needs escaping in JSON.
pub(crate) const USER: &str = "user \"\\\n\u{1}ü";
pub(crate) const PASSWORD: &str = "password \"\\\n\u{1}ü";
pub(crate) const TOKEN: &str = "token \"\\\n\u{1}ü";
pub(crate) const REFRESH_TOKEN: &str = "refresh \"\\\n\u{1}ü";
pub(crate) const SESSION_SECONDS: u32 = 1200;

/// For tests in which nothing shall time out.
const PATIENCE: Duration = Duration::from_secs(60);

/// A simulator over http with an application whose portal token has expired, and a session that lives.
pub(crate) async fn issuer() -> Simulator {
    start(Options::default()).await
}

/// The same over https.
pub(crate) async fn tls_issuer() -> Simulator {
    start(Options { tls: true, ..Options::default() }).await
}

pub(crate) async fn start(options: Options) -> Simulator {
    let simulator = Simulator::start(options).await.unwrap();
    simulator.add_application(NewApplication::expired(KEY, SECRET, PORTAL_TOKEN));
    let account = NewSession::account(USER, PASSWORD).valid_for(SESSION_SECONDS);
    simulator.add_session(account.with_pair(TOKEN, REFRESH_TOKEN, Life::Never));
    simulator
}

/// A simulator over http whose portal token still lives for `life`.
pub(crate) async fn issuer_with_token(life: Life) -> Simulator {
    let simulator = issuer().await;
    simulator.add_application(NewApplication::expired(KEY, SECRET, PORTAL_TOKEN).living(life));
    simulator
}

/// Settings for development: http, and loopback addresses.
pub(crate) fn insecure() -> IssuerSettings {
    let endpoints = EndpointRules { insecure: true, ..rules() };
    IssuerSettings { endpoints, call_timeout: PATIENCE, connect_timeout: PATIENCE, proxy: None, ca_bundle: None }
}

/// Settings for https with every host allowed, and only public addresses.
pub(crate) fn secure() -> IssuerSettings {
    IssuerSettings { endpoints: rules(), ..insecure() }
}

/// Settings for a simulator over https: loopback is allowed and its authority trusted.
pub(crate) fn trusting(simulator: &Simulator) -> IssuerSettings {
    let private = ["127.0.0.0/8", "::1/128"].map(|range| range.parse().unwrap()).to_vec();
    let pem = simulator.ca_pem().unwrap().as_bytes().to_vec();
    IssuerSettings {
        endpoints: EndpointRules { private, ..rules() },
        ca_bundle: Some(CaBundle { path: "ca.pem".to_owned(), pem }),
        ..secure()
    }
}

fn rules() -> EndpointRules {
    EndpointRules { hosts: vec!["*".parse().unwrap()], ..EndpointRules::default() }
}

/// The question that the application of the simulator may ask.
pub(crate) fn ask(endpoint: impl Into<String>) -> TokenRequest {
    TokenRequest::Refresh(question(endpoint))
}

/// The same, to be changed before it is asked.
pub(crate) fn question(endpoint: impl Into<String>) -> Refresh {
    Refresh {
        endpoint: endpoint.into(),
        consumer_key: Redacted::new(KEY),
        consumer_secret: Redacted::new(SECRET),
        old_token: Redacted::new(PORTAL_TOKEN),
        validity_seconds: VALIDITY_SECONDS,
    }
}

/// The question that extends the session of the simulator, once.
pub(crate) fn extend(endpoint: impl Into<String>) -> TokenRequest {
    extend_pair(endpoint, TOKEN, REFRESH_TOKEN)
}

pub(crate) fn extend_pair(endpoint: impl Into<String>, token: &str, refresh_token: &str) -> TokenRequest {
    let pair = Pair { token: Redacted::new(token), refresh_token: Redacted::new(refresh_token) };
    TokenRequest::Extend(Extend { endpoint: endpoint.into(), pair })
}

/// The question that opens one more session.
pub(crate) fn log_in(endpoint: impl Into<String>) -> TokenRequest {
    log_in_as(endpoint, USER, PASSWORD)
}

pub(crate) fn log_in_as(endpoint: impl Into<String>, username: &str, password: &str) -> TokenRequest {
    let login = Login { username: Redacted::new(username), password: Redacted::new(password) };
    TokenRequest::LogIn(LogIn { endpoint: endpoint.into(), login })
}

/// One call with a client of its own, which must end even if the client knew no timeout.
pub(crate) async fn call(settings: IssuerSettings, request: &TokenRequest) -> Result<TokenResponse, Failure> {
    let issuer = HttpIssuer::new(settings).unwrap();
    tokio::time::timeout(2 * PATIENCE, issuer.send(request)).await.expect("the call ends")
}

/// One call over http.
pub(crate) async fn refresh(simulator: &Simulator) -> Result<TokenResponse, Failure> {
    call(insecure(), &ask(simulator.endpoint())).await
}

/// The kind of a failure whose text holds `clause`.
pub(crate) fn kind_saying(clause: &str, result: Result<TokenResponse, Failure>) -> FailureKind {
    let failure = result.unwrap_err();
    assert!(failure.detail.contains(clause), "{failure}");
    failure.kind
}

/// The same endpoint, its host written in another way.
pub(crate) fn endpoint_at(simulator: &Simulator, host: &str) -> String {
    simulator.endpoint().replace("127.0.0.1", host)
}
