//! A SyniverseToken as its status shows it.

use super::terminal::Mark;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use syniverse_token_core::api::{IssuerSpec, SyniverseToken, SyniverseTokenStatus};
use syniverse_token_core::reason::{Reason, Weight};
use syniverse_token_core::status::{headline, ready, reason};

/// A planned request that is overdue by this time is not planned any more: retries follow their own delays.
const OVERDUE: SignedDuration = SignedDuration::from_secs(5);

/// How long the token in the Secret lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// There is none yet.
    None,
    /// It never expires.
    Endless,
    /// It ends then.
    Until(Timestamp),
}

/// What a status says.
pub(super) struct TokenView<'a> {
    pub(super) resource: &'a SyniverseToken,
    status: Option<&'a SyniverseTokenStatus>,
    now: Timestamp,
}

impl<'a> TokenView<'a> {
    pub(super) fn new(resource: &'a SyniverseToken, now: Timestamp) -> Self {
        Self { resource, status: resource.status.as_ref(), now }
    }

    pub(super) fn namespace(&self) -> String {
        self.resource.namespace().unwrap_or_default()
    }

    pub(super) fn name(&self) -> String {
        self.resource.name_any()
    }

    pub(super) fn fingerprint(&self) -> Option<&'a str> {
        self.status?.fingerprint.as_deref()
    }

    pub(super) fn issued(&self) -> Option<Timestamp> {
        self.status?.issue_time.as_ref()?.parse().ok()
    }

    pub(super) fn life(&self) -> Life {
        let Some(status) = self.status.filter(|status| status.fingerprint.is_some()) else { return Life::None };
        let end = status.expiration_time.as_ref().and_then(|time| time.parse().ok());
        end.map_or(Life::Endless, Life::Until)
    }

    /// True while a live token is in the Secret, by its status and by the clock.
    pub(super) fn is_ready(&self) -> bool {
        let is_said = self.status.and_then(ready).is_some_and(|ready| ready.status == "True");
        is_said && !self.is_overdue()
    }

    /// True of a token that ended a while ago: nobody may be there to say so.
    pub(super) fn is_overdue(&self) -> bool {
        matches!(self.life(), Life::Until(end) if end + OVERDUE < self.now)
    }

    /// The most important fact, as a reason and a sentence.
    pub(super) fn headline(&self) -> Option<(&'a str, &'a str)> {
        self.status.and_then(headline).map(|said| (said.reason.as_str(), said.message.as_str()))
    }

    /// Since when Ready is what it is.
    pub(super) fn ready_since(&self) -> Option<Timestamp> {
        self.status.and_then(ready).map(|ready| ready.last_transition_time.0)
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        self.status.and_then(reason)
    }

    /// What is wrong, as a reason and a sentence: also what a person must mend where it is not the headline.
    pub(super) fn problem(&self) -> Option<(&'a str, &'a str)> {
        let status = self.status?;
        let stalled = status.conditions.iter().find(|said| said.type_ == "Stalled" && said.status == "True");
        let stalled = stalled.map(|said| (said.reason.as_str(), said.message.as_str()));
        let is_wrong = self.reason().is_some_and(|reason| reason.weight() >= Weight::Trouble);
        stalled.or_else(|| self.headline().filter(|_| is_wrong))
    }

    pub(super) fn mark(&self) -> Mark {
        match () {
            () if self.is_ready() && self.problem().is_none() && !self.is_suspended() => Mark::Good,
            () if self.is_ready() || self.is_idle() => Mark::Warning,
            () => Mark::Bad,
        }
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.resource.spec.suspend
    }

    /// True when there is no token, and none is wanted for now.
    fn is_idle(&self) -> bool {
        self.is_suspended() && self.life() == Life::None
    }

    /// True when nobody has looked at the resource as it is.
    pub(super) fn is_unseen(&self) -> bool {
        let seen = self.status.and_then(|status| status.observed_generation);
        seen != self.resource.metadata.generation
    }

    /// The next planned request, and what it is for.
    pub(super) fn next(&self) -> Option<(Timestamp, &'static str)> {
        let next: Timestamp = self.status?.next_refresh_time.as_ref()?.parse().ok()?;
        if next + OVERDUE < self.now {
            return None;
        }
        let purpose = match self.resource.spec.issuer()? {
            IssuerSpec::Session(_) => "extension",
            IssuerSpec::ClientCredentials(_) => "renewal",
            IssuerSpec::Application(application) if application.standby.is_some() => self.turn(next),
            IssuerSpec::Application(_) => self.after_expiry(next),
        };
        Some((next, purpose))
    }

    /// With a standby, the one check comes half way to the hand-over, and that in the second half of the token's life.
    fn turn(&self, next: Timestamp) -> &'static str {
        let (Some(issued), Life::Until(end)) = (self.issued(), self.life()) else { return "check" };
        let is_late = next.duration_since(issued) * 2 >= end.duration_since(issued);
        if is_late { "hand-over" } else { "check" }
    }

    fn after_expiry(&self, next: Timestamp) -> &'static str {
        match self.life() {
            Life::Until(end) if next >= end => "rotation",
            _ => "check",
        }
    }
}
