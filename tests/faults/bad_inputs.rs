//! What the API server cannot refuse and the operator cannot use, each with the message that the user sees; the page
//! `docs/bad-inputs.md` is written from the answers.

use crate::support::*;
use issuer_simulator::application::NewApplication;
use issuer_simulator::client::NewClient;
use issuer_simulator::session::NewSession;
use issuer_simulator::{Options, Simulator};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{ObjectMeta, PostParams};
use serde_json::{Value, json};
use std::fmt::Write;
use syniverse_token_core::api::SyniverseToken;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bad-inputs.md");

const INTRODUCTION: &str = "# What the operator cannot use

These inputs pass the API server (`validation.md` lists those that do not) and are only found when the operator reads them.
Each line shows the condition Ready of the resource. Where manual action is needed, the condition Stalled is True as well, and
the operator continues as soon as the input is corrected; otherwise it keeps retrying. No value of a Secret is ever repeated.
`make docs` writes this page from the status that a real operator reports.
";

/// An account that the session issuer has.
const ACCOUNT: &str = "canary-user";

/// One thing that is wrong.
struct Case {
    /// In the words of the page.
    input: &'static str,
    /// The credentials Secret; none: there is no such Secret.
    credentials: Option<Vec<(&'static str, Vec<u8>)>>,
    /// What the spec has otherwise.
    change: Box<dyn Fn(&mut Value)>,
    /// A Secret that has the name of the token Secret.
    in_the_way: Option<Secret>,
}

impl Case {
    fn new(input: &'static str) -> Self {
        let data = credentials(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN);
        let data = data.map(|(key, value)| (key, value.as_bytes().to_vec()));
        Self { input, credentials: Some(data.to_vec()), change: Box::new(|_| {}), in_the_way: None }
    }

    fn without(self, key: &str) -> Self {
        let credentials = self.credentials.map(|data| data.into_iter().filter(|(name, _)| *name != key).collect());
        Self { credentials, ..self }
    }

    fn with(self, key: &'static str, value: impl Into<Vec<u8>>) -> Self {
        let mut case = self.without(key);
        case.credentials.get_or_insert_default().push((key, value.into()));
        case
    }

    fn changed(self, change: impl Fn(&mut Value) + 'static) -> Self {
        Self { change: Box::new(change), ..self }
    }

