//! Enumerates: every point of every scenario with every fault, and seeded pairs. Judges each run, on all cores.

use crate::fault::{Fault, PointKind};
use crate::judge::check;
use crate::planted::Planted;
use crate::scenarios::{SCENARIOS, Scenario};
use crate::stage::{Run, play};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Histories shown of a failed exploration; all violations are counted.
const SHOWN: usize = 3;

/// One run, by name: `rotation:17=AnswerLost,21=Fails`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plot {
    pub(crate) scenario: usize,
    pub(crate) faults: BTreeMap<usize, Fault>,
}

impl Plot {
    fn scenario(&self) -> &'static Scenario {
        &SCENARIOS[self.scenario]
    }

    /// Reads what `Display` wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, faults) = text.split_once(':').unwrap_or((text, ""));
        let scenario = SCENARIOS.iter().position(|scenario| scenario.name == name)?;
        let all = || PointKind::Change.faults().iter().chain(PointKind::Event.faults());
        let faults = faults.split(',').filter(|part| !part.is_empty()).map(|part| {
            let (point, fault) = part.split_once('=')?;
            Some((point.parse().ok()?, *all().find(|known| known.to_string() == fault)?))
        });
        Some(Self { scenario, faults: faults.collect::<Option<_>>()? })
    }

    pub(crate) fn play(&self, planted: Planted) -> Run {
        play(self.scenario(), self.faults.clone(), planted)
    }
}

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<_> = self.faults.iter().map(|(point, fault)| format!("{point}={fault}")).collect();
        write!(f, "{}:{}", self.scenario().name, faults.join(","))
    }
}

/// The scenarios as they go without a fault.
pub(crate) fn undisturbed() -> Vec<Plot> {
    (0..SCENARIOS.len()).map(|scenario| Plot { scenario, faults: BTreeMap::new() }).collect()
}

/// One plot for every fault at every point of these scenarios.
pub(crate) fn single_faults(planted: fn() -> Planted, scenarios: &[usize]) -> Vec<Plot> {
    let of_scenario = |scenario: &usize| {
        let plot = Plot { scenario: *scenario, faults: BTreeMap::new() };
        let points = plot.play(planted()).points.into_iter().enumerate();
        points.flat_map(move |(number, point)| {
            let faults = point.kind.faults().iter();
            faults.map(move |fault| Plot { scenario: plot.scenario, faults: BTreeMap::from([(number, *fault)]) })
        })
    };
    scenarios.iter().flat_map(of_scenario).collect()
}

/// So many pairs of faults; the same seed makes the same pairs.
pub(crate) fn double_faults(count: usize, seed: u64) -> Vec<Plot> {
    let points: Vec<_> = undisturbed().iter().map(|plot| plot.play(Planted::Nothing).points).collect();
    let mut dice = Dice(seed);
    let mut pair = || {
        let scenario = dice.below(points.len());
        let [first, second] = [0, 1].map(|_| dice.below(points[scenario].len()));
        // What a first fault sets off lies beyond the usual points.
        let second = if second == first { points[scenario].len() + dice.below(8) } else { second };
        let faults = [first, second].map(|point| {
            let kind = points[scenario].get(point).map_or(PointKind::Read, |known| known.kind);
            let faults = kind.faults();
            (point, faults[dice.below(faults.len())])
        });
        Plot { scenario, faults: BTreeMap::from(faults) }
    };
    (0..count).map(|_| pair()).collect()
}

/// One step of SplitMix64 for each throw.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }
}

/// The plots that break a promise, with the promises.
pub(crate) fn violations(plots: &[Plot], planted: fn() -> Planted) -> Vec<(Plot, Vec<String>)> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(plot) = plots.get(next.fetch_add(1, Ordering::Relaxed)) {
            let broken = check(&plot.play(planted()).history);
            if !broken.is_empty() {
                found.lock().unwrap().push((plot.clone(), broken));
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    found.into_inner().unwrap()
}

/// Plays all of them, tells the figures, and fails with readable histories if a promise is broken.
pub(crate) fn explore(what: &str, plots: &[Plot]) {
    let begin = std::time::Instant::now();
    let violations = violations(plots, || Planted::Nothing);
    let mut points: Vec<_> = plots.iter().flat_map(|plot| plot.faults.keys().map(|at| (plot.scenario, *at))).collect();
    points.sort_unstable();
    points.dedup();
    let (scenarios, points, runs, took) = (SCENARIOS.len(), points.len(), plots.len(), begin.elapsed());
    let count = violations.len();
    println!("{what}: {scenarios} scenarios, {points} points, {runs} runs, {count} violations, {took:.1?}");
    for (plot, broken) in violations.iter().take(SHOWN) {
        println!("\n{}", told(plot, broken));
    }
    for (plot, broken) in violations.iter().skip(SHOWN) {
        println!("{plot}  {}", broken[0]);
    }
    assert!(violations.is_empty(), "{count} of {runs} runs break a promise");
}

pub(crate) fn told(plot: &Plot, broken: &[String]) -> String {
    let history = plot.play(Planted::Nothing).history;
    format!("{history}\n{}\nreplay: make explore REPLAY={plot}", broken.join("\n"))
}
