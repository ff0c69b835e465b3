//! The tokens that are to be delivered to Pods, and what became of it. In turns by namespace: a namespace has one delivery
//! under way at a time, however many of its resources have a new token.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::propagation::{Delivery, Names, Outcome};
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::time::Moment;

/// Deliveries under way at a time.
const AT_ONCE: usize = 4;
/// Refusals in a row that are no accident.
const BELIEVED_REFUSALS: u32 = 3;
/// Delay after a run that failed; each further one is four times as long, up to 256 s.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: u32 = 256;
/// Delay until it is looked again whether a workload still replaces its Pods; each further one is twice as long, up to
/// 80 s.
const ROLLING: Duration = Duration::from_secs(5);
const LONGEST_ROLLING: u32 = 16;
/// Looks at workloads that replace their Pods before they are named: half a minute.
const UNSAID_LOOKS: u32 = 3;

/// What a run of a delivery has left to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Remaining {
    /// The API server did not take something, or refused it.
    pub has_failed: bool,
    /// A workload replaces its Pods, and is restarted after that.
    pub is_rolling: bool,
    /// The next restart comes after this time.
    pub pause: Option<Duration>,
}

/// The deliveries of all resources that ask for it.
#[derive(Debug, Default)]
pub struct Deliveries {
    by_name: HashMap<ObjectName, Entry>,
    /// Those that run later or wait for their turn, by the time.
    due: BTreeSet<(Moment, ObjectName)>,
    /// Those under way, also of resources that are gone.
    running: HashSet<ObjectName>,
}

#[derive(Debug)]
struct Entry {
    delivery: Arc<Delivery>,
    /// When it runs next; none = nothing is left to do.
    due: Option<Moment>,
    /// When the next restart comes; none = in the next run.
    next_restart: Option<Moment>,
    /// Runs in a row that failed.
    failures: u32,
    /// Looks in a row at workloads that replace their Pods.
    looks: u32,
    /// Runs in a row that were refused, also of earlier tokens.
    refusals: u32,
    offered: Moment,
    /// Of this delivery or the one before.
    outcome: Option<Outcome>,
}

impl Deliveries {
    /// Has a token delivered that is in its Secret; false if it is known already. It takes the place of the one before.
    pub fn offer(&mut self, name: &ObjectName, mut delivery: Delivery, now: Moment) -> bool {
        let known = self.by_name.get_mut(name).filter(|known| known.delivery.uid == delivery.uid);
        if known.as_ref().is_some_and(|known| known.delivery.is_same_as(&delivery)) {
            return false;
        }
        let (mut outcome, mut refusals) = (None, 0);
        if let Some(known) = known {
            (outcome, refusals) = (known.outcome.take(), known.refusals);
            if known.delivery.fingerprint == delivery.fingerprint {
                delivery.old_ends = delivery.old_ends.or(known.delivery.old_ends);
            }
        }
        let delivery = Arc::new(delivery);
        let entry =
            Entry { delivery, due: None, next_restart: None, failures: 0, looks: 0, refusals, offered: now, outcome };
        self.forget(name);
        self.by_name.insert(name.clone(), entry);
        self.set_due(name, Some(now));
        true
    }

    /// What is known of the delivery of this resource's tokens.
    pub fn outcome(&self, name: &ObjectName) -> Option<&Outcome> {
        self.by_name.get(name)?.outcome.as_ref()
    }

    /// Forgets a resource that is gone, or asks for nothing any more.
    pub fn forget(&mut self, name: &ObjectName) {
        self.set_due(name, None);
        self.by_name.remove(name);
    }

    /// Forgets what was offered before this process began to act, and what was under way then.
    pub fn begin_term(&mut self, since: Moment) {
        self.running.clear();
        self.by_name.retain(|_, entry| entry.offered >= since);
        let by_name = &self.by_name;
        self.due.retain(|(_, name)| by_name.contains_key(name));
    }

