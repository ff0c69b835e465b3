//! An API server so slow that a pass has no time left for a call.

use crate::judge::What;
use crate::planted::Planted;
use crate::stage::{Given, Stage, USER};
use crate::world::World;
use issuer_simulator::fault::{Action, Fault, Stage as When};
use issuer_simulator::model::Life;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Each way; the whole is just within what a request may take.
const LAG: Duration = Duration::from_millis(6_500);

#[test]
fn no_pass_is_given_up_while_it_asks_and_no_pair_is_lost() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (world, _dead) = World::new(BTreeMap::new(), Planted::Nothing);
        let stage = Stage::on(world);
        stage.account_with_pair_for(USER, Life::Never);
        stage.put_session_credentials(&[Given::Pair(USER)]);
        stage.put_session(json!({}));
        stage.world.inside().lag = [LAG; 2];
        let slow = Action::Delay { millis: 9_000, at: When::AfterWork };
        stage.world.inside().issuers.faults().push(Fault::once(slow));
        stage.start("A");
        stage.pause(60.0).await;
        stage.world.inside().lag = [Duration::ZERO; 2];
        stage.pause(60.0).await;
        let inside = stage.world.inside();
        let asked = inside.entries.iter().filter(|entry| matches!(entry.what, What::Asked(_))).count();
        let answered = inside.entries.iter().filter(|entry| matches!(entry.what, What::Answered { .. })).count();
        assert!(asked > 0 && asked == answered, "{asked} questions, {answered} answers");
        let lost = |what: &What| matches!(what, What::Changed(change) if change.is.as_ref().is_some_and(|is| is.to_string().contains("SessionLost")));
        assert!(!inside.entries.iter().any(|entry| lost(&entry.what)));
    });
}
