//! A SyniverseToken as its status shows it.

use super::terminal::Mark;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use syniverse_token_core::api::{IssuerSpec, SyniverseToken, SyniverseTokenStatus};
use syniverse_token_core::reason::{Reason, Weight};
use syniverse_token_core::status::{headline, ready, reason};

/// A planned request that is overdue by this time is not planned any more: retries follow their own delays.
const OVERDUE: SignedDuration = SignedDuration::from_secs(5);

/// For as long a resource may wait for the operator to look at it, and for its first token.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

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

/// What is wrong with a token.
pub(super) struct Trouble {
    pub(super) kind: TroubleKind,
    pub(super) mark: Mark,
    /// In one line.
    pub(super) text: String,
}

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TroubleKind {
    /// Nobody asks for a token.
    Suspended,
    /// The token has ended, and is not renewed.
    Dead,
    /// No operator has looked at the resource as it is.
    Unseen,
    /// The status says so; none = with a reason that this version does not know.
    Reason(Option<Reason>),
}

fn joined((reason, message): (&str, &str)) -> String {
    format!("{reason}: {message}")
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
    fn is_overdue(&self) -> bool {
        matches!(self.life(), Life::Until(end) if end + OVERDUE < self.now)
    }

    /// The most important fact, as a reason and a sentence.
    pub(super) fn headline(&self) -> Option<(&'a str, &'a str)> {
        self.status.and_then(headline).map(|said| (said.reason.as_str(), said.message.as_str()))
    }

    /// The most important fact in one line.
    pub(super) fn headline_text(&self) -> Option<String> {
        self.headline().map(joined)
    }

    /// Since when Ready is what it is.
    pub(super) fn ready_since(&self) -> Option<Timestamp> {
        self.status.and_then(ready).map(|ready| ready.last_transition_time.0)
    }

    /// What the status says is wrong: what a person must mend, also where it is not the headline, or a headline that is no
    /// good news. A later operator may have reasons of its own.
    pub(super) fn complaint(&self) -> Option<(&'a str, &'a str)> {
        let status = self.status?;
        let stalled = status.conditions.iter().find(|said| said.type_ == "Stalled" && said.status == "True");
        let stalled = stalled.map(|said| (said.reason.as_str(), said.message.as_str()));
        let is_fine = reason(status).is_some_and(|reason| reason.weight() < Weight::Trouble);
        let is_ready = ready(status).is_some_and(|ready| ready.status == "True");
        stalled.or_else(|| self.headline().filter(|_| !is_fine || !is_ready && !self.is_suspended()))
    }

    /// What is wrong with it; none of a token that is as it should be.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let waits_since =
            |since: Option<Timestamp>| since.is_some_and(|since| self.now.duration_since(since) < PATIENCE);
        let because = || self.complaint().map(|said| format!("; {}", joined(said))).unwrap_or_default();
        let trouble =
            |kind, is_bad, text| Some(Trouble { kind, mark: if is_bad { Mark::Bad } else { Mark::Warning }, text });
        let is_over = matches!(self.life(), Life::Until(end) if end < self.now);
        if self.is_suspended() {
            let (is_idle, left) = (self.life() == Life::None, if is_over { "is over" } else { "runs out" });
            let text =
                if is_idle { "suspended".to_owned() } else { format!("suspended: its token {left}{}", because()) };
            return trouble(TroubleKind::Suspended, is_over, text);
        }
        if self.is_overdue() {
            return trouble(TroubleKind::Dead, true, format!("the token is not renewed{}", because()));
        }
        if self.is_unseen() {
            let text = "no operator has looked at it as it is now".to_owned();
            return trouble(TroubleKind::Unseen, !waits_since(self.touched()), text);
        }
        let complaint = self.complaint()?;
        let known = Reason::ALL.iter().copied().find(|reason| reason.as_str() == complaint.0);
        let is_new = known == Some(Reason::Pending) && waits_since(self.ready_since());
        let is_in_the_way = known.is_some_and(|reason| reason.weight() == Weight::Stall && reason.is_in_the_way());
        let is_bad = is_in_the_way || !self.is_ready() && !is_new;
        trouble(TroubleKind::Reason(known), is_bad, joined(complaint))
    }

    pub(super) fn mark(&self) -> Mark {
        self.trouble().map_or(Mark::Good, |trouble| trouble.mark)
    }

    /// True of a live token, and where none is wanted for now.
    pub(super) fn is_as_wanted(&self) -> bool {
        self.is_ready() || self.is_suspended() && self.life() == Life::None
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.resource.spec.suspend
    }

    fn is_unseen(&self) -> bool {
        let seen = self.status.and_then(|status| status.observed_generation);
        seen != self.resource.metadata.generation
    }

    /// When somebody changed it last, but for the operator's status.
    fn touched(&self) -> Option<Timestamp> {
        let fields = self.resource.managed_fields().iter().filter(|fields| fields.subresource.is_none());
        let changed = fields.filter_map(|fields| fields.time.as_ref()).map(|time| time.0).max();
        changed.or_else(|| self.resource.creation_timestamp().map(|time| time.0))
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
