//! What happens on the way: connections that were closed, forgotten or spoken into, and answers as old servers write them.

use crate::stage::*;
use crate::wire::{Act, Wire, answer, granting};
use std::time::{Duration, Instant};
use syniverse_token_core::issuer::FailureKind::{Rejected, Unavailable};
use syniverse_token_core::issuer::{Extend, Pair, TokenRequest};
use syniverse_token_core::redacted::Redacted;
use syniverse_token_operator::issuer_client::Issuer;
use syniverse_token_operator::issuer_client::http::HttpIssuer;
use syniverse_token_operator::issuer_client::transport::IssuerSettings;

const TOKEN_BODY: &str = r#"{"accessToken":"t","validityTime":600}"#;

async fn token(client: &HttpIssuer, request: &TokenRequest) -> String {
    client.send(request).await.unwrap().token.expose().to_owned()
}

async fn token_of(bytes: impl Into<Vec<u8>>) -> String {
    let wire = Wire::saying(bytes, 1).await;
    call(insecure(), &ask(wire.endpoint())).await.unwrap().token.expose().to_owned()
}

/// A pair of a session with this name.
fn answered_with_pair(name: &str) -> Vec<u8> {
    let element = format!(r#"{{"token":"{name}","refreshToken":"{name}-r","validityTime":600}}"#);
    answer("", &format!(r#"{{"errorCode":"","content":[{element}]}}"#))
}

#[tokio::test]
async fn a_kept_connection_that_the_gateway_has_closed_or_forgotten_costs_nothing() {
    for end in [Act::Reset, Act::Silence, Act::Close] {
        let scripts = ["first", "second"].map(|name| vec![Act::Say(granting(name)), end.clone()]);
        let wire = Wire::playing(scripts.to_vec()).await;
        let client = HttpIssuer::new(insecure()).unwrap();
        let (request, began) = (ask(wire.endpoint()), Instant::now());
        assert_eq!(token(&client, &request).await, "first");
        assert_eq!(token(&client, &request).await, "second");
        assert!(began.elapsed() < Duration::from_secs(2), "{end:?}: {:?}", began.elapsed());
        assert_eq!(wire.requests().len(), 2, "{end:?}: nothing is sent twice");
    }
}

#[tokio::test]
async fn a_pair_is_sent_once_and_never_into_a_connection_that_was_used() {
    for end in [Act::Reset, Act::Silence, Act::Close] {
        let scripts = ["first", "second"].map(|name| vec![Act::Say(answered_with_pair(name)), end.clone()]);
        let wire = Wire::playing(scripts.to_vec()).await;
        let client = HttpIssuer::new(insecure()).unwrap();
        let extend = |name: &str| {
            let pair = Pair { token: Redacted::new(name), refresh_token: Redacted::new(name) };
            TokenRequest::Extend(Extend { endpoint: wire.endpoint(), pair })
        };
        assert_eq!(token(&client, &extend("zeroth")).await, "first");
        assert_eq!(token(&client, &extend("first")).await, "second");
        assert_eq!(wire.requests(), ["put /apptoken-refresh http/1.1"; 2], "{end:?}");
    }
}

#[tokio::test]
async fn a_connection_that_fails_before_a_byte_of_the_answer_is_one_failure_and_not_asked_again() {
    let wire = Wire::playing(vec![vec![Act::Reset], vec![Act::Say(granting("second"))]]).await;
    let failed = call(insecure(), &ask(wire.endpoint())).await;
    assert_eq!(kind_saying("the connection closed", failed), Unavailable);
    assert_eq!(wire.requests().len(), 1);
}

#[tokio::test]
async fn a_second_answer_is_nobodys_however_late_it_comes() {
    // It comes when the next request has come.
    let first = vec![Act::Say(granting("mine")), Act::Say(granting("somebody-elses")), Act::Silence];
    let wire = Wire::playing(vec![first, vec![Act::Say(granting("yours")), Act::Silence]]).await;
    let client = HttpIssuer::new(insecure()).unwrap();
    assert_eq!(token(&client, &ask(wire.endpoint())).await, "mine");
    assert_eq!(token(&client, &ask(wire.endpoint())).await, "yours");
}

#[tokio::test]
async fn a_second_answer_that_comes_unasked_is_nobodys() {
    for pause in [Duration::ZERO, Duration::from_millis(50)] {
        let first = vec![Act::Say(granting("mine")), Act::SayUnasked(granting("somebody-elses")), Act::Silence];
        let together = vec![Act::Say([granting("yours"), granting("somebody-elses")].concat()), Act::Silence];
        let wire = Wire::playing(vec![first, together, vec![Act::Say(granting("his"))]]).await;
        let client = HttpIssuer::new(insecure()).unwrap();
        let mut given = Vec::new();
        for _ in 0..3 {
            given.push(token(&client, &ask(wire.endpoint())).await);
            // Long enough for what is late to be there.
            tokio::time::sleep(pause).await;
        }
        assert_eq!(given, ["mine", "yours", "his"]);
    }
}

#[tokio::test]
async fn an_answer_as_old_servers_and_gateways_write_it_is_read() {
    let length = TOKEN_BODY.len();
    let chunked = "transfer-encoding: chunked\r\ntrailer: x-digest\r\n\r\n";
    for (what, bytes) in [
        ("HTTP/1.0 with its length", format!("HTTP/1.0 200 OK\r\ncontent-length: {length}\r\n\r\n{TOKEN_BODY}")),
        ("no reason phrase", format!("HTTP/1.1 200\r\ncontent-length: {length}\r\n\r\n{TOKEN_BODY}")),
        ("a body longer than its length", format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{TOKEN_BODY}xx")),
        ("trailers", format!("HTTP/1.1 200 OK\r\n{chunked}{length:x}\r\n{TOKEN_BODY}\r\n0\r\nx-digest: 1\r\n\r\n")),
        ("100 and 103 before it", {
            let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
            format!("{early}HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{TOKEN_BODY}")
        }),
        ("an absurd Date", {
            let date = "date: Fri, 31 Dec 9999 23:59:59 GMT\r\n";
            format!("HTTP/1.1 200 OK\r\n{date}content-length: {length}\r\n\r\n{TOKEN_BODY}")
        }),
        ("a charset", {
            let charset = "content-type: text/plain; charset=\"utf-16\"\r\n";
            format!("HTTP/1.1 200 OK\r\n{charset}content-length: {length}\r\n\r\n{TOKEN_BODY}")
        }),
    ] {
        assert_eq!(token_of(bytes).await, "t", "{what}");
    }
    let until_close = format!("HTTP/1.0 200 OK\r\n\r\n{TOKEN_BODY}");
    let wire = Wire::playing(vec![vec![Act::Say(until_close.into_bytes()), Act::Close]]).await;
    assert!(call(insecure(), &ask(wire.endpoint())).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_is_not_whole_or_not_http_is_none() {
    let flood = "x-flood: 1\r\n".repeat(20_000);
    for (what, bytes) in [
        ("a body shorter than its length", format!("HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{TOKEN_BODY}")),
        ("a chunk that is missing", format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n50\r\n{TOKEN_BODY}")),
        ("a flood of headers", format!("HTTP/1.1 200 OK\r\n{flood}\r\n{TOKEN_BODY}")),
        ("no HTTP", "SSH-2.0-OpenSSH_9.6\r\n".to_owned()),
        ("an empty answer", String::new()),
    ] {
        let wire = Wire::playing(vec![vec![Act::Say(bytes.into_bytes()), Act::Close]]).await;
        let failed = call(insecure(), &ask(wire.endpoint())).await;
        assert_eq!(kind_saying("before the issuer's response was complete", failed), Unavailable, "{what}");
    }
    let switching = "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n";
    let wire = Wire::playing(vec![vec![Act::Say(switching.into()), Act::Close]]).await;
    assert_eq!(call(insecure(), &ask(wire.endpoint())).await.unwrap_err().kind, Unavailable);
}

#[tokio::test]
async fn a_4xx_counts_before_its_body_has_come() {
    let cut = "HTTP/1.1 403 Forbidden\r\ncontent-length: 400\r\n\r\n<html>";
    let wire = Wire::playing(vec![vec![Act::Say(cut.into()), Act::Close]]).await;
    assert_eq!(kind_saying("HTTP 403", call(insecure(), &ask(wire.endpoint())).await), Rejected);
}

#[tokio::test]
async fn silence_ends_with_the_call_timeout() {
    let wire = Wire::playing(vec![vec![Act::Silence]]).await;
    let settings = IssuerSettings { call_timeout: Duration::from_millis(200), ..insecure() };
    assert_eq!(kind_saying("within 200ms", call(settings, &ask(wire.endpoint())).await), Unavailable);
}

/// What a connection of its own costs: `cargo test --test contract -- --ignored --nocapture handshake`.
#[tokio::test]
#[ignore = "a figure, not a rule"]
async fn the_cost_of_a_handshake() {
    const CALLS: u32 = 200;
    for issuer in [issuer().await, tls_issuer().await] {
        let settings = if issuer.ca_pem().is_some() { trusting(&issuer) } else { insecure() };
        let (client, request) = (HttpIssuer::new(settings).unwrap(), ask(issuer.endpoint()));
        let mut took = Vec::new();
        for _ in 0..CALLS {
            let began = Instant::now();
            client.send(&request).await.unwrap();
            took.push(began.elapsed());
        }
        took.sort();
        println!("{}: median {:?}, p99 {:?}", issuer.endpoint(), took[took.len() / 2], took[took.len() * 99 / 100]);
    }
}
