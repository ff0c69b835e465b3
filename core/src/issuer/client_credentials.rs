//! The wire format of client credentials (RFC 6749, sections 4.4, 5.1 and 5.2): writes requests and reads responses. No
//! client required.

use super::reply::{self, Body, Reply};
use super::{
    ClientCredentials, Content, Failure, FailureKind, Kind, Lifetime, Message, Method, Omissions, Properties,
    RedactedUrl, Renewal, RenewalTime, SharedBy, TokenResponse, Wire,
};
use crate::api::ClientAuthentication;
use crate::redacted::Redacted;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

/// How the next token of client credentials is obtained: most issuers give a new token at any time and let the previous
/// token live on; some give the same token for as long as it lives. The response tells.
pub(super) const RENEWAL: Renewal = Renewal {
    when: RenewalTime::AfterExpiry,
    may_come_early: true,
    is_repeatable: true,
    supersedes: false,
    names_lifetime: false,
    is_lost_at_expiry: false,
};

/// The lifetime of a token of which the issuer reports none, in seconds.
pub const ASSUMED_SECONDS: u64 = 300;

/// The code of an issuer that has an outage.
const TEMPORARILY_UNAVAILABLE: &str = "temporarily_unavailable";

/// The codes after which a person must act, each with what to do. Any other code is arbitrary text, and is not repeated.
const REFUSALS: [(&str, &str); 5] = [
    ("invalid_client", "check the client id and secret, and spec.clientCredentials.authentication"),
    ("unauthorized_client", "check the client secret, and that the client may use the grant client_credentials"),
    ("invalid_scope", "take the scopes that this client may not have out of spec.clientCredentials.scopes"),
    ("invalid_request", "check spec.clientCredentials.endpointParams and audience"),
    ("unsupported_grant_type", "use a spec.clientCredentials.tokenURL that offers client credentials"),
];

impl Wire for ClientCredentials {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn kind(&self) -> Kind {
        Kind::ClientCredentials
    }

    fn properties(&self) -> Properties<'_> {
        let shared = SharedBy { identifier: &self.shared_by, secret: &self.client_secret };
        Properties { shared: Some(shared), ..Properties::default() }
    }

    fn message(&self, endpoint: Url) -> Message {
        let is_basic = self.authentication == ClientAuthentication::Basic;
        Message {
            method: Method::Post,
            url: RedactedUrl(endpoint),
            authorization: is_basic.then(|| basic(self)),
            content: Some(Content::Form(form(self))),
        }
    }

    fn read(&self, reply: &Reply) -> Result<TokenResponse, Failure> {
        read_response(reply, &self.scope)
    }
}

/// The value of the header Authorization: id and secret are form-encoded before they are joined, so that a colon in the id
/// is no end of it (RFC 6749, section 2.3.1).
pub fn basic(client: &ClientCredentials) -> Redacted {
    let encoded = |value: &Redacted| byte_serialize(value.expose().as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(&client.client_id), encoded(&client.client_secret));
    Redacted::new(format!("Basic {}", STANDARD.encode(pair)))
}

/// Writes the form of the POST.
pub fn form(client: &ClientCredentials) -> Body {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if client.authentication == ClientAuthentication::Body {
        form.append_pair("client_id", client.client_id.expose());
        form.append_pair("client_secret", client.client_secret.expose());
    }
    let optional = [("scope", Some(client.scope.as_str())), ("audience", client.audience.as_deref())];
    for (name, value) in optional {
        value.filter(|value| !value.is_empty()).into_iter().for_each(|value| {
            form.append_pair(name, value);
        });
    }
    form.extend_pairs(&client.endpoint_params);
    Body(form.finish().into_bytes())
}

/// Reads the reply to a request for `scope`.
///
/// The status is believed where it blames the endpoint, the code where it blames the request. Texts of the issuer are
/// never repeated, and of its codes only those of RFC 6749.
///
/// # Errors
/// Everything that gives no token, as [`FailureKind`] sorts it.
pub fn read_response(reply: &Reply, scope: &str) -> Result<TokenResponse, Failure> {
    if let Some(redirected) = reply.redirected() {
        return Err(redirected);
    }
    match (reply.status, error_code(reply)) {
        (200..=299, None) => token(reply, scope),
        (status, code) => Err(failure(reply, status, code.as_deref())),
    }
}

fn error_code(reply: &Reply) -> Option<String> {
    let fields = reply.fields().ok()?;
    let code = fields.get("error").and_then(Value::as_str)?.trim();
    (!code.is_empty()).then(|| code.to_owned())
}

