//! Events that wait to be sent: bounded, aggregated, Warnings first, in turns by namespace.

use k8s_openapi::api::core::v1::ObjectReference;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use syniverse_token_core::reason::{Finding, Weight};
use tokio::time::Instant;

/// Events of one namespace that may wait.
const PER_NAMESPACE: usize = 128;
/// Events that may wait in all. Each holds at most 1,024 bytes of text and 500 of names: 1.6 MB together.
const IN_ALL: usize = 1024;
/// Warnings in a row while a Normal Event waits.
const WARNINGS_IN_A_ROW: u32 = 3;
/// An Event gets the time at which it is sent: an older finding would be news that is none.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// An Event that waits to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingEvent {
    /// The resource.
    pub about: ObjectReference,
    /// Reason and note.
    pub finding: Finding,
    /// When it was found.
    pub since: Instant,
}

impl WaitingEvent {
    /// True for an Event of the type Warning.
    pub fn is_warning(&self) -> bool {
        self.finding.reason.weight() >= Weight::Trouble
    }

    fn namespace(&self) -> &str {
        self.about.namespace.as_deref().unwrap_or_default()
    }

    fn is_same(&self, other: &Self) -> bool {
        let is_about_the_same = self.about.uid == other.about.uid && self.about.name == other.about.name;
        self.finding.reason == other.finding.reason && is_about_the_same
    }
}

/// The Events that wait, and the number of those that did not get through.
#[derive(Debug, Default)]
pub struct EventQueue {
    warnings: Turns,
    normals: Turns,
    warnings_in_a_row: u32,
    dropped: u64,
}

impl EventQueue {
    /// Adds an Event. If one with its reason about its resource still waits, that one is replaced and keeps its place.
    /// Where there is no room, the oldest Normal Event goes: of its namespace, or of the one with most of them. Only a
    /// Warning displaces a Warning: the youngest of a namespace that has more of them even with it.
    pub fn push(&mut self, event: WaitingEvent) {
        if let Some(same) = self.turns(&event).same(&event) {
            *same = event;
        } else if self.has_room_for(&event) {
            self.turns(&event).push_back(event);
        } else {
            self.dropped += 1;
        }
    }

    /// Takes an Event back that could not be sent. One that has come since takes its place.
    pub fn put_back(&mut self, event: WaitingEvent) {
        if self.turns(&event).same(&event).is_some() {
            return;
        }
        if self.has_room_for(&event) {
            self.turns(&event).push_front(event);
        } else {
            self.dropped += 1;
        }
    }

    /// The next Event: Warnings before Normal Events, which have every fourth turn meanwhile. Events that are too old are
    /// dropped.
    pub fn pop(&mut self, now: Instant) -> Option<WaitingEvent> {
        loop {
            let is_turn_of_normals = self.warnings_in_a_row >= WARNINGS_IN_A_ROW;
            let (first, second) = match is_turn_of_normals {
                true => (&mut self.normals, &mut self.warnings),
                false => (&mut self.warnings, &mut self.normals),
            };
            let event = first.pop().or_else(|| second.pop())?;
            if event.since + LONGEST_WAIT < now {
                self.dropped += 1;
                continue;
            }
            self.warnings_in_a_row = if event.is_warning() { self.warnings_in_a_row.saturating_add(1) } else { 0 };
            return Some(event);
        }
    }

    /// Notes that an Event was refused for good.
    pub fn refused(&mut self) {
        self.dropped += 1;
    }

    /// How many Events were dropped since this was asked last.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn turns(&mut self, event: &WaitingEvent) -> &mut Turns {
        if event.is_warning() { &mut self.warnings } else { &mut self.normals }
    }

    /// Makes room for an Event, if others have to go before it.
    fn has_room_for(&mut self, event: &WaitingEvent) -> bool {
        let own = event.namespace();
        let is_own_full = self.warnings.count(own) + self.normals.count(own) >= PER_NAMESPACE;
        if !is_own_full && self.warnings.len + self.normals.len < IN_ALL {
            return true;
        }
        let from = if is_own_full { Some(own.to_owned()) } else { self.normals.longest(own) };
        let goes = from.and_then(|namespace| self.normals.take(&namespace, VecDeque::pop_front)).or_else(|| {
            let is_last_resort = event.is_warning() && !is_own_full;
            let longest = self.warnings.longest(own).filter(|_| is_last_resort)?;
            let has_more = self.warnings.count(&longest) > self.warnings.count(own) + 1;
            has_more.then(|| self.warnings.take(&longest, VecDeque::pop_back)).flatten()
        });
        self.dropped += u64::from(goes.is_some());
        goes.is_some()
    }
}

/// Events by namespace, each of which has its turn.
#[derive(Debug, Default)]
struct Turns {
    events: HashMap<String, VecDeque<WaitingEvent>>,
    /// The namespaces that have any, the next one first.
    turns: VecDeque<String>,
    len: usize,
}