    fn at(self, endpoint: impl Into<String>) -> Self {
        let endpoint = endpoint.into();
        self.changed(move |spec| spec["application"]["endpoint"] = json!(endpoint))
    }
}

fn of_credentials() -> Vec<Case> {
    vec![
        Case { credentials: None, ..Case::new("no such Secret") },
        Case::new("no `consumerKey`").without("consumerKey"),
        Case::new("no `consumerSecret`").without("consumerSecret"),
        Case::new("no `oldToken`").without("oldToken"),
        Case::new("empty `consumerKey`").with("consumerKey", ""),
        Case::new("empty `consumerSecret`").with("consumerSecret", ""),
        Case::new("empty `oldToken`").with("oldToken", ""),
        Case::new("`consumerKey` of white space only").with("consumerKey", " \t\r\n"),
        Case::new("`consumerSecret` of white space only").with("consumerSecret", "\n\n"),
        Case::new("`oldToken` of white space only").with("oldToken", " "),
        Case::new("`consumerSecret` with a line break at its end")
            .with("consumerSecret", format!("{CONSUMER_SECRET}\n")),
        Case::new("`consumerSecret` with Windows line break and blanks around it")
            .with("consumerSecret", format!("  {CONSUMER_SECRET} \r\n")),
        Case::new("`consumerKey` with a line break inside").with("consumerKey", "one\ntwo"),
        Case::new("`consumerSecret` with a NUL inside").with("consumerSecret", "one\0two"),
        Case::new("`oldToken` with a control character inside").with("oldToken", "one\u{7}two"),
        Case::new("`consumerKey` after a byte order mark and before a zero-width space")
            .with("consumerKey", format!("\u{feff}{CONSUMER_KEY}\u{200b}\n")),
        Case::new("`consumerKey` with a zero-width space inside").with("consumerKey", "canary\u{200b}-consumer-key"),
        Case::new("`consumerSecret` with a soft hyphen inside").with("consumerSecret", "canary\u{ad}-consumer-secret"),
        Case::new("`oldToken` with a no-break space inside").with("oldToken", "one\u{a0}two"),
        Case::new("`consumerSecret` in quotes").with("consumerSecret", format!("\"{CONSUMER_SECRET}\"")),
        Case::new("`consumerSecret` encoded twice")
            .with("consumerSecret", serde_json::to_string(&bytes_of(CONSUMER_SECRET)).unwrap().trim_matches('"')),
        Case::new("`consumerKey` not UTF-8").with("consumerKey", [0xff, 0xfe, 0x6b]),
        Case::new("`consumerSecret` not UTF-8").with("consumerSecret", [0xc3, 0x28]),
        Case::new("`consumerKey` of 100 KB").with("consumerKey", "k".repeat(100_000)),
        Case::new("`oldToken` of 100 KB").with("oldToken", "t".repeat(100_000)),
        Case::new("`spec.application.credentials.keys` names a key that the Secret lacks").changed(|spec| {
            spec["application"]["credentials"]["keys"] = json!({"consumerKey": "key"});
        }),
        Case::new("`consumerSecret` wrong").with("consumerSecret", "wrong"),
        Case::new("`consumerKey` wrong").with("consumerKey", "wrong"),
    ]
}

/// Cases of a session whose credentials Secret holds only these.
fn of_sessions(endpoint: &str) -> Vec<Case> {
    let spec = json!({"session": {"endpoint": endpoint, "credentials": {"secretRef": {"name": CREDENTIALS}}}});
    let case = |input, values: &[(&'static str, &str)]| {
        let (spec, bytes) = (spec.clone(), |text: &str| text.as_bytes().to_vec());
        let credentials = Some(values.iter().map(|(key, value)| (*key, bytes(value))).collect());
        Case { credentials, ..Case::new(input).changed(move |whole| *whole = spec.clone()) }
    };
    vec![
        Case { credentials: None, ..case("no such Secret", &[]) },
        case("nothing of use", &[("user", "name")]),
        case("`token` alone", &[("token", "t")]),
        case("`refreshToken` alone", &[("refreshToken", "r")]),
        case("`username` alone", &[("username", ACCOUNT)]),
        case("`password` alone", &[("password", "p")]),
        case("`token` with a line break inside", &[("token", "one\ntwo"), ("refreshToken", "r")]),
        case("a pair that the issuer does not know", &[("token", "t"), ("refreshToken", "r")]),
        case("`password` with a direction mark inside", &[("username", ACCOUNT), ("password", "pass\u{200e}word")]),
        case("`password` in quotes", &[("username", ACCOUNT), ("password", "'password'")]),
        case("a pair in quotes that the issuer does not know", &[("token", "'t'"), ("refreshToken", "'r'")]),
        case("`password` wrong", &[("username", ACCOUNT), ("password", "wrong")]),
        case("`username` wrong", &[("username", "nobody"), ("password", "p")]),
    ]
}

/// Cases of client credentials whose Secret holds only these.
fn of_clients(endpoint: &str) -> Vec<Case> {
    let spec = json!({"clientCredentials": {"tokenURL": endpoint, "scopes": ["a"],
        "credentials": {"secretRef": {"name": CREDENTIALS}}}});
    let case = |input, values: &[(&'static str, &str)], change: Value| {
        let (mut spec, bytes) = (spec.clone(), |text: &str| text.as_bytes().to_vec());
        spec["clientCredentials"].as_object_mut().unwrap().extend(change.as_object().cloned().unwrap_or_default());
        let credentials = Some(values.iter().map(|(key, value)| (*key, bytes(value))).collect());
        Case { credentials, ..Case::new(input).changed(move |whole| *whole = spec.clone()) }
    };
    let right = [("clientId", ACCOUNT), ("clientSecret", "secret")];
    vec![
        Case { credentials: None, ..case("no such Secret", &[], json!({})) },
        case("no `clientId`", &right[1..], json!({})),
        case("no `clientSecret`", &right[..1], json!({})),
        case("`clientSecret` with a line break inside", &[right[0], ("clientSecret", "one\ntwo")], json!({})),
        case("`clientSecret` wrong", &[right[0], ("clientSecret", "wrong")], json!({})),
        case("`clientSecret` in quotes", &[right[0], ("clientSecret", "'secret'")], json!({})),
        case("`clientId` wrong", &[("clientId", "nobody"), right[1]], json!({})),
        case("a scope that the client may not have", &right, json!({"scopes": ["a", "b"]})),
        case(
            "a form field that the issuer cannot read",
            &right,
            json!({"endpointParams": {"validity_period": "soon"}}),
        ),
    ]
}

fn of_guarded_endpoints() -> Vec<Case> {
    vec![
        Case::new("a host that is not in the operator's list").at("https://sma.example.com/apptoken-refresh"),
        Case::new("another port of a host in the list").at("https://api.syniverse.com:8243/apptoken-refresh"),
        Case::new("a path of `api.syniverse.com` that is not a token API").at("https://api.syniverse.com/sms/v1"),
        Case::new("a path beside the one in the list").at("https://sms.example.com/apis/apptoken-refresh"),
        Case::new("a host that is in the list for another namespace").at("https://team.example.com/apptoken-refresh"),
        Case::new("http").at("http://localhost:8080/apptoken-refresh"),
        Case::new("a listed host that resolves to a loopback address").at("https://localhost/apptoken-refresh"),
        Case::new("a loopback address").at("https://127.0.0.1/apptoken-refresh"),
        Case::new("a loopback address in another spelling").at("https://0x7f000001/apptoken-refresh"),
        Case::new("a loopback address of IPv6").at("https://[::1]/apptoken-refresh"),
        Case::new("a private address").at("https://10.0.0.1/apptoken-refresh"),
        Case::new("the metadata address of clouds").at("https://169.254.169.254/latest/meta-data"),
    ]
}

fn of_open_endpoints(plain: &Simulator, tls: &Simulator, nobody: &str) -> Vec<Case> {
    vec![
        Case::new("a path that the issuer does not have").at(plain.url("/saop-rest-data/v1/apptoken")),
        Case::new("a port on which nobody listens").at(nobody),
        Case::new("https where the issuer speaks http").at(plain.endpoint().replacen("http", "https", 1)),
        Case::new("http where the issuer speaks https").at(tls.endpoint().replacen("https", "http", 1)),
        Case::new("a certificate of an authority that the operator does not know").at(tls.endpoint()),
    ]
}

fn of_specs() -> Vec<Case> {
    let standby = json!({"credentials": {"secretRef": {"name": "sdc-application-standby"}}});
    vec![
        Case::new("a standby whose Secret does not exist").changed(move |spec| {
            spec["application"]["standby"] = standby.clone();
        }),
        Case::new("`spec.propagation` without the right to list Pods")
            .changed(|spec| spec["propagation"] = json!({"pods": "Annotate"})),
        Case::new("a label that a sidecar acts on").changed(|spec| {
            spec["secret"] = json!({"labels": {"grafana_datasource": "1"}});
        }),
        Case { in_the_way: Some(Secret::default()), ..Case::new("a Secret of that name that somebody else made") },
    ]
}

#[tokio::test]
async fn the_page_of_bad_inputs_shows_what_users_see() {
    let (mut open, mut guarded) = (Stage::open().await, Stage::dark().await);
    let kubeconfig = guarded.kubeconfig();
    let hosts =
        "--endpoint-host=localhost,127.0.0.1,::1,10.0.0.1,169.254.169.254,sms.example.com/api,other=team.example.com";
    guarded.start_operator_with(&kubeconfig, &[hosts]);
    let (plain, tls) = (issuer(false).await, issuer(true).await);
    open.simulator.add_session(NewSession::account(ACCOUNT, "password"));
    let sessions = of_sessions(&open.simulator.session_endpoint());
    open.simulator.add_client(NewClient::of(ACCOUNT, "secret").with_scopes(&["a"]));
    let clients = of_clients(&open.simulator.token_endpoint());
    let nobody = issuer(false).await;
    nobody.down().await.unwrap();
    let mut page = INTRODUCTION.to_owned();
    write_section(&mut page, "The credentials Secret of an application", &mut open, of_credentials()).await;
    write_section(&mut page, "The credentials Secret of a session", &mut open, sessions).await;
    write_section(&mut page, "Client credentials", &mut open, clients).await;
    write_section(&mut page, "The endpoint, before it is called", &mut guarded, of_guarded_endpoints()).await;
    let calls = of_open_endpoints(&plain, &tls, &nobody.endpoint());
    write_section(&mut page, "The endpoint, when it is called", &mut open, calls).await;
    write_section(&mut page, "What is asked for", &mut open, of_specs()).await;
    assert_eq!(guarded.calls(), 0);
    compare_with_the_committed_one(&page);
}

async fn issuer(tls: bool) -> Simulator {
    let simulator = Simulator::start(Options { tls, ..Options::default() }).await.unwrap();
    simulator.add_application(NewApplication::expired(CONSUMER_KEY, CONSUMER_SECRET, PORTAL_TOKEN));
    simulator
}

async fn write_section(page: &mut String, title: &str, stage: &mut Stage, cases: Vec<Case>) {
    writeln!(page, "\n## {title}\n| input | Ready | a person must act | message |\n|---|---|---|---|").unwrap();
    for case in cases {
        let (input, seen) = (case.input, try_out(stage, case).await);
        let act = if is_stalled(&seen) { "yes" } else { "no" };
        // The moment of expiry is another one in each run.
        let message = ready_message(&seen).split(" until ").next().unwrap().replace(&seen.name_any(), NAME);
        let ready = format!("{}, {}", condition(&seen, "Ready").unwrap().status, ready_reason(&seen));
        writeln!(page, "| {input} | {ready} | {act} | {} |", message.replace('|', "\\|").replace('<', "&lt;")).unwrap();
    }
}

/// A resource of its own for a case, gone again once it has told its tale.
async fn try_out(stage: &mut Stage, case: Case) -> SyniverseToken {
    let name = format!("case-{:x}", jiff::Timestamp::now().as_microsecond());
    if stage.secrets.get_opt(CREDENTIALS).await.unwrap().is_some() {
        stage.delete_secret(CREDENTIALS).await;
    }
    if let Some(data) = case.credentials {
        create(stage, CREDENTIALS, Secret { data: Some(bytes(data)), ..Secret::default() }).await;
    }
    if let Some(secret) = case.in_the_way {
        create(stage, &name, secret).await;
    }
    let mut spec = stage.spec("1h");
    (case.change)(&mut spec);
    stage.apply(&name, spec).await;
    let told = |token: &SyniverseToken| !["", "Pending"].contains(&ready_reason(token));
    let seen = stage.until(&name, case.input, told).await;
    stage.delete(&name).await;
    seen
}

/// Serialised it is base64, as the API server shows it.
fn bytes_of(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

fn bytes(data: Vec<(&'static str, Vec<u8>)>) -> std::collections::BTreeMap<String, ByteString> {
    data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value))).collect()
}

async fn create(stage: &Stage, name: &str, secret: Secret) {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    stage.secrets.create(&PostParams::default(), &Secret { metadata, ..secret }).await.unwrap();
}

fn compare_with_the_committed_one(page: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PATH, page).unwrap();
    }
    let committed = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(committed == page, "{PATH} is out of date: run `make docs`");
}
