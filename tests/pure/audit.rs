//! The audit log: its page `docs/audit.md` lists the fields and words that the types have.

use schemars::schema_for;
use serde_json::Value;
use std::fmt::Write;
use syniverse_token_core::issuer::{Cause, FailureKind};
use syniverse_token_operator::telemetry::audit::{AuditCause, AuditRecord, OUTCOMES_OF_WRITES, SUCCESS};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit.md");

/// One test, as all of it is one page.
#[test]
fn the_page_of_the_audit_log_lists_its_fields_and_words() {
    let mut table = "| field | type | |\n|---|---|---|\n".to_owned();
    let schema = schema_for!(AuditRecord).to_value();
    rows(&schema, &schema, "", &mut table);
    assert!(table.lines().count() > 15, "{table}");
    check("fields", &table);
    let mut actions = "| action | |\n|---|---|\n".to_owned();
    for action in schema["$defs"]["Action"]["oneOf"].as_array().unwrap() {
        let said = one_line(action["description"].as_str().unwrap());
        writeln!(actions, "| `{}` | {said} |", action["const"].as_str().unwrap()).unwrap();
    }
    check("actions", &actions);
    let own = [AuditCause::Repair, AuditCause::Content, AuditCause::Delivery].map(AuditCause::as_str);
    let causes: Vec<_> = Cause::ALL.map(Cause::as_str).into_iter().chain(own).collect();
    check("causes", &words(&causes));
    let calls: Vec<_> = [SUCCESS].into_iter().chain(FailureKind::ALL.map(FailureKind::as_str)).collect();
    check("call-outcomes", &words(&calls));
    check("write-outcomes", &words(&[&[SUCCESS][..], &OUTCOMES_OF_WRITES].concat()));
}

fn words(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ") + "\n"
}

/// A row for each field of `schema`, and of the objects in it.
fn rows(root: &Value, schema: &Value, path: &str, table: &mut String) {
    let properties = schema["properties"].as_object().unwrap();
    for (name, field) in properties {
        let path = format!("{path}{name}");
        let (is_optional, target) = match field["anyOf"].as_array() {
            Some(forms) => (true, resolved(root, &forms[0])),
            None => (field["type"].is_array(), resolved(root, field)),
        };
        let kind = match &target["type"] {
            Value::Array(forms) => forms[0].as_str().unwrap(),
            Value::String(kind) => kind,
            _ => "string",
        };
        let said = one_line(field["description"].as_str().unwrap_or_else(|| panic!("{path} is not described")));
        let absent = if is_optional { ", may be absent" } else { "" };
        writeln!(table, "| `{path}` | {kind}{absent} | {said} |").unwrap();
        if kind == "object" {
            rows(root, target, &format!("{path}."), table);
        }
    }
}

fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| &root["$defs"][name])
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What stands between the marks of this name, which `make docs` writes.
fn check(name: &str, wanted: &str) {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
    let (before, rest) = page.split_once(&open).unwrap_or_else(|| panic!("no {open}"));
    let (found, after) = rest.split_once(&close).unwrap_or_else(|| panic!("no {close}"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, format!("{before}{open}{wanted}{close}{after}")).unwrap();
    } else {
        assert!(found == wanted, "{PAGE} is out of date: run `make docs`");
    }
}
