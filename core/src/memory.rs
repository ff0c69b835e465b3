//! In-memory knowledge about a resource beside its Secrets. Losing it costs a read, never a token.

use crate::api::{SyniverseToken, SyniverseTokenStatus};
use crate::fingerprint::fingerprint;
use crate::intent::{Intent, RECORDING};
use crate::issuer::{Failure, FailureKind};
use crate::revision::is_later;
use crate::schedule::TokenLifetime;
use crate::schedule::expiry_poll::ExpiryPoll;
use crate::schedule::rate_limiter::{CALLS, RateLimiter, refill};
use crate::secrets::KnownTokenSecret;
use crate::state::{CallResult, RequestKey, Role, State, TokenRecord, UnrecordedResponse};
use crate::time::{Moment, Now};
use jiff::Timestamp;
use std::time::Duration;

mod by_credential;
mod credential_memory;
mod packed;
mod write_memory;

use by_credential::ByCredential;
use credential_memory::end_of;

pub use credential_memory::{CredentialMemory, FailedRequests, FailureContext};
pub use packed::PackedMemory;
pub use write_memory::{FailedWrites, Target, WriteBasis, WriteMemory};

/// Clock skew of an issuer above which it is reported.
const LARGEST_SKEW_SECONDS: i64 = 30;
/// A token that never expires counts as expiring in a year.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// In-memory knowledge about a resource.
#[derive(Clone, Debug)]
pub struct Memory {
    /// A response that is not yet in the state Secret.
    pub unrecorded: Option<UnrecordedResponse>,
    /// The state as this process last read or wrote it.
    pub state: Option<State>,
    /// The intent that this process wrote last, and when: its request is still to be sent.
    intent: Option<(Intent, Moment)>,
    /// The token that this process last wrote to the token Secret: writing the same again is a repair.
    pub written_token: Option<WrittenToken>,
    /// What the last pass knew of the token Secret.
    pub token_secret: Option<KnownTokenSecret>,
    /// The status as this process last wrote it: the cache may still show an older status.
    pub status: Option<WrittenStatus>,
    /// The last status, written or not: each change is reported only once.
    pub last_status: Option<SyniverseTokenStatus>,
    /// The fingerprint of the token in the last Event; empty for none.
    pub announced_fingerprint: Option<String>,
    /// Consecutive failed writes of the status.
    pub status_failures: u32,
    /// In-memory knowledge about each credential, by its identity.
    credentials: ByCredential,
    /// In-memory knowledge about the writes of the two Secrets.
    pub writes: WriteMemory,
    /// Since when this process acts, as its last pass knew it.
    acting_since: Option<Moment>,
    /// The state was read since then.
    knows_state: bool,
    /// The state as this process last tried to write it, answered or not, until it is read.
    sent_state: Option<Box<State>>,
    /// Rate limiter of requests.
    pub rate_limiter: RateLimiter,
    /// This process has seen another user of the same application.
    pub met_sharers: bool,
    /// The clock skew of the issuer was reported.
    skewed: bool,
    /// Consecutive reads of the Secrets that the API server refused.
    pub refused_reads: u32,
    /// Consecutive failed passes.
    pub failed_passes: u32,
    /// The fingerprint of a token that another resource of the same application received.
    pub rotated_elsewhere: Option<String>,
}

/// A written status.
#[derive(Clone, Debug)]
pub struct WrittenStatus {
    /// The status.
    pub status: SyniverseTokenStatus,
    /// The version of the resource that the API server made of it.
    pub version: Option<String>,
}

impl WrittenStatus {
    /// True when `resource` was changed after this was written.
    pub fn is_older_than(&self, resource: &SyniverseToken) -> bool {
        is_later(resource.metadata.resource_version.as_deref(), self.version.as_deref())
    }
}

/// The identifying data of a written token Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenToken {
    /// Of the token.
    pub fingerprint: String,
    /// As its annotations say.
    pub issue_time: Timestamp,
    /// As its annotations say.
    pub expiration_time: Option<Timestamp>,
    /// Of the resource that shaped it.
    pub generation: Option<i64>,
}

