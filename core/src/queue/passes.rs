//! The queue of passes: what is due is known here, and a pass begins only when there is room for it.
//!
//! A pass begins for one of three causes, each with a lane of its own: a permit for its request, a moment that has come,
//! or a change. A change waits for no request and delays none. In a lane, namespaces take turns.

use super::line::Line;
use super::{Next, ObjectName, Priority, QueuedRequest, RequestQueue};
use crate::time::{Moment, Now, later};
use jiff::{SignedDuration, Timestamp};
use running::{Running, RunningPasses};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

mod running;

/// A step of the wall clock that counts.
const CLOCK_STEP: SignedDuration = SignedDuration::from_secs(1);
/// A resource whose request is due and gets no permit for this long is looked at, so that its status tells.
const TELL_AFTER: Duration = Duration::from_millis(750);

/// What a pass runs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// A request, for which the resource has a permit.
    Request,
    /// A moment that has come.
    Timer,
    /// A change.
    Change,
}

/// When a pass has to follow.
#[derive(Clone, Debug, Default)]
pub struct PassEnd {
    /// When the next one is due; none = when something changes.
    pub next: Option<Moment>,
    /// The request that is due then, if that is the cause.
    pub request: Option<QueuedRequest>,
    /// A response waits in memory to be recorded: passes go on although this process no longer acts.
    pub must_record: bool,
}

/// The queue of passes.
#[derive(Debug, Default)]
pub struct PassQueue {
    resources: HashMap<ObjectName, Resource>,
    /// How many resources there are in each namespace.
    namespaces: HashMap<String, usize>,
    running: RunningPasses,
    timers: BTreeSet<(Moment, ObjectName)>,
    due: Line,
    changed: Line,
    /// Resources that may have been given a permit while a pass of theirs was ending.
    permitted: VecDeque<ObjectName>,
    /// Resources with a response that waits to be recorded.
    recording: BTreeSet<ObjectName>,
    /// Where the wall clock begins, when timers were last set by it.
    epoch: Option<Moment>,
}

#[derive(Debug, Default)]
struct Resource {
    timer: Option<Timer>,
    /// Its place in the line of what is due, and in the line of changes.
    is_due: Option<Moment>,
    has_changed: Option<Moment>,
}

/// A moment on both axes: whichever comes first counts.
#[derive(Debug)]
struct Timer {
    at: Moment,
    mono: Moment,
    wall: Timestamp,
    request: Option<Box<QueuedRequest>>,
}

impl PassQueue {
    /// Notes a change of this resource. Changes before its pass begins make one pass, whose place is that of the last
    /// `rank`: the end of its token as known now, since a standby replica may have waited for hours.
    pub fn changed(&mut self, name: &ObjectName, rank: Moment) {
        let before = self.resource(name).has_changed.replace(rank);
        if !self.running.contains(name) {
            before.into_iter().for_each(|before| self.changed.remove(before, name));
            self.changed.insert(rank, name);
        }
    }

    /// Has the resource looked at by then.
    pub fn check_at(&mut self, name: &ObjectName, at: Moment, now: Now) {
        if self.resource(name).timer.as_ref().is_none_or(|timer| at < timer.at) {
            self.set_timer(name, Some(at), None, now);
        }
    }

    /// The pass that begins now, or when one may. Without `may_act` only responses are recorded.
    pub fn next(&mut self, requests: &mut RequestQueue, now: Now, may_act: bool) -> Next {
        self.follow_wall_clock(now);
        if !may_act {
            self.permitted.clear();
            return self.next_to_record(now.mono);
        }
        self.fire_timers(requests, now);
        let next_permit = loop {
            match requests.grant(now.mono) {
                // A pass that runs finds its permit, or is followed by another.
                Next::Turn(name) if self.running.contains(&name) => {}
                Next::Turn(name) if !self.resources.contains_key(&name) => requests.withdraw(&name, now.mono),
                Next::Turn(name) => return self.begin_permitted(name, requests),
                next => break next,
            }
        };
        while let Some(name) = self.permitted.pop_front() {
            if requests.has_permit(&name) && !self.running.contains(&name) {
                return self.begin_permitted(name, requests);
            }
        }
        for lane in [Lane::Timer, Lane::Change] {
            if let Some(name) = self.first(lane) {
                return self.begin(name, Running::in_lane(lane));
            }
        }
        self.timers.first().map_or(Next::Later, |(at, _)| Next::At(*at)).or_earlier(next_permit)
    }

    /// The running pass of this resource has got a permit, and leaves its place to another.
    pub fn has_permit(&mut self, name: &ObjectName, priority: Priority) {
        self.running.has_permit(name, priority);
    }

    /// The pass has ended.
    pub fn ended(&mut self, name: &ObjectName, end: PassEnd, now: Now) {
        self.running.end(name);
        let Some(resource) = self.resources.get_mut(name) else { return };
        if let Some(rank) = resource.has_changed {
            self.changed.insert(rank, name);
        }
        if let Some(rank) = resource.is_due {
            self.due.insert(rank, name);
        }
        if end.must_record {
            self.recording.insert(name.clone());
        } else {
            self.recording.remove(name);
        }
        self.permitted.push_back(name.clone());
        // A check that was told during the pass may come first.
        let told = resource.timer.as_ref().map(|timer| timer.at);
        if told.is_none_or(|told| end.next.is_some_and(|next| next <= told)) {
            self.set_timer(name, end.next, end.request, now);
        }
    }