fn failure(reply: &Reply, status: u16, code: Option<&str>) -> Failure {
    let is_unavailable = status >= 500 || reply.is_endpoints_fault();
    let refusal = REFUSALS.iter().find(|(known, _)| code == Some(*known));
    let (kind, detail) = match (refusal, code) {
        _ if is_unavailable => (FailureKind::Unavailable, format!("the issuer answered HTTP {status}")),
        (Some((code, remedy)), _) => {
            (FailureKind::Rejected, format!("the issuer answered {code} (HTTP {status}; {remedy})"))
        }
        (None, Some(TEMPORARILY_UNAVAILABLE)) => {
            (FailureKind::Unavailable, format!("the issuer answered {TEMPORARILY_UNAVAILABLE} (HTTP {status})"))
        }
        (None, Some(_)) => (
            FailureKind::Rejected,
            format!("the issuer answered HTTP {status} with an error code that RFC 6749 does not name"),
        ),
        (None, None) => (
            FailureKind::Rejected,
            format!("the issuer answered HTTP {status} with a body that is not from a token endpoint"),
        ),
    };
    reply.failure(kind, detail)
}

fn token(reply: &Reply, scope: &str) -> Result<TokenResponse, Failure> {
    let fields = reply.fields()?;
    let text = |name| fields.get(name).and_then(Value::as_str);
    let token = text("access_token").filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| reply.unreadable("no access_token"))?;
    let token = reply::token(token).map_err(|problem| reply.unreadable(format!("an access_token {problem}")))?;
    if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        let detail = format!("the issuer answered HTTP {} with a token that is not of the type bearer", reply.status);
        return Err(reply.failure(FailureKind::Rejected, detail));
    }
    let expires_in = fields.get("expires_in").filter(|value| !value.is_null());
    let reported = expires_in.map(|value| reply::lifetime(Some(value))).transpose();
    let reported = reported.map_err(|_| reply.unreadable("an expires_in that is not a number"))?;
    Ok(TokenResponse {
        token,
        refresh_token: None,
        lifetime: reported.unwrap_or(Lifetime::Seconds(ASSUMED_SECONDS)),
        omissions: Omissions { lifetime: reported.is_none(), scopes: not_granted(scope, text("scope")) },
        date: reply.date,
    })
}

