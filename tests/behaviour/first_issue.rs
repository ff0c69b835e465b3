//! From a resource to its first token.

use crate::support::{NAME, Stage, Writes};

#[tokio::test]
async fn the_state_secret_is_there_before_the_first_call_and_the_token_secret_after_it() {
    let stage = Stage::open().await;
    let writes = Writes::of(&stage).await;
    stage.issued("1h").await;
    let state = format!("{NAME}-syniverse-state");
    assert_eq!(writes.names(&stage).await, [state.clone(), state, NAME.to_owned()]);
    assert_eq!(stage.calls(), 1);
    assert_eq!(stage.token().await, stage.simulator.journal().tokens[1].value);
}
