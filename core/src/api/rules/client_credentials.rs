//! The rules for the fields of client credentials.

use super::{limit, limit_map, must};
use schemars::Schema;
use serde_json::json;

/// A scope-token of RFC 6749: printable ASCII without blanks, double quotes and backslashes.
const SCOPE: &str = r"^[!#-\\[\\]-~]+$";
/// The name of a form field.
const FIELD: &str = "^[A-Za-z0-9._-]+$";
/// The form fields that other fields of the spec set.
const OWN_FIELDS: &str = "['grant_type', 'scope', 'audience']";

/// The scopes asked for, each once.
pub(in crate::api) fn scopes(schema: &mut Schema) {
    limit(schema, "maxItems", 32);
    schema.insert("x-kubernetes-list-type".into(), "set".into());
    schema.insert("items".into(), json!({"type": "string", "maxLength": 256}));
    must(
        schema,
        &format!("self.all(scope, scope.matches('{SCOPE}'))"),
        "each scope must be printable ASCII without blanks, double quotes and backslashes",
    );
}

/// The rules between the fields of client credentials.
pub(in crate::api) fn client(schema: &mut Schema) {
    must(
        schema,
        "!has(self.standby) || has(self.standby.credentials) || !has(self.standby.scopes) || !has(self.scopes) \
         || self.standby.scopes != self.scopes",
        "standby must have other scopes or another client, not repeat the first",
    );
}

/// The rules between the fields of the standby.
pub(in crate::api) fn client_standby(schema: &mut Schema) {
    must(
        schema,
        "has(self.scopes) && size(self.scopes) > 0 || has(self.credentials)",
        "must set scopes or credentials",
    );
}

/// The audience.
pub(in crate::api) fn audience(schema: &mut Schema) {
    limit(schema, "maxLength", 1024);
}

/// Further form fields.
pub(in crate::api) fn endpoint_params(schema: &mut Schema) {
    limit_map(schema, 16, 1024);
    must(
        schema,
        &format!("self.all(k, k.size() <= 64 && k.matches('{FIELD}'))"),
        "each key must be the name of a form field: at most 64 letters, digits, '.', '_' and '-'",
    );
    must(
        schema,
        &format!("self.all(k, !(k in {OWN_FIELDS}) && !k.startsWith('client_'))"),
        "must not have grant_type, scope, audience or keys that begin with client_: other fields set them",
    );
}
