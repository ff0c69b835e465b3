//! The wire of `/api/v2/auth/token`: how a session is extended or opened, and what comes back. No client required.
//!
//! No document names an HTTP status, and a failure may come with 200: the body's `errorCode` decides. A pair can be
//! used once, so that every doubt is settled in favour of the pair: one in hand is kept, one in use is given up only
//! on a clear `AUTH_1002`.

use super::reply::{self, Body, Reply};
use super::{Answer, Failure, FailureKind, Lifetime, Login, Pair};
use crate::redacted::Redacted;
use serde_json::{Map, Value, json};

/// "Invalid token": to an extension, the end of the session.
const INVALID_TOKEN: &str = "AUTH_1002";
/// "Invalid credentials": to a log in, that nobody has this username and password.
const INVALID_CREDENTIALS: &str = "AUTH_1001";
/// "Service unavailable": try again.
const SERVICE_UNAVAILABLE: &str = "GLOBAL_1001";

/// An error code that is longer is no name, and is not shown.
const LONGEST_CODE: usize = 40;

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
/// Whatever gives no new pair, as [`FailureKind`] sorts it; `AUTH_1002` alone is [`FailureKind::Ended`].
pub fn extended(reply: &Reply, pair: &Pair) -> Result<Answer, Failure> {
    let verdict = Verdict { code: INVALID_TOKEN, kind: FailureKind::Ended };
    answer(reply, verdict, [&pair.token, &pair.refresh_token])
}

/// Reads the reply to [`log_in`].
///
/// # Errors
/// Whatever gives no pair, as [`FailureKind`] sorts it; `AUTH_1001` alone is [`FailureKind::LoginRefused`].
pub fn logged_in(reply: &Reply, login: &Login) -> Result<Answer, Failure> {
    let verdict = Verdict { code: INVALID_CREDENTIALS, kind: FailureKind::LoginRefused };
    answer(reply, verdict, [&login.username, &login.password])
}

/// The one code that settles a question for good. To another question it is a code like any other.
struct Verdict {
    code: &'static str,
    kind: FailureKind,
}

fn answer(reply: &Reply, verdict: Verdict, sent: [&Redacted; 2]) -> Result<Answer, Failure> {
    if let Some(redirected) = reply.redirected() {
        return Err(redirected);
    }
    let fields = reply.fields()?;
    match error_code(&fields) {
        Some(code) => {
            let detail = format!("the issuer answered {} (HTTP {})", shown(code, sent), reply.status);
            Err(reply.failure(kind(reply, code, &verdict), detail))
        }
        None => elements(&fields)
            .iter()
            .find_map(|element| session(reply, element))
            .ok_or_else(|| reply.unreadable("neither a session nor an error code")),
    }
}

/// None when there is no error. What is no text is no code: whether there is a pair decides then.
fn error_code(fields: &Map<String, Value>) -> Option<&str> {
    fields.get("errorCode").and_then(Value::as_str).map(str::trim).filter(|code| !code.is_empty())
}

/// The status says little about a code, so an unknown one is refused, and soon tried again, whatever the status: taken
/// for a wrong request it would be retried slowly, and a session can run out meanwhile. The statuses of gateways and of
/// overload are believed before any code, as what was said in such a state is no clear verdict.
fn kind(reply: &Reply, code: &str, verdict: &Verdict) -> FailureKind {
    if reply.is_endpoints_fault() || code == SERVICE_UNAVAILABLE {
        FailureKind::Unavailable
    } else if code == verdict.code {
        verdict.kind
    } else {
        FailureKind::Refused
    }
}

/// A code for people: shown when it looks like a name and repeats nothing of what was `sent`.
fn shown<'a>(code: &'a str, sent: [&Redacted; 2]) -> &'a str {
    let is_known = [INVALID_TOKEN, INVALID_CREDENTIALS, SERVICE_UNAVAILABLE].contains(&code);
    let is_name = code.len() <= LONGEST_CODE && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let repeats = |secret: &str| secret.contains(code) || code.contains(secret);
    if is_known || is_name && !sent.iter().any(|secret| repeats(secret.expose())) {
        code
    } else {
        "an error code that cannot be shown"
    }
}

/// `content` is an array where the documents show it and an object where they describe it.
fn elements(fields: &Map<String, Value>) -> &[Value] {
    match fields.get("content") {
        Some(Value::Array(elements)) => elements,
        Some(element) => std::slice::from_ref(element),
        None => &[],
    }
}

