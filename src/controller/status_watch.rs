//! The last status that this process wrote for a resource, to detect in the watch that another writer has changed it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;
use syniverse_token_core::api::SyniverseTokenStatus;
use syniverse_token_core::revision::is_later;
use syniverse_token_core::schedule::retry::Backoff;
use syniverse_token_core::time::Moment;

/// Delay before a status changed by another writer is checked, and interval between such checks. Two operators that
/// disagree for a moment do not overwrite each other meanwhile.
const LOOKS: Backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(60) };
/// Time without a check after which the next check comes soon again.
const CALM: Duration = Duration::from_secs(120);

/// The last status that this process wrote for a resource.
#[derive(Debug, Default)]
pub struct StatusWatch {
    /// A hash of the status, which is small: there are thousands of resources.
    expected_hash: u64,
    /// The version of our last write.
    version: Option<Box<str>>,
    /// Checks that followed each other closely.
    looks: u32,
    /// When the last requested check is due.
    looks_at: Option<Moment>,
}

impl StatusWatch {
    /// Notes the expected status before it is written, as the watch may be faster than the response.
    pub fn expect(&mut self, status: &SyniverseTokenStatus) {
        self.expected_hash = digest(status);
    }

    /// Notes the version of the written status. Earlier versions in the watch are our own, or overwritten.
    pub fn written(&mut self, version: Option<&str>) {
        self.version = version.map(Box::from);
    }

    /// When to check the resource that shows this status in this version; none if it shows nothing new.
    pub fn look_at(
        &mut self,
        status: Option<&SyniverseTokenStatus>,
        version: Option<&str>,
        now: Moment,
    ) -> Option<Moment> {
        let is_ours = status.map(digest) == Some(self.expected_hash);
        let is_overwritten = self.version.as_deref() == version || is_later(self.version.as_deref(), version);
        if is_ours || is_overwritten || self.looks_at.is_some_and(|at| at > now) {
            return None;
        }
        let is_calm = self.looks_at.is_none_or(|at| at + CALM <= now);
        self.looks = if is_calm { 1 } else { self.looks.saturating_add(1) };
        let at = now + LOOKS.after(self.looks, 0);
        self.looks_at = Some(at);
        self.looks_at
    }
}

fn digest(status: &SyniverseTokenStatus) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_vec(status).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn status(secret: &str) -> SyniverseTokenStatus {
        SyniverseTokenStatus { secret_name: Some(secret.to_owned()), ..SyniverseTokenStatus::default() }
    }

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn own() -> StatusWatch {
        let mut own = StatusWatch::default();
        own.expect(&status("first"));
        own.written(Some("8"));
        own.expect(&status("ours"));
        own
    }

    #[test]
    fn what_we_said_is_no_news_before_and_after_the_api_server_answers() {
        let mut own = own();
        assert_eq!(own.look_at(Some(&status("ours")), Some("9"), at(1)), None);
        own.written(Some("9"));
        for (shown, version) in [("ours", "9"), ("first", "8"), ("somebody else's, overwritten", "7")] {
            assert_eq!(own.look_at(Some(&status(shown)), Some(version), at(1)), None, "{shown}");
        }
    }

    #[test]
    fn what_somebody_else_says_is_looked_at_soon_also_where_it_is_what_we_said_before() {
        for (shown, version) in [(Some(status("theirs")), "10"), (Some(status("first")), "11"), (None, "12")] {
            let mut own = own();
            own.written(Some("9"));
            let look = own.look_at(shown.as_ref(), Some(version), at(1)).unwrap();
            assert!(at(2) < look && look < at(4), "{look:?}");
        }
    }

    #[test]
    fn who_says_something_else_without_end_is_looked_at_at_growing_intervals_up_to_a_minute() {
        let mut own = own();
        let looks: Vec<_> = (10..6000)
            .filter_map(|version| {
                let now = at(0) + Duration::from_millis(version * 100);
                own.look_at(Some(&status("theirs")), Some(&version.to_string()), now)
            })
            .collect();
        assert!((12..=18).contains(&looks.len()), "{} looks in 10 minutes", looks.len());
        let longest = looks.windows(2).map(|pair| pair[1].until(pair[0])).max();
        assert!(longest <= Some(Duration::from_secs(66)), "{longest:?}");
    }
}
