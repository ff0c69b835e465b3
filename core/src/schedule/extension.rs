//! When a session is extended: once per pair, while the pair is live.

use super::{Due, RefreshPolicy, TokenLifetime, next_slot};
use crate::fingerprint::spread;
use crate::issuer::Cause;
use crate::state::TokenRecord;
use crate::time::{MINUTE, Now, earlier};
use jiff::Timestamp;
use std::time::Duration;

/// The largest jitter, as a part of the refresh lead.
const JITTER_PART: u32 = 10;
/// The part of the refresh lead in which a late extension comes.
const LAST_PART: u32 = 4;
/// The moment of an extension that cannot be recorded: late, with time for a few attempts.
const LAST_TRIES: Duration = MINUTE;

impl RefreshPolicy {
    /// The moment at which time alone requires extending the session.
    pub fn next_extension(&self, record: &TokenRecord, lifetime: &TokenLifetime, now: Now) -> Due {
        self.extension(record, lifetime, now, self.extension_lead(record))
    }

    /// The last moment for the extension that leaves time for a few attempts.
    pub fn last_extension(&self, record: &TokenRecord, lifetime: &TokenLifetime, now: Now) -> Due {
        self.extension(record, lifetime, now, self.extension_lead(record) / LAST_PART)
    }

    /// The moment for the extension while nothing can be recorded: the obstacle may be gone by then.
    pub fn unrecorded_extension(&self, record: &TokenRecord, lifetime: &TokenLifetime, now: Now) -> Due {
        self.extension(record, lifetime, now, (self.extension_lead(record) / LAST_PART).min(LAST_TRIES))
    }

    fn extension(&self, record: &TokenRecord, lifetime: &TokenLifetime, now: Now, before_the_end: Duration) -> Due {
        if record.is_from_the_future(now) {
            return Due { cause: Cause::ClockDoubt, at: now.mono };
        }
        let at = match lifetime.expires {
            // It would invalidate a token in use, again and again.
            Some(_) if record.lifetime_seconds == Some(0) => lifetime.answered + MINUTE,
            Some(expires) => expires - before_the_end,
            None => now.moment_of(self.daily_extension(record)),
        };
        Due { cause: Cause::Extension, at }
    }

    /// The same as the status shows it: from stored data alone, so that it is the same in every pass.
    pub(super) fn planned_extension(&self, record: &TokenRecord) -> Timestamp {
        let before_the_end = |expires| earlier(expires, self.extension_lead(record));
        record.expiration_time.map_or_else(|| self.daily_extension(record), before_the_end)
    }

    /// The refresh lead and the jitter: `refreshBefore`, by default a third of the reported lifetime, never more than
    /// half of it nor less than a twentieth (at its end it is too late); and up to a tenth of that, so that sessions
    /// that began together do not end together.
    fn extension_lead(&self, record: &TokenRecord) -> Duration {
        let lifetime = Duration::from_secs(record.lifetime_seconds.unwrap_or_default());
        let refresh_lead = self.refresh_before.unwrap_or(lifetime / 3).clamp(lifetime / 20, lifetime / 2);
        let expires = record.first_expiration_time.map_or(0, Timestamp::as_second);
        let part = spread(&format!("{}/{expires}", self.spread)) % 1000;
        refresh_lead + (refresh_lead / JITTER_PART).mul_f64(part as f64 / 1000.0)
    }

    /// A pair without an expiry is checked once a day.
    fn daily_extension(&self, record: &TokenRecord) -> Timestamp {
        next_slot(record.issue_time, self.daily_check, self.spread)
    }
}
