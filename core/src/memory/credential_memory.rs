//! In-memory knowledge about a credential, besides its record in the state.

use crate::fingerprint::fingerprint;
use crate::issuer::RenewalTime;
use crate::issuer::{Failure, FailureKind, Lifetime, TokenResponse, expiry_moves};
use crate::schedule::expiry_poll::ExpiryPoll;
use crate::schedule::retry::{FailedRequest, URGENT, retry_at};
use crate::schedule::{ObservedExpiry, TokenLifetime};
use crate::state::{Inputs, RequestKey, Role, TokenChange, TokenRecord};
use crate::time::{Moment, Now};
use std::collections::BTreeMap;
use std::time::Duration;

/// In-memory knowledge about a credential.
#[derive(Clone, Debug, Default)]
pub struct CredentialMemory {
    /// The lifetime of its token, according to the responses to this process.
    pub(super) observed_expiry: Option<ObservedExpiry>,
    /// Polling around the token's expiry.
    pub(super) expiry_poll: Option<ExpiryPoll>,
    /// Consecutive failed requests.
    failures: BTreeMap<Role, FailedRequests>,
    /// The inputs of a login that was refused while the existing session stays in use.
    pub refused_login: Option<Inputs>,
}

/// Consecutive failed requests.
#[derive(Clone, Debug)]
pub struct FailedRequests {
    /// The kind of the last failure.
    pub kind: FailureKind,
    /// The message of the first failure of this kind: kept, so that the status does not change with every retry.
    pub detail: String,
    /// The request that failed.
    pub key: RequestKey,
    /// Number of consecutive failures.
    pub count: u32,
    /// How many of them the issuer refused: selects the next old token to try.
    pub refused: u32,
    /// The same request succeeded before.
    pub was_served: bool,
    /// No retry before this.
    pub not_before: Moment,
    /// The issuer's `Retry-After`, as far as it is granted: no retry before this in any case.
    pub issuer_not_before: Moment,
    /// The issuer asked for more, now or at an earlier failure of the series.
    pub is_cut_short: bool,
}

/// Circumstances by which a failure is judged.
#[derive(Clone, Copy, Debug)]
pub struct FailureContext {
    /// The endpoint counts as down.
    pub endpoint_down: bool,
    /// The next token can be obtained only while the current token is live.
    pub before_expiry: bool,
    /// The next token may come while the current token is live.
    pub may_come_early: bool,
    /// The issuer has issued a token to this resource for the same inputs.
    pub was_served: bool,
    /// The standby was asked, which has something to take over from.
    pub is_hand_over: bool,
    /// Nothing is to be taken over until then; none where it is.
    pub idle_until: Option<Moment>,
    /// Seed for jitter without randomness.
    pub spread: u64,
}

impl CredentialMemory {
    /// The row of failed calls in this role.
    pub fn failed_requests(&self, role: Role) -> Option<&FailedRequests> {
        self.failures.get(&role)
    }

    pub(super) fn lifetime(&self, record: &TokenRecord, now: Now) -> TokenLifetime {
        TokenLifetime::of(record, &fingerprint(&record.token), self.observed_expiry.as_ref(), now)
    }

    /// Polling around the expiry of `record`.
    pub fn expiry_poll(&self, record: &TokenRecord) -> Option<&ExpiryPoll> {
        self.expiry_poll.as_ref().filter(|poll| poll.is_of(&fingerprint(&record.token)))
    }

    fn expiry_poll_mut(&mut self, record: &TokenRecord) -> &mut ExpiryPoll {
        let token = fingerprint(&record.token);
        self.expiry_poll.take_if(|poll| !poll.is_of(&token));
        self.expiry_poll.get_or_insert_with(|| ExpiryPoll::of(token))
    }

    fn is_at_expiry(&self, record: &TokenRecord, sent: Now) -> bool {
        let is_asked_again = self.expiry_poll(record).is_some() || self.lifetime(record, sent).has_ended_by(sent.mono);
        is_asked_again && record.renewal().when == RenewalTime::AfterExpiry
    }

    pub(super) fn request_sent(&mut self, record: Option<&TokenRecord>, sent: Now) {
        if let Some(record) = record.filter(|record| self.is_at_expiry(record, sent)) {
            self.expiry_poll_mut(record).request_sent(sent.mono);
        }
    }

    /// The other one of two credentials has a token now: an outage that both met is over.
    pub(super) fn partner_succeeded(&mut self) {
        self.failures.retain(|_, failing| failing.kind != FailureKind::Unavailable);
    }

    /// A call in this role was answered. An answer to what is wanted ends what goes on beside it as well.
    pub(super) fn request_succeeded(&mut self, role: Role) {
        self.failures.remove(&Role::Fallback);
        self.failures.remove(&role);
    }