    /// Forgets a resource that is gone.
    pub fn forget(&mut self, name: &ObjectName) {
        self.leave_lines(name);
        self.recording.remove(name);
        if self.resources.remove(name).is_some()
            && let Some(count) = self.namespaces.get_mut(name.namespace())
        {
            *count -= 1;
            if *count == 0 {
                self.namespaces.remove(name.namespace());
            }
        }
    }

    /// Passes that run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// True while responses wait to be recorded.
    pub fn has_to_record(&self) -> bool {
        !self.recording.is_empty()
    }

    fn resource(&mut self, name: &ObjectName) -> &mut Resource {
        let namespaces = &mut self.namespaces;
        self.resources.entry(name.clone()).or_insert_with(|| {
            *namespaces.entry(name.namespace().to_owned()).or_default() += 1;
            Resource::default()
        })
    }

    fn begin_permitted(&mut self, name: ObjectName, requests: &RequestQueue) -> Next {
        let priority = requests.priority(&name).unwrap_or(Priority::New);
        self.begin(name, Running::permitted(priority))
    }

    fn begin(&mut self, name: ObjectName, running: Running) -> Next {
        let resource = self.resource(&name);
        match running.lane {
            Lane::Timer => resource.is_due.take().into_iter().for_each(|rank| self.due.take(rank, &name)),
            Lane::Change => resource.has_changed.take().into_iter().for_each(|rank| self.changed.take(rank, &name)),
            Lane::Request => {}
        }
        self.leave_lines(&name);
        self.running.begin(name.clone(), running);
        Next::Turn(name)
    }

    fn leave_lines(&mut self, name: &ObjectName) {
        let Some(resource) = self.resources.get_mut(name) else { return };
        if let Some(rank) = resource.has_changed.take() {
            self.changed.remove(rank, name);
        }
        if let Some(rank) = resource.is_due.take() {
            self.due.remove(rank, name);
        }
        if let Some(timer) = resource.timer.take() {
            self.timers.remove(&(timer.at, name.clone()));
        }
    }

    /// The first of this lane that may begin.
    fn first(&self, lane: Lane) -> Option<ObjectName> {
        let line = if lane == Lane::Timer { &self.due } else { &self.changed };
        let has_room = self.running.room(lane, self.namespaces.len() > 1);
        line.first(has_room).map(|(_, name)| name.clone())
    }

    fn set_timer(&mut self, name: &ObjectName, at: Option<Moment>, request: Option<QueuedRequest>, now: Now) {
        let (request, wall) = (request.map(Box::new), |at: Moment| later(now.wall, at.until(now.mono)));
        let timer = at.map(|at| Timer { at, mono: at, wall: wall(at), request });
        let before = std::mem::replace(&mut self.resource(name).timer, timer);
        if let Some(before) = before {
            self.timers.remove(&(before.at, name.clone()));
        }
        self.timers.extend(at.map(|at| (at, name.clone())));
    }

    /// Puts what is due in line: for a permit where it is a request, for a pass else.
    fn fire_timers(&mut self, requests: &mut RequestQueue, now: Now) {
        while let Some((at, _)) = self.timers.first().filter(|(at, _)| *at <= now.mono) {
            let rank = *at;
            let Some((_, name)) = self.timers.pop_first() else { return };
            let timer = self.resources.get_mut(&name).and_then(|resource| resource.timer.take());
            if let Some(request) = timer.and_then(|timer| timer.request) {
                requests.enqueue(&name, *request, now.mono);
                self.set_timer(&name, Some(now.mono + TELL_AFTER), None, now);
            } else if let Some(resource) = self.resources.get_mut(&name).filter(|resource| resource.is_due.is_none()) {
                resource.is_due = Some(rank);
                if !self.running.contains(&name) {
                    self.due.insert(rank, &name);
                }
            }
        }
    }

    fn next_to_record(&mut self, now: Moment) -> Next {
        let waiting = self.recording.iter().filter(|name| !self.running.contains(name));
        let timer = |name: &ObjectName| self.resources.get(name).and_then(|resource| resource.timer.as_ref());
        let next = waiting.map(|name| (timer(name).map_or(now, |timer| timer.at), name)).min();
        match next.map(|(at, name)| (at, name.clone())) {
            Some((at, name)) if at <= now => self.begin(name, Running::in_lane(Lane::Timer)),
            Some((at, _)) => Next::At(at),
            None => Next::Later,
        }
    }

    /// Sets all timers anew when the wall clock has stepped, or the machine slept.
    fn follow_wall_clock(&mut self, now: Now) {
        let epoch = now.moment_of(Timestamp::UNIX_EPOCH);
        let stepped = *self.epoch.get_or_insert(epoch) - epoch;
        if stepped.abs() < CLOCK_STEP {
            return;
        }
        self.epoch = Some(epoch);
        self.timers.clear();
        for (name, resource) in &mut self.resources {
            if let Some(timer) = &mut resource.timer {
                timer.at = timer.mono.min(now.moment_of(timer.wall));
                self.timers.insert((timer.at, name.clone()));
            }
        }
    }
}
