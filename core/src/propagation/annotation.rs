//! What is written to Pods and templates: `SECRET=FINGERPRINT`, with a comma between several Secrets.

use std::collections::BTreeMap;

/// Annotation of a Pod: the tokens in its mounted Secrets. The kubelet updates mounted files when it changes.
pub const TOKEN_ANNOTATION: &str = "syniverse.dev/token";
/// Annotation of the template of a workload: the tokens for which it was restarted.
pub const RESTART_ANNOTATION: &str = "syniverse.dev/token-restart";

/// Secrets named in one annotation; its owner may have written anything into it.
const MOST_SECRETS: usize = 32;

/// The annotation with this token; none if it says so already.
pub fn with_token(annotation: Option<&str>, secret: &str, fingerprint: &str) -> Option<String> {
    if has_token(annotation, secret, fingerprint) {
        return None;
    }
    let mut tokens: BTreeMap<_, _> =
        tokens(annotation).filter(|(name, _)| *name != secret).take(MOST_SECRETS).collect();
    tokens.insert(secret, fingerprint);
    Some(tokens.into_iter().map(|(secret, token)| format!("{secret}={token}")).collect::<Vec<_>>().join(","))
}

/// True when the annotation names this token.
pub fn has_token(annotation: Option<&str>, secret: &str, fingerprint: &str) -> bool {
    tokens(annotation).any(|token| token == (secret, fingerprint))
}

fn tokens(annotation: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let is_whole = |(secret, token): &(&str, &str)| {
        let is_name =
            secret.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
        is_name && !secret.is_empty() && token.len() == 8 && token.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    annotation.unwrap_or_default().split(',').filter_map(|token| token.split_once('=')).filter(is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_said_once_beside_those_of_other_secrets() {
        assert_eq!(with_token(None, "b", "ba7816bf").as_deref(), Some("b=ba7816bf"));
        assert_eq!(with_token(Some("b=ba7816bf"), "b", "ba7816bf"), None);
        assert_eq!(with_token(Some("b=ba7816bf"), "b", "00000000").as_deref(), Some("b=00000000"));
        assert_eq!(with_token(Some("b=ba7816bf"), "a.c", "00000000").as_deref(), Some("a.c=00000000,b=ba7816bf"));
    }

    #[test]
    fn what_is_not_ours_is_left_out_and_there_is_an_end_to_it() {
        let foreign = "x,=ba7816bf,A=ba7816bf,b=short,c=zzzzzzzz,d=ba7816bf";
        assert_eq!(with_token(Some(foreign), "e", "00000000").as_deref(), Some("d=ba7816bf,e=00000000"));
        let many = (0..1000).map(|number| format!("s{number}=ba7816bf")).collect::<Vec<_>>().join(",");
        assert_eq!(
            with_token(Some(&many), "z", "00000000").map(|said| said.split(',').count()),
            Some(MOST_SECRETS + 1)
        );
    }
}