    pub(super) fn token_received(
        &mut self,
        record: Option<&TokenRecord>,
        response: &TokenResponse,
        (sent, received): (Now, Moment),
    ) {
        match TokenChange::of(response, record) {
            TokenChange::Previous(record) => self.token_unchanged(record, Lifetime::Seconds(0), sent),
            TokenChange::Same(record) => {
                self.token_unchanged(record, response.lifetime, sent);
                self.follow_expiry(record, response, sent);
            }
            TokenChange::New => self.token_replaced(response, sent, received.until(sent.mono)),
        }
    }

    fn token_replaced(&mut self, response: &TokenResponse, sent: Now, round_trip: Duration) {
        let expires = end_of(response.lifetime, sent.mono);
        let fingerprint = fingerprint(&response.token);
        let (first_expires, round_trip) = (expires, Some(round_trip));
        self.observed_expiry = Some(ObservedExpiry { fingerprint, answered: sent, expires, first_expires, round_trip });
        self.expiry_poll = None;
    }

    fn token_unchanged(&mut self, record: &TokenRecord, left: Lifetime, sent: Now) {
        let lifetime = self.lifetime(record, sent);
        if self.is_at_expiry(record, sent) {
            // Gateways sometimes report up to 300 s too much: at an expiry, a long remaining time is believed only once
            // that expiry has surely passed.
            let left = if lifetime.is_barely_over(sent.mono) { Lifetime::Seconds(0) } else { left };
            let poll = self.expiry_poll_mut(record);
            if lifetime.is_first_at_an_end(sent.mono) {
                poll.restart();
            }
            poll.token_unchanged(sent.mono, left);
        }
        let first = ObservedExpiry {
            fingerprint: fingerprint(&record.token),
            answered: sent,
            expires: lifetime.expires,
            first_expires: None,
            round_trip: None,
        };
        let own = self.observed_expiry.take().filter(|own| own.fingerprint == first.fingerprint).unwrap_or(first);
        self.observed_expiry = Some(ObservedExpiry { answered: sent, ..own });
    }

    fn follow_expiry(&mut self, record: &TokenRecord, response: &TokenResponse, sent: Now) {
        let doubted = record.is_from_the_future(sent);
        let Some(observed) = &mut self.observed_expiry else { return };
        if doubted || expiry_moves(observed.expires, sent.mono, response.lifetime) {
            (observed.expires, observed.round_trip) = (end_of(response.lifetime, sent.mono), None);
        }
    }

    /// Notes a failure of a request at `failed_at`, while its token had this `lifetime`.
    pub(super) fn request_failed(
        &mut self,
        failure: &Failure,
        key: RequestKey,
        lifetime: Option<&TokenLifetime>,
        failed_at: Moment,
        context: FailureContext,
    ) {
        let before = self.failures.remove(&key.role);
        let same = before.as_ref().filter(|before| before.key == key);
        let (count, refused) = same.map_or((0, 0), |before| (before.count, before.refused));
        let (count, refused) = (count + 1, refused + u32::from(failure.kind == FailureKind::Refused));
        let failed = failed_request(failure, count, lifetime, failed_at, context);
        let told = same.filter(|before| before.kind == failure.kind);
        let failing = FailedRequests {
            kind: failure.kind,
            detail: told.map_or_else(|| failure.detail.clone(), |before| before.detail.clone()),
            count,
            refused,
            was_served: context.was_served,
            not_before: retry_at(failed),
            issuer_not_before: failed_at + failed.granted_retry_after(),
            is_cut_short: failed.is_cut_short() || told.is_some_and(|before| before.is_cut_short),
            key,
        };
        self.failures.insert(failing.key.role, failing);
    }

    /// The spec names another credential now, and that one fails as well.
    pub(super) fn forget_failures(&mut self, role: Role) {
        self.failures.remove(&role);
    }

    /// True when nothing is known that is worth keeping.
    pub(super) fn is_empty(&self) -> bool {
        let nothing_seen = self.observed_expiry.is_none() && self.expiry_poll.is_none();
        nothing_seen && self.failures.is_empty() && self.refused_login.is_none()
    }

    pub(super) fn endpoint_is_up(&mut self, now: Moment) {
        for failing in self.failures.values_mut().filter(|failing| failing.kind == FailureKind::Unavailable) {
            failing.not_before = failing.not_before.min(now).max(failing.issuer_not_before);
        }
    }
}

fn failed_request(
    failure: &Failure,
    count: u32,
    lifetime: Option<&TokenLifetime>,
    failed_at: Moment,
    context: FailureContext,
) -> FailedRequest {
    let expires = lifetime.and_then(|lifetime| lifetime.expires);
    FailedRequest {
        kind: failure.kind,
        count,
        failed_at,
        retry_after: failure.retry_after,
        expires,
        before_expiry: context.before_expiry,
        may_come_early: context.may_come_early,
        urgent: lifetime.is_none() || expires.is_some_and(|expires| expires <= failed_at + URGENT),
        endpoint_down: context.endpoint_down,
        was_served: context.was_served,
        is_hand_over: context.is_hand_over,
        idle_until: context.idle_until,
        spread: context.spread,
    }
}

pub(super) fn end_of(lifetime: Lifetime, sent: Moment) -> Option<Moment> {
    lifetime.duration().map(|life| sent + life)
}
