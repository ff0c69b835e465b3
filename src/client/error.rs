//! Errors of requests to the API server, in words that can be shown.

use k8s_openapi::api::core::v1::Secret;
use kube::core::Status;
use kube::runtime::watcher;
use syniverse_token_core::secrets::repeats;

/// Longest text of the API server that is repeated, in characters.
const LONGEST_SENTENCE: usize = 512;

/// Describes an error of a request to the API server, without any body.
pub fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.is_forbidden() || status.is_invalid() => {
            one_line(up_to_denial(&status.message))
        }
        kube::Error::Api(status) => format!("HTTP {} {}", status.code, status.reason),
        kube::Error::SerdeError(_) => "the response could not be parsed".to_owned(),
        kube::Error::HyperError(_) | kube::Error::Service(_) => "the API server cannot be reached".to_owned(),
        _ => "the request could not be sent".to_owned(),
    }
}

/// Describes an error of a write in the API server's own words. They may be those of a policy or webhook, which has
/// seen the object: a message that repeats a value of `secrets` is cut to the words of the API server itself.
pub fn describe_write(error: &kube::Error, secrets: &[&Secret]) -> String {
    let kube::Error::Api(status) = error else { return describe(error) };
    let sentences = [status.message.as_str(), up_to_denial(&status.message)].map(one_line);
    let is_clean = |text: &String| !text.is_empty() && !secrets.iter().any(|secret| repeats(text, secret));
    sentences.into_iter().find(is_clean).unwrap_or_else(|| format!("HTTP {}", status.code))
}

/// True for a write that would fail again as it is: a policy, a webhook, a quota or the API server's own limits refuse
/// it. A missing right does not count: an API server that has just started refuses every request.
pub fn is_refused_as_it_stands(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    match status.code {
        _ if denial(&status.message).is_some() => true,
        403 => !is_missing_right(status),
        400 | 413 | 422 => true,
        // The message of etcd, which has a limit of its own.
        500 => status.message.contains("request is too large"),
        _ => false,
    }
}

/// In the words of the API server's authorizer: `secrets "x" is forbidden: User "y" cannot create resource …`.
fn is_missing_right(status: &Status) -> bool {
    status.message.contains("forbidden: User \"") && status.message.contains(" cannot ")
}

/// Position at which the words of an admission policy or webhook begin.
fn denial(message: &str) -> Option<usize> {
    ["denied the request", "denied request"].iter().find_map(|words| Some(message.find(words)? + words.len()))
}

fn up_to_denial(message: &str) -> &str {
    &message[..denial(message).unwrap_or(message.len())]
}

/// A single line of printable characters, of at most [`LONGEST_SENTENCE`].
fn one_line(text: &str) -> String {
    let is_shown = |letter: char| {
        !letter.is_control()
            && !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let words = text.split(|letter| !is_shown(letter) || letter.is_whitespace()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(LONGEST_SENTENCE).collect()
}

/// The HTTP status of a response that is an error.
pub fn status_of(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// True while the API server takes nothing: it cannot be reached, is overloaded or fails.
pub fn is_outage(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        kube::Error::SerdeError(_) => false,
        _ => true,
    }
}

/// True when the API server refuses to create anything because the namespace is being deleted.
pub fn is_namespace_ending(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.is_forbidden() && causes.any(|cause| cause.reason == "NamespaceTerminating")
}

/// Describes an error of a watch, in the words of [`describe`].
pub fn describe_watch(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => describe(error),
        WatchError(status) => describe(&kube::Error::Api(status.clone())),
        NoResourceVersion => "no resourceVersion in the response".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answered(code: u16, reason: &str, message: &str) -> kube::Error {
        let status = json!({"status": "Failure", "code": code, "reason": reason, "message": message});
        kube::Error::Api(serde_json::from_value::<Box<Status>>(status).unwrap())
    }

    fn written() -> Secret {
        serde_json::from_value(json!({"metadata": {"name": "s"}, "data": {"accessToken": "Y2FuYXJ5LXRva2Vu"}})).unwrap()
    }

    fn told(code: u16, message: &str) -> String {
        describe_write(&answered(code, "Forbidden", message), &[&written()])
    }

    #[test]
    fn a_policy_speaks_for_itself_unless_it_repeats_what_it_was_shown() {
        let denied = r#"admission webhook "team.example.com" denied the request"#;
        assert_eq!(told(403, &format!("{denied}: label team is missing")), format!("{denied}: label team is missing"));
        assert_eq!(told(403, &format!("{denied}: what is canary-token?")), denied);
        assert_eq!(told(403, &format!("{denied}: what is Y2FuYXJ5LXRva2Vu?")), denied);
        assert_eq!(told(500, "you wrote canary-token"), "HTTP 500");
        let unreachable = r#"Internal error occurred: failed calling webhook "team.example.com": no endpoints"#;
        assert_eq!(told(500, unreachable), unreachable);
        assert_eq!(told(503, ""), "HTTP 503");
    }

    #[test]
    fn a_sentence_is_one_printable_line_of_512_characters_at_most() {
        assert_eq!(told(422, " a\n\u{1b}[31m\u{202e}b\u{200b}c\t d\0"), "a [31m b c d");
        assert_eq!(told(422, &"é".repeat(2000)), "é".repeat(512));
    }

    #[test]
    fn what_cannot_succeed_as_it_stands_is_told_from_what_may_succeed_later() {
        for (code, message, is_refused) in [
            (
                422,
                r#"secrets "s" is forbidden: ValidatingAdmissionPolicy 'x' with binding 'y' denied request: no"#,
                true,
            ),
            (403, r#"secrets "s" is forbidden: exceeded quota: none, requested: count/secrets=1"#, true),
            (400, r#"admission webhook "x" denied the request without explanation"#, true),
            (409, r#"admission webhook "x" denied the request: no"#, true),
            (413, "Request entity too large: limit is 3145728", true),
            (422, r#"Secret "s" is invalid: data: Too long: may not be more than 1048576 bytes"#, true),
            (500, "etcdserver: request is too large", true),
            (403, r#"secrets is forbidden: User "u" cannot create resource "secrets" in API group """#, false),
            (500, r#"Internal error occurred: failed calling webhook "x": connection refused"#, false),
            (401, "Unauthorized", false),
            (409, "the object has been modified", false),
            (429, "too many requests", false),
            (504, "timed out", false),
        ] {
            assert_eq!(is_refused_as_it_stands(&answered(code, "Unknown", message)), is_refused, "{code} {message}");
        }
    }
}
