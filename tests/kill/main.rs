//! Real kills: operators and their API server die at random moments, again and again, while tokens rotate and sessions
//! are extended. `make test-kill`; SEED gives the same moments again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cast;
mod figures;
#[path = "../explore/judge/mod.rs"]
mod judge;
mod record;
mod storm;
mod story;
#[path = "../support/mod.rs"]
mod support;

use cast::Cast;
use figures::Figures;
use harness::ControlPlane;
use judge::check;
use record::Record;
use std::time::Duration;
use storm::Storm;
use story::told;
use support::{Dice, Stage};

/// With fewer than these the storm was none.
const ROTATIONS: usize = 50;
const KILLS: usize = 10;
/// How long all is well in the end: every token rotates twice.
const CALM: Duration = Duration::from_secs(50);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes 4 minutes: make test-kill"]
async fn kills_of_operators_and_api_server_lose_no_token_and_no_session_that_has_a_login() {
    let mut dice = Dice::thrown();
    let mut plane = ControlPlane::start().await.unwrap();
    let stage = Stage::dark_in(plane.cluster()).await;
    let record = Record::of(&plane, &stage).await;
    let mut storm = Storm::ahead(&stage);
    let cast = Cast::on(&stage).await;
    cast.until_well(&stage).await;

    storm.rage(&mut plane, &stage, &mut dice).await;
    tokio::time::sleep(CALM).await;
    cast.until_well(&stage).await;
    let deeds = storm.end().await;
    let (changes, journal) = (record.end(&stage).await, stage.simulator.journal());

    let figures = Figures::of(&cast, &deeds, &changes, &journal);
    println!("{figures}");
    let history = told(&cast, deeds, &changes, journal);
    let broken = check(&history);
    assert!(broken.is_empty(), "{history}\n{}", broken.join("\n"));
    assert!(figures.rotations.len() + figures.extensions.len() >= ROTATIONS);
    assert!(figures.kills >= KILLS);
    assert_eq!(figures.lost_tokens, [""; 0]);
    let healing = |name: &&String| cast.members.iter().any(|member| member.name == **name && member.heals());
    assert_eq!(figures.lost_sessions.iter().find(healing), None);
}
