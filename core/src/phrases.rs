//! JSON in less room: what nearly every resource, status and state says takes a single byte.
//!
//! Thousands of such texts are kept, and read only when a pass begins. JSON holds no control character: those stand for
//! the phrases.

/// What is often said, what is longer and begins alike first. Nothing is kept beyond the life of a process, so that they
/// may be changed at will. No more than there are control characters but NUL.
const PHRASES: [&str; 31] = [
    r#""apiVersion":"syniverse.dev/v1alpha1","kind":"SyniverseToken","metadata":{"#,
    r#""creationTimestamp":""#,
    r#"","generation":"#,
    r#"","namespace":""#,
    r#"","resourceVersion":""#,
    r#"","uid":""#,
    r#""spec":{"application":{"credentials":{"secretRef":{"name":""#,
    r#""conditions":[{"lastTransitionTime":""#,
    r#""lastTransitionTime":""#,
    r#"","message":""#,
    r#"","observedGeneration":"#,
    r#""observedGeneration":"#,
    r#""reason":""#,
    r#"","status":"True","type":"Ready"}"#,
    r#"","status":"False","type":""#,
    r#""secretName":""#,
    r#"","fingerprint":""#,
    r#"","issueTime":""#,
    r#"","expirationTime":""#,
    r#"","nextRefreshTime":""#,
    r#"","firstExpirationTime":""#,
    r#"","lifetimeSeconds":"#,
    r#""askedSeconds":"#,
    r#"","active":""#,
    r#"":{"token":{"kind":"application","token":""#,
    r#""inputs":{"version":1,"hashes":{"consumerKey":""#,
    r#"","consumerSecret":""#,
    r#"","endpoint":""#,
    r#"","oldToken":""#,
    r#"","validity":""#,
    r#""written":{"keys":["accessToken","expirationTime"],"labels":[],"annotations":["syniverse.dev/expiration-time","syniverse.dev/fingerprint","syniverse.dev/issue-time"]}"#,
];

/// The same in less room. `json` is JSON on a single line, as it is written by default.
pub fn shorten(json: &str) -> String {
    let (mut short, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(quote) = rest.find('"') {
        let (before, quoted) = rest.split_at(quote);
        short.push_str(before);
        let said = (1..).map(char::from).zip(PHRASES).find(|(_, phrase)| quoted.starts_with(phrase));
        let (code, length) = said.map_or(('"', 1), |(code, phrase)| (code, phrase.len()));
        short.push(code);
        rest = &quoted[length..];
    }
    short.push_str(rest);
    short
}

/// The JSON that became `short`.
pub fn restore(short: &str) -> String {
    let mut json = String::with_capacity(4 * short.len());
    for part in short.split_inclusive(|character: char| character.is_ascii_control()) {
        let code = part.bytes().last().map(usize::from).filter(|code| *code < 32);
        match code.and_then(|code| PHRASES.get(code.wrapping_sub(1))) {
            Some(phrase) => {
                json.push_str(&part[..part.len() - 1]);
                json.push_str(phrase);
            }
            None => json.push_str(part),
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whatever_is_shortened_is_restored() {
        let phrases = PHRASES.concat();
        for text in [json!({"uid": "\u{1}\u{1f}\u{7f}ü\"", "fingerprint": ["", "\",\"uid\":\""]}).to_string(), phrases]
        {
            assert_eq!(restore(&shorten(&text)), text);
        }
        assert_eq!(shorten(&PHRASES.concat()).len(), PHRASES.len(), "none begins like one before it");
        assert_eq!(shorten(""), "");
    }
}
