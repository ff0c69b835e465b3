//! The tokens that are to be delivered to Pods, and what became of it. In turns by namespace: a namespace has one delivery
//! under way at a time, however many of its resources have a new token.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use syniverse_token_core::propagation::{Delivery, Outcome};
use syniverse_token_core::queue::ObjectName;
use syniverse_token_core::time::Moment;

/// Deliveries under way at a time.
const AT_ONCE: usize = 4;
/// Runs of a delivery that fail before it is given up: the kubelet updates the files by itself, some time later.
const MOST_FAILURES: u32 = 3;
/// Refusals in a row that are no accident.
const BELIEVED_REFUSALS: u32 = 3;
/// Delay of the second run; the third comes after four times as long.
const RETRY: Duration = Duration::from_secs(1);

/// How a run of a delivery ended.
#[derive(Clone, Debug, PartialEq)]
pub enum RunEnd {
    /// There is nothing more to do.
    Complete,
    /// There is more to do after this time.
    Again(Duration),
    /// The API server did not take something.
    Failed,
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
    failures: u32,
    /// Runs in a row that were refused, also of earlier tokens.
    refusals: u32,
    offered: Moment,
    /// Of this delivery or the one before.
    outcome: Option<Outcome>,
}

impl Deliveries {
    /// Has a token delivered that is in its Secret; false if it is known already. It takes the place of the one before.
    pub fn offer(&mut self, name: &ObjectName, delivery: Delivery, now: Moment) -> bool {
        let known = self.by_name.get_mut(name);
        if known.as_ref().is_some_and(|known| known.delivery.is_same_as(&delivery)) {
            return false;
        }
        let (outcome, refusals) = known.map(|known| (known.outcome.take(), known.refusals)).unwrap_or_default();
        let entry = Entry { delivery: Arc::new(delivery), due: None, failures: 0, refusals, offered: now, outcome };
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
        let delivery = Arc::clone(&self.by_name.get(&name)?.delivery);
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

    /// Takes what a run has brought; true when it says something new.
    pub fn ended(
        &mut self,
        name: &ObjectName,
        delivery: &Arc<Delivery>,
        mut outcome: Outcome,
        end: RunEnd,
        now: Moment,
    ) -> bool {
        self.running.remove(name);
        let is_wanted = self.is_wanted(name, delivery);
        let Some(entry) = self.by_name.get_mut(name).filter(|_| is_wanted) else { return false };
        entry.failures = if end == RunEnd::Failed { entry.failures + 1 } else { 0 };
        let again = match end {
            RunEnd::Complete => None,
            RunEnd::Again(after) => Some(after),
            RunEnd::Failed if entry.failures < MOST_FAILURES => Some(RETRY * 4_u32.pow(entry.failures - 1)),
            RunEnd::Failed => None,
        };
        outcome.is_complete = again.is_none();
        let before = entry.outcome.as_ref();
        entry.refusals = if outcome.refusal.is_some() { entry.refusals.saturating_add(1) } else { 0 };
        if entry.refusals < BELIEVED_REFUSALS {
            // An API server that has just started refuses every request until it knows the rules.
            outcome.refusal = outcome.refusal.and(before.and_then(|before| before.refusal.clone()));
        }
        let same = before.filter(|before| before.fingerprint == outcome.fingerprint);
        outcome.reached_at = outcome.reached_at.or_else(|| same.and_then(|same| same.reached_at));
        let is_news = entry.outcome.replace(outcome) != entry.outcome;
        self.set_due(name, again.map(|after| now + after));
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn token(fingerprint: &str) -> Delivery {
        Delivery {
            generation: 1,
            spec: serde_json::from_str(r#"{"pods": "Annotate"}"#).unwrap(),
            secret: "messaging".to_owned(),
            fingerprint: fingerprint.to_owned(),
            issued: "2026-01-01T00:00:00Z".parse().unwrap(),
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
        assert!(!deliveries.ended(&a, &first, outcome("1"), RunEnd::Failed, at(5)), "of no interest any more");
        let (_, second) = deliveries.begin(at(5)).unwrap();
        assert_eq!(second.fingerprint, "2");
        assert!(deliveries.ended(&a, &second, outcome("2"), RunEnd::Complete, at(6)));
        assert!(deliveries.outcome(&a).unwrap().is_complete);
        assert_eq!((deliveries.next_due(), deliveries.begin(at(99))), (None, None));
        deliveries.forget(&a);
        assert_eq!(deliveries.outcome(&a), None);
    }

    #[test]
    fn a_failure_is_tried_three_times_and_a_wait_as_often_as_it_takes() {
        let (mut deliveries, a) = (Deliveries::default(), name("n", "a"));
        deliveries.offer(&a, token("1"), at(0));
        let mut run = |now: Moment, end: RunEnd| {
            let (_, delivery) = deliveries.begin(now).unwrap();
            deliveries.ended(&a, &delivery, outcome("1"), end, now);
            (deliveries.next_due(), deliveries.outcome(&a).unwrap().is_complete)
        };
        for number in 0..9 {
            let wait = RunEnd::Again(Duration::from_secs(2));
            assert_eq!(run(at(2 * number), wait), (Some(at(2 * number + 2)), false));
        }
        assert_eq!(run(at(30), RunEnd::Failed), (Some(at(31)), false));
        assert_eq!(run(at(31), RunEnd::Failed), (Some(at(35)), false));
        assert_eq!(run(at(35), RunEnd::Failed), (None, true));
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
        deliveries.ended(first, delivery, outcome("1"), RunEnd::Complete, at(3));
        assert!(deliveries.begin(at(3)).is_some());
    }

    #[test]
    fn a_refusal_is_said_when_it_was_repeated_and_taken_back_when_the_next_token_is_delivered() {
        let (mut deliveries, a) = (Deliveries::default(), name("n", "a"));
        let mut run = |token: &str, now: Moment, refusal: Option<&str>| {
            deliveries.offer(&a, self::token(token), now);
            let (_, delivery) = deliveries.begin(now).unwrap();
            let end = if refusal.is_some() { RunEnd::Failed } else { RunEnd::Complete };
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
        deliveries.ended(&a, &delivery, first, RunEnd::Again(RETRY), at(0));
        let (_, delivery) = deliveries.begin(at(1)).unwrap();
        deliveries.ended(&a, &delivery, outcome("1"), RunEnd::Complete, at(1));
        assert_eq!(deliveries.outcome(&a).unwrap().reached_at, reached);
    }
}
