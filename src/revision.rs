//! Versions of stored objects in their order, as far as they tell it.
//!
//! Since Kubernetes 1.35 (KEP-5504) a resourceVersion is promised to be a number that can be compared; it has been one
//! for as long as etcd has been the store. One that is no number is neither earlier nor later than another.

/// True when the version `a` is known to come after `b`.
pub fn is_later(a: Option<&str>, b: Option<&str>) -> bool {
    match (a.and_then(number), b.and_then(number)) {
        (Some(a), Some(b)) => a > b,
        _ => false,
    }
}

fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers_and_only_as_numbers() {
        assert!(is_later(Some("10"), Some("9")));
        assert!(!is_later(Some("9"), Some("10")) && !is_later(Some("9"), Some("9")));
        assert!(!is_later(Some("b"), Some("a")) && !is_later(Some("1"), None) && !is_later(None, Some("1")));
    }
}
