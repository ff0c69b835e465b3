//! The kills: two operators, each or both at a time, and the API server, at moments that the dice give.

use crate::judge::{Entry, What};
use crate::support::{Dice, PATIENCE, Stage};
use harness::{ControlPlane, Operator};
use issuer_simulator::Simulator;
use issuer_simulator::fault::{Action, Fault, Stage as When};
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

const LASTS: Duration = Duration::from_secs(150);
const API_SERVER_KILLS: u32 = 5;
/// At most, beside the seconds that the API server needs to start.
const API_SERVER_AWAY: Duration = Duration::from_secs(5);
const OPERATOR_RUNS: Duration = Duration::from_secs(8);
const OPERATOR_AWAY: Duration = Duration::from_secs(2);
/// From the issuer's work until its answer is given: what is killed meanwhile never hears of it.
const ANSWER: Duration = Duration::from_millis(60);
/// From when the issuer has been asked until its answer has been recorded and delivered, and a little more.
const CALL: Duration = Duration::from_millis(150);
const OPERATORS: [&str; 2] = ["a", "b"];

/// Two operators, and what became of them and of the API server.
pub(crate) struct Storm {
    operators: Vec<Operator>,
    /// Starts and deaths, outages of the API server, and the end of all that.
    entries: Vec<Entry>,
}

impl Storm {
    /// One operator, and an issuer whose answers take their time.
    pub(crate) fn ahead(stage: &Stage) -> Self {
        let millis = u64::try_from(ANSWER.as_millis()).unwrap();
        stage.simulator.fault(Fault::always(Action::Delay { millis, at: When::AfterWork }));
        let mut storm = Self { operators: Vec::new(), entries: Vec::new() };
        storm.add_operator(stage);
        storm
    }

    fn add_operator(&mut self, stage: &Stage) {
        self.entries.push(entry(Some(OPERATORS[self.operators.len()]), What::Started));
        self.operators.push(stage.another_operator());
    }

    /// Starts the other operator and plays it; in the end everything runs.
    pub(crate) async fn rage(&mut self, plane: &mut ControlPlane, stage: &Stage, dice: &mut Dice) {
        self.add_operator(stage);
        let (mut of_operators, mut of_api_server) = (dice.split(), dice.split());
        let (deaths, outages) = tokio::join!(
            kill_operators(&mut self.operators, &stage.simulator, &mut of_operators),
            kill_api_server(plane, &mut of_api_server),
        );
        self.entries.extend(deaths.into_iter().chain(outages).chain([entry(None, What::Healed)]));
    }

    /// Ends the operators, which record what they have in hand, and says what there was.
    pub(crate) async fn end(mut self) -> Vec<Entry> {
        for operator in &mut self.operators {
            operator.stop(PATIENCE).await.unwrap();
        }
        self.entries
    }
}

/// What happens at this moment.
pub(crate) fn entry(process: Option<&str>, what: What) -> Entry {
    Entry { at: Timestamp::now(), process: process.map(str::to_owned), what }
}

/// Half of the kills come at any moment, half shortly after the issuer has been asked.
async fn kill_operators(operators: &mut [Operator], simulator: &Simulator, dice: &mut Dice) -> Vec<Entry> {
    let (mut entries, end) = (Vec::new(), Instant::now() + LASTS);
    while Instant::now() < end {
        sleep(dice.shorter_than(OPERATOR_RUNS)).await;
        if dice.below(2) == 0 {
            until_asked(simulator).await;
            sleep(dice.shorter_than(CALL)).await;
        }
        let victims: &[usize] = [&[0][..], &[1], &[0, 1]][dice.below(3) as usize];
        for victim in victims {
            operators[*victim].kill9();
            entries.push(entry(Some(OPERATORS[*victim]), What::Died));
        }
        sleep(dice.shorter_than(OPERATOR_AWAY)).await;
        for victim in victims {
            entries.push(entry(Some(OPERATORS[*victim]), What::Started));
            operators[*victim].restart().unwrap();
        }
    }
    entries
}

/// Waits until the issuer is asked once more: with so many resources that is a matter of seconds.
async fn until_asked(simulator: &Simulator) {
    let known = simulator.journal().calls.len();
    let asked = simulator.until(|journal| journal.calls.len() > known);
    // While the API server is away nobody asks.
    let _ = timeout(OPERATOR_RUNS, asked).await;
}

/// Each kill at a moment of its own part of the time.
async fn kill_api_server(plane: &mut ControlPlane, dice: &mut Dice) -> Vec<Entry> {
    let (began, part) = (Instant::now(), LASTS / API_SERVER_KILLS);
    let mut entries = Vec::new();
    for number in 0..API_SERVER_KILLS {
        sleep_until(began + part * number + dice.shorter_than(part / 2)).await;
        let at = Timestamp::now();
        plane.stop_apiserver();
        sleep(dice.shorter_than(API_SERVER_AWAY)).await;
        plane.start_apiserver().await.unwrap();
        let with = "the API server was killed".to_owned();
        let what = What::Trouble { with, until: Timestamp::now(), blinds: true };
        entries.push(Entry { at, process: None, what });
    }
    entries
}