    /// The delivery that runs now, if one may: [`Deliveries::ended`] follows.
    pub fn begin(&mut self, now: Moment) -> Option<(ObjectName, Arc<Delivery>)> {
        let (_, name) = self.waiting().take_while(|(due, _)| *due <= now).next().cloned()?;
        self.set_due(&name, None);
        let entry = self.by_name.get_mut(&name)?;
        entry.next_restart = entry.next_restart.filter(|at| *at > now);
        let delivery = Arc::clone(&entry.delivery);
        self.running.insert(name.clone());
        Some((name, delivery))
    }

    /// When the next delivery may run; none while only the end of one can bring that.
    pub fn next_due(&self) -> Option<Moment> {
        self.waiting().next().map(|(due, _)| *due)
    }

    /// True while the resource asks for this delivery, and for no later one.
    pub fn is_wanted(&self, name: &ObjectName, delivery: &Arc<Delivery>) -> bool {
        self.by_name.get(name).is_some_and(|entry| Arc::ptr_eq(&entry.delivery, delivery))
    }

    /// True when the run that was begun may restart a workload: one that comes for another reason does not hasten the next
    /// restart.
    pub fn may_restart(&self, name: &ObjectName) -> bool {
        self.by_name.get(name).is_some_and(|entry| entry.next_restart.is_none())
    }

    /// Takes what a run has brought; true when it says something new.
    pub fn ended(
        &mut self,
        name: &ObjectName,
        delivery: &Arc<Delivery>,
        outcome: Outcome,
        remaining: Remaining,
        now: Moment,
    ) -> bool {
        self.running.remove(name);
        let is_wanted = self.is_wanted(name, delivery);
        let Some(entry) = self.by_name.get_mut(name).filter(|_| is_wanted) else { return false };
        let again = entry.count(remaining, now);
        let outcome = Outcome { is_complete: again.is_none(), ..entry.believed(outcome, remaining) };
        let is_news = entry.outcome.replace(outcome) != entry.outcome;
        self.set_due(name, again);
        is_news
    }

    fn set_due(&mut self, name: &ObjectName, due: Option<Moment>) {
        let Some(entry) = self.by_name.get_mut(name) else { return };
        let before = std::mem::replace(&mut entry.due, due);
        self.due.extend(due.map(|due| (due, name.clone())));
        if let Some(before) = before.filter(|_| before != due) {
            self.due.remove(&(before, name.clone()));
        }
    }

    /// Those that may run when their time has come, the first one first.
    fn waiting(&self) -> impl Iterator<Item = &(Moment, ObjectName)> {
        let is_free = self.running.len() < AT_ONCE;
        let busy: HashSet<_> = self.running.iter().map(|name| name.namespace()).collect();
        self.due.iter().filter(move |(_, name)| is_free && !busy.contains(name.namespace()))
    }
}

impl Entry {
    /// Counts how a run went, and gives the time of the next one; none when all is done.
    fn count(&mut self, remaining: Remaining, now: Moment) -> Option<Moment> {
        let count = |before: u32, goes_on: bool| if goes_on { before.saturating_add(1) } else { 0 };
        self.failures = count(self.failures, remaining.has_failed);
        self.looks = count(self.looks, remaining.is_rolling);
        let grown = |factor: u32, times: u32, longest: u32| factor.saturating_pow(times.saturating_sub(1)).min(longest);
        let retry = remaining.has_failed.then(|| RETRY * grown(4, self.failures, LONGEST_RETRY));
        let look = remaining.is_rolling.then(|| ROLLING * grown(2, self.looks, LONGEST_ROLLING));
        self.next_restart = remaining.pause.map(|pause| now + pause).or(self.next_restart);
        let runs = [retry, look].into_iter().flatten().map(|delay| now + delay);
        runs.chain(self.next_restart).min()
    }

