//! The desired contents of the two Secrets: their owner, and the next version of each, or none when nothing changes.

use crate::api::{EXPIRATION_TIME_KEY, SyniverseToken};
use crate::fingerprint::fingerprint;
use crate::issuer::Kind;
use crate::redacted::Redacted;
use crate::secret_metadata::SecretMetadata;
use crate::state::{Inputs, ManagedFields, State, TokenRecord, Unreadable};
use content::{Content, EXPIRATION_TIME, FINGERPRINT, ISSUE_TIME};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube_core::ResourceExt;
use owner::annotation;
use std::collections::BTreeMap;

mod content;
mod echo;
mod known;
mod owner;

pub use content::{desired_names, present_names, rfc3339, shown_expiry, too_large};
pub use echo::repeats;
pub use known::KnownTokenSecret;
pub use owner::{OPERATOR, Owner, operator_post_params};

/// The data key of a state Secret.
const STATE_KEY: &str = "state.json";

/// A write that brings a Secret to its desired contents.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretWrite {
    /// POST: fails if the Secret exists by then.
    Create(Secret),
    /// PUT of the object read, its resourceVersion included.
    Replace(Secret),
    /// The same with another owner. Only while the resource exists: the garbage collector deletes Secrets of deleted
    /// resources.
    TakeOver(Secret),
}

impl SecretWrite {
    /// The desired Secret.
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Create(secret) | Self::Replace(secret) | Self::TakeOver(secret) => secret,
        }
    }
}

/// Reads the state from a state Secret.
///
/// # Errors
/// When a newer version wrote it, or it holds something else.
pub fn read_state(secret: &Secret) -> Result<State, Unreadable> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(STATE_KEY)).ok_or(Unreadable::Corrupt)?;
    State::from_bytes(&bytes.0)
}

/// The state Secret that holds `state`; none when the Secret that was read, with the state `stored`, already does: an
/// older format is rewritten only with the next response, so that an upgrade of the operator alone writes nothing.
///
/// It has the labels of the token Secret, because a cluster's rules about labels apply to all Secrets. It has none of
/// its annotations: some make other tools copy a Secret, and the state must not be copied.
pub fn next_state(
    read: Option<&Secret>,
    stored: Option<&State>,
    desired: DesiredSecrets<'_>,
    owner: &Owner,
    state: &State,
) -> Option<SecretWrite> {
    next(read, &desired.resource.state_secret_name(), owner, |secret| {
        if stored != Some(state) {
            let data = secret.data.get_or_insert_default();
            data.insert(STATE_KEY.to_owned(), ByteString(state.to_bytes()));
        }
        content::replace(secret.labels_mut(), desired.labels(), &state.written.labels);
    })
}

/// The requested Secrets of a resource, as far as the settings allow.
#[derive(Clone, Copy, Debug)]
pub struct DesiredSecrets<'a> {
    /// The resource.
    pub resource: &'a SyniverseToken,
    /// Which labels and annotations it may put on a Secret.
    pub metadata: &'a SecretMetadata,
}

impl DesiredSecrets<'_> {
    /// The labels of both Secrets.
    fn labels(&self) -> BTreeMap<String, String> {
        self.resource.spec.secret.as_ref().map(|spec| self.metadata.labels(spec)).unwrap_or_default()
    }

    /// The annotations of the token Secret, beside those about the token.
    fn annotations(&self) -> BTreeMap<String, String> {
        self.resource.spec.secret.as_ref().map(|spec| self.metadata.annotations(spec)).unwrap_or_default()
    }
}

/// The token Secret that holds the active token of `state`; none when the Secret that was read already does, or there
/// is no token.
pub fn next_token(
    read: Option<&Secret>,
    desired: DesiredSecrets<'_>,
    owner: &Owner,
    state: &State,
) -> Option<SecretWrite> {
    let record = state.active_token()?;
    let content = Content::of(desired, record, read);
    next(read, desired.resource.secret_name(), owner, |secret| content.put(secret, &state.written))
}

/// The token Secret with a placeholder token: a dry run shows whether the API server would accept the real Secret.
pub fn dry_run_write(
    read: Option<&Secret>,
    kind: Kind,
    desired: DesiredSecrets<'_>,
    owner: &Owner,
    now: Timestamp,
) -> Option<SecretWrite> {
    let record = TokenRecord::new(kind, Redacted::new("not-a-token"), now, Some(now));
    let content = Content::of(desired, &record, read);
    next(read, desired.resource.secret_name(), owner, |secret| content.put(secret, &ManagedFields::default()))
}

fn next(read: Option<&Secret>, name: &str, owner: &Owner, fill: impl FnOnce(&mut Secret)) -> Option<SecretWrite> {
    let mut secret = read.cloned().unwrap_or_else(|| Secret {
        metadata: kube_core::ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    });
    owner.mark(&mut secret, read.is_none());
    fill(&mut secret);
    drop_empty(&mut secret);
    match read {
        None => Some(SecretWrite::Create(secret)),
        Some(read) if *read == secret => None,
        Some(read) if read.owner_references() != secret.owner_references() => Some(SecretWrite::TakeOver(secret)),
        Some(_) => Some(SecretWrite::Replace(secret)),
    }
}

/// Empty and absent maps are the same to the API server: written as absent, so that they compare equal.
fn drop_empty(secret: &mut Secret) {
    let metadata = &mut secret.metadata;
    metadata.labels.take_if(|labels| labels.is_empty());
    metadata.annotations.take_if(|annotations| annotations.is_empty());
    metadata.owner_references.take_if(|owners| owners.is_empty());
    secret.data.take_if(|data| data.is_empty());
}

/// The text that a token Secret holds under `key`, if any.
pub fn token_in(secret: &Secret, key: &str) -> Option<Redacted> {
    let value = secret.data.as_ref()?.get(key)?;
    let text = std::str::from_utf8(&value.0).ok()?;
    (!text.is_empty()).then(|| Redacted::new(text))
}

/// The token in a token Secret, unless its annotations describe another token, after an edit by another writer.
pub fn believed_token(secret: &Secret, key: &str) -> Option<Redacted> {
    let claimed = annotation(secret, FINGERPRINT);
    token_in(secret, key).filter(|token| claimed.is_none_or(|claimed| *claimed == fingerprint(token)))
}

/// The credential that a token found in a token Secret is taken to be of.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Its identity.
    pub id: String,
    /// Its kind.
    pub kind: Kind,
    /// The inputs it was issued for, as far as they are known.
    pub inputs: Inputs,
}

/// The state that can be restored from a token Secret alone, if its annotations match its token.
pub fn restore(secret: &Secret, key: &str, empty: State, credential: Restored) -> Option<State> {
    let Restored { id, kind, inputs } = credential;
    let token = token_in(secret, key).filter(|token| annotation(secret, FINGERPRINT) == Some(&fingerprint(token)))?;
    let time = |name: &str| annotation(secret, name).and_then(|text| text.parse::<Timestamp>().ok());
    let (issue_time, expires) = (time(ISSUE_TIME)?, time(EXPIRATION_TIME));
    let first_expires = token_in(secret, EXPIRATION_TIME_KEY).and_then(|text| text.expose().parse().ok()).or(expires);
    let lifetime = expires.map(|expires| expires.as_second().saturating_sub(issue_time.as_second()));
    let record = TokenRecord {
        found: true,
        first_expiration_time: first_expires,
        lifetime_seconds: lifetime.and_then(|seconds| u64::try_from(seconds).ok()),
        ..TokenRecord::new(kind, token, issue_time, expires)
    };
    Some(empty.restored(id, record, inputs))
}
