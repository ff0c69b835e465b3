//! Validation rules of the API server, with their messages. Each function adds the rules of one kind of value to its
//! schema. Strings, lists and maps are limited in size, because the API server accepts a rule only if it knows what
//! checking it can cost.

use super::reserved::{HELM_RELEASE_LABEL, RECOMMENDED_LABELS, keys_of};
use super::{EXPIRATION_TIME_KEY, STATE_SECRET_SUFFIX, duration};
use schemars::Schema;
use serde_json::{Value, json};

mod client_credentials;
mod root;

pub(super) use client_credentials::{audience, client, client_standby, endpoint_params, scopes};
pub(super) use root::root;

/// A DNS subdomain, as object names are.
const OBJECT_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// A key of a Secret's data; the API server also refuses `.`, `..` and what begins with `..`.
const DATA_KEY: &str = r"^\\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$";
/// A key of a label or annotation: a name of at most 63 characters, perhaps after a DNS subdomain and a slash.
const QUALIFIED_NAME: &str = concat!(
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?",
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
);
const LABEL_VALUE: &str = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";

/// The rules between the fields of the spec.
pub(super) fn spec(schema: &mut Schema) {
    must(
        schema,
        "[has(self.application), has(self.session), has(self.clientCredentials)].exists_one(x, x)",
        "exactly one of application, session and clientCredentials must be set",
    );
    let is_duration = |field: &str| format!("{field}.matches('{}')", duration::PATTERN);
    must(
        schema,
        &format!(
            "!has(self.refreshBefore) || !has(self.application) || !{} || !{} \
             || duration(self.application.validity) == duration('0s') \
             || duration(self.refreshBefore) + duration(self.refreshBefore) <= duration(self.application.validity)",
            is_duration("self.refreshBefore"),
            is_duration("self.application.validity"),
        ),
        "refreshBefore must be at most half of the validity",
    );
}

/// The rules between the fields of an application.
pub(super) fn application(schema: &mut Schema) {
    must(
        schema,
        "!has(self.standby) || self.standby.credentials.secretRef.name != self.credentials.secretRef.name \
         || self.standby.credentials.keys.consumerKey != self.credentials.keys.consumerKey",
        "standby must be a second application, not repeat credentials",
    );
}

/// The rules between the fields of the token Secret.
pub(super) fn token_secret(schema: &mut Schema) {
    must(
        schema,
        "!has(self.template) || !(self.key in self.template)",
        "template must not have the key that holds the token",
    );
}

/// The rules between the fields of a restart.
pub(super) fn restart(schema: &mut Schema) {
    must(
        schema,
        "(self.mode == 'Listed') == (has(self.workloads) && size(self.workloads) > 0) || self.mode == 'None'",
        "workloads is required for mode Listed and not allowed for mode Unaware",
    );
}

/// A duration that [`super::parse_duration`] reads.
pub(super) fn duration(schema: &mut Schema) {
    limit(schema, "maxLength", 32);
    let is_duration = format!("self.matches('{}')", duration::PATTERN);
    must(schema, &is_duration, "must be a duration such as 24h, 90m or 1h30m");
    must(
        schema,
        &format!("!{is_duration} || duration(self) <= duration('87600h')"),
        "must be at most 87600h, which is ten years",
    );
}

/// The URL of an issuer.
pub(super) fn endpoint(schema: &mut Schema) {
    limit(schema, "maxLength", 1024);
    must(
        schema,
        "isURL(self) && url(self).getHostname() != '' && (url(self).getScheme() == 'https' \
         || url(self).getScheme() == 'http' && url(self).getHostname() in ['localhost', '127.0.0.1', '::1'])",
        "must be an https URL (http only for localhost, 127.0.0.1 and ::1)",
    );
    must(
        schema,
        "!isURL(self) || url(self).getPort() == '' \
         || url(self).getPort().size() <= 5 && int(url(self).getPort()) <= 65535",
        "must have a port of at most 65535",
    );
    must(
        schema,
        r"!self.matches('[^!-~]|[@?#\\\\]')",
        "must not have a user, query, fragment, blanks, backslashes or non-ASCII characters",
    );
    // The host list holds for the place that the issuer's own server sees, whatever that decodes or folds.
    must(
        schema,
        "!self.matches('[%;]|//.*//|/[.][.]?(/|$)')",
        "must be plain: no '%' or ';', and no '.', '..' or empty segment in its path",
    );
}

/// The name of a Secret or workload.
pub(super) fn object_name(schema: &mut Schema) {
    limit(schema, "maxLength", 253);
    must(
        schema,
        &format!("self.matches('{OBJECT_NAME}')"),
        "must be the name of an object: lower case letters, digits, '-' and '.', with a letter or digit at both ends",
    );
}

/// The name of a Secret that credentials are read from. A name in a stored resource may stay as it is, as in
/// [`must_not_get`].
pub(super) fn credentials_name(schema: &mut Schema) {
    object_name(schema);
    let rule = format!("!self.endsWith('{STATE_SECRET_SUFFIX}') || oldSelf.hasValue() && oldSelf.value() == self");
    let message = format!(
        "must not end with {STATE_SECRET_SUFFIX}: such a Secret holds the tokens of a SyniverseToken, not credentials"
    );
    add_rule(schema, json!({"rule": rule, "message": message, "optionalOldSelf": true}));
}

/// A key of a Secret's data.
pub(super) fn data_key(schema: &mut Schema) {
    limit(schema, "maxLength", 253);
    must(
        schema,
        &format!("self.matches('{DATA_KEY}')"),
        "must be a key of a Secret: letters, digits, '-', '_' and '.'",
    );
}

