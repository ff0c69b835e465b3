//! The wire format of `/api/v2/auth/token`: extends and opens sessions. No client required.
//!
//! No document names an HTTP status, and a failure may come with 200: the body's `errorCode` decides. A pair can be
//! used once, so every doubt is settled in favour of the pair: a received pair is kept, and the pair in use is given up
//! only on a clear `AUTH_1002`.

use super::reply::{self, Body, Reply};
use super::{
    Content, Extend, Failure, FailureKind, Kind, Lifetime, LogIn, Login, Message, Method, Omissions, Pair, Properties,
    RedactedUrl, Renewal, RenewalTime, TokenResponse, Wire,
};
use crate::redacted::Redacted;
use serde_json::{Map, Value, json};
use url::Url;

/// How the next token of a session is obtained.
pub(super) const RENEWAL: Renewal = Renewal {
    when: RenewalTime::BeforeExpiry,
    may_come_early: false,
    is_repeatable: false,
    supersedes: true,
    names_lifetime: false,
    is_lost_at_expiry: true,
};

/// "Invalid token": to an extension, the end of the session.
const INVALID_TOKEN: &str = "AUTH_1002";
/// "Invalid credentials": to a login, an unknown username and password.
const INVALID_CREDENTIALS: &str = "AUTH_1001";
/// "Service unavailable": try again.
const SERVICE_UNAVAILABLE: &str = "GLOBAL_1001";

/// The documented codes. Any other code is arbitrary text, and is not repeated.
const DOCUMENTED: [&str; 3] = [INVALID_TOKEN, INVALID_CREDENTIALS, SERVICE_UNAVAILABLE];

impl Wire for Extend {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn kind(&self) -> Kind {
        Kind::Session
    }

    fn properties(&self) -> Properties<'_> {
        Properties { spends: Some(&self.pair.token), is_before_expiry: true, ..Properties::default() }
    }

    fn message(&self, endpoint: Url) -> Message {
        message(Method::Put, endpoint, extension(&self.pair))
    }

    fn read(&self, reply: &Reply) -> Result<TokenResponse, Failure> {
        extended(reply)
    }
}

impl Wire for LogIn {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn kind(&self) -> Kind {
        Kind::Session
    }

    fn properties(&self) -> Properties<'_> {
        Properties::default()
    }

    fn message(&self, endpoint: Url) -> Message {
        message(Method::Post, endpoint, log_in(&self.login))
    }

    fn read(&self, reply: &Reply) -> Result<TokenResponse, Failure> {
        logged_in(reply)
    }
}

fn message(method: Method, endpoint: Url, body: Body) -> Message {
    Message { method, url: RedactedUrl(endpoint), authorization: None, content: Some(Content::Json(body)) }
}

/// Writes the body of the PUT that extends a session.
pub fn extension(pair: &Pair) -> Body {
    body(&json!({"token": pair.token.expose(), "refreshToken": pair.refresh_token.expose()}))
}

/// Writes the body of the POST that opens a session.
pub fn log_in(login: &Login) -> Body {
    body(&json!({"username": login.username.expose(), "password": login.password.expose()}))
}

fn body(fields: &Value) -> Body {
    Body(fields.to_string().into_bytes())
}

/// Reads the reply to [`extension`].
///
/// # Errors
/// Everything that gives no new pair, as [`FailureKind`] sorts it; `AUTH_1002` alone is [`FailureKind::Ended`].
pub fn extended(reply: &Reply) -> Result<TokenResponse, Failure> {
    read_response(reply, &Verdict { code: INVALID_TOKEN, kind: FailureKind::Ended })
}

/// Reads the reply to [`log_in`].
///
/// # Errors
/// Everything that gives no pair, as [`FailureKind`] sorts it; `AUTH_1001` alone is [`FailureKind::LoginRefused`].
pub fn logged_in(reply: &Reply) -> Result<TokenResponse, Failure> {
    read_response(reply, &Verdict { code: INVALID_CREDENTIALS, kind: FailureKind::LoginRefused })
}

/// The code that ends the credential for good. For other requests it is a code like any other.
struct Verdict {
    code: &'static str,
    kind: FailureKind,
}

