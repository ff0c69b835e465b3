//! Removes members of JSON while it passes, and holds no more of it than a key.

use syniverse_token_core::api::READ_ANNOTATIONS;

/// The members of an object's metadata that are read, besides the annotation that requests a refresh.
const READ: [&str; 7] =
    ["name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"];
/// Longer than any key that is compared.
const LONGEST_KEY: usize = 64;

/// A filter for a list of objects, or for a sequence of watch events.
#[derive(Debug, Default)]
pub(super) struct JsonFilter {
    /// The containers around the current position, as far as their members are told apart.
    levels: Vec<Level>,
    at: Position,
    /// The beginning of the current key, as written.
    key: Vec<u8>,
    /// Bytes of the current document that were kept.
    length: usize,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    part: Part,
    is_empty: bool,
}

/// What a value is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A list or a watch event.
    Document,
    /// The objects of a list.
    Items,
    Object,
    Metadata,
    Annotations,
    /// Passed on as it is.
    Kept,
    Removed,
}

#[derive(Clone, Copy, Debug, Default)]
enum Position {
    /// Between the members of the innermost level, or between documents.
    #[default]
    Between,
    Key {
        is_escaped: bool,
    },
    /// Behind a key.
    Colon,
    /// In a value that is passed on or removed as a whole, so many containers deep.
    Value {
        is_kept: bool,
        depth: usize,
        text: Text,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

impl JsonFilter {
    /// Takes the next bytes, and returns what is left of them.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        // Grown as needed: what is returned is held until the response is complete.
        let mut kept = Vec::new();
        for &byte in bytes {
            let before = kept.len();
            self.take(byte, &mut kept);
            self.length += kept.len() - before;
        }
        kept
    }

    /// The bytes of the current document that were kept so far.
    pub(super) fn document_length(&self) -> usize {
        self.length
    }

    fn take(&mut self, byte: u8, kept: &mut Vec<u8>) {
        match self.at {
            Position::Between => self.between(byte, kept),
            Position::Key { is_escaped } => self.key(byte, is_escaped),
            Position::Colon if byte == b':' || byte.is_ascii_whitespace() => {}
            Position::Colon => self.begin_value(byte, kept),
            Position::Value { is_kept, depth, text } => self.value(byte, kept, is_kept, depth, text),
        }
    }

    fn between(&mut self, byte: u8, kept: &mut Vec<u8>) {
        match (byte, self.levels.last().map(|level| level.part)) {
            (b'"', Some(part)) if part != Part::Items => {
                self.key.clear();
                self.at = Position::Key { is_escaped: false };
            }
            (b'{', None) => {
                self.length = 0;
                self.open(byte, Part::Document, kept);
            }
            (b'{', Some(Part::Items)) => {
                self.separate(kept);
                self.open(byte, Part::Object, kept);
            }
            (b'}' | b']', Some(_)) => {
                kept.push(byte);
                self.levels.pop();
            }
            (_, None) => kept.push(byte),
            // Commas are written anew, as members are missing.
            _ => {}
        }
    }

    fn key(&mut self, byte: u8, is_escaped: bool) {
        if byte == b'"' && !is_escaped {
            self.at = Position::Colon;
            return;
        }
        if self.key.len() < LONGEST_KEY {
            self.key.push(byte);
        }
        self.at = Position::Key { is_escaped: byte == b'\\' && !is_escaped };
    }

    fn begin_value(&mut self, byte: u8, kept: &mut Vec<u8>) {
        let part = self.part();
        if part != Part::Removed {
            self.separate(kept);
            kept.push(b'"');
            kept.extend_from_slice(&self.key);
            kept.extend_from_slice(b"\":");
        }
        match (part, byte) {
            (Part::Items, b'[') | (Part::Object | Part::Metadata | Part::Annotations, b'{') => {
                self.open(byte, part, kept);
            }
            _ => self.value(byte, kept, part != Part::Removed, 0, Text::Outside),
        }
    }

    /// What the member with the current key is.
    fn part(&self) -> Part {
        let Some(level) = self.levels.last() else { return Part::Kept };
        match (level.part, self.key.as_slice()) {
            (Part::Document, b"items") => Part::Items,
            (Part::Document, b"object") => Part::Object,
            (Part::Object, b"metadata") => Part::Metadata,
            (Part::Metadata, b"annotations") => Part::Annotations,
            (Part::Metadata, key) if !READ.iter().any(|name| name.as_bytes() == key) => Part::Removed,
            (Part::Annotations, key) if !READ_ANNOTATIONS.iter().any(|name| name.as_bytes() == key) => Part::Removed,
            _ => Part::Kept,
        }
    }

    fn open(&mut self, byte: u8, part: Part, kept: &mut Vec<u8>) {
        kept.push(byte);
        self.levels.push(Level { part, is_empty: true });
        self.at = Position::Between;
    }

    fn separate(&mut self, kept: &mut Vec<u8>) {
        if let Some(level) = self.levels.last_mut()
            && !std::mem::take(&mut level.is_empty)
        {
            kept.push(b',');
        }
    }

    fn value(&mut self, byte: u8, kept: &mut Vec<u8>, is_kept: bool, depth: usize, text: Text) {
        let (depth, text) = match (text, byte) {
            (Text::Escaped, _) => (depth, Text::Inside),
            (Text::Inside, b'\\') => (depth, Text::Escaped),
            (Text::Inside, b'"') => (depth, Text::Outside),
            (Text::Inside, _) => (depth, Text::Inside),
            (Text::Outside, b'"') => (depth, Text::Inside),
            (Text::Outside, b'{' | b'[') => (depth + 1, Text::Outside),
            (Text::Outside, b'}' | b']' | b',') if depth == 0 => {
                self.at = Position::Between;
                return self.between(byte, kept);
            }
            (Text::Outside, b'}' | b']') => (depth - 1, Text::Outside),
            (Text::Outside, _) => (depth, Text::Outside),
        };
        if is_kept {
            kept.push(byte);
        }
        self.at = Position::Value { is_kept, depth, text };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// An object with everything that others may write into it.
    fn object() -> Value {
        json!({
            "kind": "SyniverseToken",
            "metadata": {
                "labels": {"a": "1", "metadata": "2"},
                "name": "n", "namespace": "m", "generateName": "g", "uid": "u", "resourceVersion": "7",
                "annotations": {"x": "\\\"},{[", "syniverse.dev/refresh": "a \"wish\" \\", "syniverse.dev/rejected": "word", "y\\\"": "z"},
                "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": null,
                "managedFields": [{"fieldsV1": {"f:metadata": {"f:labels": {}}}}], "ownerReferences": [], "finalizers": ["f"],
            },
            "spec": {"secret": {"labels": {"kept": "1"}, "metadata": {"labels": {"kept": "}"}}}, "items": [1, [2, {}]]},
        })
    }

    fn kept() -> Value {
        let mut object = object();
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.retain(|key, _| READ.contains(&key.as_str()) || key == "annotations");
        metadata["annotations"].as_object_mut().unwrap().retain(|key, _| READ_ANNOTATIONS.contains(&key.as_str()));
        object
    }

    fn list(object: Value) -> Value {
        json!({"kind": "List", "metadata": {"continue": "c", "resourceVersion": "9"}, "items": [object, {}, object]})
    }

    /// What is left of a text that comes in pieces of this size.
    fn filtered(text: &str, size: usize) -> String {
        let mut filter = JsonFilter::default();
        let kept = text.as_bytes().chunks(size).flat_map(|chunk| filter.push(chunk)).collect();
        String::from_utf8(kept).unwrap()
    }

    #[test]
    fn a_list_keeps_what_is_read_however_it_is_cut() {
        for text in [list(object()).to_string(), serde_json::to_string_pretty(&list(object())).unwrap()] {
            for size in 1..text.len() {
                let left: Value = serde_json::from_str(&filtered(&text, size)).unwrap();
                assert_eq!(left, list(kept()), "in pieces of {size}");
            }
        }
    }

    #[test]
    fn events_stay_lines() {
        let event = |object| json!({"object": object, "type": "ADDED"});
        let text = format!("{}\n{}\n", event(object()), event(json!({"metadata": null})));
        let left = filtered(&text, 5);
        let lines: Vec<Value> = left.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, [event(kept()), event(json!({"metadata": null}))]);
    }

    #[test]
    fn lists_without_members_and_other_documents_stay_as_they_are() {
        for text in [r#"{"items":[],"metadata":{}}"#, r#"{"items":null}"#, "[1,{\"items\":[]}]", "ok\n", "{}\n{}\n"] {
            assert_eq!(filtered(text, 3), text);
        }
    }

    #[test]
    fn the_length_is_that_of_the_document_so_far_without_what_was_removed() {
        let mut filter = JsonFilter::default();
        let labels = "x".repeat(10_000);
        let kept = filter.push(format!(r#"{{"items":[{{"metadata":{{"labels":"{labels}","name":"n""#).as_bytes());
        assert_eq!(filter.document_length(), kept.len());
        assert!(kept.len() < 100, "{}", kept.len());
        filter.push(b"}}]}\n{}");
        assert_eq!(filter.document_length(), 2);
    }
}
