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
use syniverse_token_core::api::{IssuerSpec, SyniverseToken};
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
    let endpoints: BTreeMap<_, _> = resources.iter().filter_map(request).collect();
    let begun = Instant::now();
    for (endpoint, (method, body)) in endpoints {
        let sent = Instant::now();
        let request = client.request(method, &endpoint).header(ACCEPT, "application/json").header(CONTENT_TYPE, body.0);
        let present = now + begun.elapsed();
        match request.body(body.1).send().await {
            Ok(response) => judge(&endpoint, &response, sent.elapsed(), present, report),
            Err(error) => {
                let problem = TransportProblem::of(&error).sentence(&settings());
                let remedy = "look at DNS, firewall and proxy; the operator's way may be another one";
                report.bad("issuer", format!("{endpoint} from here: {problem}"), remedy);
            }
        }
    }
}

/// The endpoint of a resource, and a request to it that lacks what names a credential.
fn request(resource: &SyniverseToken) -> Option<(String, (Method, (&'static str, &'static str)))> {
    let issuer = resource.spec.issuer()?;
    let request = match issuer {
        IssuerSpec::Application(_) => (Method::GET, ("application/json", "")),
        IssuerSpec::Session(_) => (Method::PUT, ("application/json", "{}")),
        IssuerSpec::ClientCredentials(_) => (Method::POST, ("application/x-www-form-urlencoded", "")),
    };
    Some((issuer.endpoint().to_owned(), request))
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