fn read_response(reply: &Reply, verdict: &Verdict) -> Result<TokenResponse, Failure> {
    if let Some(redirected) = reply.redirected() {
        return Err(redirected);
    }
    let fields = reply.first_fields().map_err(|failure| sorted(reply, failure))?;
    match error_code(&fields) {
        Some(code) => {
            let detail = format!("the issuer answered {} (HTTP {})", shown(code), reply.status);
            Err(reply.failure(kind(reply, code, verdict), detail))
        }
        None => session(reply, &fields).map_err(|failure| sorted(reply, failure)),
    }
}

/// Without a code the status decides whose failure it is. A 4xx is retried soon all the same: a session can run out
/// while it waits for a person.
fn sorted(reply: &Reply, failure: Failure) -> Failure {
    Failure { kind: if reply.is_resources_fault() { FailureKind::Refused } else { failure.kind }, ..failure }
}

/// None without an error. A value that is not text is no code: the presence of a pair decides then.
fn error_code(fields: &Map<String, Value>) -> Option<&str> {
    fields.get("errorCode").and_then(Value::as_str).map(str::trim).filter(|code| !code.is_empty())
}

/// The status says little about a code, so an unknown code counts as a refusal and is retried soon, whatever the
/// status: as a rejected request it would be retried slowly, and a session can run out meanwhile. The statuses of
/// gateways and of overload are believed before any code, as no code is reliable in such a state.
fn kind(reply: &Reply, code: &str, verdict: &Verdict) -> FailureKind {
    if reply.is_endpoints_fault() || code == SERVICE_UNAVAILABLE {
        FailureKind::Unavailable
    } else if code == verdict.code {
        verdict.kind
    } else {
        FailureKind::Refused
    }
}

/// A code for people.
fn shown(code: &str) -> &str {
    if DOCUMENTED.contains(&code) { code } else { "an undocumented error code" }
}

/// `content` is an array where the documents show it and an object where they describe it.
fn elements(fields: &Map<String, Value>) -> &[Value] {
    match fields.get("content") {
        Some(Value::Array(elements)) => elements,
        Some(element) => std::slice::from_ref(element),
        None => &[],
    }
}

