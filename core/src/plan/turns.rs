//! Two credentials that take turns: the token of one is in the token Secret, and the other one stands by.
//!
//! The standby is asked when the hand-over opens, so long before the end of the token in the Secret that every workload can
//! change over. It is not asked before, to see whether it works: an early request makes a token, and shortens the next
//! overlap. Only where a person waits it is: a changed value, and the refresh annotation.

use super::candidates::{Candidate, Proposal};
use super::credential::{Credential, Partner};
use super::input::PlanInput;
use super::{Plan, Served, Turn};
use crate::fingerprint::fingerprint;
use crate::issuer::{Cause, FailureKind, ROUNDING};
use crate::messages::{self, ShortOverlap};
use crate::reason::{Finding, Weight};
use crate::schedule::Due;
use crate::state::{Inputs, Role, TokenRecord};
use crate::time::Moment;
use std::time::Duration;

impl PlanInput<'_> {
    /// The next request for either of two credentials.
    pub(super) fn plan_turns(
        &self,
        first: Result<Credential<'_>, Finding>,
        second: Result<Credential<'_>, Finding>,
    ) -> Plan {
        match (first, second) {
            (Err(first), Err(_)) => Plan::stop(first),
            (Ok(only), Err(problem)) | (Err(problem), Ok(only)) => self.plan_alone(only, problem),
            (Ok(first), Ok(second)) => {
                let is_second = second.is_active() && !first.is_active();
                let (active, standby) = if is_second { (second, first) } else { (first, second) };
                if active.is_same_as(&standby) {
                    let finding = messages::standby_not_independent(self.validated.kind());
                    return self.plan_credential(&active).also(finding);
                }
                self.plan_pair(active, standby)
            }
        }
    }

    /// One of the two cannot be used. The other one goes on alone, or takes over when it is its turn.
    fn plan_alone(&self, mut only: Credential<'_>, problem: Finding) -> Plan {
        let served = only.state.active_token().filter(|_| !only.is_active()).cloned();
        let Some(served) = served else {
            return self.plan_credential(&only).also(messages::standby_failing(&problem.message));
        };
        only.policy.hand_over_lead = Some(only.policy.hand_over_lead(&served, only.known_token()));
        let (id, token) = (only.state.active.clone().unwrap_or_default(), Some(served.clone()));
        only.partner = Some(Partner { id, inputs: Inputs::default(), served: Some(served), token });
        let proposal = only.proposal();
        let next = only.next_turn(true, &proposal);
        let request = next.map(|next| (only.allowed_at(&next), proposal.planned_request(&only, next)));
        self.plan_next(request, None, vec![problem])
    }

    fn plan_pair(&self, mut active: Credential<'_>, mut standby: Credential<'_>) -> Plan {
        introduce(&mut active, &mut standby);
        let proposals = [active.proposal(), standby.proposal()];
        let [own, other] = &proposals;
        let mut findings = Vec::new();
        let candidates = own.candidates(&active).unwrap_or_else(|finding| {
            findings.push(finding);
            Vec::new()
        });
        if findings.is_empty() {
            findings = own.findings(&active, &candidates);
        }
        let standby_problem = standby_finding(&active, &standby, other);
        let has_failed = active.failed_requests(Role::Main).is_some() && active.unanswered().is_none();
        let is_alone = own.request.is_err() || has_failed;
        let is_wanted = is_alone || active.active_token().is_some();
        let next = standby.next_turn(is_wanted, other).into_iter().map(|next| (&standby, other, next));
        let candidates = candidates.into_iter().map(|candidate| (&active, own, candidate));
        let all = candidates.filter(|(_, _, candidate)| active.is_first_asked(candidate, &standby, other)).chain(next);
        let second_try = standby.second_try();
        let allowed_at = |credential: &Credential<'_>, candidate: &Candidate| {
            let at = credential.allowed_at(candidate);
            if credential.is_standby() { at } else { second_try.map_or(at, |second_try| at.max(second_try)) }
        };
        let soonest = all
            .map(|(credential, proposal, candidate)| {
                (allowed_at(credential, &candidate), credential, proposal, candidate)
            })
            .min_by_key(|(at, credential, ..)| (*at, credential.place_in_turn()));
        let request =
            soonest.map(|(at, credential, proposal, candidate)| (at, proposal.planned_request(credential, candidate)));
        let plan = self.plan_next(request, own.settled_at(&active), findings);
        standby_problem.into_iter().fold(plan, Plan::also)
    }
}

impl Plan {
    /// This plan, and what is to be said of the standby: behind what is wrong with the token itself.
    fn also(mut self, finding: Finding) -> Self {
        let place = self.findings.iter().take_while(|known| known.reason.weight() > Weight::Notice).count();
        self.findings.insert(place, finding);
        self
    }
}

/// Each learns of the other one.
fn introduce(active: &mut Credential<'_>, standby: &mut Credential<'_>) {
    let served = active.state.active_token().cloned();
    let partner = |of: &Credential<'_>, served: Option<TokenRecord>| Partner {
        id: of.key.credential.clone(),
        inputs: of.key.inputs.clone(),
        served,
        token: of.known_token().cloned(),
    };
    let (of_active, of_standby) = (partner(standby, None), partner(active, served.clone()));
    if let Some(served) = &served {
        active.policy.hand_over_lead = Some(active.policy.hand_over_lead(served, standby.known_token()));
    }
    standby.policy.hand_over_lead = active.policy.hand_over_lead;
    (active.partner, standby.partner) = (Some(of_active), Some(of_standby));
}

