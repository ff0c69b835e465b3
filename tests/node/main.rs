//! How soon a new token is in the files of running Pods, and how many of their requests are refused, on a real node:
//! `KUBECONFIG=… make test-node`. It prints figures; it judges that no request is refused with a standby, and that what has a
//! token in its environment is restarted once for each.
//!
//! `SIMULATOR_ADDRESS` is where the Pods reach this machine, `NODE_IMAGE` the image of their shell; `ROTATIONS`,
//! `SLOW_ROTATIONS` and `HAND_OVERS` make a run shorter; with `SLOW_ROTATIONS=0` only Pods with the annotation are measured.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod collector;
mod figures;
mod group;
mod pods;
mod scene;
mod secrets;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../benches/measure/usage.rs"]
#[allow(dead_code, reason = "only the machine is named")]
mod usage;

use figures::{delays_row, uses_row};
use futures::future::join_all;
use group::{Annotate, Group};
use scene::Scene;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;

/// Pods that mount one token Secret.
const SIZES: [usize; 3] = [1, 20, 50];
/// With the annotation: what is measured is over in a second.
const SHORT: Duration = Duration::from_secs(15);
/// Without it: longer than the kubelet takes at worst, so that each token is seen in each Pod.
const LONG: Duration = Duration::from_secs(120);
/// Of a token that is handed over, or not.
const MINUTE: Duration = Duration::from_secs(60);
/// What both tokens of a standby live together.
const OVERLAP: Duration = Duration::from_secs(20);

/// A number from the environment.
fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[tokio::test]
#[ignore = "make test-node"]
async fn a_new_token_reaches_the_mounted_files() {
    let Some(scene) = Scene::open().await else { return };
    let (fast, slow) = (number("ROTATIONS", 10), number("SLOW_ROTATIONS", 3));
    let mut rows = Vec::new();
    for pods in SIZES {
        let group = Group::new(format!("annotated-{pods}"), pods, SHORT, Annotate::Yes);
        let started = group.start(&scene).await;
        started.until_rotated(&scene, fast).await;
        rows.push(delays_row("`Annotate`", pods, &started.delays(&scene, fast)));
        started.end(&scene).await;
    }
    // At the same time, as each takes minutes in which nearly nothing happens.
    let groups = SIZES.map(|pods| Group::new(format!("plain-{pods}"), pods, LONG, Annotate::No));
    let mut started = Vec::new();
    for group in groups.iter().filter(|_| slow > 0) {
        started.push(group.start(&scene).await);
    }
    join_all(started.iter().map(|group| group.until_rotated(&scene, slow))).await;
    rows.extend(started.iter().zip(SIZES).map(|(group, pods)| delays_row("none", pods, &group.delays(&scene, slow))));
    println!("\n{}", scene.describe());
    println!(
        "Seconds from the issuer's answer to the new token in the Secret, and in the mounted files; with `Annotate` {fast} rotations, a token"
    );
    println!("living {} s; without {slow}, {} s, all Pods at the same time.\n", SHORT.as_secs(), LONG.as_secs());
    print!("{}{}", figures::DELAYS_HEAD, rows.concat());
    scene.close().await;
}

#[tokio::test]
#[ignore = "make test-node"]
async fn no_request_is_refused_with_a_standby() {
    let Some(scene) = Scene::open().await else { return };
    let hand_overs = number("HAND_OVERS", 10);
    let one = |name: &str, validity, annotate| Group::new(name.to_owned(), 1, validity, annotate).using();
    // A token of the last must outlive what the kubelet takes, or it would never be seen.
    let groups = [
        ("standby and `Annotate`", one("standby", MINUTE, Annotate::Yes).with_standby(OVERLAP), hand_overs),
        ("`Annotate`, no standby", one("annotated", MINUTE, Annotate::Yes), hand_overs),
        ("neither", one("plain", LONG, Annotate::No), hand_overs.div_ceil(2)),
    ];
    let mut started = Vec::new();
    for (_, group, _) in &groups {
        started.push(group.start(&scene).await);
    }
    join_all(started.iter().zip(&groups).map(|(it, (.., count))| it.until_rotated(&scene, *count))).await;
    println!("\n{}", scene.describe());
    println!(
        "A Pod that makes ten requests a second with the token of its mounted file and repeats none. The validity is 60 s,"
    );
    println!("the overlap of the standby 20 s; with neither the validity is 120 s.\n");
    print!("{}", figures::USES_HEAD);
    let uses: Vec<_> = started.iter().map(|it| it.uses(&scene)).collect();
    for (((title, ..), it), uses) in groups.iter().zip(&started).zip(&uses) {
        print!("{}", uses_row(title, it.hand_overs(&scene), uses));
    }
    scene.close().await;
    let standby = &uses[0];
    assert!(standby.iter().filter(|it| it.accepted()).count() > 100, "too few requests to tell: {}", standby.len());
    assert_eq!(standby.iter().filter(|it| it.refused()).collect::<Vec<_>>(), Vec::<&collector::Use>::new());
}

#[tokio::test]
#[ignore = "make test-node"]
async fn what_has_the_token_in_its_environment_is_restarted_once_for_each_token() {
    const NAME: &str = "environment";
    let Some(mut scene) = Scene::open().await else { return };
    let group = Group::new(NAME.to_owned(), 1, MINUTE, Annotate::No).with_standby(OVERLAP).in_environment();
    let started = group.start(&scene).await;
    // A Deployment that is as old as the first token to the second may be restarted for that as well.
    let is_delivered = |it: &SyniverseToken| it.status.as_ref().is_some_and(|status| status.propagation.is_some());
    scene.stage.until(NAME, "the first token delivered", is_delivered).await;
    let before = pods::generation(&scene, NAME).await;
    started.until_rotated(&scene, 3).await;
    let restarts = pods::generation(&scene, NAME).await - before;
    let delays = started.delays(&scene, 3);
    println!("\n{}\nSeconds until the new token was in the environment of a Pod, 3 rotations:\n", scene.describe());
    print!("{}{}", figures::DELAYS_HEAD, delays_row("restart", 1, &delays));
    scene.stage.restart_operator(NAME).await;
    scene.stage.until_noticed(NAME).await;
    assert_eq!(pods::generation(&scene, NAME).await - before, restarts, "restarted by a restart of the operator");
    assert_eq!(restarts, 3);
    scene.close().await;
}