impl Memory {
    /// Nothing known yet.
    pub fn new(now: Moment) -> Self {
        Self {
            unrecorded: None,
            state: None,
            intent: None,
            written_token: None,
            token_secret: None,
            status: None,
            last_status: None,
            announced_fingerprint: None,
            status_failures: 0,
            credentials: ByCredential::default(),
            writes: WriteMemory::new(now),
            acting_since: None,
            knows_state: false,
            sent_state: None,
            rate_limiter: RateLimiter::new(CALLS, now),
            met_sharers: false,
            skewed: false,
            refused_reads: 0,
            failed_passes: 0,
            rotated_elsewhere: None,
        }
    }

    /// The memory of this credential; none before its first request.
    pub fn credential(&self, id: &str) -> Option<&CredentialMemory> {
        self.credentials.get(id)
    }

    fn credential_mut(&mut self, id: &str) -> &mut CredentialMemory {
        self.credentials.entry(id)
    }

    /// The life of `record`, the earlier of what is stored and what this process saw.
    pub fn lifetime(&self, record: &TokenRecord, now: Now) -> TokenLifetime {
        let token = fingerprint(&record.token);
        let deadlines = self.credentials.values().filter_map(|known| known.observed_expiry.as_ref());
        let seen = deadlines.into_iter().find(|observed| observed.fingerprint == token);
        TokenLifetime::of(record, &token, seen, now)
    }

    /// When the newest token of the resource expires, be it in an unrecorded response or in `record`, the stored token;
    /// in a year if it never does.
    pub fn newest_expiry(&self, record: Option<&TokenRecord>, now: Now) -> Option<Moment> {
        let unrecorded = self.unrecorded.as_ref().and_then(|unrecorded| match &unrecorded.result {
            CallResult::Token(response) => Some(end_of(response.lifetime, unrecorded.sent.mono)),
            CallResult::Ended(_) | CallResult::LoginRefused => None,
        });
        let expires = unrecorded.or_else(|| record.map(|record| self.lifetime(record, now).expires));
        expires.map(|expires| expires.unwrap_or(now.mono + NEVER))
    }

    /// Polling around the expiry of `record`.
    pub fn expiry_poll(&self, record: &TokenRecord) -> Option<&ExpiryPoll> {
        self.credentials.values().find_map(|known| known.expiry_poll(record))
    }

    /// Counts a request for this credential that is about to be sent.
    pub fn request_sent(&mut self, credential: &str, record: Option<&TokenRecord>, sent: Now) {
        self.intent = None;
        self.rate_limiter.take(sent.mono, refill(record));
        self.credential_mut(credential).request_sent(record, sent);
    }

    /// Takes a response, received at `received`, to a request sent while `record` was the token of that credential, and
    /// keeps it. Knowledge about credentials that were tried before is dropped.
    pub fn response_received(
        &mut self,
        record: Option<&TokenRecord>,
        unrecorded: UnrecordedResponse,
        received: Moment,
    ) {
        self.rotated_elsewhere = None;
        let RequestKey { credential, role, inputs, .. } = &unrecorded.key;
        let partner = unrecorded.partner.as_ref().map(|(id, _)| id.as_str());
        for (id, known) in self.credentials.iter_mut() {
            if Some(id) == partner { known.partner_succeeded() } else { known.request_succeeded(*role) }
        }
        if matches!(unrecorded.result, CallResult::Token(_)) {
            self.credentials.retain(|id, _| id == credential || Some(id) == partner);
        }
        let known = self.credentials.entry(credential);
        match &unrecorded.result {
            CallResult::Token(response) => known.token_received(record, response, (unrecorded.sent, received)),
            CallResult::LoginRefused => known.refused_login = Some(inputs.clone()),
            CallResult::Ended(_) => {}
        }
        self.unrecorded = Some(unrecorded);
    }