impl Turns {
    fn same(&mut self, event: &WaitingEvent) -> Option<&mut WaitingEvent> {
        self.events.get_mut(event.namespace())?.iter_mut().find(|waiting| waiting.is_same(event))
    }

    fn count(&self, namespace: &str) -> usize {
        self.events.get(namespace).map_or(0, VecDeque::len)
    }

    /// The namespace with most Events; of several, `own`.
    fn longest(&self, own: &str) -> Option<String> {
        self.turns.iter().max_by_key(|namespace| (self.count(namespace), *namespace == own)).cloned()
    }

    fn push_back(&mut self, event: WaitingEvent) {
        let namespace = event.namespace().to_owned();
        self.len += 1;
        let events = self.events.entry(namespace.clone()).or_default();
        events.push_back(event);
        if events.len() == 1 {
            self.turns.push_back(namespace);
        }
    }

    fn push_front(&mut self, event: WaitingEvent) {
        let namespace = event.namespace().to_owned();
        self.len += 1;
        self.turns.retain(|turn| *turn != namespace);
        self.turns.push_front(namespace.clone());
        self.events.entry(namespace).or_default().push_front(event);
    }

    fn pop(&mut self) -> Option<WaitingEvent> {
        let namespace = self.turns.front()?.clone();
        let event = self.take(&namespace, VecDeque::pop_front);
        if self.count(&namespace) > 0 {
            self.turns.rotate_left(1);
        }
        event
    }

