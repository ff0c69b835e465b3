//! TLS, connections, and which addresses are called.

use crate::stage::*;
use issuer_simulator::Options;
use std::net::SocketAddr;
use std::time::Duration;
use syniverse_token_core::issuer::FailureKind::{EndpointNotAllowed, Unavailable};
use syniverse_token_core::issuer::endpoint::EndpointRules;
use syniverse_token_operator::issuer_client::Issuer;
use syniverse_token_operator::issuer_client::http::HttpIssuer;
use syniverse_token_operator::issuer_client::transport::{CaBundle, IssuerSettings};
use tokio::net::TcpListener;

#[tokio::test]
async fn an_issuer_of_a_ca_in_the_bundle_is_trusted() {
    let issuer = tls_issuer().await;
    assert!(call(trusting(&issuer), &ask(issuer.endpoint())).await.is_ok());
    assert!(call(trusting(&issuer), &ask(endpoint_at(&issuer, "localhost"))).await.is_ok());
}

#[tokio::test]
async fn an_issuer_of_an_unknown_ca_gets_no_request() {
    let issuer = tls_issuer().await;
    let settings = IssuerSettings { ca_bundle: None, ..trusting(&issuer) };
    let result = call(settings, &ask(issuer.endpoint())).await;
    assert_eq!(kind_saying("not trusted: if your own CA signed it, add that CA with --ca-bundle", result), Unavailable);
    assert!(issuer.journal().calls.is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_host_gets_no_request() {
    let listen = SocketAddr::from(([127, 0, 0, 2], 0));
    let issuer = start(Options { listen, tls: true, ..Options::default() }).await;
    let result = call(trusting(&issuer), &ask(issuer.endpoint())).await;
    assert_eq!(kind_saying("certificate is for another host", result), Unavailable);
    assert!(issuer.journal().calls.is_empty());
}

#[tokio::test]
async fn development_settings_still_verify_certificates() {
    let issuer = tls_issuer().await;
    let result = call(insecure(), &ask(issuer.endpoint())).await;
    assert_eq!(kind_saying("not trusted", result), Unavailable);
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_gets_no_request() {
    let issuer = issuer().await;
    let endpoint = issuer.endpoint().replace("http:", "https:");
    assert_eq!(kind_saying("TLS 1.2 or newer", call(insecure(), &ask(endpoint)).await), Unavailable);
    assert!(issuer.journal().calls.is_empty());
}

#[tokio::test]
async fn a_handshake_ends_with_the_connect_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = IssuerSettings { connect_timeout: Duration::from_millis(200), ..insecure() };
    let endpoint = format!("https://{}/", silent.local_addr().unwrap());
    let result = call(settings, &ask(endpoint)).await;
    assert_eq!(kind_saying("could not connect to the issuer within 200ms", result), Unavailable);
}

#[tokio::test]
async fn a_bundle_without_a_certificate_is_refused_by_name() {
    for pem in ["", "not a certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let ca_bundle = Some(CaBundle { path: "broken.pem".to_owned(), pem: pem.as_bytes().to_vec() });
        let error = HttpIssuer::new(IssuerSettings { ca_bundle, ..secure() }).err().unwrap().to_string();
        assert!(error.contains("--ca-bundle broken.pem"), "{error}");
    }
}

#[tokio::test]
async fn loopback_is_refused_as_a_literal_and_after_dns() {
    let issuer = tls_issuer().await;
    let settings = IssuerSettings { endpoints: secure().endpoints, ..trusting(&issuer) };
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "127.1", "[::1]", "[::ffff:127.0.0.1]"] {
        let result = call(settings.clone(), &ask(endpoint_at(&issuer, host))).await;
        assert_eq!(kind_saying("--private-endpoints", result), EndpointNotAllowed, "{host}");
    }
    assert!(issuer.journal().calls.is_empty());
}

#[tokio::test]
async fn what_the_rules_refuse_is_not_called() {
    let issuer = issuer().await;
    let plain_http = call(secure(), &ask(issuer.endpoint())).await;
    assert_eq!(kind_saying("--insecure-endpoints", plain_http), EndpointNotAllowed);
    let endpoints = EndpointRules { insecure: true, ..EndpointRules::default() };
    let unlisted = call(IssuerSettings { endpoints, ..insecure() }, &ask(issuer.endpoint())).await;
    assert_eq!(kind_saying("--endpoint-host 127.0.0.1", unlisted), EndpointNotAllowed);
    let with_query = call(insecure(), &ask(issuer.endpoint() + "?a=b")).await;
    assert_eq!(kind_saying("no user, query or fragment", with_query), EndpointNotAllowed);
    assert!(issuer.journal().calls.is_empty());
}

#[tokio::test]
async fn a_host_nobody_knows_is_unavailable() {
    // `.invalid` never resolves (RFC 6761).
    let result = call(secure(), &ask("https://issuer.invalid/")).await;
    assert_eq!(kind_saying("the host issuer.invalid could not be resolved by DNS", result), Unavailable);
}

#[tokio::test]
async fn a_connection_the_issuer_closed_costs_no_call() {
    let issuer = issuer().await;
    let client = HttpIssuer::new(insecure()).unwrap();
    let request = ask(issuer.endpoint());
    assert!(client.send(&request).await.is_ok());
    issuer.down().await.unwrap();
    issuer.up().await.unwrap();
    assert!(client.send(&request).await.is_ok());
    assert_eq!(issuer.journal().calls.len(), 2);
}
