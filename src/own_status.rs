//! What this process said last of a resource, by which it finds out in what a watch shows that somebody else says
//! something different.

use crate::api::SyniverseTokenStatus;
use crate::moment::Moment;
use crate::revision::is_later;
use crate::schedule::governor::{Bucket, REPAIR_REFILL, REPAIRS};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// What this process said last of one resource.
#[derive(Debug)]
pub struct OwnStatus {
    /// A hash of it: thousands of resources have one.
    said: u64,
    /// The version of our last write.
    version: Option<String>,
    /// Who changes it again and again is not followed for ever at once.
    looks: Bucket,
    /// When the look comes that was asked for last.
    looks_at: Option<Moment>,
}

impl OwnStatus {
    /// Nothing said yet.
    pub fn new(now: Moment) -> Self {
        Self { said: 0, version: None, looks: Bucket::new(REPAIRS, now), looks_at: None }
    }

    /// This is what the resource is to say: before it is written, as the watch may be faster than the answer.
    pub fn says(&mut self, status: &SyniverseTokenStatus) {
        self.said = digest(status);
    }

    /// The API server has it in this version. What the watch shows of earlier ones is our own, or overwritten.
    pub fn told(&mut self, version: Option<&str>) {
        self.version = version.map(str::to_owned);
    }

    /// When to look at the resource that shows this status in this version; none where that is no news.
    pub fn look_at(
        &mut self,
        status: Option<&SyniverseTokenStatus>,
        version: Option<&str>,
        now: Moment,
    ) -> Option<Moment> {
        let is_ours = status.map(digest) == Some(self.said);
        let is_overwritten = self.version.as_deref() == version || is_later(self.version.as_deref(), version);
        if is_ours || is_overwritten || self.looks_at.is_some_and(|at| at > now) {
            return None;
        }
        let at = self.looks.ready_at(now, REPAIR_REFILL);
        self.looks.take(at, REPAIR_REFILL);
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
    use std::time::Duration;

    fn status(secret: &str) -> SyniverseTokenStatus {
        SyniverseTokenStatus { secret_name: Some(secret.to_owned()), ..SyniverseTokenStatus::default() }
    }

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn own() -> OwnStatus {
        let mut own = OwnStatus::new(at(0));
        own.says(&status("first"));
        own.told(Some("8"));
        own.says(&status("ours"));
        own
    }

    #[test]
    fn what_we_said_is_no_news_before_and_after_the_api_server_answers() {
        let mut own = own();
        assert_eq!(own.look_at(Some(&status("ours")), Some("9"), at(1)), None);
        own.told(Some("9"));
        for (shown, version) in [("ours", "9"), ("first", "8"), ("somebody else's, overwritten", "7")] {
            assert_eq!(own.look_at(Some(&status(shown)), Some(version), at(1)), None, "{shown}");
        }
    }

    #[test]
    fn what_somebody_else_says_is_looked_at_at_once_also_where_it_is_what_we_said_before() {
        let mut own = own();
        own.told(Some("9"));
        assert_eq!(own.look_at(Some(&status("theirs")), Some("10"), at(1)), Some(at(1)));
        assert_eq!(own.look_at(Some(&status("first")), Some("11"), at(2)), Some(at(2)));
        assert_eq!(own.look_at(None, Some("12"), at(3)), Some(at(3)));
    }

    #[test]
    fn who_says_something_else_without_end_is_looked_at_once_a_minute() {
        let mut own = own();
        let looks: Vec<_> = (10..6000)
            .filter_map(|version| {
                let now = at(0) + Duration::from_millis(version * 100);
                own.look_at(Some(&status("theirs")), Some(&version.to_string()), now)
            })
            .collect();
        assert!((19..=21).contains(&looks.len()), "{} looks in 10 minutes", looks.len());
    }
}
