//! The CustomResourceDefinition: derived from the types, with the parts that the derive cannot express.

use super::{SyniverseToken, rules};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube_core::CustomResourceExt;
use serde_json::json;

/// The definition of the custom resource, complete as it is installed.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = SyniverseToken::crd();
    let schemas = crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
    schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()).for_each(finish);
    crd
}

/// The definition as YAML: what the `crd` subcommand prints and `crds/` holds.
///
/// # Errors
/// If the definition cannot be written as YAML, which no definition of this type does.
pub fn crd_yaml() -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(&crd())
}

/// Adds the rules at the root of the schema, and tidies the rest.
fn finish(root: &mut JSONSchemaProps) {
    tidy(root);
    root.x_kubernetes_validations = Some(rules::root());
    if let Some(status) = root.properties.as_mut().and_then(|fields| fields.get_mut("status")) {
        // kstatus takes a resource as in progress while this is not its generation.
        status.default = Some(JSON(json!({"observedGeneration": -1})));
    }
}

/// Makes a null the same as an absent field, and each paragraph of a description a single line.
///
/// The derive takes every `Option` for nullable; then a null would be stored, and a rule would see the field as set.
/// The lines of a doc comment would be broken once more by `kubectl explain`.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.description = schema.description.take().map(|text| text.replace('\n', " "));
    schema.properties.iter_mut().flat_map(|fields| fields.values_mut()).for_each(tidy);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = schema.items.as_mut() {
        tidy(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = schema.additional_properties.as_mut() {
        tidy(values);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_committed_crd_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/syniversetokens.syniverse.dev.yaml");
        let current = crd_yaml().unwrap();
        assert!(std::fs::read_to_string(path).unwrap_or_default() == current, "{path} is out of date: run `make crds`");
    }

    #[test]
    fn every_field_is_documented_and_has_a_type() {
        let root = schema();
        for section in ["spec", "status"] {
            visit(section, &root["properties"][section], &mut |path, schema| {
                assert!(schema["type"].is_string(), "{path} has no type");
                assert!(
                    schema["description"].as_str().is_some_and(|text| text.len() > 10),
                    "{path} has no description"
                );
            });
        }
    }

    #[test]
    fn everything_in_the_spec_is_limited_in_size() {
        visit("spec", &schema()["properties"]["spec"], &mut |path, schema| {
            let limit = match schema["type"].as_str() {
                Some("string") if schema["enum"].is_array() => return,
                Some("string") => "maxLength",
                Some("array") => "maxItems",
                Some("object") if schema["additionalProperties"].is_object() => "maxProperties",
                _ => return,
            };
            assert!(schema[limit].is_number(), "{path} has no {limit}");
        });
    }

    #[test]
    fn nothing_is_nullable() {
        assert!(!crd_yaml().unwrap().contains("nullable"));
    }

    fn schema() -> Value {
        let crd = serde_json::to_value(crd()).unwrap();
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
    }

    /// Calls `check` for a field and every field below it.
    fn visit(path: &str, schema: &Value, check: &mut dyn FnMut(&str, &Value)) {
        check(path, schema);
        for below in [schema, &schema["items"]] {
            for (name, field) in below["properties"].as_object().into_iter().flatten() {
                visit(&format!("{path}.{name}"), field, check);
            }
        }
    }
}
