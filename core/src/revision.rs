//! The order of resourceVersions, where it is known.
//!
//! Since Kubernetes 1.35 (KEP-5504) a resourceVersion is promised to be a number that can be compared; it always was
//! with etcd as the store. A version that is no number is neither earlier nor later than another.

/// True when the version `a` is known to come after `b`.
pub fn is_later(a: Option<&str>, b: Option<&str>) -> bool {
    match (a.and_then(number), b.and_then(number)) {
        (Some(a), Some(b)) => a > b,
        _ => false,
    }
}

/// The latest version that was seen of a store. An earlier version shows that the store was rolled back: its watches
/// wait for versions that have already passed, and stay silent.
#[derive(Debug, Default)]
pub struct Horizon {
    latest: Option<String>,
}

impl Horizon {
    /// Notes the current version of the store; true when it was rolled back.
    pub fn falls_back_to(&mut self, version: Option<&str>) -> bool {
        let falls_back = is_later(self.latest.as_deref(), version);
        self.latest = version.map(str::to_owned).or(self.latest.take());
        falls_back
    }
}

fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_was_set_back_is_found_once() {
        let mut horizon = Horizon::default();
        let told = [Some("5"), Some("5"), Some("70"), None, Some("6"), Some("7")];
        let told: Vec<_> = told.into_iter().map(|version| horizon.falls_back_to(version)).collect();
        assert_eq!(told, [false, false, false, false, true, false]);
    }

    #[test]
    fn versions_are_compared_as_numbers_and_only_as_numbers() {
        assert!(is_later(Some("10"), Some("9")));
        assert!(!is_later(Some("9"), Some("10")) && !is_later(Some("9"), Some("9")));
        assert!(!is_later(Some("b"), Some("a")) && !is_later(Some("1"), None) && !is_later(None, Some("1")));
    }
}
