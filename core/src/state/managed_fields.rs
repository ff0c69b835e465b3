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

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(names: &[&str]) -> ManagedFields {
        let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        ManagedFields { keys: names.clone(), labels: names.clone(), annotations: names }
    }

    #[test]
    fn a_union_has_what_is_in_either_and_in_both_and_an_intersection_what_is_in_both() {
        let (one, other) = (fields(&["a", "b"]), fields(&["b", "c"]));
        assert_eq!(one.union(&other), fields(&["a", "b", "c"]));
        assert_eq!(one.intersection(&other), fields(&["b"]));
    }

    #[test]
    fn a_list_covers_another_only_with_all_keys_labels_and_annotations() {
        let all = fields(&["a"]);
        assert!(all.covers(&all) && all.covers(&ManagedFields::default()));
        for without in [
            ManagedFields { keys: BTreeSet::new(), ..all.clone() },
            ManagedFields { labels: BTreeSet::new(), ..all.clone() },
            ManagedFields { annotations: BTreeSet::new(), ..all.clone() },
        ] {
            assert!(!without.covers(&all), "{without:?}");
        }
    }
}
