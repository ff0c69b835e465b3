//! The end of a pass: the status of the resource, written when it differs from that at the API server.

use super::{Running, Settled};
use crate::controller::apply;
use crate::telemetry::traces;
use kube::{Api, ResourceExt};
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::api::{SyniverseToken, SyniverseTokenStatus};
use syniverse_token_core::effects;
use syniverse_token_core::memory::WrittenStatus;
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::reason::Finding;
use syniverse_token_core::reconcile_report::{NewToken, ReconcileReport, StepResult};
use syniverse_token_core::schedule::retry::Backoff;
use syniverse_token_core::secrets::operator_post_params;
use syniverse_token_core::status::{TokenHealth, status};
use syniverse_token_core::time::Moment;
use tracing::Instrument;

/// Delay between failing writes of a status.
const STATUS_RETRY: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

/// A request that comes within this time of the end of a token comes at once.
const AT_ONCE: Duration = Duration::from_millis(250);

impl Running<'_> {
    /// Publishes the pending status of a resource without a status: before its first request, which may take its time,
    /// and once per pass. False when there is nothing to publish.
    pub(super) async fn publish_pending(&mut self, findings: &[Finding]) -> bool {
        let said =
            self.memory.status.as_ref().map(|written| &written.status).or(self.observed.resource.status.as_ref());
        let is_known = said.is_some_and(|said| !said.conditions.is_empty());
        if is_known || std::mem::replace(&mut self.has_published_pending, true) {
            return false;
        }
        let now = self.now();
        let health = TokenHealth::of(&self.observed, self.memory, findings, now);
        let greeting = status(&self.observed, &health, None, now);
        self.context.expect_status(&self.context.name(&self.observed.resource), &greeting);
        // If it fails, the end of the pass publishes it again.
        self.publish(greeting, now.mono).await;
        true
    }

    pub(super) async fn conclude(mut self, settled: Settled) -> ReconcileReport {
        let now = self.now();
        self.deliver();
        let health = TokenHealth::of(&self.observed, self.memory, &settled.findings, now);
        let own = self.memory.status.as_ref().map(|written| written.status.clone());
        let before = own.or_else(|| self.observed.resource.status.clone());
        let there = self.stored_status().cloned();
        // A status that differs only in its times is left alone: two operators would otherwise overwrite each other
        // forever.
        let same = status(&self.observed, &health, there.as_ref(), now);
        let is_there = there.as_ref() == Some(&same);
        let after = if is_there { same } else { status(&self.observed, &health, before.as_ref(), now) };
        // A request that comes at once needs no pass before it to say that the token has expired.
        let requested = settled.request.as_ref().and(settled.until);
        let turns = health.ready_until().filter(|until| *until > now.mono);
        let turns = turns.filter(|until| requested.is_none_or(|requested| *until + AT_ONCE < requested));
        self.context.expect_status(&self.context.name(&self.observed.resource), &after);
        let retry = if is_there { None } else { self.publish(after.clone(), now.mono).await };
        if is_there {
            self.check_shown_status();
        }
        let is_standby_ready = self.observed.is_standby_ready(&settled.findings);
        let new_token = self.new_token(before.as_ref(), &after);
        let before = self.memory.last_status.replace(after.clone()).or(before);
        let wake = [settled.until, turns, retry].into_iter().flatten().min();
        let request = settled.request.filter(|_| wake == settled.until);
        let served = health.served_token(self.token_written_at, now.mono);
        effects::pass_ended(&self.observed, self.memory);
        ReconcileReport {
            steps: self.steps,
            before,
            after: Some(after),
            new_token,
            served_before: None,
            served_after: served,
            is_standby_ready,
            wake,
            request,
        }
    }

    /// The status at the API server, as far as is known: the cache may be behind our own last write, or ahead of it, if
    /// another writer has changed it since.
    fn stored_status(&self) -> Option<&SyniverseTokenStatus> {
        let resource = &self.observed.resource;
        let own = self.memory.status.as_ref().filter(|own| !own.is_older_than(resource));
        own.map(|own| &own.status).or(resource.status.as_ref())
    }

    /// Checks the status again if the watch has shown another one during the pass: until the first pass of a resource
    /// has ended, nothing tells which status is expected.
    fn check_shown_status(&self) {
        let name = self.context.name(&self.observed.resource);
        let shown = self.context.resources().get(&name);
        if let Some(shown) = shown {
            self.context.check_status(&name, &shown);
        }
    }

    /// Writes the status; when that fails, gives the moment to try again.
    async fn publish(&mut self, status: SyniverseTokenStatus, now: Moment) -> Option<Moment> {
        match self.write_status(status).instrument(traces::step("write status")).await {
            Ok(written) => {
                self.memory.status_failures = 0;
                self.steps.extend(written.then_some(StepResult::WroteStatus));
                None
            }
            Err(error) => {
                let (namespace, name) = (self.observed.resource.namespace(), self.observed.resource.name_any());
                tracing::warn!(
                    namespace,
                    name,
                    error = crate::client::error::describe(&error),
                    "failed to write the status"
                );
                self.memory.status_failures = self.memory.status_failures.saturating_add(1);
                Some(now + STATUS_RETRY.after(self.memory.status_failures, self.observed.spread()))
            }
        }
    }

    /// Reported once per token, when it is in the token Secret, whichever pass wrote it.
    fn new_token(&mut self, before: Option<&SyniverseTokenStatus>, after: &SyniverseTokenStatus) -> Option<NewToken> {
        let known = before.and_then(|before| before.fingerprint.clone()).unwrap_or_default();
        let announced = self.memory.announced_fingerprint.get_or_insert(known);
        let token = after.fingerprint.as_ref().filter(|token| *token != announced)?;
        self.steps.iter().any(|step| matches!(step, StepResult::WroteToken | StepResult::Repaired(_))).then_some(())?;
        let is_first = announced.is_empty();
        announced.clone_from(token);
        Some(if is_first { NewToken::First } else { NewToken::Next })
    }

    /// PUT of the status, with the version from the cache; a conflict is resolved by reading. False when it was there
    /// already, or is no longer wanted.
    async fn write_status(&mut self, status: SyniverseTokenStatus) -> kube::Result<bool> {
        let resource = Arc::clone(&self.observed.resource);
        let result = match self.put_status(&resource, &status).await {
            Err(kube::Error::Api(refusal)) if refusal.is_conflict() => {
                match apply::live(self.context, &resource).await? {
                    Some(live) if live.status.as_ref() == Some(&status) => {
                        self.status_written(status, &live);
                        return Ok(false);
                    }
                    Some(live) if live.metadata.generation == resource.metadata.generation => {
                        self.put_status(&live, &status).await
                    }
                    // A newer generation brings a pass of its own; a resource that is gone needs no status.
                    _ => return Ok(false),
                }
            }
            result => result,
        };
        match result {
            Ok(written) => {
                self.status_written(status, &written);
                Ok(true)
            }
            Err(kube::Error::Api(refusal)) if refusal.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn put_status(&self, on: &SyniverseToken, status: &SyniverseTokenStatus) -> kube::Result<SyniverseToken> {
        let api: Api<SyniverseToken> = self.context.api(on);
        let wanted = SyniverseToken { status: Some(status.clone()), ..on.clone() };
        api.replace_status(&on.name_any(), &operator_post_params(), &wanted).await
    }

    /// `status` is what the API server has in this version. A second write of this pass begins with that.
    fn status_written(&mut self, status: SyniverseTokenStatus, stored: &SyniverseToken) {
        let version = stored.resource_version();
        self.context.status_written(&ObjectName::of(stored), version.as_deref());
        Arc::make_mut(&mut self.observed.resource).metadata.resource_version.clone_from(&version);
        self.memory.status = Some(WrittenStatus { status, version });
    }
}
