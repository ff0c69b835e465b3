//! When a token is requested whose successor may come while it lives.

use super::RefreshPolicy;
use crate::fingerprint::spread;
use crate::state::TokenRecord;
use jiff::Timestamp;
use std::time::Duration;

/// The longest default lead.
const LONGEST_DEFAULT_LEAD: Duration = Duration::from_secs(3600);
/// The lead by default, as a part of the lifetime.
const LEAD_PART: u32 = 3;
/// The largest jitter, as a part of the lead.
const JITTER_PART: u32 = 10;

impl RefreshPolicy {
    /// How long before its expiry the next token is requested: `refreshBefore`, by default a third of the reported
    /// lifetime, at most an hour; and up to a tenth of that, so that tokens issued together are not requested together.
    /// Never more than half of the lifetime.
    pub(super) fn early_lead(&self, record: &TokenRecord, lifetime: Duration) -> Duration {
        let lead = self.refresh_before.unwrap_or_else(|| LONGEST_DEFAULT_LEAD.min(lifetime / LEAD_PART));
        let expires = record.first_expiration_time.map_or(0, Timestamp::as_second);
        let part = spread(&format!("{}/{expires}", self.spread)) % 1000;
        (lead + (lead / JITTER_PART).mul_f64(part as f64 / 1000.0)).min(lifetime / 2)
    }
}
