//! The issuers: whether each answers, when its user asks for that. The request is deliberately incomplete, so that it issues
//! nothing, and comes from this machine, not from the operator.

use super::report::Report;
use super::tokens;
use crate::cli::commands::target::Target;
use crate::issuer_client::transport::{IssuerSettings, TransportProblem};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use syniverse_token_core::api::IssuerSpec;
use syniverse_token_core::issuer::endpoint::EndpointRules;

/// For as long an issuer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// By how much its clock may differ.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// Asks each endpoint of the SyniverseTokens once.
pub(super) async fn check(target: &Target, is_one_namespace: bool, now: Timestamp, report: &mut Report) {
    // What keeps them from being listed is said with the tokens.
    let Ok((_, resources)) = tokens::list(target, is_one_namespace).await else { return };
    let Ok(client) = Client::builder().timeout(PATIENCE).redirect(Policy::none()).build() else { return };
    let issuers = resources.iter().filter_map(|resource| resource.spec.issuer());
    let endpoints: BTreeMap<_, _> = issuers.map(|issuer| (issuer.endpoint(), Incomplete::of(issuer))).collect();
    let begun = Instant::now();
    for (endpoint, Incomplete { method, content_type, body }) in endpoints {
        let (sent, present) = (Instant::now(), now + begun.elapsed());
        let request = client.request(method, endpoint).header(ACCEPT, "application/json");
        match request.header(CONTENT_TYPE, content_type).body(body).send().await {
            Ok(response) => judge(endpoint, &response, sent.elapsed(), present, report),
            Err(error) => {
                let problem = TransportProblem::of(&error).sentence(&settings());
                let remedy = "look at DNS, firewall and proxy; the operator's way may be another one";
                report.bad("issuer", format!("{endpoint} from here: {problem}"), remedy);
            }
        }
    }
}

/// A request to an endpoint that lacks what names a credential.
struct Incomplete {
    method: Method,
    content_type: &'static str,
    body: &'static str,
}

impl Incomplete {
    fn of(issuer: IssuerSpec<'_>) -> Self {
        let (method, content_type, body) = match issuer {
            IssuerSpec::Application(_) => (Method::GET, "application/json", ""),
            IssuerSpec::Session(_) => (Method::PUT, "application/json", "{}"),
            IssuerSpec::ClientCredentials(_) => (Method::POST, "application/x-www-form-urlencoded", ""),
        };
        Self { method, content_type, body }
    }
}

fn judge(endpoint: &str, response: &Response, took: Duration, now: Timestamp, report: &mut Report) {
    let (status, millis) = (response.status(), took.as_millis());
    let detail = format!("{endpoint} answers HTTP {} to an incomplete request, after {millis} ms", status.as_u16());
    if status.is_client_error() && status != 404 && status != 429 {
        report.good("issuer", detail);
    } else {
        report.warn("issuer", detail, "is the URL right? 4xx but 404 and 429 is what a healthy issuer answers");
    }
    let ahead = date(response.headers()).map(|date| date.duration_since(now));
    if let Some(ahead) = ahead.filter(|ahead| ahead.abs() > SKEW) {
        let detail = format!("the clock of {endpoint} differs from the API server's by {} s", ahead.as_secs().abs());
        report.warn("clock-skew", detail, "look at the time service of the cluster; expiries are not affected");
    }
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp())
}

/// Those of this machine: the operator's own are not known here.
fn settings() -> IssuerSettings {
    IssuerSettings {
        endpoints: EndpointRules::default(),
        call_timeout: PATIENCE,
        connect_timeout: PATIENCE,
        proxy: None,
        ca_bundle: None,
    }
}
