//! The contents of a token Secret: rendered from the spec and the token, and measured before.

use super::DesiredSecrets;
use super::owner::annotation;
use crate::api::{EXPIRATION_TIME_KEY, SyniverseToken};
use crate::fingerprint::fingerprint;
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use crate::state::{ManagedFields, TokenRecord};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube_core::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};

/// The fingerprint of the token in a token Secret.
pub(super) const FINGERPRINT: &str = "syniverse.dev/fingerprint";
/// When that token was issued, RFC 3339.
pub(super) const ISSUE_TIME: &str = "syniverse.dev/issue-time";
/// When it expires, RFC 3339; absent when never.
pub(super) const EXPIRATION_TIME: &str = "syniverse.dev/expiration-time";
/// Expiries of the same token that differ by less than this many seconds are the same.
const SAME_EXPIRY_SECONDS: i64 = 30;
/// The largest token Secret, in bytes of keys and values: a quarter of what the API server stores.
const LARGEST: usize = 256 * 1024;
/// The bytes of a moment as [`rfc3339`] writes it.
const TIME_LENGTH: usize = 20;

/// Everything that we write to a token Secret, besides the marks of ownership.
pub(super) struct Content {
    data: BTreeMap<String, ByteString>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl Content {
    pub(super) fn of(desired: DesiredSecrets<'_>, record: &TokenRecord, read: Option<&Secret>) -> Self {
        let resource = desired.resource;
        let spec = resource.spec.secret.as_ref();
        // Data changes only with the token: it holds the original expiry of the token.
        let born_to_expire = record.first_expiration_time.map(rfc3339);
        let mut data = BTreeMap::from([(resource.spec.key().to_owned(), bytes(record.token.expose()))]);
        data.extend(born_to_expire.as_deref().map(|time| (EXPIRATION_TIME_KEY.to_owned(), bytes(time))));
        for (key, template) in spec.iter().flat_map(|spec| &spec.template) {
            let text = render(template, record.token.expose(), born_to_expire.as_deref().unwrap_or_default());
            data.insert(key.clone(), ByteString(text.into_bytes()));
        }
        let mut annotations = desired.annotations();
        annotations.extend(times(record, read));
        Self { data, labels: desired.labels(), annotations }
    }

    /// Replaces what we wrote before; entries of others stay.
    pub(super) fn put(self, secret: &mut Secret, managed: &ManagedFields) {
        replace(secret.data.get_or_insert_default(), self.data, &managed.keys);
        replace(secret.labels_mut(), self.labels, &managed.labels);
        replace(secret.annotations_mut(), self.annotations, &managed.annotations);
    }
}

/// Adds `desired` to `all`, and removes entries of `written` that are no longer wanted.
pub(super) fn replace<V>(all: &mut BTreeMap<String, V>, wanted: BTreeMap<String, V>, written: &BTreeSet<String>) {
    all.retain(|name, _| wanted.contains_key(name) || !written.contains(name));
    all.extend(wanted);
}

/// The names of all entries that the spec wants in the Secrets while `record` is the active token; labels are on both
/// Secrets, also before the first token.
pub fn desired_names(desired: DesiredSecrets<'_>, record: Option<&TokenRecord>) -> ManagedFields {
    let (resource, labels) = (desired.resource, names(&desired.labels()));
    let Some(record) = record else { return ManagedFields { labels, ..ManagedFields::default() } };
    let templates = resource.spec.secret.as_ref().map(|spec| names(&spec.template)).unwrap_or_default();
    let annotations = names(&desired.annotations());
    let when = |known: Option<Timestamp>, name: &str| known.map(|_| name.to_owned());
    let keys = [Some(resource.spec.key().to_owned()), when(record.first_expiration_time, EXPIRATION_TIME_KEY)];
    let times =
        [Some(FINGERPRINT.to_owned()), Some(ISSUE_TIME.to_owned()), when(record.expiration_time, EXPIRATION_TIME)];
    ManagedFields {
        keys: templates.into_iter().chain(keys.into_iter().flatten()).collect(),
        labels,
        annotations: annotations.into_iter().chain(times.into_iter().flatten()).collect(),
    }
}

/// The names of all that is in the Secrets now.
pub fn present_names(token: Option<&Secret>, state: Option<&Secret>) -> ManagedFields {
    let labels = |secret: Option<&Secret>| secret.map(|secret| names(secret.labels())).unwrap_or_default();
    ManagedFields {
        keys: token.and_then(|token| token.data.as_ref()).map(names).unwrap_or_default(),
        labels: &labels(token) | &labels(state),
        annotations: token.map(|token| names(token.annotations())).unwrap_or_default(),
    }
}

fn names<V>(map: &BTreeMap<String, V>) -> BTreeSet<String> {
    map.keys().cloned().collect()
}

/// The annotations about the token. A correction of the same token's expiry by less than 30 s is not worth a write.
fn times(record: &TokenRecord, read: Option<&Secret>) -> Vec<(String, String)> {
    let name = fingerprint(&record.token);
    let shown = read.filter(|read| annotation(read, FINGERPRINT) == Some(&name));
    let shown = shown.and_then(|read| annotation(read, EXPIRATION_TIME)).and_then(|text| text.parse().ok());
    let expires = record.expiration_time.map(|time| shown_expiry(time, shown));
    let expires = expires.map(|time| (EXPIRATION_TIME.to_owned(), rfc3339(time)));
    let always = [(FINGERPRINT.to_owned(), name), (ISSUE_TIME.to_owned(), rfc3339(record.issue_time))];
    always.into_iter().chain(expires).collect()
}

/// `shown` for as long as the same token's true expiry is within 30 s of it.
pub fn shown_expiry(expires: Timestamp, shown: Option<Timestamp>) -> Timestamp {
    let near = |shown: &Timestamp| (expires.as_second() - shown.as_second()).abs() < SAME_EXPIRY_SECONDS;
    shown.filter(near).unwrap_or(expires)
}

/// RFC 3339 in UTC, whole seconds.
pub fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

/// Why `token`, with this expiry, would exceed the size limit of a Secret, if it would. Nothing is rendered for that.
pub fn too_large(resource: &SyniverseToken, token: &Redacted, expires: bool) -> Option<Finding> {
    let (name, length) = (resource.secret_name(), token.expose().len());
    let size = rendered_size(resource, length, if expires { TIME_LENGTH } else { 0 });
    (size > LARGEST).then(|| {
        let message = format!(
            "Secret {name} would hold {size} bytes with a token of {length} bytes, but the limit is {LARGEST}: \
             shorten spec.secret.template"
        );
        Finding::new(Reason::SecretTooLarge, message)
    })
}

fn rendered_size(resource: &SyniverseToken, token_length: usize, time_length: usize) -> usize {
    let templates = resource.spec.secret.iter().flat_map(|spec| &spec.template);
    let rendered = |template: &str| -> usize {
        pieces(template)
            .map(|piece| match piece {
                Piece::Text(text) => text.len(),
                Piece::Token => token_length,
                Piece::ExpirationTime => time_length,
            })
            .fold(0, usize::saturating_add)
    };
    let own = resource.spec.key().len() + token_length + EXPIRATION_TIME_KEY.len() + time_length;
    templates.map(|(key, template)| key.len() + rendered(template)).fold(own, usize::saturating_add)
}

/// Replaces `$(token)` and `$(expirationTime)`, and nothing else, in one pass: what comes out is not read again.
fn render(template: &str, token: &str, expiration_time: &str) -> String {
    pieces(template)
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Token => token,
            Piece::ExpirationTime => expiration_time,
        })
        .collect()
}

/// A piece of a template.
enum Piece<'a> {
    Text(&'a str),
    Token,
    ExpirationTime,
}

fn pieces(mut rest: &str) -> impl Iterator<Item = Piece<'_>> {
    std::iter::from_fn(move || {
        let (piece, length) = match rest {
            "" => return None,
            text if text.starts_with("$(token)") => (Piece::Token, "$(token)".len()),
            text if text.starts_with("$(expirationTime)") => (Piece::ExpirationTime, "$(expirationTime)".len()),
            text => {
                let length =
                    text.char_indices().skip(1).find(|(_, letter)| *letter == '$').map_or(text.len(), |(at, _)| at);
                (Piece::Text(&text[..length]), length)
            }
        };
        rest = &rest[length..];
        Some(piece)
    })
}
