//! What the two Secrets are to look like: whose they are, and the next version of each, or none when nothing changes.

use crate::api::{ADOPT_ANNOTATION as ADOPT, DeletionPolicy, EXPIRATION_TIME_KEY, SyniverseToken};
use crate::fingerprint::fingerprint;
use crate::reason::{Finding, Reason};
use crate::redacted::Redacted;
use crate::state::{Inputs, Issued, State, Unreadable, Written};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};

/// Marks a Secret that we created under the policy Retain: only such a one gets an owner when the policy changes.
const CREATED_BY: &str = "syniverse.dev/created-by";
/// The fingerprint of the token in a token Secret.
const FINGERPRINT: &str = "syniverse.dev/fingerprint";
/// When that token was issued, RFC 3339.
const ISSUE_TIME: &str = "syniverse.dev/issue-time";
/// When it expires, RFC 3339; absent when never.
const EXPIRATION_TIME: &str = "syniverse.dev/expiration-time";
/// The data key of a state Secret.
const STATE_KEY: &str = "state.json";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Our name, as label value, field manager and Event source.
pub const OPERATOR: &str = "syniverse-token-operator";
/// Expiries of the same token that differ by less than this many seconds are the same.
const SAME_EXPIRY_SECONDS: i64 = 30;

/// The resource that a Secret belongs to.
#[derive(Clone, Debug)]
pub struct Owner {
    name: String,
    reference: OwnerReference,
    retain: bool,
}

impl Owner {
    /// The owner that `resource` is; none when it has no UID, which only an object never stored lacks.
    pub fn of(resource: &SyniverseToken) -> Option<Self> {
        let reference = OwnerReference { block_owner_deletion: None, ..resource.controller_owner_ref(&())? };
        let retain = resource.spec.deletion_policy == DeletionPolicy::Retain;
        Some(Self { name: resource.name_any(), reference, retain })
    }

    /// True when we created this Secret, or its maker consents to our writing it.
    pub fn may_write(&self, secret: &Secret) -> bool {
        match controller_of(secret) {
            Some(controller) => controller.uid == self.reference.uid,
            None => self.is_adopted(secret),
        }
    }

    /// True when a resource of our kind and name controls it that was deleted before we were made.
    fn is_of_a_former_life(&self, secret: &Secret) -> bool {
        controller_of(secret).is_some_and(|controller| {
            controller.uid != self.reference.uid
                && controller.kind == self.reference.kind
                && controller.name == self.reference.name
                && controller.api_version.split('/').next() == self.reference.api_version.split('/').next()
        })
    }

    fn is_adopted(&self, secret: &Secret) -> bool {
        annotation(secret, ADOPT) == Some(&self.name)
    }

    /// Marks as ours what we created; what was only lent to us keeps its owner.
    fn mark(&self, secret: &mut Secret, created: bool) {
        let created = created || controller_of(secret).is_some() || annotation(secret, CREATED_BY).is_some();
        if !created {
            return;
        }
        let owners = secret.owner_references_mut();
        owners.retain(|owner| owner.uid != self.reference.uid);
        if self.retain {
            secret.annotations_mut().insert(ADOPT.to_owned(), self.name.clone());
            secret.annotations_mut().insert(CREATED_BY.to_owned(), self.name.clone());
        } else {
            owners.push(self.reference.clone());
            secret.annotations_mut().remove(ADOPT);
            secret.annotations_mut().remove(CREATED_BY);
        }
    }
}

fn controller_of(secret: &Secret) -> Option<&OwnerReference> {
    secret.owner_references().iter().find(|owner| owner.controller == Some(true))
}

fn annotation<'a>(secret: &'a Secret, name: &str) -> Option<&'a String> {
    secret.annotations().get(name)
}

/// A write that brings a Secret to what it is to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// POST: fails when somebody else was first.
    Create(Secret),
    /// PUT of the object read, its resourceVersion included.
    Replace(Secret),
}

impl Write {
    /// The Secret as it is to be.
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Create(secret) | Self::Replace(secret) => secret,
        }
    }
}