    /// What is said of a run, beside what is known from those before.
    fn believed(&mut self, mut outcome: Outcome, remaining: Remaining) -> Outcome {
        let before = self.outcome.as_ref();
        self.refusals = if outcome.refusal.is_some() { self.refusals.saturating_add(1) } else { 0 };
        if self.refusals < BELIEVED_REFUSALS {
            // An API server that has just started refuses every request until it knows the rules.
            outcome.refusal = outcome.refusal.and(before.and_then(|before| before.refusal.clone()));
        }
        if self.looks >= UNSAID_LOOKS {
            outcome.withheld.append(&outcome.rolling, |title| format!("{title} still replaces its Pods"));
        }
        if let Some(before) = before.filter(|_| remaining.has_failed) {
            // What could not be looked at is as it was.
            let keep = |now: &mut Names, was: &Names| {
                if now.is_empty() {
                    now.clone_from(was);
                }
            };
            keep(&mut outcome.unaware, &before.unaware);
            keep(&mut outcome.withheld, &before.withheld);
        }
        let same = before.filter(|before| before.fingerprint == outcome.fingerprint);
        outcome.reached_at = outcome.reached_at.or_else(|| same.and_then(|same| same.reached_at));
        outcome
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DONE: Remaining = Remaining { has_failed: false, is_rolling: false, pause: None };
    const FAILED: Remaining = Remaining { has_failed: true, ..DONE };

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn token(fingerprint: &str) -> Delivery {
        Delivery {
            uid: "uid".to_owned(),
            generation: 1,
            spec: serde_json::from_str(r#"{"pods": "Annotate"}"#).unwrap(),
            secret: "messaging".to_owned(),
            fingerprint: fingerprint.to_owned(),
            since: "2026-01-01T00:00:00Z".parse().unwrap(),
            expires: None,
            written_at: None,
            old_ends: None,
        }
    }

    fn outcome(fingerprint: &str) -> Outcome {
        Outcome { fingerprint: fingerprint.to_owned(), pods: Some(3), ..Outcome::default() }
    }

    fn name(namespace: &str, name: &str) -> ObjectName {
        ObjectName::new(namespace, name)
    }

    #[test]
    fn a_token_is_delivered_once_and_a_later_one_takes_its_place() {
        let (mut deliveries, a) = (Deliveries::default(), name("n", "a"));
        assert!(deliveries.offer(&a, token("1"), at(1)));
        assert!(!deliveries.offer(&a, token("1"), at(2)));
        let (_, first) = deliveries.begin(at(2)).unwrap();
        assert!(deliveries.offer(&a, token("2"), at(3)));
        assert!(!deliveries.is_wanted(&a, &first));
        assert_eq!(deliveries.begin(at(4)), None, "one at a time");
        assert!(!deliveries.ended(&a, &first, outcome("1"), FAILED, at(5)), "of no interest any more");
        let (_, second) = deliveries.begin(at(5)).unwrap();
        assert_eq!(second.fingerprint, "2");
        assert!(deliveries.ended(&a, &second, outcome("2"), DONE, at(6)));
        assert!(deliveries.outcome(&a).unwrap().is_complete);
        assert_eq!((deliveries.next_due(), deliveries.begin(at(99))), (None, None));
        deliveries.forget(&a);
        assert_eq!(deliveries.outcome(&a), None);
    }

    #[test]
    fn a_failure_is_tried_again_until_it_is_over_and_a_restart_that_waits_does_not_hasten_it() {
        let (mut deliveries, a) = (Deliveries::default(), name("n", "a"));
        deliveries.offer(&a, token("1"), at(0));
        let mut run = |now: u64, remaining: Remaining| {
            let (_, delivery) = deliveries.begin(at(now)).unwrap();
            deliveries.ended(&a, &delivery, outcome("1"), remaining, at(now));
            let next = deliveries.next_due().map(|due| due.until(at(now)).as_secs());
            (next, deliveries.outcome(&a).unwrap().is_complete)
        };
        let waits = Remaining { pause: Some(Duration::from_secs(3600)), ..FAILED };
        for (now, delay) in [(0, 1), (1, 4), (5, 16), (21, 64), (85, 256), (341, 256)] {
            assert_eq!(run(now, waits), (Some(delay), false));
        }
        assert_eq!(run(597, Remaining { pause: Some(RETRY), ..DONE }), (Some(1), false));
        assert_eq!(run(598, DONE), (None, true));
    }

    #[test]
    fn a_run_that_comes_for_another_reason_does_not_hasten_the_next_restart() {
        let (mut deliveries, a) = (Deliveries::default(), name("n", "a"));
        deliveries.offer(&a, token("1"), at(0));
        let mut run = |now: u64, remaining: Remaining| {
            let (_, delivery) = deliveries.begin(at(now)).unwrap();
            let may = deliveries.may_restart(&a);
            deliveries.ended(&a, &delivery, outcome("1"), remaining, at(now));
            (may, deliveries.next_due().map(|due| due.until(at(0)).as_secs()))
        };
        assert_eq!(run(0, Remaining { pause: Some(Duration::from_secs(20)), ..FAILED }), (true, Some(1)));
        assert_eq!(run(1, FAILED), (false, Some(5)));
        assert_eq!(run(5, DONE), (false, Some(20)));
        assert_eq!(run(20, DONE), (true, None));
    }

    #[test]
    fn a_workload_that_replaces_its_pods_is_looked_at_less_and_less_often_and_named_when_it_takes_long() {
        let (mut deliveries, a) = (Deliveries::default(), name("n", "a"));
        deliveries.offer(&a, token("1"), at(0));
        let rolling = Remaining { is_rolling: true, ..DONE };
        for (now, delay, is_said) in
            [(0, 5, false), (5, 10, false), (15, 20, true), (35, 40, true), (75, 80, true), (155, 80, true)]
        {
            let (_, delivery) = deliveries.begin(at(now)).unwrap();
            let run = Outcome { rolling: ["Deployment web".to_owned()].into_iter().collect(), ..outcome("1") };
            deliveries.ended(&a, &delivery, run, rolling, at(now));
            assert_eq!(deliveries.next_due(), Some(at(now + delay)));
            let said = deliveries.outcome(&a).unwrap().withheld.to_string();
            assert_eq!(said, if is_said { "Deployment web still replaces its Pods" } else { "" }, "{now}");
        }
    }

    #[test]
    fn what_could_not_be_looked_at_is_said_to_be_as_it_was() {
        let (mut deliveries, a) = (Deliveries::default(), name("n", "a"));
        let mut run = |token: &str, now: u64, unaware: &[&str], remaining: Remaining| {
            deliveries.offer(&a, self::token(token), at(now));
            let (_, delivery) = deliveries.begin(at(now)).unwrap();
            let unaware = unaware.iter().map(|name| (*name).to_owned()).collect();
            deliveries.ended(&a, &delivery, Outcome { unaware, ..outcome(token) }, remaining, at(now));
            deliveries.outcome(&a).unwrap().unaware.to_string()
        };
        assert_eq!(run("1", 0, &["Pod a"], DONE), "Pod a");
        assert_eq!(run("2", 10, &[], FAILED), "Pod a");
        assert_eq!(run("2", 11, &[], DONE), "");
    }

    #[test]
    fn another_resource_of_the_name_inherits_nothing_and_a_changed_spec_the_time_of_the_old_token() {
        let (mut deliveries, a) = (Deliveries::default(), name("n", "a"));
        deliveries.offer(&a, Delivery { old_ends: Some(at(60)), ..token("1") }, at(0));
        let (_, delivery) = deliveries.begin(at(0)).unwrap();
        deliveries.ended(&a, &delivery, outcome("1"), DONE, at(0));
        deliveries.offer(&a, Delivery { generation: 2, ..token("1") }, at(1));
        assert!(deliveries.outcome(&a).is_some());
        assert_eq!(deliveries.begin(at(1)).unwrap().1.old_ends, Some(at(60)));
        deliveries.offer(&a, Delivery { uid: "another".to_owned(), ..token("1") }, at(2));
        assert_eq!(deliveries.outcome(&a), None);
    }

    #[test]
    fn a_namespace_has_one_delivery_under_way_and_there_are_four_in_all() {
        let mut deliveries = Deliveries::default();
        for resource in ["a", "b", "c"] {
            deliveries.offer(&name("crowd", resource), token("1"), at(0));
        }
        for namespace in ["n1", "n2", "n3", "n4"] {
            deliveries.offer(&name(namespace, "a"), token("1"), at(1));
        }
        let begun: Vec<_> = std::iter::from_fn(|| deliveries.begin(at(2))).collect();
        let namespaces: HashSet<_> = begun.iter().map(|(name, _)| name.namespace()).collect();
        assert_eq!((begun.len(), namespaces.len()), (4, 4));
        assert_eq!(deliveries.next_due(), None);
        let (first, delivery) = &begun[0];
        deliveries.ended(first, delivery, outcome("1"), DONE, at(3));
        assert!(deliveries.begin(at(3)).is_some());
    }

    #[test]
    fn a_refusal_is_said_when_it_was_repeated_and_taken_back_when_the_next_token_is_delivered() {
        let (mut deliveries, a) = (Deliveries::default(), name("n", "a"));
        let mut run = |token: &str, now: Moment, refusal: Option<&str>| {
            deliveries.offer(&a, self::token(token), now);
            let (_, delivery) = deliveries.begin(now).unwrap();
            let end = if refusal.is_some() { FAILED } else { DONE };
            let outcome = Outcome { refusal: refusal.map(str::to_owned), ..outcome(token) };
            deliveries.ended(&a, &delivery, outcome, end, now);
            deliveries.outcome(&a).unwrap().refusal.is_some()
        };
        assert_eq!([0, 1, 5].map(|seconds| run("1", at(seconds), Some("no"))), [false, false, true]);
        assert!(run("2", at(10), Some("no")));
        assert!(!run("3", at(20), None));
        assert!(!run("4", at(30), Some("no")));
    }

    #[test]
    fn a_new_term_begins_with_what_was_offered_in_it() {
        let (mut deliveries, old, new) = (Deliveries::default(), name("n", "old"), name("n", "new"));
        deliveries.offer(&old, token("1"), at(1));
        let (_, under_way) = deliveries.begin(at(1)).unwrap();
        deliveries.offer(&new, token("1"), at(3));
        deliveries.begin_term(at(2));
        assert!(!deliveries.is_wanted(&old, &under_way));
        assert_eq!(deliveries.next_due(), Some(at(3)));
        assert_eq!(deliveries.begin(at(3)).unwrap().0, new);
        assert_eq!(deliveries.begin(at(9)), None);
    }

    #[test]
    fn when_it_was_reached_is_kept_when_a_later_run_finds_nothing_to_do() {
        let (mut deliveries, a) = (Deliveries::default(), name("n", "a"));
        let reached = "2026-01-01T00:00:05Z".parse().ok();
        deliveries.offer(&a, token("1"), at(0));
        let (_, delivery) = deliveries.begin(at(0)).unwrap();
        let first = Outcome { reached_at: reached, ..outcome("1") };
        deliveries.ended(&a, &delivery, first, Remaining { pause: Some(RETRY), ..DONE }, at(0));
        let (_, delivery) = deliveries.begin(at(1)).unwrap();
        deliveries.ended(&a, &delivery, outcome("1"), DONE, at(1));
        assert_eq!(deliveries.outcome(&a).unwrap().reached_at, reached);
    }
}
