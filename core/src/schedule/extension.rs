//! When a session is extended: once per pair, while the pair lives.

use super::{Due, RefreshPolicy, TokenLifetime, next_slot};
use crate::fingerprint::spread;
use crate::issuer::Cause;
use crate::state::TokenRecord;
use crate::time::{MINUTE, Now, earlier};
use jiff::Timestamp;
use std::time::Duration;

/// The jitter takes up to this part of the lead.
const JITTER_PART: u32 = 10;
/// Where it is to come late, it comes in this part of the lead.
const LAST_PART: u32 = 4;
/// Where nothing can be recorded of it, it comes so late that there is time for a few tries.
const LAST_TRIES: Duration = MINUTE;

impl RefreshPolicy {
    /// The moment at which time alone calls for extending the session.
    pub fn next_extension(&self, record: &TokenRecord, lifetime: &TokenLifetime, now: Now) -> Due {
        self.extension(record, lifetime, now, self.extension_lead(record))
    }

    /// The last moment for it that leaves room for a few tries.
    pub fn last_extension(&self, record: &TokenRecord, lifetime: &TokenLifetime, now: Now) -> Due {
        self.extension(record, lifetime, now, self.extension_lead(record) / LAST_PART)
    }

    /// The moment for it while nothing can be recorded: what keeps from that may be over until then.
    pub fn unrecorded_extension(&self, record: &TokenRecord, lifetime: &TokenLifetime, now: Now) -> Due {
        self.extension(record, lifetime, now, (self.extension_lead(record) / LAST_PART).min(LAST_TRIES))
    }

    fn extension(&self, record: &TokenRecord, lifetime: &TokenLifetime, now: Now, before_the_end: Duration) -> Due {
        if record.is_from_the_future(now) {
            return Due { cause: Cause::ClockDoubt, at: now.mono };
        }
        let at = match lifetime.expires {
            // It would kill a token that workloads may well be using, again and again.
            Some(_) if record.lifetime_seconds == Some(0) => lifetime.answered + MINUTE,
            Some(expires) => expires - before_the_end,
            None => now.moment_of(self.daily_extension(record)),
        };
        Due { cause: Cause::Extension, at }
    }

    /// The same as status shows it: from what is stored alone, so that it is the same in every pass.
    pub(super) fn planned_extension(&self, record: &TokenRecord) -> Timestamp {
        let before_the_end = |expires| earlier(expires, self.extension_lead(record));
        record.expiration_time.map_or_else(|| self.daily_extension(record), before_the_end)
    }

    /// The lead and the jitter: `refreshBefore`, by default a third of the reported lifetime, never more than half of it nor
    /// less than a twentieth (at its end it is too late); and up to a tenth of that, so that sessions that began together
    /// do not end together.
    fn extension_lead(&self, record: &TokenRecord) -> Duration {
        let lifetime = Duration::from_secs(record.lifetime_seconds.unwrap_or_default());
        let refresh_lead = self.refresh_before.unwrap_or(lifetime / 3).clamp(lifetime / 20, lifetime / 2);
        let expires = record.first_expiration_time.map_or(0, Timestamp::as_second);
        let part = spread(&format!("{}/{expires}", self.spread)) % 1000;
        refresh_lead + (refresh_lead / JITTER_PART).mul_f64(part as f64 / 1000.0)
    }

    /// A pair without an end is looked after once a day.
    fn daily_extension(&self, record: &TokenRecord) -> Timestamp {
        next_slot(record.issue_time, self.daily_check, self.spread)
    }
}
