//! Every point at which a process can die or an answer can be lost, tried: the real passes against models of the API
//! server and the issuer, on one thread, in paused time. The promises are judged by one function, `judge::check`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api_server;
mod caught;
mod caught_sessions;
mod clients;
mod conformance;
mod door;
mod exploration;
mod fault;
mod issuer;
mod judge;
mod leases;
mod many;
mod planted;
mod process;
mod scenarios;
mod sessions;
mod slowness;
mod stage;
mod standby;
mod watch;
mod wave;
mod world;

use exploration::{Plot, double_faults, explore, single_faults, told, undisturbed};
use judge::check;
use planted::Planted;
use scenarios::SCENARIOS;
use std::env;

#[test]
fn what_is_not_disturbed_keeps_every_promise() {
    explore("no fault", &undisturbed());
}

/// `ONLY` takes the scenarios with this in their names.
#[test]
fn no_single_fault_breaks_a_promise() {
    let only = env::var("ONLY").unwrap_or_default();
    let all = SCENARIOS.iter().enumerate().filter(|(_, scenario)| scenario.name.contains(&only));
    let chosen: Vec<_> = all.map(|(number, _)| number).collect();
    explore("single faults", &single_faults(|| Planted::Nothing, &chosen));
}

/// `DOUBLES` says how many, `SEED` repeats a sample.
#[test]
fn no_pair_of_faults_breaks_a_promise() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let count = number("DOUBLES").unwrap_or(100);
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    explore(&format!("double faults, SEED={seed}"), &double_faults(usize::try_from(count).unwrap(), seed));
}

/// Runs in which a pair of faults once broke a promise, or was promised too much.
const MENDED_PAIRS: [&str; 4] = [
    "client_token_deleted:3=AnswerLost,4=DiesAndLandsLater",
    "standby_both_live_at_first:26=Hangs,28=Hangs",
    "session_writes_fail_at_the_end:28=Hangs,30=AnswerLost",
    "standby_two_operators:5=Fails,7=Fails",
];

#[test]
fn no_pair_of_faults_breaks_a_promise_again() {
    explore(
        "mended pairs",
        &MENDED_PAIRS.map(|plot| Plot::parse(plot).expect("a scenario, and faults at points of it")),
    );
}

/// `REPLAY` names a run, as an exploration told it.
#[test]
#[ignore = "tells one run, named by REPLAY"]
fn replay() {
    let plot = Plot::parse(&env::var("REPLAY").unwrap()).expect("a scenario, and faults at points of it");
    println!("{}", told(&plot, &check(&plot.play(Planted::Nothing).history)));
}
