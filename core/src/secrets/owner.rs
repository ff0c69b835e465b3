//! Ownership of a Secret: ours, because we created it or may use it, or another's.

use crate::api::{ADOPT_ANNOTATION as ADOPT, DeletionPolicy, SyniverseToken};
use crate::reason::{Finding, Reason};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube_core::params::PostParams;
use kube_core::{Resource, ResourceExt};

/// Marks a Secret that we created, whatever happens to its owner references, with the name of its resource: only such a
/// Secret is given an owner.
const CREATED_BY: &str = "syniverse.dev/created-by";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Our name, as label value, field manager, user agent and Event source.
pub const OPERATOR: &str = "syniverse-token-operator";

/// Parameters of all our writes.
pub fn operator_post_params() -> PostParams {
    PostParams { field_manager: Some(OPERATOR.to_owned()), ..PostParams::default() }
}

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

    /// True when we created this Secret, for this resource or a deleted resource of its name, or its creator consents
    /// to our writing it.
    pub fn may_write(&self, secret: &Secret) -> bool {
        match controller_of(secret) {
            Some(controller) => self.is_ours(controller),
            None => annotation(secret, ADOPT) == Some(&self.name),
        }
    }

    /// True for our resource, and for a deleted resource of the same kind and name: left by a backup, or by a deletion
    /// that the garbage collector has not finished.
    fn is_ours(&self, owner: &OwnerReference) -> bool {
        let group = |version: &str| version.split('/').next().map(str::to_owned);
        let is_of_a_former_life = owner.kind == self.reference.kind
            && owner.name == self.reference.name
            && group(&owner.api_version) == group(&self.reference.api_version);
        owner.uid == self.reference.uid || is_of_a_former_life
    }

    /// Marks a Secret that we created, and names its resource; a Secret that we may only use keeps its owner and its
    /// labels.
    pub(super) fn mark(&self, secret: &mut Secret, created: bool) {
        // A mark with another resource's name comes from a copy of that resource's Secret.
        let is_marked = annotation(secret, CREATED_BY) == Some(&self.name);
        let created = created || controller_of(secret).is_some() || is_marked;
        if !created {
            return;
        }
        let owners = secret.owner_references_mut();
        owners.retain(|owner| !self.is_ours(owner));
        owners.extend((!self.retain).then(|| self.reference.clone()));
        secret.annotations_mut().insert(ADOPT.to_owned(), self.name.clone());
        secret.annotations_mut().insert(CREATED_BY.to_owned(), self.name.clone());
        secret.labels_mut().insert(MANAGED_BY.to_owned(), OPERATOR.to_owned());
    }

    /// Why `secret` must be left alone, if it must.
    pub fn obstacle(&self, secret: &Secret) -> Option<Finding> {
        let name = secret.name_any();
        if !self.may_write(secret) {
            return Some(Finding::new(Reason::SecretNotOwned, self.not_owned(&name, secret)));
        }
        if secret.immutable == Some(true) {
            let message = format!(
                "Secret {name} is immutable: delete it, or create a SyniverseToken whose Secrets have other names"
            );
            return Some(Finding::new(Reason::SecretImmutable, message));
        }
        let kind = secret.type_.as_deref().unwrap_or("Opaque");
        (kind != "Opaque").then(|| {
            let message = format!(
                "Secret {name} has the type {kind}, not Opaque: delete it, or create a \
                SyniverseToken whose Secrets have other names"
            );
            Finding::new(Reason::SecretWrongType, message)
        })
    }

    fn not_owned(&self, name: &str, secret: &Secret) -> String {
        match controller_of(secret) {
            Some(other) => {
                format!(
                    "Secret {name} belongs to {} {}: delete it there, or create a SyniverseToken whose Secrets have \
                     other names",
                    other.kind, other.name
                )
            }
            None => format!(
                "Secret {name} exists and is not managed by the operator: delete it, or consent with the annotation \
                 {ADOPT}: {}",
                self.name
            ),
        }
    }
}

fn controller_of(secret: &Secret) -> Option<&OwnerReference> {
    secret.owner_references().iter().find(|owner| owner.controller == Some(true))
}

/// The value of an annotation of a Secret.
pub(super) fn annotation<'a>(secret: &'a Secret, name: &str) -> Option<&'a String> {
    secret.annotations().get(name)
}
