//! What stands for the messaging API: the answer to whoever uses a token.

use issuer_simulator::Simulator;
use issuer_simulator::model::Life;

use crate::caller::{KEY, PORTAL_TOKEN, client, simulator, with_application};

async fn answer(simulator: &Simulator, authorization: Option<&str>) -> u16 {
    let request = client().get(simulator.verify_endpoint());
    let request = authorization.into_iter().fold(request, |request, value| request.header("authorization", value));
    request.send().await.unwrap().status().as_u16()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn a_token_is_accepted_until_it_ends() {
    let simulator = with_application(Life::Never).await;
    assert_eq!(answer(&simulator, Some(&bearer(PORTAL_TOKEN))).await, 204);
    simulator.expire(KEY).unwrap();
    assert_eq!(answer(&simulator, Some(&bearer(PORTAL_TOKEN))).await, 401);
}

#[tokio::test]
async fn a_superseded_token_is_refused_and_its_successor_is_not() {
    let simulator = with_application(Life::Never).await;
    let fresh = simulator.regenerate(KEY).unwrap();
    assert_eq!(answer(&simulator, Some(&bearer(PORTAL_TOKEN))).await, 401);
    assert_eq!(answer(&simulator, Some(&bearer(&fresh))).await, 204);
}

#[tokio::test]
async fn no_token_and_a_foreign_one_are_refused() {
    let simulator = simulator().await;
    for authorization in [None, Some("Bearer "), Some("Bearer of-nobody"), Some(PORTAL_TOKEN)] {
        assert_eq!(answer(&simulator, authorization).await, 401, "{authorization:?}");
    }
}

#[tokio::test]
async fn a_use_of_a_token_is_no_call_to_the_issuer() {
    let simulator = with_application(Life::Never).await;
    answer(&simulator, Some(&bearer(PORTAL_TOKEN))).await;
    assert_eq!(simulator.journal().calls, []);
}