/// The key that holds the token.
pub(super) fn token_key(schema: &mut Schema) {
    data_key(schema);
    must(
        schema,
        &format!("self != '{EXPIRATION_TIME_KEY}'"),
        &format!("must not be {EXPIRATION_TIME_KEY}, which is reserved for the expiry time"),
    );
}

/// Further keys of the token Secret: 16 of 16 KiB fit into a Secret even with four bytes a character.
pub(super) fn template(schema: &mut Schema) {
    limit_map(schema, 16, 16 * 1024 - 1024);
    must(
        schema,
        &format!("self.all(k, k.size() <= 253 && k.matches('{DATA_KEY}'))"),
        "each key must be a key of a Secret: at most 253 letters, digits, '-', '_' and '.'",
    );
    must(
        schema,
        &format!("!('{EXPIRATION_TIME_KEY}' in self)"),
        &format!("must not have the key {EXPIRATION_TIME_KEY}, which is reserved for the expiry time"),
    );
}

/// Labels of the token Secret.
pub(super) fn labels(schema: &mut Schema) {
    limit_map(schema, 32, 63);
    qualified_keys(schema);
    must(
        schema,
        &format!("self.all(k, self[k].matches('{LABEL_VALUE}'))"),
        "each value must be empty or letters, digits, '-', '_' and '.', with a letter or digit at both ends",
    );
    must(
        schema,
        "self.all(k, !k.startsWith('syniverse.dev/') && k != 'app.kubernetes.io/managed-by')",
        "must not have app.kubernetes.io/managed-by or keys that begin with syniverse.dev/: the operator sets them",
    );
    let recommended = RECOMMENDED_LABELS.map(|label| format!("'{label}'")).join(", ");
    must_not_get(
        schema,
        &format!("!(k in [{recommended}]) && k.matches('{}')", keys_of("Kubernetes")),
        "must not have keys of kubernetes.io, k8s.io or their subdomains, which are reserved for Kubernetes, except \
         app.kubernetes.io/name, instance, version, component and part-of",
    );
    let (key, value) = HELM_RELEASE_LABEL;
    must_not_get(
        schema,
        &format!("k == '{key}' && self[k] == '{value}' || k.matches('{}')", keys_of("Helm")),
        "must not have keys of helm.sh or its subdomains, nor owner: helm: Helm would treat the Secret as its own",
    );
    not_of_argo_cd(schema);
}

/// Annotations of the token Secret.
pub(super) fn annotations(schema: &mut Schema) {
    limit_map(schema, 32, 1024);
    qualified_keys(schema);
    must(
        schema,
        "self.all(k, !k.startsWith('syniverse.dev/'))",
        "must not have keys that begin with syniverse.dev/: the operator sets them",
    );
    must_not_get(
        schema,
        &format!("k.matches('{}')", keys_of("Kubernetes")),
        "must not have keys of kubernetes.io, k8s.io or their subdomains, which are reserved for Kubernetes",
    );
    must_not_get(
        schema,
        &format!("k.matches('{}')", keys_of("Helm")),
        "must not have keys of helm.sh or its subdomains: Helm would treat the Secret as its own",
    );
    not_of_argo_cd(schema);
}

fn not_of_argo_cd(schema: &mut Schema) {
    must_not_get(
        schema,
        &format!("k.matches('{}')", keys_of("Argo CD")),
        "must not have keys of argocd.argoproj.io or its subdomains: Argo CD would treat the Secret as its own",
    );
}

/// Workloads, each listed once.
pub(super) fn workloads(schema: &mut Schema) {
    limit(schema, "maxItems", 64);
    list_map(schema, &["kind", "name"]);
}

/// Conditions, one of each type.
pub(super) fn conditions(schema: &mut Schema) {
    limit(schema, "maxItems", 16);
    list_map(schema, &["type"]);
}

/// Restarted workloads.
pub(super) fn restarted(schema: &mut Schema) {
    limit(schema, "maxItems", 1024);
}

fn qualified_keys(schema: &mut Schema) {
    must(
        schema,
        &format!("self.all(k, k.size() <= 253 && k.matches('{QUALIFIED_NAME}'))"),
        "each key must be a name of at most 63 letters, digits, '-', '_' and '.', optionally after a domain and '/'",
    );
}

/// Adds a rule with the message for its violation.
fn must(schema: &mut Schema, rule: &str, message: &str) {
    add_rule(schema, json!({"rule": rule, "message": message}));
}

/// Adds a rule that no key `k` of a map is one of `those`. An entry of a stored resource may stay as it is: otherwise
/// Kubernetes 1.32 would no longer accept its status.
fn must_not_get(schema: &mut Schema, those: &str, message: &str) {
    let is_old = "oldSelf.hasValue() && k in oldSelf.value() && oldSelf.value()[k] == self[k]";
    let rule = format!("self.all(k, !({those}) || {is_old})");
    add_rule(schema, json!({"rule": rule, "message": message, "optionalOldSelf": true}));
}

fn add_rule(schema: &mut Schema, rule: Value) {
    let rules = schema.ensure_object().entry("x-kubernetes-validations").or_insert_with(|| json!([]));
    if let Value::Array(rules) = rules {
        rules.push(rule);
    }
}

fn limit(schema: &mut Schema, keyword: &str, most: u32) {
    schema.insert(keyword.into(), most.into());
}

fn limit_map(schema: &mut Schema, entries: u32, value_length: u32) {
    limit(schema, "maxProperties", entries);
    schema.insert("additionalProperties".into(), json!({"type": "string", "maxLength": value_length}));
}

fn list_map(schema: &mut Schema, keys: &[&str]) {
    schema.insert("x-kubernetes-list-type".into(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".into(), json!(keys));
}