/// The scopes asked for that the issuer's own list lacks; without such a list all are granted.
fn not_granted(asked: &str, granted: Option<&str>) -> Vec<String> {
    let Some(granted) = granted else { return Vec::new() };
    let granted: Vec<_> = granted.split_ascii_whitespace().collect();
    asked.split_ascii_whitespace().filter(|scope| !granted.contains(scope)).map(str::to_owned).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use FailureKind::{Rejected, Unavailable};
    use std::collections::BTreeMap;

    fn client() -> ClientCredentials {
        ClientCredentials {
            endpoint: "https://e/token".into(),
            client_id: Redacted::new("id:+ ü"),
            client_secret: Redacted::new("s%&=/"),
            authentication: ClientAuthentication::Basic,
            scope: "a b".into(),
            audience: None,
            endpoint_params: BTreeMap::new(),
            shared_by: Redacted::new("id"),
        }
    }

    fn text(body: Body) -> String {
        String::from_utf8(body.0).unwrap()
    }

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, date: None, retry_after: None, body: Ok(Body(body.as_bytes().to_vec())) }
    }

    fn read(fields: &str) -> Result<TokenResponse, Failure> {
        let body = format!(r#"{{"access_token":"t","token_type":"Bearer"{fields}}}"#);
        read_response(&reply(200, &body), "a b")
    }

    fn failed(status: u16, body: &str) -> Failure {
        let failure = read_response(&reply(status, body), "a").unwrap_err();
        assert!(failure.detail.contains(&status.to_string()), "{failure}");
        assert!(!format!("{failure} {failure:?}").contains("CANARY"), "{failure}");
        failure
    }

    #[test]
    fn basic_authentication_encodes_id_and_secret_before_it_joins_them() {
        let header = basic(&client());
        let encoded = header.expose().strip_prefix("Basic ").unwrap();
        assert_eq!(STANDARD.decode(encoded).unwrap(), b"id%3A%2B+%C3%BC:s%25%26%3D%2F");
        let message = client().message(Url::parse("https://e/token").unwrap());
        assert_eq!(message.method, Method::Post);
        assert!(!format!("{message:?}").contains("Basic"), "{message:?}");
        assert_eq!(message.content.as_ref().unwrap().media_type(), "application/x-www-form-urlencoded");
        assert_eq!(text(message.content.unwrap().into_body()), "grant_type=client_credentials&scope=a+b");
        // RFC 6749 names no test values; these are of RFC 7617.
        let plain = ClientCredentials {
            client_id: Redacted::new("Aladdin"),
            client_secret: Redacted::new("open sesame"),
            ..client()
        };
        assert_eq!(STANDARD.decode(&basic(&plain).expose()[6..]).unwrap(), b"Aladdin:open+sesame");
    }

    #[test]
    fn a_form_holds_the_credentials_only_where_they_are_to_be_in_the_body() {
        let endpoint_params = [("validity_period", "900"), ("x", "& =")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let in_body = ClientCredentials {
            authentication: ClientAuthentication::Body,
            audience: Some("https://api/".into()),
            endpoint_params: endpoint_params.into(),
            ..client()
        };
        let message = in_body.message(Url::parse("https://e/token").unwrap());
        assert_eq!(message.authorization, None);
        assert_eq!(
            text(message.content.unwrap().into_body()),
            "grant_type=client_credentials&client_id=id%3A%2B+%C3%BC&client_secret=s%25%26%3D%2F&scope=a+b\
             &audience=https%3A%2F%2Fapi%2F&validity_period=900&x=%26+%3D"
        );
        let bare = ClientCredentials { scope: String::new(), ..client() };
        assert_eq!(text(form(&bare)), "grant_type=client_credentials");
    }

    #[test]
    fn a_lifetime_is_a_number_or_a_text_and_absurd_ones_mean_never() {
        for form in ["900", "900.0", r#""900""#, r#"" 900 ""#] {
            let read = read(&format!(r#","expires_in":{form}"#)).unwrap();
            assert_eq!((read.lifetime, read.omissions.lifetime), (Lifetime::Seconds(900), false), "{form}");
        }
        for form in ["9223372036854775", "9223372036854775807", r#""9223372036854775""#, "3155760001"] {
            assert_eq!(read(&format!(r#","expires_in":{form}"#)).unwrap().lifetime, Lifetime::Never, "{form}");
        }
        for form in ["0", "-1"] {
            assert_eq!(read(&format!(r#","expires_in":{form}"#)).unwrap().lifetime, Lifetime::Seconds(0), "{form}");
        }
        for form in [r#""soon""#, "true", "[900]"] {
            assert_eq!(read(&format!(r#","expires_in":{form}"#)).unwrap_err().kind, Unavailable, "{form}");
        }
    }

    #[test]
    fn a_lifetime_that_is_not_reported_is_assumed() {
        for fields in ["", r#","expires_in":null"#] {
            let read = read(fields).unwrap();
            assert_eq!((read.lifetime, read.omissions.lifetime), (Lifetime::Seconds(300), true));
        }
    }

    #[test]
    fn scopes_that_were_not_granted_are_known_and_further_ones_are_not() {
        let missing = |fields: &str| read(fields).unwrap().omissions.scopes;
        assert!(missing("").is_empty() && missing(r#","scope":"b c a""#).is_empty());
        assert_eq!(missing(r#","scope":"a""#), ["b"]);
        assert_eq!(missing(r#","scope":"default""#), ["a", "b"]);
        assert_eq!(missing(r#","scope":"""#), ["a", "b"]);
    }

    #[test]
    fn only_a_bearer_token_that_a_header_can_carry_is_a_token() {
        for kind in ["bearer", "BEARER", "Bearer"] {
            let body = format!(r#"{{"access_token":"t","token_type":"{kind}"}}"#);
            assert_eq!(read_response(&reply(200, &body), "").unwrap().token.expose(), "t");
        }
        for body in [r#"{"access_token":"t","token_type":"CANARY"}"#, r#"{"access_token":"CANARY"}"#] {
            assert_eq!(failed(200, body).kind, Rejected, "{body}");
        }
        for body in [
            "{}",
            "CANARY",
            r#"{"access_token":"","token_type":"bearer"}"#,
            r#"{"access_token":"CANARY CANARY","token_type":"bearer"}"#,
            r#"{"access_token":7,"token_type":"bearer"}"#,
        ] {
            assert_eq!(failed(200, body).kind, Unavailable, "{body}");
        }
    }

    #[test]
    fn a_code_of_the_rfc_is_repeated_with_what_to_do_and_nothing_else_of_the_body() {
        for (code, remedy) in REFUSALS {
            let body = format!(r#"{{"error":"{code}","error_description":"CANARY","error_uri":"CANARY"}}"#);
            for status in [400, 401, 403, 200] {
                let failure = failed(status, &body);
                assert_eq!(failure.kind, Rejected, "{code}");
                assert!(failure.detail.contains(code) && failure.detail.contains(remedy), "{failure}");
            }
        }
        for body in [r#"{"error":"CANARY"}"#, r#"{"error":{"CANARY":1}}"#, "<html>CANARY</html>", ""] {
            assert_eq!(failed(400, body).kind, Rejected, "{body}");
        }
    }

    #[test]
    fn an_outage_is_the_endpoints_whatever_the_code() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(failed(status, r#"{"error":"invalid_client","error_description":"CANARY"}"#).kind, Unavailable);
            assert_eq!(failed(status, "<html>CANARY</html>").kind, Unavailable);
        }
        let busy = failed(400, r#"{"error":"temporarily_unavailable"}"#);
        assert!(busy.kind == Unavailable && busy.detail.contains("temporarily_unavailable"), "{busy}");
        assert_eq!(failed(302, "").kind, Rejected);
    }
}
