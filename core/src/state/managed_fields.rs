//! The names that we wrote to the two Secrets, so that entries dropped from the spec are removed and entries of others
//! stay.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The names that we wrote to the token Secret, and of the labels that we set on both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedFields {
    /// Data keys.
    #[serde(default)]
    pub keys: BTreeSet<String>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeSet<String>,
    /// Annotations.
    #[serde(default)]
    pub annotations: BTreeSet<String>,
}

impl ManagedFields {
    /// True when everything in `desired` is listed here.
    pub fn covers(&self, desired: &ManagedFields) -> bool {
        desired.keys.is_subset(&self.keys)
            && desired.labels.is_subset(&self.labels)
            && desired.annotations.is_subset(&self.annotations)
    }

    /// Both lists together: names that may still be there, and names that will be.
    pub fn union(&self, desired: &ManagedFields) -> ManagedFields {
        ManagedFields {
            keys: &self.keys | &desired.keys,
            labels: &self.labels | &desired.labels,
            annotations: &self.annotations | &desired.annotations,
        }
    }

    /// The names that are also in `other`.
    pub fn intersection(&self, other: &ManagedFields) -> ManagedFields {
        ManagedFields {
            keys: &self.keys & &other.keys,
            labels: &self.labels & &other.labels,
            annotations: &self.annotations & &other.annotations,
        }
    }
}