/// A content element with both tokens. The pair it was asked with is dead, so a `validityTime` that cannot be read does
/// not lose it: it counts as over, and the session is extended soon. To be extended too often is seen and hurts little;
/// taken for one without end, the session would run out in silence.
fn session(reply: &Reply, element: &Value) -> Option<Answer> {
    let text = |name| element.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    Some(Answer {
        token: Redacted::new(text("token")?),
        refresh_token: Some(Redacted::new(text("refreshToken")?)),
        lifetime: reply::lifetime(element.get("validityTime")).unwrap_or(Lifetime::Seconds(0)),
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
    const SUCCESS: &str = include_str!("../../tests/contract/samples/session-success.json");
    const BROKEN_FAILURE: &str = include_str!("../../tests/contract/samples/session-failure.txt");

    const ELEMENT: &str = r#"{"token":"new","refreshToken":"newer","validityTime":60}"#;

    fn pair() -> Pair {
        Pair { token: Redacted::new("CANARY-token"), refresh_token: Redacted::new("CANARY-refresh") }
    }

    fn login() -> Login {
        Login { username: Redacted::new("CANARY-name"), password: Redacted::new("CANARY-word") }
    }

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
        [extended(reply, &pair()).unwrap_err(), logged_in(reply, &login()).unwrap_err()]
    }

    fn detail(status: u16, body: &str) -> String {
        extended(&reply(status, body), &pair()).unwrap_err().detail
    }

    /// The tokens of both answers.
    fn tokens(status: u16, body: &str) -> Option<(String, String)> {
        let reply = reply(status, body);
        let answer = extended(&reply, &pair()).ok();
        assert_eq!(answer, logged_in(&reply, &login()).ok());
        answer.map(|answer| (answer.token.expose().to_owned(), answer.refresh_token.unwrap().expose().to_owned()))
    }

    fn is_session(body: &str) -> bool {
        tokens(200, body) == Some(("new".to_owned(), "newer".to_owned()))
    }

    fn lifetime_of(validity_time: &str) -> Lifetime {
        let content = format!(r#"[{{"token":"new","refreshToken":"newer"{validity_time}}}]"#);
        extended(&reply(200, &succeeding(&content)), &pair()).unwrap().lifetime
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
        let answer = extended(&reply(200, SUCCESS), &pair()).unwrap();
        assert!(answer.token.expose().ends_with("JzaGF1bC5jb2hlbkBmb..."));
        assert!(answer.refresh_token.unwrap().expose().ends_with("LTQ4Y2ItYTc2Mi1kY2Ew..."));
        assert_eq!(answer.lifetime, Lifetime::Seconds(3600));
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
                assert_eq!(detail(status, &body), format!("the issuer answered {code} (HTTP {status})"));
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
    fn only_a_code_that_looks_like_a_name_is_shown() {
        let named = |code: &str| detail(400, &failing(&format!("\"{code}\""))).contains(code);
        for code in ["X", "SESSION_7", "auth.too-many", "900800", &"a".repeat(40)] {
            assert!(named(code), "{code}");
        }
        for code in ["Invalid token", "a/b", "<b>", "ü", "a:b", "a\\tb", &"a".repeat(41)] {
            assert!(!named(code), "{code}");
            assert!(detail(400, &failing(&format!("\"{code}\""))).contains("an error code that cannot be shown"));
        }
    }

    #[test]
    fn a_code_that_repeats_what_was_sent_is_not_shown() {
        let told = |reply: &Reply, code: &str| failures(reply).map(|failure| failure.detail.contains(code));
        for (code, expected) in [
            ("CANARY-token", [false, true]),
            ("X_CANARY-refresh", [false, true]),
            ("CANARY-name", [true, false]),
            ("CANARY-word.X", [true, false]),
            ("CANARY", [false, false]),
        ] {
            assert_eq!(told(&reply(400, &failing(&format!("\"{code}\""))), code), expected, "{code}");
        }
    }

    #[test]
    fn a_body_that_is_not_the_apis_is_the_endpoints_fault_and_not_repeated() {
        for body in ["", "CANARY", r#"{"token":"CANARY"#, r#"["CANARY"]"#, "<html>CANARY</html>", r#""AUTH_1002""#] {
            for status in [200, 400, 401, 404, 405, 429, 500, 503] {
                assert_eq!(kinds(status, body), (Unavailable, Unavailable), "{status} {body}");
                assert!(detail(status, body).contains(&format!("({} bytes)", body.len())));
            }
        }
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
        let cut = Failure { kind: Unavailable, detail: "cut".to_owned(), retry_after: None };
        let reply = Reply { retry_after: wish, body: Err(cut.clone()), ..reply(200, "") };
        assert_eq!(failures(&reply), [(); 2].map(|()| Failure { retry_after: wish, ..cut.clone() }));
    }
}
