//! The chart's files agree with each other and with the repository. `make chart` writes those that are generated.

use crate::helm::CHART;
use crate::values::{documented, tables, undocumented};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};
use syniverse_token_core::api;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
const BEGIN: &str = "<!-- values -->\n";
const END: &str = "\n<!-- /values -->";

#[test]
fn the_definition_in_the_chart_is_that_of_the_code() {
    generated(&chart("files/syniversetokens.syniverse.dev.yaml"), &api::crd_yaml().unwrap());
}

#[test]
fn the_rules_in_the_chart_are_those_of_the_docs() {
    generated(&chart("files/alerts.yaml"), &docs("alerts.yaml"));
}

#[test]
fn each_alert_has_a_severity_words_and_a_runbook_that_the_index_lists() {
    let rules: Value = serde_saphyr::from_str(&docs("alerts.yaml")).unwrap();
    let index = docs("runbooks/README.md");
    let mut pages = BTreeSet::from(["README.md".to_owned()]);
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let (alert, severity) = (rule["alert"].as_str().unwrap(), rule["labels"]["severity"].as_str().unwrap());
        assert!(["critical", "warning"].contains(&severity) && rule["for"].is_string(), "{alert}");
        let said = |what: &str| rule["annotations"][what].as_str().unwrap().to_owned();
        assert!((1..120).contains(&said("summary").len()) && said("description").len() > 60, "{alert}");
        assert_eq!(said("runbook_url"), format!("docs/runbooks/{alert}.md"));
        let page = docs(&format!("runbooks/{alert}.md"));
        assert!(page.starts_with(&format!("# {alert}\n`{severity}` · ")), "{alert}");
        let sections: Vec<_> = page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(sections, ["## See why", "## Mend it", "## It is over"], "{alert}");
        assert!(page.contains("```sh\n"), "{alert}: no command");
        assert!(index.contains(&format!("| [{alert}]({alert}.md) | {severity} | ")), "{alert} in the index");
        pages.insert(format!("{alert}.md"));
    }
    let there = fs::read_dir(Path::new(DOCS).join("runbooks")).unwrap();
    let there: BTreeSet<_> = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, pages);
}

#[test]
fn the_tables_of_the_readme_are_current() {
    let readme = read("README.md");
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let tables = tables(&values(), &documented(&read("values.yaml")));
    generated(&chart("README.md"), &format!("{before}{BEGIN}{tables}{END}{after}"));
}

#[test]
fn every_value_is_documented() {
    let documented = documented(&read("values.yaml"));
    assert!(documented.len() >= 80, "{}", documented.len());
    assert_eq!(undocumented(&values(), &documented), [""; 0]);
}

#[test]
fn every_value_is_in_the_schema_and_the_schema_knows_no_other() {
    let mut differences = Vec::new();
    compare("", &values(), &schema(), &mut differences);
    // What a chart that depends on this one may set.
    assert_eq!(differences, ["not a value: enabled"]);
}

/// Where an object is open, its names are the user's own, or Kubernetes checks it.
#[test]
fn no_object_of_the_schema_takes_a_misspelt_name() {
    let mut open = BTreeSet::new();
    collect_open("", &schema(), &mut open);
    assert_eq!(open, BTreeSet::from(["/$defs/kubernetesObject", "/properties/global"].map(str::to_owned)));
}

#[test]
fn the_chart_and_the_operator_have_one_version() {
    let chart: Value = serde_saphyr::from_str(&read("Chart.yaml")).unwrap();
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

/// A generated file is as it should be; with `UPDATE_DOCS` it is made so.
pub(crate) fn generated(path: &Path, expected: &str) {
    if env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(path, expected).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "{} is out of date: make chart manifests", path.display());
}

fn compare(path: &str, value: &Value, schema: &Value, differences: &mut Vec<String>) {
    let schema = resolved(schema);
    let (Some(known), Some(fields)) = (schema["properties"].as_object(), value.as_object()) else { return };
    if is_a_choice(path) {
        return;
    }
    let names = known.keys().chain(fields.keys()).collect::<BTreeSet<_>>();
    for name in names {
        let path = format!("{path}.{name}").trim_start_matches('.').to_owned();
        match (fields.get(name), known.get(name)) {
            (Some(value), Some(schema)) => compare(&path, value, schema, differences),
            // A name that may not be used.
            (None, Some(schema)) if *schema == false => {}
            (None, _) => differences.push(format!("not a value: {path}")),
            (_, None) => differences.push(format!("not in the schema: {path}")),
        }
    }
}

/// Parts of Pods, whose defaults set a few of the fields that Kubernetes has.
fn is_a_choice(path: &str) -> bool {
    ["resources", "affinity", "dnsConfig", "podSecurityContext", "securityContext", "livenessProbe", "readinessProbe"]
        .contains(&path)
}

fn resolved(of: &Value) -> Value {
    match of["$ref"].as_str() {
        Some(reference) => schema().pointer(reference.trim_start_matches('#')).unwrap().clone(),
        None => of.clone(),
    }
}

fn collect_open(path: &str, schema: &Value, open: &mut BTreeSet<String>) {
    let closed = schema["additionalProperties"] == false || schema["additionalProperties"].is_object();
    if schema["type"] == "object" && !closed {
        open.insert(path.to_owned());
    }
    let fields = schema.as_object().into_iter().flatten().map(|(name, field)| (name.clone(), field));
    let items = schema.as_array().into_iter().flatten().enumerate().map(|(index, item)| (index.to_string(), item));
    for (name, below) in fields.chain(items) {
        collect_open(&format!("{path}/{name}"), below, open);
    }
}

fn schema() -> Value {
    serde_json::from_str(&read("values.schema.json")).unwrap()
}

fn values() -> Value {
    serde_saphyr::from_str(&read("values.yaml")).unwrap()
}

fn read(file: &str) -> String {
    fs::read_to_string(chart(file)).unwrap()
}

fn docs(file: &str) -> String {
    fs::read_to_string(Path::new(DOCS).join(file)).unwrap_or_else(|error| panic!("docs/{file}: {error}"))
}

fn chart(file: &str) -> PathBuf {
    Path::new(CHART).join(file)
}