/// Why `secret` must be left alone, if it must.
pub fn obstacle(owner: &Owner, secret: Option<&Secret>) -> Option<Finding> {
    let secret = secret?;
    let name = secret.name_any();
    if owner.is_of_a_former_life(secret) {
        let message =
            format!("Secret {name} belongs to a former SyniverseToken of this name: waiting until it is collected");
        return Some(Finding::new(Reason::Pending, message));
    }
    if !owner.may_write(secret) {
        return Some(Finding::new(Reason::SecretNotOwned, not_owned(&name, owner, secret)));
    }
    if secret.immutable == Some(true) {
        let message =
            format!("Secret {name} is immutable: delete it, or make a SyniverseToken whose Secrets have other names");
        return Some(Finding::new(Reason::SecretImmutable, message));
    }
    let kind = secret.type_.as_deref().unwrap_or("Opaque");
    (kind != "Opaque").then(|| {
        let message = format!("Secret {name} has the type {kind}, not Opaque: delete it, or make a SyniverseToken whose Secrets have other names");
        Finding::new(Reason::SecretWrongType, message)
    })
}

fn not_owned(name: &str, owner: &Owner, secret: &Secret) -> String {
    match controller_of(secret) {
        Some(other) => {
            format!(
                "Secret {name} belongs to {} {}: delete it there, or make a SyniverseToken whose Secrets have other names",
                other.kind, other.name
            )
        }
        None => format!(
            "Secret {name} exists and is not ours: delete it, or consent with the annotation {ADOPT}: {}",
            owner.name
        ),
    }
}

/// What is stored in a state Secret.
///
/// # Errors
/// When a newer version wrote it, or it holds something else.
pub fn read_state(secret: &Secret) -> Result<State, Unreadable> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(STATE_KEY)).ok_or(Unreadable::Garbled)?;
    State::from_bytes(&bytes.0)
}

/// The state Secret that holds `state`; none when the one read already does.
pub fn next_state(read: Option<&Secret>, name: &str, owner: &Owner, state: &State) -> Option<Write> {
    next(read, name, owner, |secret| {
        let data = secret.data.get_or_insert_default();
        data.insert(STATE_KEY.to_owned(), ByteString(state.to_bytes()));
    })
}

/// The token Secret that holds the active token of `state`; none when the one read already does, or there is no token.
pub fn next_token(read: Option<&Secret>, resource: &SyniverseToken, owner: &Owner, state: &State) -> Option<Write> {
    let issued = state.active_token()?;
    let wanted = Content::of(resource, issued, read);
    next(read, resource.secret_name(), owner, |secret| wanted.put(secret, &state.written))
}

fn next(read: Option<&Secret>, name: &str, owner: &Owner, fill: impl FnOnce(&mut Secret)) -> Option<Write> {
    let mut secret = read.cloned().unwrap_or_else(|| Secret {
        metadata: kube::api::ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    });
    owner.mark(&mut secret, read.is_none());
    secret.labels_mut().insert(MANAGED_BY.to_owned(), OPERATOR.to_owned());
    fill(&mut secret);
    drop_empty(&mut secret);
    match read {
        None => Some(Write::Create(secret)),
        Some(read) if *read != secret => Some(Write::Replace(secret)),
        Some(_) => None,
    }
}

/// An empty map and an absent one are the same to the API server: written as absent, so that they compare equal.
fn drop_empty(secret: &mut Secret) {
    let metadata = &mut secret.metadata;
    metadata.annotations.take_if(|annotations| annotations.is_empty());
    metadata.owner_references.take_if(|owners| owners.is_empty());
    secret.data.take_if(|data| data.is_empty());
}

/// The names of all that the spec wants in the token Secret for the active token of `state`.
pub fn wanted_names(resource: &SyniverseToken, issued: &Issued) -> Written {
    Content::of(resource, issued, None).names()
}

/// The names of all that is in `secret` now.
pub fn present_names(secret: Option<&Secret>) -> Written {
    let Some(secret) = secret else { return Written::default() };
    Written {
        keys: secret.data.as_ref().map(names).unwrap_or_default(),
        labels: names(secret.labels()),
        annotations: names(secret.annotations()),
    }
}

fn names<V>(map: &BTreeMap<String, V>) -> BTreeSet<String> {
    map.keys().cloned().collect()
}

