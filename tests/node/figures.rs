//! From what was noted to rows of a table. Pure.

use crate::collector::Use;

/// The head of the table of delays.
pub(crate) const DELAYS_HEAD: &str = "\
| Pods | propagation | in the Secret: median | in the files: median | p90 | p99 | max | measured | never seen |
|---|---|---|---|---|---|---|---|---|
";
/// The head of the table of requests.
pub(crate) const USES_HEAD: &str = "\
| | hand-overs | requests | refused | share | seconds of refusals at a hand-over: median, max | without an answer |
|---|---|---|---|---|---|---|
";
/// Requests a second.
const RATE: f64 = 10.0;

/// How long tokens took to get into the Secret and into files, in seconds and in order, and how many files never had one before
/// the next.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Delays {
    in_secret: Vec<f64>,
    in_files: Vec<f64>,
    missed: usize,
}

impl Delays {
    pub(crate) fn of(in_secret: impl Iterator<Item = f64>, in_files: impl Iterator<Item = Option<f64>>) -> Self {
        let mut delays = Self { in_secret: in_secret.collect(), ..Self::default() };
        for one in in_files {
            match one {
                Some(seconds) => delays.in_files.push(seconds),
                None => delays.missed += 1,
            }
        }
        delays.in_secret.sort_by(f64::total_cmp);
        delays.in_files.sort_by(f64::total_cmp);
        delays
    }
}

/// The least value that so many of a hundred do not exceed; none of nothing.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

fn shown(seconds: Option<f64>) -> String {
    seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.2}"))
}

/// One row of the table of delays.
pub(crate) fn delays_row(propagation: &str, pods: usize, delays: &Delays) -> String {
    let at = |percent| shown(percentile(&delays.in_files, percent));
    let (p50, p90, p99, max) = (at(50), at(90), at(99), at(100));
    let (secret, measured, missed) = (shown(percentile(&delays.in_secret, 50)), delays.in_files.len(), delays.missed);
    format!("| {pods} | {propagation} | {secret} | {p50} | {p90} | {p99} | {max} | {measured} | {missed} |\n")
}

/// How long refusals without an acceptance between them lasted, in seconds, in order of length.
fn refusals(uses: &[Use]) -> Vec<f64> {
    let answered: Vec<_> = uses.iter().filter(|it| it.accepted() || it.refused()).collect();
    let runs = answered.chunk_by(|one, next| one.refused() == next.refused());
    let refused = runs.filter(|run| run[0].refused());
    let length = |run: &[&Use]| run[run.len() - 1].at.duration_since(run[0].at).as_secs_f64() + 1.0 / RATE;
    let mut lengths: Vec<_> = refused.map(length).collect();
    lengths.sort_by(f64::total_cmp);
    lengths
}

/// One row of the table of requests.
pub(crate) fn uses_row(title: &str, hand_overs: usize, uses: &[Use]) -> String {
    let refused = uses.iter().filter(|it| it.refused()).count();
    let silent = uses.iter().filter(|it| it.status.is_none()).count();
    let (share, lengths) = (100.0 * refused as f64 / uses.len().max(1) as f64, refusals(uses));
    // A hand-over without a refusal counts as zero seconds of it.
    let mut each = vec![0.0; hand_overs.saturating_sub(lengths.len())];
    each.extend(lengths);
    let (median, max) = (shown(percentile(&each, 50)), shown(percentile(&each, 100)));
    format!("| {title} | {hand_overs} | {} | {refused} | {share:.2} % | {median}, {max} | {silent} |\n", uses.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn uses(statuses: &[u16]) -> Vec<Use> {
        let at = |place: usize| Timestamp::from_millisecond(place as i64 * 100).unwrap();
        let one = |(place, status): (usize, &u16)| Use { pod: String::new(), at: at(place), status: Some(*status) };
        statuses.iter().enumerate().map(one).collect()
    }

    #[test]
    fn a_percentile_is_the_value_that_so_many_do_not_exceed() {
        let hundred: Vec<_> = (1..=100).map(f64::from).collect();
        assert_eq!([1, 50, 99, 100].map(|it| percentile(&hundred, it)), [1.0, 50.0, 99.0, 100.0].map(Some));
        assert_eq!((percentile(&[7.0], 50), percentile(&[], 50)), (Some(7.0), None));
    }

    #[test]
    fn what_was_never_seen_is_counted_apart() {
        let delays = Delays::of([0.125].into_iter(), [Some(0.5), None, Some(0.25)].into_iter());
        assert_eq!(delays_row("none", 2, &delays), "| 2 | none | 0.12 | 0.25 | 0.50 | 0.50 | 0.50 | 2 | 1 |\n");
    }

    #[test]
    fn refusals_in_a_row_are_one_gap() {
        assert_eq!(refusals(&uses(&[204, 401, 401, 204, 401])), [0.1, 0.2]);
        let row = uses_row("one", 3, &uses(&[204, 401, 401, 204, 401, 204, 204, 204]));
        assert_eq!(row, "| one | 3 | 8 | 3 | 37.50 % | 0.10, 0.20 | 0 |\n");
    }
}
