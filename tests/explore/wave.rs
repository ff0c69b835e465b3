//! Many tokens that were first issued in one go: from the second rotation on they expire one after the other.

use crate::many::{generations, play, seconds};
use issuer_simulator::journal::Journal;
use jiff::Timestamp;
use syniverse_token_core::queue::Budget;

/// More than a few, so that their ends are spread.
const SIZE: usize = 250;
const BUDGET: Budget = Budget { in_flight: 16, per_second: 25 };
const ROTATIONS: usize = 3;

/// The ends of all tokens of this generation, in order.
fn ends(journal: &Journal, generation: usize) -> Vec<Timestamp> {
    let generations = generations(journal);
    let mut ends: Vec<_> = generations.values().map(|tokens| tokens[generation].expires.unwrap()).collect();
    ends.sort();
    ends
}

/// The most of these ends within any second.
fn most_at_once(ends: &[Timestamp]) -> usize {
    let within = |first: usize| ends[first..].partition_point(|end| seconds(end.duration_since(ends[first])) < 1.0);
    (0..ends.len()).map(within).max().unwrap_or_default()
}

#[test]
fn tokens_first_issued_in_one_go_drift_apart_and_take_one_call_at_each_end() {
    let history = play(SIZE, "10m", async |stage| {
        stage.start_within("A", BUDGET);
        stage.pause(600.0 * ROTATIONS as f64 + 60.0).await;
        stage.stop("A").await;
    });
    let journal = &history.journal;
    let waves: Vec<_> = (0..=ROTATIONS)
        .map(|generation| {
            let ends = ends(journal, generation);
            (seconds(ends[SIZE - 1].duration_since(ends[0])), most_at_once(&ends))
        })
        .collect();
    println!("seconds in which the tokens of each generation end, and the most in one of them: {waves:?}");
    let (first, second, third) = (waves[0], waves[1], waves[2]);
    assert!(first.0 < 45.0 && second.0 > first.0 + 20.0 && third.0 > second.0 + 20.0);
    assert!(third.1 * 2 <= first.1 && third.1 <= BUDGET.per_second as usize / 2);
    for (owner, tokens) in generations(journal) {
        for pair in tokens.windows(2) {
            let end = pair[0].expires.unwrap();
            let late = seconds(pair[1].birth.duration_since(end));
            let calls = journal.calls_of(owner).filter(|call| (end..=pair[1].birth).contains(&call.received));
            assert!(late < 1.0 && calls.count() == 1, "{owner}: {late} s late");
        }
    }
}
