//! The status of the resource: computed from observations and steps, written only when it changed.

use crate::api::{PropagationStatus, SyniverseToken, SyniverseTokenStatus};
use crate::fingerprint::fingerprint;
use crate::issuer::RenewalTime;
use crate::memory::Memory;
use crate::observed::Observed;
use crate::reason::{Finding, Reason, Weight};
use crate::reconcile_report::ServedToken;
use crate::schedule::{GRACE, TokenLifetime};
use crate::secrets::{rfc3339, shown_expiry};
use crate::state::TokenRecord;
use crate::time::{Moment, Now};
use crate::validated::Validated;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The condition that says whether a live token is in the token Secret.
pub const READY: &str = "Ready";
/// The condition that is True until the first token exists.
const RECONCILING: &str = "Reconciling";
/// The condition that is True when a person must act.
const STALLED: &str = "Stalled";

/// The condition Ready of a status.
pub fn ready(status: &SyniverseTokenStatus) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == READY)
}

/// The condition with the most important finding: Ready, or Reconciling without a Ready.
pub fn headline(status: &SyniverseTokenStatus) -> Option<&Condition> {
    ready(status).or_else(|| status.conditions.iter().find(|condition| condition.type_ == RECONCILING))
}

/// The reason of that condition; none before the first pass.
pub fn reason(status: &SyniverseTokenStatus) -> Option<Reason> {
    let said = &headline(status)?.reason;
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == said)
}

/// Health of the token, as the status shows it.
#[derive(Clone, Debug)]
pub struct TokenHealth {
    record: Option<TokenRecord>,
    lifetime: Option<TokenLifetime>,
    is_served: bool,
    /// An unrecorded response ends the token in the Secret.
    is_dead: bool,
    finding: Option<Finding>,
    stalled: Option<Finding>,
}

impl TokenHealth {
    /// Derives it from the observations and the findings of the plan.
    pub fn of(observed: &Observed, memory: &Memory, findings: &[Finding], now: Now) -> Self {
        let state = observed.stored_state().or(memory.state.as_ref());
        let record = state.and_then(|state| state.active_token().cloned());
        let inside = observed.served_token();
        // What is wrong with the token itself comes first, and what is only worth knowing last.
        let graver = |finding: &&Finding| finding.reason.weight() > Weight::Notice || finding.reason.is_in_the_way();
        let (first, rest) = findings.split_at(findings.iter().take_while(graver).count());
        let all = || first.iter().chain(&observed.propagation.finding).chain(rest);
        Self {
            is_dead: inside.as_ref().is_some_and(|inside| {
                memory.unrecorded.as_ref().is_some_and(|unrecorded| unrecorded.is_end_of(inside))
            }),
            is_served: inside.is_some() && inside == record.as_ref().map(|record| record.token.clone()),
            lifetime: record.as_ref().map(|record| memory.lifetime(record, now)),
            record,
            finding: all().next().cloned(),
            stalled: all().find(|finding| finding.reason.weight() == Weight::Stall).cloned(),
        }
    }

    /// True when the token Secret holds a live token, the first seconds after its expiry included while nothing fails.
    pub fn is_ready(&self, now: Moment) -> bool {
        let until = self.ready_until();
        let lives = !self.is_dead && self.record.as_ref().is_some_and(|record| !record.ended);
        self.is_served && lives && until.is_none_or(|until| now < until)
    }

    /// When Ready turns False if nothing happens before.
    pub fn ready_until(&self) -> Option<Moment> {
        let expires = self.lifetime.as_ref().and_then(|lifetime| lifetime.expires)?;
        // Only an application's token is replaced after its end.
        let is_due_later = self.record.as_ref().is_some_and(|record| record.renewal().when == RenewalTime::AfterExpiry);
        Some(if self.is_in_order() && is_due_later { expires + GRACE } else { expires })
    }

    /// True when nothing keeps the operator from getting the next token.
    fn is_in_order(&self) -> bool {
        self.finding.as_ref().is_none_or(|finding| !finding.reason.is_in_the_way())
    }

    /// True when there is no token, and none is to come for now.
    fn is_idle(&self) -> bool {
        self.record.is_none() && self.finding.as_ref().is_some_and(|finding| finding.reason == Reason::Suspended)
    }

    /// The token in the token Secret, `written_at` by this pass or not.
    pub fn served_token(&self, written: Option<Moment>, now: Moment) -> Option<ServedToken> {
        let record = self.record.as_ref().filter(|_| self.is_served)?;
        let expires = self.lifetime.as_ref().and_then(|lifetime| lifetime.expires);
        let dies = if record.ended { Some(expires.map_or(now, |expires| expires.min(now))) } else { expires };
        Some(ServedToken {
            fingerprint: fingerprint(&record.token),
            kind: record.kind,
            expires: dies,
            written_at: written,
        })
    }

