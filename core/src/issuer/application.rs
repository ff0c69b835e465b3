//! The wire format of `apptoken-refresh`: writes requests and reads responses. No client required.

use super::reply::{self, Reply};
use super::{
    Failure, FailureKind, Kind, Lifetime, Message, Method, Omissions, Properties, RedactedUrl, Refresh, Renewal,
    RenewalTime, SharedBy, TokenResponse, Wire,
};
use serde_json::Value;
use url::Url;

/// How the next token of an application is obtained.
pub(super) const RENEWAL: Renewal = Renewal {
    when: RenewalTime::AfterExpiry,
    may_come_early: false,
    is_repeatable: true,
    supersedes: false,
    names_lifetime: true,
    is_lost_at_expiry: false,
};

impl Wire for Refresh {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn kind(&self) -> Kind {
        Kind::Application
    }

    fn properties(&self) -> Properties<'_> {
        Properties {
            lifetime_seconds: Some(self.validity_seconds),
            shared: Some(SharedBy { identifier: &self.consumer_key, secret: &self.consumer_secret }),
            ..Properties::default()
        }
    }

    fn message(&self, endpoint: Url) -> Message {
        let url = RedactedUrl(request_url(endpoint, self));
        Message { method: Method::Get, url, authorization: None, content: None }
    }

    fn read(&self, reply: &Reply) -> Result<TokenResponse, Failure> {
        read_response(reply, self.validity_seconds)
    }
}

/// Writes the request into the query of `endpoint`. From here on the URL is a secret: it is sent, and dropped.
pub fn request_url(mut endpoint: Url, refresh: &Refresh) -> Url {
    endpoint
        .query_pairs_mut()
        .append_pair("consumerkey", refresh.consumer_key.expose())
        .append_pair("consumersecret", refresh.consumer_secret.expose())
        .append_pair("oldtoken", refresh.old_token.expose())
        .append_pair("validity", &refresh.validity_seconds.to_string());
    endpoint
}

/// Reads the reply to a request for a validity of `validity_seconds`.
///
/// Only the status is relied on, and whether the body is the API's own: its texts differ between the documents
/// and the live service, and are never repeated. A token counts whatever the 2xx it comes with, if its body is whole.
///
/// # Errors
/// Everything but HTTP 200 with a token, as [`FailureKind`] sorts it.
pub fn read_response(reply: &Reply, validity_seconds: u64) -> Result<TokenResponse, Failure> {
    if let Some(redirected) = reply.redirected() {
        return Err(redirected);
    }
    let is_own_error = is_own_error(reply);
    let kind = match reply.status {
        200..=299 if is_own_error => FailureKind::Refused,
        200..=299 => return token(reply, validity_seconds),
        _ if reply.is_resources_fault() => FailureKind::Rejected,
        500 if is_own_error => FailureKind::Refused,
        _ => FailureKind::Unavailable,
    };
    let said = match reply.status {
        200..=299 => " with an API error",
        _ if is_own_error || reply.is_endpoints_fault() => "",
        _ => " with a body that is not from the API",
    };
    Err(reply.failure(kind, format!("the issuer answered HTTP {}{said}", reply.status)))
}

/// True for the error envelope of the API, which no gateway or proxy in front of it writes.
fn is_own_error(reply: &Reply) -> bool {
    reply.fields().is_ok_and(|fields| fields.contains_key("errorCode") && !fields.contains_key("accessToken"))
}

fn token(reply: &Reply, validity_seconds: u64) -> Result<TokenResponse, Failure> {
    let fields = reply.fields()?;
    let token = fields.get("accessToken").and_then(Value::as_str).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| reply.unreadable("no accessToken"))?;
    let token = reply::token(token).map_err(|problem| reply.unreadable(format!("an accessToken {problem}")))?;
    let reported = reply::lifetime(fields.get("validityTime")).map_err(|problem| reply.unreadable(problem))?;
    let lifetime = believed(reported, validity_seconds);
    Ok(TokenResponse { token, refresh_token: None, lifetime, omissions: Omissions::default(), date: reply.date })
}

