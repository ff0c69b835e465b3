//! `docs/validation.md`, written from what the API server said.

use crate::cases::Case;
use serde_json::Value;
use std::fmt::Write;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/validation.md");

const INTRODUCTION: &str = "# What the API server refuses

A SyniverseToken is checked when it is created or changed, before the operator sees it. Each table shows a change to the
simplest resource, what the user sees, and a similar change that is accepted. `<a x 254>` stands for 254 times `a`.
`make docs` writes this page from the responses of a real API server; the tests try every line. Where a field is missing, too
long or of the wrong type, the API server adds that \"some validation rules were not checked\": more messages may follow once
that is corrected.

`spec.secret.name` cannot be changed later; its default, the resource's own name, counts as its value.
Unknown fields are dropped by the API server; `kubectl` rejects them.
";

const NOT_CHECKED: &str = "some validation rules were not checked";

/// The page as it grows.
pub(crate) struct Page {
    text: String,
    section: String,
}

impl Page {
    pub(crate) fn new() -> Self {
        Self { text: INTRODUCTION.to_owned(), section: String::new() }
    }

    /// Adds a line for a case and what the API server complained of.
    pub(crate) fn add(&mut self, case: &Case, causes: &[(String, String)]) {
        if self.section != case.section {
            self.section.clone_from(&case.section);
            let head = "| refused | what the user sees | accepted |\n|---|---|---|";
            write!(self.text, "\n## {}\n{head}\n", case.section).unwrap();
        }
        let causes = causes.iter().filter(|(_, message)| !message.contains(NOT_CHECKED));
        let mut told: Vec<_> = causes.map(|(field, message)| told(field, message)).collect();
        told.sort();
        let (refused, accepted) = (shown(&case.refused), shown(&case.accepted));
        writeln!(self.text, "| {refused} | {} | {accepted} |", told.join("<br>")).unwrap();
    }

    /// Compares, or with UPDATE_DOCS writes.
    pub(crate) fn compare_with_the_committed_one(&self) {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(PATH, &self.text).unwrap();
        }
        let committed = std::fs::read_to_string(PATH).unwrap_or_default();
        assert!(committed == self.text, "{PATH} is out of date: run `make docs`");
    }
}

fn told(field: &str, message: &str) -> String {
    let place = if field == "<nil>" { String::new() } else { format!("{field}: ") };
    cell(&format!("{place}{message}"))
}

/// A change as `field: value`, one for each value.
fn shown(change: &Value) -> String {
    let mut leaves = Vec::new();
    collect("", change, &mut leaves);
    leaves.sort();
    leaves.join("<br>")
}

fn collect(path: &str, value: &Value, leaves: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                collect(format!("{path}.{name}").trim_start_matches('.'), value, leaves);
            }
        }
        _ if path.is_empty() => leaves.push("the simplest resource".to_owned()),
        Value::Null => leaves.push(format!("`{path}` absent")),
        value => leaves.push(format!("`{path}: {}`", value.to_string().replace('|', "\\|"))),
    }
}

/// Text as the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}