    fn ready(&self, secret: &str, shown: Option<&str>, now: Moment) -> (bool, Finding) {
        let ready = self.is_ready(now);
        let fallback = match (&self.record, shown) {
            (None, _) => Finding::new(Reason::Pending, "waiting for the first token"),
            (Some(_), None) if ready => Finding::new(Reason::Issued, format!("Secret {secret} holds a live token")),
            (Some(_), Some(time)) if ready => {
                Finding::new(Reason::Issued, format!("Secret {secret} holds a live token until {time}"))
            }
            (Some(record), _) if self.is_served && record.ended => {
                Finding::new(Reason::SessionEnded, format!("the session of the token in Secret {secret} has ended"))
            }
            (Some(_), Some(time)) if self.is_served && !self.is_dead => {
                Finding::new(Reason::Expired, format!("the token in Secret {secret} expired at {time}"))
            }
            (Some(_), _) => Finding::new(
                Reason::Pending,
                format!(
                    "waiting for the token to be written to Secret \
                {secret}"
                ),
            ),
        };
        let says_more = |finding: &Finding| ready || finding.reason == Reason::Pending || !self.is_in_order();
        (ready, self.finding.clone().filter(says_more).unwrap_or(fallback))
    }
}

/// The status that `resource` should have.
pub fn status(
    observed: &Observed,
    health: &TokenHealth,
    old: Option<&SyniverseTokenStatus>,
    now: Now,
) -> SyniverseTokenStatus {
    let resource = &observed.resource;
    let generation = resource.metadata.generation;
    let record = health.record.as_ref();
    let print = record.map(|record| fingerprint(&record.token));
    let shown = old.filter(|old| old.fingerprint == print).and_then(|old| old.expiration_time.as_ref()?.parse().ok());
    let expiration_time =
        record.and_then(|record| record.expiration_time).map(|time| rfc3339(shown_expiry(time, shown)));
    let conditions = conditions(health, resource, expiration_time.as_deref(), now.mono);
    let old_conditions = old.map(|old| old.conditions.as_slice()).unwrap_or_default();
    SyniverseTokenStatus {
        observed_generation: generation,
        conditions: conditions
            .into_iter()
            .map(|condition| dated(condition, generation, old_conditions, now.wall))
            .collect(),
        secret_name: Some(resource.secret_name().to_owned()),
        fingerprint: print,
        issue_time: record.map(|record| rfc3339(record.issue_time)),
        expiration_time,
        next_refresh_time: planned(observed, health),
        last_handled_refresh: observed.stored_state().and_then(|state| state.refresh.clone()),
        propagation: propagation(observed, old).map(Box::new),
    }
}

/// The last delivery. When it was is not written again by another operator that has seen another moment.
fn propagation(observed: &Observed, old: Option<&SyniverseTokenStatus>) -> Option<PropagationStatus> {
    let said = observed.propagation.status.clone()?;
    let old = old.and_then(|old| old.propagation.as_deref()).filter(|old| old.time.is_some());
    let is_same = |old: &&PropagationStatus| **old == PropagationStatus { time: old.time.clone(), ..said.clone() };
    Some(old.filter(is_same).cloned().unwrap_or(said))
}

fn planned(observed: &Observed, health: &TokenHealth) -> Option<String> {
    let validated = Validated::of(observed).ok()?;
    let is_stopped = health.stalled.as_ref().is_some_and(|finding| finding.reason.is_in_the_way());
    let record = health.record.as_ref().filter(|_| !observed.resource.spec.suspend && !is_stopped)?;
    validated.policy_for(observed, record).planned_time(record).map(rfc3339)
}

struct DraftCondition {
    kind: &'static str,
    is_true: bool,
    finding: Finding,
}

/// A resource suspended before its first token is as requested, but not ready: it has no condition Ready, so that
/// kstatus treats it as current, and clients that wait for Ready keep waiting.
fn conditions(
    health: &TokenHealth,
    resource: &SyniverseToken,
    expires: Option<&str>,
    now: Moment,
) -> Vec<DraftCondition> {
    let (is_ready, ready) = health.ready(resource.secret_name(), expires, now);
    let stalled = health.stalled.clone();
    let reconciling = health.record.is_none() && stalled.is_none() && !resource.spec.suspend;
    let idle = || Finding::new(ready.reason, String::new());
    let is_told = reconciling || health.is_idle();
    let mut conditions = vec![
        DraftCondition {
            kind: RECONCILING,
            is_true: reconciling,
            finding: if is_told { ready.clone() } else { idle() },
        },
        DraftCondition { kind: STALLED, is_true: stalled.is_some(), finding: stalled.unwrap_or_else(idle) },
    ];
    if !health.is_idle() {
        conditions.push(DraftCondition { kind: READY, is_true: is_ready, finding: ready });
    }
    conditions
}

fn dated(draft: DraftCondition, generation: Option<i64>, old: &[Condition], now: Timestamp) -> Condition {
    let status = if draft.is_true { "True" } else { "False" };
    let since = old.iter().find(|old| old.type_ == draft.kind && old.status == status);
    let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Condition {
        type_: draft.kind.to_owned(),
        status: status.to_owned(),
        reason: draft.finding.reason.as_str().to_owned(),
        message: draft.finding.message,
        observed_generation: generation,
        last_transition_time: since.map_or(Time(second), |since| since.last_transition_time.clone()),
    }
}
