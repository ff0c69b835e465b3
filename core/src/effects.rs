//! Effects of the steps on the observations and the memory. A pass applies them after the API server or the issuer has
//! responded; tests apply the same effects.

use crate::issuer::{Failure, TokenResponse};
use crate::memory::{FailureContext, Memory, Target};
use crate::observed::Observed;
use crate::plan::{PlannedRequest, StateWrite};
use crate::secrets::{KnownTokenSecret, Owner};
use crate::state::State;
use crate::time::{Moment, Now};
use k8s_openapi::api::core::v1::Secret;

/// Notes what was read. True when another process has recorded a response that is unknown to this process.
pub fn secrets_read(observed: &Observed, memory: &mut Memory, now: Moment) -> bool {
    for (target, secret) in [(Target::State, observed.state.secret()), (Target::Token, observed.token.as_ref())] {
        secret.into_iter().for_each(|secret| memory.writes.secret_found(target, is_immutable(secret), now));
    }
    let Some(stored) = observed.stored_state() else { return false };
    // This process may know something newer of the same state.
    if memory.state.as_ref().is_some_and(|known| known.is_newer_than(stored)) {
        return false;
    }
    if observed.is_token_written(stored) {
        memory.written_token = observed.written_token(stored);
    }
    memory.state_read(stored.clone())
}

/// The state Secret was written, and is `stored` now. An answer that `state` records is no longer held.
pub fn state_written(observed: &mut Observed, memory: &mut Memory, state: &State, stored: Secret, now: Moment) {
    memory.writes.secret_written(Target::State, is_immutable(&stored), now);
    if memory.unrecorded.as_ref().is_some_and(|unrecorded| unrecorded.is_recorded_in(state)) {
        memory.unrecorded = None;
    }
    memory.state = Some(state.clone());
    observed.state = stored.into();
}

/// The intent to call was written: the plan after this makes the call.
pub fn intent_written(observed: &mut Observed, memory: &mut Memory, write: &StateWrite, stored: Secret, now: Moment) {
    state_written(observed, memory, &write.state, stored, now);
    intent_found(memory, write, now);
}

/// The intent may be there although its write met a conflict, with itself where a proxy sent it twice.
pub fn intent_found(memory: &mut Memory, write: &StateWrite, now: Moment) {
    let found = memory.state.as_ref().and_then(|state| state.intent.as_ref());
    if found.is_some() && found == write.state.intent.as_ref() {
        memory.intent_written(write.state.intent.clone(), now);
    }
}

/// The token Secret was written, and is `stored` now.
pub fn token_written(observed: &mut Observed, memory: &mut Memory, stored: Secret, now: Moment) {
    memory.writes.secret_written(Target::Token, is_immutable(&stored), now);
    memory.written_token = memory.state.as_ref().and_then(|state| observed.written_token(state));
    observed.token = Some(stored);
}

/// A pass ends: what it knew of the token Secret spares the next one a read.
pub fn pass_ended(observed: &Observed, memory: &mut Memory) {
    let known = |state, secret: &Secret| {
        KnownTokenSecret::of(secret, observed.desired(), &Owner::of(&observed.resource)?, state)
    };
    memory.token_secret =
        memory.state.as_ref().zip(observed.token.as_ref()).and_then(|(state, secret)| known(state, secret));
}

/// A Secret that another writer had changed or deleted was restored, and is `stored` now.
pub fn repaired(observed: &mut Observed, memory: &mut Memory, target: Target, stored: Secret, now: Moment) {
    memory.writes.secret_written(target, is_immutable(&stored), now);
    memory.writes.repair_done(now);
    match target {
        Target::State => observed.state = stored.into(),
        Target::Token => observed.token = Some(stored),
    }
}

/// The dry run of the token Secret succeeded.
pub fn dry_run_succeeded(observed: &Observed, memory: &mut Memory) {
    memory.writes.dry_run_succeeded(observed.write_basis(Target::Token));
}

/// A write failed; if it `is_refused`, the same write would be refused again.
pub fn write_failed(
    observed: &Observed,
    memory: &mut Memory,
    target: Target,
    detail: String,
    is_refused: bool,
    now: Moment,
) {
    if is_refused {
        memory.writes.write_refused(target, detail, observed.write_basis(target), now, observed.spread());
    } else {
        memory.writes.write_failed(target, detail, now, observed.spread());
    }
}

/// The request is about to be sent.
pub fn request_sent(memory: &mut Memory, planned: &PlannedRequest, sent: Now) {
    memory.request_sent(&planned.key.credential, planned.record.as_ref(), sent);
}

/// The request that was sent at `sent` has ended. `sync` brings what other resources know into both; a failure is judged
/// by it, and it must not be undone by an answer.
pub fn request_ended(
    observed: &mut Observed,
    memory: &mut Memory,
    planned: &PlannedRequest,
    result: &Result<TokenResponse, Failure>,
    (sent, ended): (Now, Moment),
    sync: impl FnOnce(&mut Observed, &mut Memory),
) {
    if let Some(endpoint_result) = planned.result_of(result) {
        let known = planned.record.as_ref().map(|record| memory.lifetime(record, sent));
        let activates = |response| planned.activates(response, known.as_ref(), (sent, ended));
        let activates = result.as_ref().is_ok_and(activates);
        let unrecorded = planned.unrecorded(endpoint_result, sent, activates);
        memory.response_received(planned.record.as_ref(), unrecorded, ended);
        return sync(observed, memory);
    }
    sync(observed, memory);
    let Err(failure) = result else { return };
    let wire = planned.request.wire();
    let context = FailureContext {
        endpoint_down: observed.peers.endpoint_down,
        before_expiry: wire.properties().is_before_expiry,
        may_come_early: wire.kind().renewal().may_come_early,
        was_served: planned.was_served,
        is_hand_over: planned.served().is_some(),
        idle_until: planned.served().and_then(|served| served.hand_over).filter(|opens| ended < *opens),
        spread: observed.spread(),
    };
    let lifetime = planned.live_token().map(|record| memory.lifetime(record, sent));
    let partner = planned.turn.as_ref().map(|turn| turn.partner.as_str());
    memory.request_failed(failure, planned.key.clone(), (lifetime.as_ref(), partner), ended, context);
}

fn is_immutable(secret: &Secret) -> bool {
    secret.immutable == Some(true)
}