/// All that we put into a token Secret beside the marks of ownership.
struct Content {
    data: BTreeMap<String, ByteString>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl Content {
    fn of(resource: &SyniverseToken, issued: &Issued, read: Option<&Secret>) -> Self {
        let spec = resource.spec.secret.as_ref();
        // Data changes only with the token: the expiry in it is the one the token was born with.
        let born_to_expire = issued.first_expiration_time.map(rfc3339);
        let mut data = BTreeMap::from([(resource.spec.key().to_owned(), bytes(issued.token.expose()))]);
        data.extend(born_to_expire.as_deref().map(|time| (EXPIRATION_TIME_KEY.to_owned(), bytes(time))));
        for (key, template) in spec.iter().flat_map(|spec| &spec.template) {
            let text = render(template, issued.token.expose(), born_to_expire.as_deref().unwrap_or_default());
            data.insert(key.clone(), bytes(&text));
        }
        let mut annotations = spec.map(|spec| spec.annotations.clone()).unwrap_or_default();
        annotations.extend(times(issued, read));
        Self { data, labels: spec.map(|spec| spec.labels.clone()).unwrap_or_default(), annotations }
    }

    fn names(&self) -> Written {
        Written { keys: names(&self.data), labels: names(&self.labels), annotations: names(&self.annotations) }
    }

    /// Replaces what we wrote before by what is wanted now; what others put there stays.
    fn put(self, secret: &mut Secret, written: &Written) {
        replace(secret.data.get_or_insert_default(), self.data, &written.keys);
        replace(secret.labels_mut(), self.labels, &written.labels);
        replace(secret.annotations_mut(), self.annotations, &written.annotations);
    }
}

fn replace<V>(all: &mut BTreeMap<String, V>, wanted: BTreeMap<String, V>, written: &BTreeSet<String>) {
    all.retain(|name, _| wanted.contains_key(name) || !written.contains(name));
    all.extend(wanted);
}

/// The annotations about the token. A correction of the same token's expiry by less than 30 s is not worth a write.
fn times(issued: &Issued, read: Option<&Secret>) -> Vec<(String, String)> {
    let name = fingerprint(&issued.token);
    let shown = read.filter(|read| annotation(read, FINGERPRINT) == Some(&name));
    let shown = shown.and_then(|read| annotation(read, EXPIRATION_TIME)).and_then(|text| text.parse().ok());
    let expires = issued.expiration_time.map(|time| shown_expiry(time, shown));
    let expires = expires.map(|time| (EXPIRATION_TIME.to_owned(), rfc3339(time)));
    let always = [(FINGERPRINT.to_owned(), name), (ISSUE_TIME.to_owned(), rfc3339(issued.issue_time))];
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

/// Replaces `$(token)` and `$(expirationTime)`, and nothing else, in one pass: what comes out is not read again.
fn render(template: &str, token: &str, expiration_time: &str) -> String {
    let mut out = String::with_capacity(template.len() + token.len());
    let mut rest = template;
    while let Some(at) = rest.find("$(") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (replacement, length) = match from {
            from if from.starts_with("$(token)") => (token, "$(token)".len()),
            from if from.starts_with("$(expirationTime)") => (expiration_time, "$(expirationTime)".len()),
            from => (&from[..2], 2),
        };
        out.push_str(replacement);
        rest = &from[length..];
    }
    out.push_str(rest);
    out
}

/// The text that a token Secret holds under `key`, if any.
pub fn token_in(secret: &Secret, key: &str) -> Option<Redacted> {
    let value = secret.data.as_ref()?.get(key)?;
    let text = std::str::from_utf8(&value.0).ok()?;
    (!text.is_empty()).then(|| Redacted::new(text))
}

/// The token that a token Secret holds, unless its annotations speak of another one: somebody has edited it then.
pub fn believed_token(secret: &Secret, key: &str) -> Option<Redacted> {
    let claimed = annotation(secret, FINGERPRINT);
    token_in(secret, key).filter(|token| claimed.is_none_or(|claimed| *claimed == fingerprint(token)))
}

/// The state that a token Secret alone still tells, when the token in it is the one its annotations speak of.
pub fn restore(secret: &Secret, key: &str, empty: State, application: String, inputs: Inputs) -> Option<State> {
    let token = token_in(secret, key).filter(|token| annotation(secret, FINGERPRINT) == Some(&fingerprint(token)))?;
    let time = |name: &str| annotation(secret, name).and_then(|text| text.parse::<Timestamp>().ok());
    let (issue_time, expires) = (time(ISSUE_TIME)?, time(EXPIRATION_TIME));
    let first_expires = token_in(secret, EXPIRATION_TIME_KEY).and_then(|text| text.expose().parse().ok()).or(expires);
    let lifetime = expires.map(|expires| expires.as_second().saturating_sub(issue_time.as_second()));
    let issued = Issued {
        token,
        refresh_token: None,
        ended: false,
        issue_time,
        expiration_time: expires,
        first_expiration_time: first_expires,
        lifetime_seconds: lifetime.and_then(|seconds| u64::try_from(seconds).ok()),
        asked_seconds: None,
        short_lived: false,
        checked: false,
        daily_check_time: None,
        previous: None,
    };
    Some(empty.restored(application, issued, inputs))
}
