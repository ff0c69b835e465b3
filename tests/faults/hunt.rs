//! Searches what a run left behind for values that must stay secret, in every form in which they could show.

use std::collections::BTreeSet;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What a run left behind: texts, each with the place where it was found.
#[derive(Default)]
pub(crate) struct Evidence {
    pieces: Vec<(String, String)>,
}

impl Evidence {
    /// Adds a text and where it was found.
    pub(crate) fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.pieces.push((place.into(), text.into()));
    }

    /// How much there is to search, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(|(_, text)| text.len()).sum()
    }

    /// The places where one of `secrets` shows, with what it looks like there.
    pub(crate) fn leaks<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        let forms: Vec<_> = secrets.into_iter().flat_map(forms).collect();
        let shows = |place: &str, text: &str| {
            let found: Vec<_> = forms.iter().filter(|form| text.contains(*form)).cloned().collect();
            found.into_iter().map(|form| format!("{place}: {form}")).collect::<Vec<_>>()
        };
        self.pieces.iter().flat_map(|(place, text)| shows(place, text)).collect()
    }
}

/// A value as it is, percent-encoded in both manners, and as base64 of any text that it is a part of.
fn forms(value: &str) -> BTreeSet<String> {
    let plus = percent_encoded(value).replace("%20", "+");
    let mut forms = BTreeSet::from([value.to_owned(), percent_encoded(value), plus]);
    forms.extend((0..3).map(|shift| base64_inside(value, shift)));
    forms
}

fn percent_encoded(value: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(encoded).collect()
}

/// The digits that `value` always becomes when `shift` (modulo 3) bytes stand before it; those that depend on its
/// neighbours are left out.
fn base64_inside(value: &str, shift: usize) -> String {
    let bits: Vec<bool> = std::iter::repeat_n(0, shift)
        .chain(value.bytes())
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
        .collect();
    let digit = |bits: &[bool]| bits.iter().fold(0, |number, bit| number << 1 | usize::from(*bit));
    let digits = bits.chunks_exact(6).map(|bits| char::from(DIGITS[digit(bits)]));
    digits.skip((shift * 8).div_ceil(6)).collect()
}

#[test]
fn a_planted_value_is_found_in_every_form() {
    let secret = "canary &+/ value";
    for planted in [
        "before canary &+/ value after",
        "consumersecret=canary%20%26%2B%2F%20value&validity=60",
        "consumersecret=canary+%26%2B%2F+value&validity=60",
        // What stands before it moves the digits: "", "x", "xy", "xyz".
        "Y2FuYXJ5ICYrLyB2YWx1ZQ==",
        "eGNhbmFyeSAmKy8gdmFsdWU=",
        "eHljYW5hcnkgJisvIHZhbHVl",
        "eHl6Y2FuYXJ5ICYrLyB2YWx1ZQ==",
    ] {
        let mut evidence = Evidence::default();
        evidence.add("log", planted);
        assert!(!evidence.leaks([secret]).is_empty(), "{planted}");
        assert!(evidence.leaks(["another value"]).is_empty(), "{planted}");
    }
}