/// What keeps the standby from taking over, or makes that late.
fn standby_finding(active: &Credential<'_>, standby: &Credential<'_>, proposal: &Proposal) -> Option<Finding> {
    let peers = &standby.input.observed.peers;
    let failing = standby.failed_requests(Role::Main);
    let failed = failing.map(|failing| messages::failed(failing, peers, &proposal.hint).message);
    let problem = failed.or_else(|| proposal.request.as_ref().err().map(|finding| finding.message.clone()));
    let short = || standby.short_overlap(active.active_token()?).map(messages::overlap_short);
    problem.map(|problem| messages::standby_failing(&problem)).or_else(short)
}

impl Credential<'_> {
    /// True when this one and the standby are the same to the issuer, as it has shown: it gave the same token to both, the
    /// last one or the one before, or not the scopes that make the difference.
    fn is_same_as(&self, standby: &Credential<'_>) -> bool {
        if self.key.credential == standby.key.credential {
            return true;
        }
        let (Some(own), Some(other)) = (self.active_token(), standby.known_token()) else { return false };
        let is_before = || own.previous.as_ref() == Some(&fingerprint(&other.token));
        own.token == other.token || is_before() || !other.omissions.scopes.is_empty()
    }

    /// The next request for the standby, if it is wanted: a first token is asked for with the other credential, as long
    /// as that does not fail; an answer that was lost is no failure, as it may have held a token.
    fn next_turn(&self, is_wanted: bool, proposal: &Proposal) -> Option<Candidate> {
        let request = proposal.request.clone().ok().filter(|_| is_wanted)?;
        let due = self.turn_due(proposal.change)?;
        Some(Candidate { due, request, role: Role::Main, leaves_one: false })
    }

    fn turn_due(&self, change: Option<Cause>) -> Option<Due> {
        let (now, partner) = (self.input.now, self.partner.as_ref()?);
        let Some(served) = &partner.served else {
            return Some(Due { cause: Cause::FirstIssue, at: now.mono });
        };
        // The other credential cannot make a token while its own lives: it is safe to be asked whatever the time is.
        if served.is_from_the_future(now) {
            return None;
        }
        if let Some(cause) = change {
            return Some(Due { cause, at: now.mono });
        }
        let opens = self.hand_over(served)?;
        let lead = self.policy.hand_over_lead.unwrap_or_default();
        let is_failing = self.failed_requests(Role::Main).is_some();
        let at = if is_failing { opens.min(now.moment_of(served.issue_time) + lead) } else { opens };
        Some(Due { cause: Cause::HandOver, at: self.own_boundary(at).unwrap_or(at) })
    }

    /// When the standby is asked again that was asked since `opens`, and has its old token still.
    fn own_boundary(&self, opens: Moment) -> Option<Moment> {
        let record = self.known_token()?;
        let lifetime = self.lifetime(record);
        let poll = self.input.memory.expiry_poll(record);
        self.policy.next_boundary(&lifetime, poll).filter(|_| lifetime.answered >= opens)
    }

    /// When the hand-over opens: at once, if a consumer was refused with a token that lives as the issuer says.
    fn hand_over(&self, served: &TokenRecord) -> Option<Moment> {
        if served.rejected {
            return Some(self.input.now.moment_of(served.issue_time));
        }
        self.policy.hand_over_at(served, &self.lifetime(served), self.input.now)
    }

    /// False where the standby is to be asked instead: a person wants a new token now, and only the standby has one.
    fn is_first_asked(&self, candidate: &Candidate, standby: &Credential<'_>, proposal: &Proposal) -> bool {
        let is_able = proposal.request.is_ok() && standby.failed_requests(Role::Main).is_none();
        !(candidate.due.cause == Cause::Requested && is_able && self.active_token().is_some())
    }

    /// Which of two requests comes first that are due at the same time: that of a standby, unless it has failed.
    fn place_in_turn(&self) -> u8 {
        match (self.is_standby(), self.failed_requests(Role::Main)) {
            (true, Some(_)) if self.second_try().is_none() => 2,
            (true, _) => 0,
            (false, _) => 1,
        }
    }

    /// When a standby is asked again whose only request may have made a token that nobody has seen. A token of the other
    /// one that is made just then ends at the same time as that, and leaves a gap a rotation later.
    fn second_try(&self) -> Option<Moment> {
        self.unanswered().filter(|_| self.is_standby())
    }

    /// When a request is sent again that was sent once and got no answer.
    fn unanswered(&self) -> Option<Moment> {
        let failing = self.failed_requests(Role::Main)?;
        (failing.kind == FailureKind::Unavailable && failing.count == 1).then_some(failing.not_before)
    }

    /// True when its last request in this role failed, whatever its values.
    pub(super) fn is_failing(&self, role: Role) -> bool {
        self.input.memory.is_failing_beside(role, self.partner.as_ref().map(|partner| partner.id.as_str()))
    }

    /// Its turn; none for a credential that is alone.
    pub(super) fn turn(&self) -> Option<Turn> {
        let Partner { id, inputs, served, .. } = self.partner.as_ref()?;
        let served = served.as_ref().map(|record| Served {
            record: record.clone(),
            ends: self.lifetime(record).earliest_end(),
            hand_over: self.hand_over(record),
        });
        Some(Turn { partner: id.clone(), partner_inputs: inputs.clone(), served })
    }

    /// The next overlap, if the token of this standby lives on beyond the moment of the hand-over: nothing new is to be
    /// had before its end. From stored data alone, so that it is the same in every pass.
    fn short_overlap(&self, served: &TokenRecord) -> Option<ShortOverlap> {
        let lead = self.policy.hand_over_lead?;
        let (ends, own) = (served.earliest_end()?, self.known_token()?.earliest_end()?);
        let overlap = Duration::try_from(ends.duration_since(own)).ok()?;
        let is_short = overlap + ROUNDING < lead;
        is_short.then_some(ShortOverlap { overlap, usual: lead, whole_from: own })
    }
}
