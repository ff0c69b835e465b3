//! Somebody else at work at the same time: a second operator, a resource deleted during its call.

use crate::crashes::until_issued;
use crate::history::History;
use crate::support::*;
use harness::wait_for;
use issuer_simulator::analysis::calls_per_rotation;
use issuer_simulator::fault::{Action, Fault, Stage as When};
use kube::ResourceExt;
use kube::api::ListParams;

/// A check, and a boundary that is felt for in steps, for one operator.
const BOUNDARY_CALLS: usize = 10;

#[tokio::test]
async fn two_operators_at_once_never_set_a_token_back_and_never_write_one_twice() {
    const ROTATIONS: usize = 4;
    let mut stage = Stage::dark().await;
    let history = History::of(&stage);
    let writes = Writes::of(&stage).await;
    stage.start_operator(&[]);
    let rival = stage.another_operator();
    stage.issued("3s").await;
    let mut token = stage.token().await;
    for _ in 0..ROTATIONS {
        token = stage.until_rotated(&token).await;
    }
    let journal = stage.simulator.journal();
    history.assert_in_order_of(&journal);
    let (written, held) = (writes.count(&stage, NAME).await, history.held().len());
    let calls = calls_per_rotation(&journal);
    println!("{written} writes of {held} tokens; calls per rotation {calls:?}");
    assert_eq!(written, held);
    assert!(calls.iter().all(|calls| *calls <= 2 * BOUNDARY_CALLS), "{calls:?}");
    stage.until_ready(NAME).await;
    let either_says = async || {
        let logs = [stage.operator().log(), rival.log()];
        logs.iter().any(|log| log.matches("another operator works here").count() == 1).then_some(())
    };
    wait_for("a word about the rival, once", PATIENCE, either_says).await.unwrap();
}

#[tokio::test]
async fn a_resource_deleted_during_its_call_leaves_nothing_behind() {
    let mut stage = Stage::open().await;
    stage.simulator.fault(Fault::once(Action::Delay { millis: 2000, at: When::AfterWork }));
    stage.apply(NAME, stage.spec("1h")).await;
    until_issued(&stage, 0).await;

    stage.delete(NAME).await;

    stage.operator().wait_for_log("requested a token (first-issue)", PATIENCE).await.unwrap();
    let gone = async || (names(&stage).await == [CREDENTIALS]).then_some(());
    wait_for("the end of the Secrets", PATIENCE, gone).await.unwrap();
    // Whatever is still under way has been seen once another resource has its token.
    stage.apply("another", stage.spec("1h")).await;
    stage.until_ready("another").await;
    assert_eq!(names(&stage).await, ["another", "another-syniverse-state", CREDENTIALS]);
}

/// The names of all Secrets, in order.
async fn names(stage: &Stage) -> Vec<String> {
    let secrets = stage.secrets.list(&ListParams::default()).await.unwrap();
    secrets.items.iter().map(ResourceExt::name_any).collect()
}