/// The first content element with both tokens. The old pair is dead, so an unreadable `validityTime` must not lose the
/// new pair: it counts as zero, and the session is extended soon. Extending too often is visible and harmless; taken as
/// never expiring, the session would run out in silence.
///
/// Only a token that could break out of a header is worse than none: the pair is lost with it. A refresh token travels
/// in JSON only, and may hold anything.
fn session(reply: &Reply, fields: &Map<String, Value>) -> Result<TokenResponse, Failure> {
    let found = elements(fields).iter().find_map(|element| {
        let text = |name| element.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        Some((text("token")?, text("refreshToken")?, element.get("validityTime")))
    });
    let (token, refresh_token, validity_time) =
        found.ok_or_else(|| reply.unreadable("neither a session nor an error code"))?;
    Ok(TokenResponse {
        token: reply::token(token).map_err(|problem| reply.unreadable(format!("a token {problem}")))?,
        refresh_token: Some(Redacted::new(refresh_token)),
        lifetime: reply::lifetime(validity_time).unwrap_or(Lifetime::Seconds(0)),
        omissions: Omissions::default(),
        date: reply.date,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use FailureKind::{Ended, LoginRefused, Refused, Rejected, Unavailable};
    use std::time::Duration;

    /// The samples of the API's documentation, to the letter: its failure lacks a comma.
    const SUCCESS: &str = include_str!("../../../tests/contract/samples/session-success.json");
    const BROKEN_FAILURE: &str = include_str!("../../../tests/contract/samples/session-failure.txt");

    const ELEMENT: &str = r#"{"token":"new","refreshToken":"newer","validityTime":60}"#;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, date: None, retry_after: None, body: Ok(Body(body.as_bytes().to_vec())) }
    }

    fn failing(code: &str) -> String {
        format!(r#"{{"errorCode":{code},"errorMessage":"CANARY","content":"","pageable":""}}"#)
    }

    fn succeeding(content: &str) -> String {
        format!(r#"{{"errorCode":"","errorMessage":"","content":{content}}}"#)
    }

    /// The kinds of an extension's and of a log in's failure, which differ in nothing else.
    fn kinds(status: u16, body: &str) -> (FailureKind, FailureKind) {
        let [extension, log_in] = failures(&reply(status, body));
        assert_eq!(extension.detail, log_in.detail);
        assert!(extension.detail.contains(&format!("HTTP {status}")), "{extension}");
        assert!(!format!("{extension} {extension:?}").contains("CANARY"), "{extension}");
        (extension.kind, log_in.kind)
    }

    fn failures(reply: &Reply) -> [Failure; 2] {
        [extended(reply).unwrap_err(), logged_in(reply).unwrap_err()]
    }

    fn detail(status: u16, body: &str) -> String {
        extended(&reply(status, body)).unwrap_err().detail
    }

    /// The tokens of both answers.
    fn tokens(status: u16, body: &str) -> Option<(String, String)> {
        let reply = reply(status, body);
        let response = extended(&reply).ok();
        assert_eq!(response, logged_in(&reply).ok());
        response
            .map(|response| (response.token.expose().to_owned(), response.refresh_token.unwrap().expose().to_owned()))
    }

    fn is_session(body: &str) -> bool {
        tokens(200, body) == Some(("new".to_owned(), "newer".to_owned()))
    }

    fn lifetime_of(validity_time: &str) -> Lifetime {
        let content = format!(r#"[{{"token":"new","refreshToken":"newer"{validity_time}}}]"#);
        extended(&reply(200, &succeeding(&content))).unwrap().lifetime
    }

    #[test]
    fn questions_are_json_whatever_the_secrets_hold() {
        let odd = |text: &str| Redacted::new(format!("{text}\"\\\n\u{0}ü}}"));
        let read = |body: Body| serde_json::from_slice::<Value>(&body.0).unwrap();
        let pair = Pair { token: odd("t"), refresh_token: odd("r") };
        let expected = json!({"token": "t\"\\\n\u{0}ü}", "refreshToken": "r\"\\\n\u{0}ü}"});
        assert_eq!(read(extension(&pair)), expected);
        let login = Login { username: odd("u"), password: odd("p") };
        assert_eq!(read(log_in(&login)), json!({"username": "u\"\\\n\u{0}ü}", "password": "p\"\\\n\u{0}ü}"}));
    }

    #[test]
    fn the_documents_own_success_is_a_session() {
        let response = extended(&reply(200, SUCCESS)).unwrap();
        assert!(response.token.expose().ends_with("JzaGF1bC5jb2hlbkBmb..."));
        assert!(response.refresh_token.unwrap().expose().ends_with("LTQ4Y2ItYTc2Mi1kY2Ew..."));
        assert_eq!(response.lifetime, Lifetime::Seconds(3600));
    }

    #[test]
    fn the_documents_own_failure_is_not_json_and_so_no_verdict() {
        assert_eq!(kinds(200, BROKEN_FAILURE), (Unavailable, Unavailable));
        let mended = BROKEN_FAILURE.replace("\"Invalid token\"", "\"Invalid token\",");
        assert_eq!(kinds(200, &mended), (Ended, Refused));
    }

    #[test]
    fn every_form_of_a_success_is_a_session() {
        let bare = format!(r#"{{"content":{ELEMENT}}}"#);
        let null = format!(r#"{{"errorCode":null,"errorMessage":null,"content":[{ELEMENT}],"pageable":null}}"#);
        let blank = format!(r#"{{"errorCode":" ","content":[{ELEMENT}]}}"#);
        let second = succeeding(&format!(r#"[{{}},"",{ELEMENT}]"#));
        let customer = succeeding(r#"[{"token":"new","refreshToken":"newer","customerId":7}]"#);
        let number = format!(r#"{{"errorCode":0,"content":[{ELEMENT}]}}"#);
        for body in [&bare, &null, &blank, &second, &customer, &number] {
            assert!(is_session(body), "{body}");
        }
    }

    #[test]
    fn a_pair_in_hand_is_kept_whatever_the_status() {
        for status in [200, 201, 202, 400, 500, 503] {
            assert!(tokens(status, &succeeding(ELEMENT)).is_some(), "{status}");
        }
    }

    #[test]
    fn a_lifetime_is_read_as_for_applications() {
        for (form, expected) in [
            ("3600", Lifetime::Seconds(3600)),
            ("3600.9", Lifetime::Seconds(3600)),
            (r#"" 3600 ""#, Lifetime::Seconds(3600)),
            ("0", Lifetime::Seconds(0)),
            ("-300", Lifetime::Seconds(0)),
            ("null", Lifetime::Never),
            ("9223372036854775807", Lifetime::Never),
            ("99999999999999999999999999", Lifetime::Never),
        ] {
            assert_eq!(lifetime_of(&format!(r#","validityTime":{form}"#)), expected, "{form}");
        }
        assert_eq!(lifetime_of(""), Lifetime::Never);
    }

    #[test]
    fn a_lifetime_that_cannot_be_read_does_not_lose_the_pair() {
        for form in [r#""soon""#, r#""""#, r#""NaN""#, "true", "[1]", "{}"] {
            assert_eq!(lifetime_of(&format!(r#","validityTime":{form}"#)), Lifetime::Seconds(0), "{form}");
        }
    }

    #[test]
    fn half_a_pair_is_no_session() {
        for content in [
            r#""""#,
            "null",
            "[]",
            "{}",
            "7",
            r#"["CANARY"]"#,
            r#"[[{"token":"CANARY","refreshToken":"CANARY"}]]"#,
            r#"[{"token":"CANARY"}]"#,
            r#"[{"refreshToken":"CANARY"}]"#,
            r#"[{"token":"","refreshToken":"CANARY"}]"#,
            r#"[{"token":"CANARY","refreshToken":"  "}]"#,
            r#"[{"token":7,"refreshToken":"CANARY"}]"#,
            r#"[{"token":"CANARY","refreshToken":null}]"#,
            r#"[{"token":"CANARY"},{"refreshToken":"CANARY"}]"#,
        ] {
            assert_eq!(kinds(200, &succeeding(content)), (Unavailable, Unavailable), "{content}");
        }
        assert_eq!(kinds(200, "{}"), (Unavailable, Unavailable));
    }

    #[test]
    fn a_code_decides_whatever_the_status() {
        for status in [200, 201, 400, 401, 403, 404, 409, 422, 500, 501] {
            for (code, expected) in [
                ("AUTH_1002", (Ended, Refused)),
                ("AUTH_1001", (Refused, LoginRefused)),
                ("GLOBAL_1001", (Unavailable, Unavailable)),
                ("GLOBAL_1002", (Refused, Refused)),
                ("AUTH_10022", (Refused, Refused)),
                ("auth_1002", (Refused, Refused)),
            ] {
                let body = failing(&format!("\"{code}\""));
                assert_eq!(kinds(status, &body), expected, "{status} {code}");
                let said = if DOCUMENTED.contains(&code) { code } else { "an undocumented error code" };
                assert_eq!(detail(status, &body), format!("the issuer answered {said} (HTTP {status})"));
            }
        }
    }

    #[test]
    fn a_gateway_or_overload_is_believed_before_any_code() {
        for status in [408, 429, 502, 503, 504] {
            for code in [r#""AUTH_1001""#, r#""AUTH_1002""#, r#""OTHER""#] {
                assert_eq!(kinds(status, &failing(code)), (Unavailable, Unavailable), "{status} {code}");
            }
        }
    }

    #[test]
    fn content_beside_a_code_changes_nothing() {
        for content in [r#""content":"","#, r#""content":[],"#, r#""content":{},"#, r#""content":null,"#, ""] {
            let body = format!(r#"{{{content}"errorCode":"AUTH_1002"}}"#);
            assert_eq!(kinds(200, &body), (Ended, Refused), "{body}");
        }
        let both = format!(r#"{{"errorCode":"OTHER","content":[{ELEMENT}]}}"#);
        assert_eq!(kinds(200, &both), (Refused, Refused));
    }

    #[test]
    fn what_is_no_text_is_no_code() {
        for code in ["0", "1", "1002.5", "true", "{}", r#"["AUTH_1002"]"#, r#"{"code":"CANARY"}"#, r#""""#, "null"] {
            assert_eq!(kinds(200, &failing(code)), (Unavailable, Unavailable), "{code}");
        }
    }

    #[test]
    fn only_a_code_that_is_documented_is_repeated() {
        for code in ["X", "CANARY", "AUTH_1003", "AUTH_1002x", "auth.too-many", &"a".repeat(40), "Invalid token", "<b>"]
        {
            let body = failing(&format!("\"{code}\""));
            assert_eq!(detail(400, &body), "the issuer answered an undocumented error code (HTTP 400)");
        }
    }

    #[test]
    fn a_body_that_is_not_the_apis_is_sorted_by_its_status_and_not_repeated() {
        for body in
            ["", "CANARY", r#"{"token":"CANARY"#, r#"["CANARY"]"#, "<html>CANARY</html>", r#""AUTH_1002""#, "{}"]
        {
            for status in [200, 201, 408, 429, 500, 503] {
                assert_eq!(kinds(status, body), (Unavailable, Unavailable), "{status} {body}");
            }
            for status in [400, 401, 403, 404, 405, 451] {
                assert_eq!(kinds(status, body), (Refused, Refused), "{status} {body}");
                assert!(detail(status, body).contains(&format!("({} bytes)", body.len())));
            }
        }
        let cut = Err(Failure { kind: Unavailable, detail: "cut".to_owned(), retry_after: None, status: None });
        let failures = failures(&Reply { body: cut, ..reply(403, "") });
        assert_eq!(failures.map(|failure| failure.kind), [Refused; 2]);
    }

    #[test]
    fn a_pair_is_kept_whatever_surrounds_it() {
        let whole = succeeding(ELEMENT);
        let [mark, behind] = [format!("\u{feff}{whole}"), format!("{whole}\n<!-- CANARY -->")];
        for body in [&mark, &behind, &whole.replace("{\"token", "{\"a\":1e300,\"token")] {
            assert!(is_session(body), "{body}");
        }
        let mut latin = whole.replace(r#""errorMessage":"""#, r#""errorMessage":"?""#).into_bytes();
        latin.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = 0xe9);
        let reply = Reply { body: Ok(Body(latin)), ..reply(200, "") };
        assert_eq!(extended(&reply).unwrap().token.expose(), "new");
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_no_session_and_a_refresh_token_may_hold_anything() {
        for token in [r"CANARY\r\nX-Injected: 1", "CANARY CANARY", r"CANARY\u0000", "ü", &"t".repeat(8 * 1024 + 1)] {
            let content = format!(r#"[{{"token":"{token}","refreshToken":"CANARY","validityTime":60}}]"#);
            assert_eq!(kinds(200, &succeeding(&content)), (Unavailable, Unavailable), "{token}");
        }
        let odd = r#"[{"token":"new","refreshToken":"r\r\n ü\u0000","validityTime":60}]"#;
        assert_eq!(tokens(200, &succeeding(odd)), Some(("new".to_owned(), "r\r\n ü\u{0}".to_owned())));
    }

    #[test]
    fn a_redirect_is_a_wrong_endpoint_whatever_it_says() {
        for status in [301, 302, 303, 307, 308] {
            for body in ["CANARY", SUCCESS, &failing(r#""AUTH_1002""#)] {
                assert_eq!(kinds(status, body), (Rejected, Rejected), "{status}");
            }
        }
    }

    #[test]
    fn the_wish_to_be_left_alone_is_passed_on() {
        let wish = Some(Duration::from_secs(7));
        let [code, down] = [r#""AUTH_1002""#, r#""GLOBAL_1001""#].map(failing);
        for (status, body) in [(200, code.as_str()), (200, &down), (429, ""), (503, &down), (307, ""), (200, "{}")] {
            let reply = Reply { retry_after: wish, ..reply(status, body) };
            assert_eq!(failures(&reply).map(|failure| failure.retry_after), [wish; 2], "{status}");
        }
        let cut = Failure { kind: Unavailable, detail: "cut".to_owned(), retry_after: None, status: None };
        let reply = Reply { retry_after: wish, body: Err(cut.clone()), ..reply(200, "") };
        assert_eq!(failures(&reply), [(); 2].map(|()| Failure { retry_after: wish, status: Some(200), ..cut.clone() }));
    }
}
