//! A token Secret that holds what the operator would create and nothing else: it is known without being read again.

use super::content::{Content, EXPIRATION_TIME, FINGERPRINT};
use super::owner::annotation;
use super::{DesiredSecrets, Owner, SecretWrite, next};
use crate::fingerprint::fingerprint;
use crate::state::State;
use k8s_openapi::api::core::v1::Secret;
use kube_core::{ObjectMeta, ResourceExt};

/// What cannot be derived from the resource and its state of a token Secret to which nobody else added anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTokenSecret {
    uid: Box<str>,
    version: Box<str>,
    /// Of the resource that shaped it.
    generation: Option<i64>,
    /// As its annotation says, which is left alone while the true expiry is near.
    expires: Option<Box<str>>,
}

impl KnownTokenSecret {
    /// What there is to know of `secret`; none where it differs from what the operator would create for `state`.
    pub fn of(secret: &Secret, desired: DesiredSecrets<'_>, owner: &Owner, state: &State) -> Option<Self> {
        let known = Self {
            uid: secret.uid()?.into_boxed_str(),
            version: secret.resource_version()?.into_boxed_str(),
            generation: desired.resource.metadata.generation,
            expires: annotation(secret, EXPIRATION_TIME).map(|text| text.as_str().into()),
        };
        let derived = known.secret(desired, owner, state)?;
        let mut read = secret.clone();
        // The API server keeps these over a write without them.
        (read.metadata.creation_timestamp, read.metadata.managed_fields) = (None, None);
        (read == derived).then_some(known)
    }

    /// The version of the Secret.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The Secret; none when the spec has changed since. `state` is that for which it was written.
    pub fn secret(&self, desired: DesiredSecrets<'_>, owner: &Owner, state: &State) -> Option<Secret> {
        let resource = desired.resource;
        let record = state.active_token().filter(|_| resource.metadata.generation == self.generation)?;
        let shown = self.expires.iter().map(|time| (EXPIRATION_TIME.to_owned(), time.as_ref().to_owned()));
        let shown = shown.chain([(FINGERPRINT.to_owned(), fingerprint(&record.token))]);
        let metadata = ObjectMeta { annotations: Some(shown.collect()), ..ObjectMeta::default() };
        let content = Content::of(desired, record, Some(&Secret { metadata, ..Secret::default() }));
        let write = next(None, resource.secret_name(), owner, |secret| content.put(secret, &state.written))?;
        let (SecretWrite::Create(mut secret) | SecretWrite::Replace(mut secret) | SecretWrite::TakeOver(mut secret)) =
            write;
        secret.metadata.namespace = resource.namespace();
        secret.metadata.uid = Some(self.uid.clone().into_string());
        secret.metadata.resource_version = Some(self.version.clone().into_string());
        Some(secret)
    }
}
