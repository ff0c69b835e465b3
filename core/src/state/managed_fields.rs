//! What we wrote into the two Secrets, so that what the spec drops is removed and what others put there stays.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The names of what we put into the token Secret, and of the labels that we put on both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
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

impl Written {
    /// True when everything in `wanted` is listed here.
    pub fn covers(&self, wanted: &Written) -> bool {
        wanted.keys.is_subset(&self.keys)
            && wanted.labels.is_subset(&self.labels)
            && wanted.annotations.is_subset(&self.annotations)
    }

    /// Both lists together: what may still be there, and what will be.
    pub fn and(&self, wanted: &Written) -> Written {
        Written {
            keys: &self.keys | &wanted.keys,
            labels: &self.labels | &wanted.labels,
            annotations: &self.annotations | &wanted.annotations,
        }
    }

    /// What of this list is also in `other`.
    pub fn still_in(&self, other: &Written) -> Written {
        Written {
            keys: &self.keys & &other.keys,
            labels: &self.labels & &other.labels,
            annotations: &self.annotations & &other.annotations,
        }
    }
}
