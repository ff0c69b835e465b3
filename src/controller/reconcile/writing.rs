//! The writes of a pass: the two Secrets, and the dry run of one.

use super::Running;
use crate::controller::apply::{self, WriteResult};
use crate::controller::observe::ObserveError;
use crate::telemetry::audit::AuditCause;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use syniverse_token_core::effects;
use syniverse_token_core::memory::Target;
use syniverse_token_core::plan::StateWrite;
use syniverse_token_core::reconcile_report::StepResult;
use syniverse_token_core::secrets::SecretWrite;
use syniverse_token_core::time::Moment;

impl Running<'_> {
    /// Dry-runs a write and remembers the result; false when the resource is gone.
    pub(super) async fn dry_run(&mut self, write: &SecretWrite) -> Result<bool, ObserveError> {
        match apply::dry_run(self.context, &self.observed, write).await {
            WriteResult::Written(_) => effects::dry_run_succeeded(&self.observed, self.memory),
            WriteResult::Gone => return Ok(false),
            WriteResult::Conflict => self.observe_again().await?,
            WriteResult::Failed(failure) => self.note_failed_write(Target::Token, failure),
        }
        Ok(true)
    }

    pub(super) async fn write_state(&mut self, StateWrite { state, write }: StateWrite) -> Result<bool, ObserveError> {
        self.memory.state_write_started((*state).clone());
        self.write_secret(Target::State, &write, |pass, secret, now| {
            effects::state_written(&mut pass.observed, pass.memory, &state, secret, now);
            StepResult::WroteState
        })
        .await
    }

    pub(super) async fn write_token(&mut self, write: SecretWrite) -> Result<bool, ObserveError> {
        self.write_secret(Target::Token, &write, |pass, secret, now| {
            effects::token_written(&mut pass.observed, pass.memory, secret, now);
            pass.token_written_at = Some(now);
            StepResult::WroteToken
        })
        .await
        .inspect(|_| self.deliver())
    }

    pub(super) async fn repair(&mut self, write: SecretWrite) -> Result<bool, ObserveError> {
        let name = write.secret().name_any();
        let is_state = name == self.observed.resource.state_secret_name();
        let target = if is_state { Target::State } else { Target::Token };
        let cause = std::mem::replace(&mut self.cause, AuditCause::Repair);
        let repaired = self.write_secret(target, &write, |pass, secret, now| {
            effects::repaired(&mut pass.observed, pass.memory, target, secret, now);
            StepResult::Repaired(name)
        });
        let is_there = repaired.await;
        self.cause = cause;
        is_there
    }

    /// Writes a Secret, and applies its effects with `then`. After a conflict everything is observed again, a failed
    /// write is retried later; false when the resource is gone.
    pub(super) async fn write_secret(
        &mut self,
        target: Target,
        write: &SecretWrite,
        then: impl FnOnce(&mut Self, Secret, Moment) -> StepResult,
    ) -> Result<bool, ObserveError> {
        match apply::write(self.context, &self.observed, write, self.cause).await {
            WriteResult::Written(secret) => {
                let now = self.now().mono;
                let step = then(self, *secret, now);
                self.steps.push(step);
            }
            WriteResult::Gone => return Ok(false),
            WriteResult::Conflict => self.observe_again().await?,
            WriteResult::Failed(failure) => self.note_failed_write(target, failure),
        }
        Ok(true)
    }
}