    /// Notes an intent that was just written.
    pub fn intent_written(&mut self, intent: Option<Intent>, now: Moment) {
        self.intent = intent.map(|intent| (intent, now));
    }

    /// True while this process still has to send the request of `intent`, and can do so soon enough.
    pub fn is_about_to_call(&self, intent: &Intent, now: Moment) -> bool {
        self.intent.as_ref().is_some_and(|(own, written)| own == intent && now < *written + RECORDING)
    }

    /// Notes how far the issuer's clock is ahead of ours; true when that is worth reporting. Never used in arithmetic:
    /// all times are relative.
    pub fn observe_skew(&mut self, seconds: i64) -> bool {
        let is_skewed = seconds.abs() > LARGEST_SKEW_SECONDS;
        let was_skewed = std::mem::replace(&mut self.skewed, is_skewed);
        is_skewed && !was_skewed
    }

    /// The row of failed calls for this credential in this role.
    pub fn failed_requests(&self, credential: &str, role: Role) -> Option<&FailedRequests> {
        self.credential(credential)?.failed_requests(role)
    }

    /// True when the last call in this role failed, whatever it was made with.
    pub fn is_failing(&self, role: Role) -> bool {
        self.is_failing_beside(role, None)
    }

    /// The same without what is known of `partner`, the other one of two credentials.
    pub fn is_failing_beside(&self, role: Role, partner: Option<&str>) -> bool {
        let others = self.credentials.iter().filter(|(id, _)| Some(*id) != partner);
        others.into_iter().any(|(_, known)| known.failed_requests(role).is_some())
    }

    /// Notes a failure of a request at `failed_at`, while the token in the Secret had this `lifetime`, where two take turns
    /// beside `partner`.
    pub fn request_failed(
        &mut self,
        failure: &Failure,
        key: RequestKey,
        (lifetime, partner): (Option<&TokenLifetime>, Option<&str>),
        failed_at: Moment,
        context: FailureContext,
    ) {
        let before = self.failed_requests(&key.credential, key.role);
        // Retries have their own delays; a value that keeps changing has none.
        let is_paced = before.is_some_and(|before| before.key == key) || !self.is_failing_beside(key.role, partner);
        if failure.kind == FailureKind::Unavailable && is_paced {
            self.rate_limiter.give_back();
        }
        // Another credential that failed before is as good as untried once the spec names it again.
        let id = key.credential.clone();
        let others = self.credentials.iter_mut().filter(|(other, _)| *other != id && Some(*other) != partner);
        others.for_each(|(_, known)| known.forget_failures(key.role));
        self.credentials.retain(|other, known| other == id || !known.is_empty());
        self.credential_mut(&id).request_failed(failure, key, lifetime, failed_at, context);
    }

    /// Notes that the endpoint is up again: a request that found it down is retried now.
    pub fn endpoint_is_up(&mut self, now: Moment) {
        self.credentials.values_mut().for_each(|known| known.endpoint_is_up(now));
    }

    /// Notes since when this process acts: another process may have reported something else before.
    pub fn set_acting_since(&mut self, since: Moment) {
        if self.acting_since.replace(since) != Some(since) {
            (self.status, self.last_status) = (None, None);
            self.knows_state = false;
        }
    }

    /// Notes a state before it is written. The response may be lost, or be a conflict with the same write.
    pub fn state_write_started(&mut self, state: State) {
        self.sent_state = Some(Box::new(state));
    }

    /// Notes the state as it was read. True when another process has recorded a response in it while this process acts;
    /// a write of our own that seemed to fail may have succeeded.
    pub fn state_read(&mut self, stored: State) -> bool {
        let is_sent =
            self.sent_state.take().as_deref() == Some(&stored) || self.writes.failing(Target::State).is_some();
        let is_ours = !self.knows_state || is_sent;
        let known = self.state.replace(stored.clone());
        self.knows_state = true;
        !is_ours && known.is_some_and(|known| stored.is_newer_than(&known))
    }
}
