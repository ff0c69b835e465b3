//! Checks of pasted values: invisible characters around them, characters that cannot be meant, and likely mistakes.

use crate::redacted::Redacted;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::ops::RangeInclusive;

/// Invisible characters: format characters, fillers and tags of Unicode. Not the selectors U+FE00 to U+FE0F, which
/// belong to emoji.
const INVISIBLE: [RangeInclusive<char>; 17] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

/// Pairs that people, shells and word processors put around a value.
const QUOTES: [(char, char); 6] =
    [('"', '"'), ('\'', '\''), ('`', '`'), ('\u{201c}', '\u{201d}'), ('\u{2018}', '\u{2019}'), ('\u{ab}', '\u{bb}')];

/// Short text may be base64 of readable text by accident; of 9 random bytes, one value in ten thousand is.
const SHORTEST_BASE64: usize = 12;

/// The value without the white space and the invisible characters around it: an editor's byte order mark, a line break,
/// what was copied along from a web page.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Why the value cannot be meant, as a clause: the first such character and its place, never the value.
pub(super) fn flaw(text: &str) -> Option<String> {
    let is_flaw = |c: char| c.is_control() || is_invisible(c) || c.is_whitespace() && c != ' ';
    let (at, found) = text.char_indices().find(|(_, c)| is_flaw(*c))?;
    let kind = if found.is_control() { "a line break or another control character" } else { "an invisible character" };
    let place = match at {
        0 => "at its start",
        at if at + found.len_utf8() == text.len() => "at its end",
        _ => "inside",
    };
    Some(format!("holds {kind} (U+{:04X}) {place}", u32::from(found)))
}

/// A likely mistake in the value, as a clause, should the issuer refuse it. Only a guess: the value is sent all the
/// same.
pub(super) fn likely_mistake(text: &str) -> Option<&'static str> {
    if is_quoted(text) {
        return Some("is wrapped in quotes");
    }
    is_encoded_twice(text).then_some("looks base64-encoded twice")
}

fn is_invisible(c: char) -> bool {
    INVISIBLE.iter().any(|range| range.contains(&c))
}

fn is_quoted(text: &str) -> bool {
    let (mut inner, mut from_end) = (text.chars(), text.chars().rev());
    let ends = inner.next().zip(from_end.next());
    text.chars().nth(1).is_some() && ends.is_some_and(|ends| QUOTES.contains(&ends))
}

/// True when the text decodes to readable text. A random key can decode as well.
fn is_encoded_twice(text: &str) -> bool {
    let decoded = || Some(Redacted::new(String::from_utf8(STANDARD.decode(text).ok()?).ok()?));
    let is_readable = |text: &str| text.trim_end().bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    text.len() >= SHORTEST_BASE64 && decoded().is_some_and(|inner| is_readable(inner.expose()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const UNSEEN: [char; 12] = [
        '\u{feff}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{ad}',
        '\u{200e}',
        '\u{202e}',
        '\u{2066}',
        '\u{2060}',
        '\u{180e}',
        '\u{3164}',
        '\u{e0041}',
    ];

    #[test]
    fn what_nobody_sees_around_a_value_is_dropped() {
        for unseen in UNSEEN.into_iter().chain(['\u{a0}', '\u{3000}', '\u{2028}', '\n', ' ']) {
            assert_eq!(trimmed(&format!("{unseen}\r\n{unseen}va lue{unseen} ")), "va lue", "{unseen:?}");
        }
    }

    #[test]
    fn what_nobody_sees_inside_a_value_is_named() {
        for unseen in UNSEEN.into_iter().chain(['\u{a0}', '\u{3000}', '\u{2028}']) {
            let expected = format!("holds an invisible character (U+{:04X}) inside", u32::from(unseen));
            assert_eq!(flaw(&format!("va{unseen}lue")).unwrap(), expected);
        }
        assert_eq!(flaw("a\nb").unwrap(), "holds a line break or another control character (U+000A) inside");
        assert_eq!(flaw("\0b").unwrap(), "holds a line break or another control character (U+0000) at its start");
        assert_eq!(
            flaw("\u{fc}\u{7f}").unwrap(),
            "holds a line break or another control character (U+007F) at its end"
        );
    }

    #[test]
    fn what_can_be_seen_is_left_alone() {
        for text in
            ["", "a b", "p\u{e4}\u{df}w\u{f6}rt", "\u{5bc6}\u{7801}", "\u{1f600}", "\u{2764}\u{fe0f}", "\"\\'%&"]
        {
            assert_eq!((trimmed(text), flaw(text)), (text, None));
        }
    }

    #[test]
    fn quotes_around_the_whole_value_are_a_slip() {
        for text in ["\"v\"", "'v'", "`v`", "\u{201c}v\u{201d}", "''", "\"a\"b\""] {
            assert_eq!(likely_mistake(text), Some("is wrapped in quotes"), "{text}");
        }
        for text in ["\"", "'", "", "a'", "'a", "\"a'", "it's"] {
            assert_eq!(likely_mistake(text), None, "{text}");
        }
    }

    #[test]
    fn base64_of_something_that_can_be_read_is_a_slip() {
        for text in ["canary-consumer-secret", "e6e9b18a-6e62-38fb-9bd4-9aa82e93f654", "a secret\n", "12345678"] {
            assert_eq!(likely_mistake(&STANDARD.encode(text)), Some("looks base64-encoded twice"), "{text}");
            assert_eq!(likely_mistake(text), None, "{text}");
        }
    }

    /// As WSO2 makes them: 28 letters and digits, which can be decoded.
    #[test]
    fn a_random_key_is_none() {
        for text in ["Yx3Kq9TzB1mWcV7dLhR0aSgJ4uPe", "fHnaKsJt2ZDqkP4bVxUwoCEyLm9a", "abcdefghijkl", "MTIz"] {
            assert!(text.len() != 28 || STANDARD.decode(text).is_ok());
            assert_eq!(likely_mistake(text), None, "{text}");
        }
    }
}