/// A token without expiry may be requested while a token with an expiry is live: its remaining time is believed,
/// because a needless check is harmless and a dead token is not. Zero or less still means "never" then.
fn believed(reported: Lifetime, validity_seconds: u64) -> Lifetime {
    match reported {
        Lifetime::Seconds(0) if validity_seconds == 0 => Lifetime::Never,
        reported => reported,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::issuer::reply::Body;
    use crate::redacted::Redacted;
    use std::time::Duration;

    const OWN_ERROR: &str = r#"{"errorCode":1,"moreInfo":"CANARY","userMsg":"CANARY"}"#;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, date: None, retry_after: None, body: Ok(Body(body.as_bytes().to_vec())) }
    }

    fn lifetime_of(validity_time: &str, asked: u64) -> Result<Lifetime, Failure> {
        let body = format!(r#"{{"accessToken":"t","validityTime":{validity_time}}}"#);
        read_response(&reply(200, &body), asked).map(|response| response.lifetime)
    }

    fn kind_of(status: u16, body: &str) -> FailureKind {
        let failure = read_response(&reply(status, body), 60).unwrap_err();
        assert!(failure.detail.contains(&status.to_string()), "{failure}");
        assert!(!format!("{failure} {failure:?}").contains("CANARY"), "{failure}");
        failure.kind
    }

    #[test]
    fn a_question_carries_four_encoded_parameters() {
        let refresh = Refresh {
            endpoint: String::new(),
            consumer_key: Redacted::new("k&=? #"),
            consumer_secret: Redacted::new("s+/%ü"),
            old_token: Redacted::new("o&validity=1"),
            validity_seconds: 86_400,
        };
        let url = request_url(Url::parse("https://api.syniverse.com/a").unwrap(), &refresh);
        assert_eq!(
            url.as_str(),
            "https://api.syniverse.com/a?consumerkey=k%26%3D%3F+%23&consumersecret=s%2B%2F%25%C3%BC\
             &oldtoken=o%26validity%3D1&validity=86400"
        );
    }

    #[test]
    fn every_form_of_a_finite_time_is_understood() {
        for form in ["86011", "86011.0", "86011.9", r#""86011""#, r#"" 86011.0 ""#, "8.6011e4"] {
            assert_eq!(lifetime_of(form, 86_400), Ok(Lifetime::Seconds(86_011)), "{form}");
        }
    }

    #[test]
    fn a_time_that_is_over_is_zero_seconds() {
        for form in ["0", "-1", "-0.5", r#""-300""#, "-9223372036854775808", "-1e300"] {
            assert_eq!(lifetime_of(form, 60), Ok(Lifetime::Seconds(0)), "{form}");
        }
    }

    #[test]
    fn absent_null_and_absurd_times_mean_never() {
        for form in ["null", "9223372036854775", "9223372036854775807", "18446744073709551615", "1e300", r#""1e300""#] {
            assert_eq!(lifetime_of(form, 60), Ok(Lifetime::Never), "{form}");
        }
        let absent = read_response(&reply(200, r#"{"accessToken":"t"}"#), 60).unwrap();
        assert_eq!(absent.lifetime, Lifetime::Never);
    }

    #[test]
    fn the_longest_finite_time_is_a_hundred_years() {
        assert_eq!(lifetime_of("3155760000", 60), Ok(Lifetime::Seconds(3_155_760_000)));
        assert_eq!(lifetime_of("3155760001", 60), Ok(Lifetime::Never));
    }

    #[test]
    fn who_asks_for_a_token_without_end_is_believed_unless_a_finite_time_is_left() {
        for form in ["0", "-1", "null", "9223372036854775807"] {
            assert_eq!(lifetime_of(form, 0), Ok(Lifetime::Never), "{form}");
        }
        assert_eq!(lifetime_of("3600", 0), Ok(Lifetime::Seconds(3600)));
    }

    #[test]
    fn a_time_that_is_no_number_is_a_failure() {
        for form in [r#""soon""#, r#""""#, r#""inf""#, r#""NaN""#, "true", "[1]", "{}"] {
            assert_eq!(lifetime_of(form, 60).unwrap_err().kind, FailureKind::Unavailable, "{form}");
        }
    }

    #[test]
    fn a_200_without_a_token_is_a_failure() {
        for body in [
            "{}",
            r#"{"accessToken":""}"#,
            r#"{"accessToken":"  "}"#,
            r#"{"accessToken":null}"#,
            r#"{"accessToken":7}"#,
            r#"{"accessToken":["CANARY"]}"#,
            r#"{"accessToken":"CANARY\r\nX-Injected: 1"}"#,
            r#"{"accessToken":"CANARY CANARY"}"#,
            r#"{"accessToken":"CANARY\n"}"#,
            r#"{"accessToken":"CANARY\u0000"}"#,
            r#"{"accessToken":"\u001bCANARY"}"#,
            r#"{"accessToken":"CANARY\u007f"}"#,
            r#"{"accessToken":"CANARYü"}"#,
            r#"{"accessToken":"CANARY\u200b"}"#,
        ] {
            assert_eq!(kind_of(200, body), FailureKind::Unavailable, "{body}");
        }
    }

    #[test]
    fn a_200_that_is_not_json_is_a_failure_and_not_repeated() {
        for body in [
            "",
            "CANARY",
            r#"{"accessToken":"CANARY"#,
            r#"["CANARY"]"#,
            "<html>CANARY</html>",
            r#"{"accessToken":"CANARY"} CANARY"#,
            r#"{"accessToken":"CANARY"}{"accessToken":"CANARY"}"#,
            "\u{feff}{}",
            "\u{feff}\u{feff}{}",
        ] {
            assert_eq!(kind_of(200, body), FailureKind::Unavailable, "{body}");
        }
    }

    fn token_in(body: &[u8]) -> Option<String> {
        let reply = Reply { body: Ok(Body(body.to_vec())), ..reply(200, "") };
        read_response(&reply, 60).ok().map(|response| response.token.expose().to_owned())
    }

    #[test]
    fn a_token_is_what_a_header_can_carry_letter_by_letter() {
        let odd: String = (0x21..=0x7e_u8).map(char::from).collect();
        let longest = "t".repeat(8 * 1024);
        for token in [odd.as_str(), "<script>", "$(token)", &longest] {
            let body = serde_json::json!({"accessToken": token, "validityTime": 60}).to_string();
            assert_eq!(token_in(body.as_bytes()).as_deref(), Some(token));
        }
        let too_long = serde_json::json!({"accessToken": longest + "t"}).to_string();
        let failure = read_response(&reply(200, &too_long), 60).unwrap_err();
        assert!(failure.detail.contains("an accessToken of more than 8 KiB"), "{failure}");
        let unprintable = read_response(&reply(200, r#"{"accessToken":"a b"}"#), 60).unwrap_err();
        assert!(unprintable.detail.contains("not printable ASCII"), "{unprintable}");
    }

    #[test]
    fn what_a_writer_of_json_may_do_is_read() {
        for body in [
            "\u{feff}{\"accessToken\":\"t\"}".as_bytes(),
            b" \r\n{\"accessToken\"\t:\n\"t\"} \r\n",
            b"{\"accessToken\":\"\\u0074\"}",
            b"{\"accessToken\":\"t\",\"validityTime\":18446744073709551616,\"other\":[{}]}",
            b"{\"accessToken\":\"t\",\"errorCode\":0}",
            // The last of two counts, as for most parsers.
            b"{\"accessToken\":\"a\",\"accessToken\":\"t\"}",
            b"{\"accessToken\":\"t\",\"userMsg\":\"Latin-1: \xe9\"}",
        ] {
            assert_eq!(token_in(body).as_deref(), Some("t"), "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(token_in(b"{\"accessToken\":\"t\xe9\"}"), None);
    }

    #[test]
    fn an_error_of_the_api_is_one_whatever_its_letters_and_its_2xx() {
        let latin = b"{\"errorCode\":1,\"userMsg\":\"\xe9chec\"}".to_vec();
        for status in [200, 202, 500] {
            let reply = Reply { body: Ok(Body(latin.clone())), ..reply(status, "") };
            assert_eq!(read_response(&reply, 60).unwrap_err().kind, FailureKind::Refused, "{status}");
        }
    }

    #[test]
    fn the_apis_own_errors_are_told_from_those_of_a_gateway() {
        assert_eq!(kind_of(200, OWN_ERROR), FailureKind::Refused);
        assert_eq!(kind_of(500, OWN_ERROR), FailureKind::Refused);
        for foreign in ["", "<am:fault>CANARY</am:fault>", "<html>", r#"{"fault":{"code":900902}}"#, "[]"] {
            for status in [500, 501, 505, 520, 599] {
                assert_eq!(kind_of(status, foreign), FailureKind::Unavailable, "{status} {foreign}");
            }
        }
    }

    #[test]
    fn a_request_that_is_wrong_is_nobody_elses_fault_whoever_says_so() {
        let foreign = "<html>CANARY</html>";
        for status in [400, 401, 403, 404, 405, 407, 409, 410, 418, 421, 422, 425, 431, 451, 499] {
            for body in [OWN_ERROR, foreign, ""] {
                assert_eq!(kind_of(status, body), FailureKind::Rejected, "{status} {body}");
            }
            let cut = Err(Failure {
                kind: FailureKind::Unavailable,
                detail: "cut".to_owned(),
                retry_after: None,
                status: None,
            });
            let failure = read_response(&Reply { body: cut, ..reply(status, "") }, 60).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Rejected, "{status}");
        }
        let said = |body| read_response(&reply(403, body), 60).unwrap_err().detail;
        assert_eq!(said(OWN_ERROR), "the issuer answered HTTP 403");
        assert_eq!(said(foreign), "the issuer answered HTTP 403 with a body that is not from the API");
    }

    #[test]
    fn throttling_and_maintenance_are_the_endpoints_fault_whoever_says_so() {
        for status in [408, 429, 502, 503, 504] {
            assert_eq!(kind_of(status, OWN_ERROR), FailureKind::Unavailable, "{status}");
        }
    }

    #[test]
    fn a_redirect_is_a_wrong_endpoint() {
        for status in [301, 302, 303, 307, 308] {
            assert_eq!(kind_of(status, "CANARY"), FailureKind::Rejected, "{status}");
        }
    }

    #[test]
    fn a_token_counts_whatever_the_2xx_that_it_comes_with() {
        let whole = r#"{"accessToken":"t","validityTime":60}"#;
        for status in [200, 201, 202, 203, 206, 226] {
            assert_eq!(read_response(&reply(status, whole), 60).unwrap().token.expose(), "t", "{status}");
            for body in ["", "{}", r#"{"accessToken":"CANARY"#] {
                assert_eq!(kind_of(status, body), FailureKind::Unavailable, "{status} {body}");
            }
        }
        for status in [101, 199, 600, 999] {
            assert_eq!(kind_of(status, whole), FailureKind::Unavailable, "{status}");
        }
    }

    #[test]
    fn the_wish_to_be_left_alone_is_passed_on() {
        let wish = Some(Duration::from_secs(7));
        for (status, body) in [(429, ""), (500, OWN_ERROR), (400, OWN_ERROR), (200, "")] {
            let reply = Reply { retry_after: wish, ..reply(status, body) };
            assert_eq!(read_response(&reply, 60).unwrap_err().retry_after, wish, "{status}");
        }
    }
}