    fn take(
        &mut self,
        namespace: &str,
        end: fn(&mut VecDeque<WaitingEvent>) -> Option<WaitingEvent>,
    ) -> Option<WaitingEvent> {
        let event = end(self.events.get_mut(namespace)?)?;
        self.len -= 1;
        if self.count(namespace) == 0 {
            self.events.remove(namespace);
            self.turns.retain(|turn| turn != namespace);
        }
        Some(event)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use syniverse_token_core::reason::Reason::{self, Issued, RefreshFailed, Repaired, Rotated};

    fn event(namespace: &str, name: &str, reason: Reason) -> WaitingEvent {
        let [namespace, name] = [namespace, name].map(|text| Some(text.to_owned()));
        let about = ObjectReference { uid: name.clone(), namespace, name, ..ObjectReference::default() };
        WaitingEvent { about, finding: Finding::new(reason, "as found"), since: Instant::now() }
    }

    fn push(queue: &mut EventQueue, namespace: &str, name: &str, reason: Reason) {
        queue.push(event(namespace, name, reason));
    }

    fn pop(queue: &mut EventQueue) -> Option<String> {
        let event = queue.pop(Instant::now())?;
        Some(format!("{} {} {}", event.namespace(), event.about.name.as_deref().unwrap(), event.finding.reason))
    }

    fn rest(queue: &mut EventQueue) -> Vec<String> {
        std::iter::from_fn(|| pop(queue)).collect()
    }

    fn flood(queue: &mut EventQueue, namespace: &str, reason: Reason, count: usize) {
        (0..count).for_each(|number| push(queue, namespace, &format!("of-many-{number}"), reason));
    }

    #[test]
    fn what_is_found_again_replaces_what_waits_and_keeps_its_place() {
        let mut queue = EventQueue::default();
        push(&mut queue, "a", "first", Rotated);
        push(&mut queue, "a", "second", Rotated);
        let mut again = event("a", "first", Rotated);
        again.finding.message = "as found later".to_owned();
        queue.push(again);
        assert_eq!(queue.pop(Instant::now()).unwrap().finding.message, "as found later");
        assert_eq!((rest(&mut queue), queue.take_dropped()), (vec!["a second Rotated".to_owned()], 0));
    }

    #[test]
    fn another_reason_and_a_resource_created_anew_are_events_of_their_own() {
        let mut queue = EventQueue::default();
        push(&mut queue, "a", "first", Rotated);
        push(&mut queue, "a", "first", Repaired);
        let mut successor = event("a", "first", Rotated);
        successor.about.uid = Some("another".to_owned());
        queue.push(successor);
        assert_eq!(rest(&mut queue).len(), 3);
    }

    #[test]
    fn the_first_warning_of_a_resource_is_not_lost_to_the_thousandth_normal_of_others() {
        let mut queue = EventQueue::default();
        (0..20).for_each(|number| flood(&mut queue, &format!("loud-{number}"), Rotated, 500));
        push(&mut queue, "loud-0", "failing", RefreshFailed);
        (0..20).for_each(|number| flood(&mut queue, &format!("louder-{number}"), Rotated, 500));
        assert_eq!(pop(&mut queue).unwrap(), "loud-0 failing RefreshFailed");
        let sent = rest(&mut queue).len();
        assert_eq!((sent + 1, queue.take_dropped()), (IN_ALL, 20_001 - IN_ALL as u64));
    }

    #[test]
    fn the_flood_of_a_namespace_neither_displaces_nor_delays_what_others_have() {
        let mut queue = EventQueue::default();
        flood(&mut queue, "loud", Rotated, 10_000);
        for quiet in ["b", "c", "d"] {
            push(&mut queue, quiet, "only", Issued);
        }
        flood(&mut queue, "loud", Rotated, 10_000);
        let sent = rest(&mut queue);
        assert_eq!(sent.len(), PER_NAMESPACE + 3);
        assert_eq!(sent[1..4], ["b only Issued", "c only Issued", "d only Issued"]);
        // The oldest of a flood have gone.
        assert_eq!(sent[sent.len() - 2..], ["loud of-many-9998 Rotated", "loud of-many-9999 Rotated"]);
    }

    #[test]
    fn who_has_most_gives_way_when_all_is_full() {
        let mut queue = EventQueue::default();
        (0..8).for_each(|number| flood(&mut queue, &format!("loud-{number}"), RefreshFailed, PER_NAMESPACE));
        push(&mut queue, "b", "only", Rotated);
        assert_eq!((queue.take_dropped(), queue.normals.len), (1, 0), "no Normal Event displaces a Warning");
        push(&mut queue, "b", "only", RefreshFailed);
        push(&mut queue, "b", "other", RefreshFailed);
        let sent = rest(&mut queue);
        assert!(
            sent.contains(&"b only RefreshFailed".to_owned()) && sent.contains(&"b other RefreshFailed".to_owned())
        );
        assert_eq!((sent.len(), queue.take_dropped()), (IN_ALL, 2));
        assert_eq!(sent.iter().filter(|sent| sent.ends_with("of-many-0 RefreshFailed")).count(), 8, "the first stay");
    }

    #[test]
    fn where_all_have_as_much_the_first_warnings_stay() {
        let mut queue = EventQueue::default();
        (0..IN_ALL).for_each(|number| push(&mut queue, &format!("n-{number}"), "first", RefreshFailed));
        push(&mut queue, "n-0", "second", RefreshFailed);
        push(&mut queue, "another", "first", RefreshFailed);
        let sent = rest(&mut queue);
        assert_eq!((sent.len(), queue.take_dropped()), (IN_ALL, 2));
        assert!(sent.iter().all(|sent| sent.starts_with("n-") && sent.ends_with(" first RefreshFailed")));
    }

    #[test]
    fn a_full_namespace_keeps_its_first_warnings() {
        let mut queue = EventQueue::default();
        flood(&mut queue, "a", Rotated, PER_NAMESPACE);
        flood(&mut queue, "a", RefreshFailed, PER_NAMESPACE + 5);
        push(&mut queue, "a", "late", Rotated);
        assert_eq!(queue.take_dropped(), PER_NAMESPACE as u64 + 6);
        let sent = rest(&mut queue);
        assert_eq!((sent.len(), sent[0].as_str()), (PER_NAMESPACE, "a of-many-0 RefreshFailed"));
    }

    #[test]
    fn warnings_come_first_and_leave_every_fourth_turn_to_the_rest() {
        let mut queue = EventQueue::default();
        flood(&mut queue, "a", Rotated, 2);
        flood(&mut queue, "a", RefreshFailed, 8);
        let kinds: Vec<_> = rest(&mut queue).iter().map(|sent| sent.ends_with("RefreshFailed")).collect();
        assert_eq!(kinds, [true, true, true, false, true, true, true, false, true, true]);
    }

    #[test]
    fn what_could_not_be_sent_is_the_next_again_unless_there_is_something_newer() {
        let mut queue = EventQueue::default();
        push(&mut queue, "a", "first", Rotated);
        push(&mut queue, "b", "second", Rotated);
        let unsent = queue.pop(Instant::now()).unwrap();
        queue.put_back(unsent.clone());
        assert_eq!(queue.pop(Instant::now()).unwrap(), unsent);
        let mut newer = unsent.clone();
        newer.finding.message = "as found later".to_owned();
        queue.push(newer.clone());
        queue.put_back(unsent);
        assert_eq!(pop(&mut queue).unwrap(), "b second Rotated");
        assert_eq!((queue.pop(Instant::now()), pop(&mut queue), queue.take_dropped()), (Some(newer), None, 0));
    }

    #[test]
    fn what_is_old_is_not_sent_any_more() {
        let mut queue = EventQueue::default();
        let old = event("a", "old", RefreshFailed);
        let now = old.since + LONGEST_WAIT + Duration::from_millis(1);
        queue.push(old);
        queue.push(WaitingEvent { since: now, ..event("a", "new", Rotated) });
        assert_eq!(queue.pop(now).unwrap().about.name.unwrap(), "new");
        assert_eq!((queue.pop(now), queue.take_dropped()), (None, 1));
    }
}
