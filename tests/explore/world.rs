//! Everything outside of the operator, under one lock and one paused clock: what it talks to, and what goes wrong.

use crate::api_server::{ApiServer, Reply, Verb};
use crate::fault::{Fault, LANDING, PointKind};
use crate::judge::{Change, Entry, History, Key, Kind, Subject, What};
use crate::planted::Planted;
use crate::watch::Feed;
use issuer_simulator::model::Model;
use issuer_simulator::switches::Switches;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use syniverse_token_core::time::{Moment, Now};
use syniverse_token_operator::clock::Clock;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

/// One request, or one watch event, at which a fault can strike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) request: String,
    pub(crate) kind: PointKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    ApiServer,
    Issuer,
}

/// A request on its way: whose, where to, how far, and how long its sender waits for an answer.
pub(crate) struct Trip {
    pub(crate) process: String,
    pub(crate) to: To,
    pub(crate) request: String,
    /// It changes nothing that matters.
    pub(crate) is_read: bool,
    pub(crate) way: Duration,
    pub(crate) patience: Duration,
}

pub(crate) struct World {
    inside: Mutex<Inside>,
    start: Instant,
    length: watch::Sender<usize>,
}

pub(crate) struct Inside {
    pub(crate) api: ApiServer,
    pub(crate) issuers: Model,
    pub(crate) entries: Vec<Entry>,
    pub(crate) feeds: Vec<Feed>,
    pub(crate) planted: Planted,
    pub(crate) points: Vec<Point>,
    pub(crate) is_counting: bool,
    /// What each way to the API server takes beside its usual time: of a read, and of a write.
    pub(crate) lag: [Duration; 2],
    /// Secrets whose names begin so cannot be written: nobody answers.
    pub(crate) unwritable: Option<&'static str>,
    /// The operator's writes of this Secret come back refused, as by a webhook that is down.
    pub(crate) refused: Option<&'static str>,
    faults: BTreeMap<usize, Fault>,
    deaths: mpsc::UnboundedSender<String>,
    step: SignedDuration,
    /// Who reaches the API server not before when; none = nobody does.
    api_down: Vec<(Option<String>, Timestamp)>,
}

impl World {
    /// A world in which these faults strike; tells the processes that die of them.
    pub(crate) fn new(
        faults: BTreeMap<usize, Fault>,
        planted: Planted,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<String>) {
        let (deaths, dead) = mpsc::unbounded_channel();
        let inside = Inside {
            api: ApiServer::default(),
            issuers: Model::new(Switches::default(), 1),
            entries: Vec::new(),
            feeds: Vec::new(),
            planted,
            points: Vec::new(),
            is_counting: false,
            lag: [Duration::ZERO; 2],
            unwritable: None,
            refused: None,
            faults,
            deaths,
            step: SignedDuration::ZERO,
            api_down: Vec::new(),
        };
        let world = Self { inside: Mutex::new(inside), start: Instant::now(), length: watch::Sender::new(0) };
        (Arc::new(world), dead)
    }

    /// The true time.
    pub(crate) fn now(&self) -> Timestamp {
        let epoch: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        epoch + SignedDuration::try_from(self.start.elapsed()).unwrap()
    }

    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    pub(crate) fn say(&self, process: Option<&str>, what: What) {
        self.inside().say(self.now(), process, what);
        self.tell();
    }

    fn tell(&self) {
        let length = self.inside().entries.len();
        self.length.send_replace(length);
    }

    /// What happens after now.
    pub(crate) fn follow(&self) -> (usize, watch::Receiver<usize>) {
        (self.inside().entries.len(), self.length.subscribe())
    }

    pub(crate) fn step_wall_clock(&self, by: SignedDuration) {
        self.inside().step += by;
    }

    /// Takes the API server away for a while, from everybody or from one process; the watches begin anew afterwards.
    pub(crate) fn take_api_down(&self, from: Option<&str>, outage: Duration) {
        let mut inside = self.inside();
        let until = self.now() + SignedDuration::try_from(outage).unwrap();
        inside.api_down.push((from.map(str::to_owned), until));
        let feeds = inside.feeds.iter_mut().filter(|feed| from.is_none_or(|process| feed.is_of(process)));
        feeds.for_each(|feed| feed.breaks(outage));
    }

    /// Sets the store back to what it was. The watches wait for versions that have been already.
    pub(crate) fn set_back(&self, to: &ApiServer) {
        let mut inside = self.inside();
        let changes = inside.api.changes_to(to);
        inside.api = to.clone();
        inside.feeds.iter_mut().for_each(Feed::deafen);
        for change in changes {
            inside.say(self.now(), None, What::Changed(Box::new(change)));
        }
        drop(inside);
        self.tell();
    }

    /// From here on nothing is a point any more, and no fault strikes.
    pub(crate) fn heal(&self) {
        self.inside().is_counting = false;
        self.say(None, What::Healed);
    }

    /// Takes what has happened out of the world.
    pub(crate) fn end(&self, subjects: Vec<Subject>) -> (Vec<Point>, History) {
        let mut inside = self.inside();
        let (points, entries) = (std::mem::take(&mut inside.points), std::mem::take(&mut inside.entries));
        (points, History::new(entries, inside.issuers.journal(), subjects))
    }

    /// A request of somebody else than the operator: it always works.
    pub(crate) fn by_hand(&self, verb: Verb, key: Key, body: Value) -> Reply {
        let now = self.now();
        let reply = self.inside().request(now, None, verb, key, body);
        self.tell();
        reply
    }

    /// Deletes what has no owner any more.
    pub(crate) fn collect_garbage(&self) {
        loop {
            let Some(change) = self.inside().api.collect() else { break };
            self.inside().changed(self.now(), None, change);
        }
        self.tell();
    }

    /// Takes a request to where `work` is done and its answer back; none when the sender is left without one.
    pub(crate) async fn travel<T: Send + 'static>(
        self: &Arc<Self>,
        trip: Trip,
        work: impl FnOnce(&mut Inside, Timestamp) -> T + Send + 'static,
    ) -> Option<T> {
        let (fault, is_down) = self.inside().arrives(self.now(), &trip);
        let (way, hangs) = self.inside().way(&trip);
        if hangs {
            sleep(trip.patience).await;
            return None;
        }
        if is_down {
            sleep(way).await;
            return None;
        }
        let world = Arc::clone(self);
        let mut work = Some(move || {
            let done = work(&mut world.inside(), world.now());
            world.tell();
            done
        });
        match fault {
            Some(Fault::Fails) => {
                sleep(way).await;
                return None;
            }
            Some(Fault::Hangs) => {
                sleep(trip.patience).await;
                return None;
            }
            Some(Fault::DiesBefore) => self.dies(&trip.process).await,
            Some(Fault::LandsLater | Fault::DiesAndLandsLater) => {
                let work = work.take();
                tokio::spawn(async move {
                    sleep(LANDING).await;
                    work.map(|work| work());
                });
                if fault == Some(Fault::DiesAndLandsLater) {
                    self.dies(&trip.process).await;
                }
                sleep(way).await;
                return None;
            }
            _ => sleep(way).await,
        }
        let answer = work.take().map(|work| work());
        match fault {
            Some(Fault::AnswerLost) => return None,
            Some(Fault::AnswerHangs) => {
                sleep(trip.patience).await;
                return None;
            }
            Some(Fault::DiesAfter) => self.dies(&trip.process).await,
            _ => sleep(way).await,
        }
        answer
    }

    /// Never returns: the caller is dropped.
    async fn dies(&self, process: &str) {
        self.inside().deaths.send(process.to_owned()).unwrap();
        std::future::pending().await
    }

    /// The clocks of a machine in this world.
    pub(crate) fn clock(self: &Arc<Self>) -> WorldClock {
        WorldClock { world: Arc::clone(self), start: Instant::now() }
    }
}

impl Inside {
    pub(crate) fn say(&mut self, at: Timestamp, process: Option<&str>, what: What) {
        self.entries.push(Entry { at, process: process.map(str::to_owned), what });
    }

    /// Counts a point, and tells the fault that strikes there.
    pub(crate) fn point(&mut self, now: Timestamp, process: &str, point: Point, limit: Duration) -> Option<Fault> {
        if !self.is_counting {
            return None;
        }
        self.points.push(point.clone());
        let number = self.points.len() - 1;
        let fault = self.faults.get(&number).copied().filter(|fault| point.kind.faults().contains(fault))?;
        let until = now + SignedDuration::try_from(fault.lasts(limit)).unwrap();
        let (request, lands_later) = (point.request, fault.lands_later());
        let what = What::Fault { point: number, fault: fault.to_string(), request, until, lands_later };
        self.say(now, Some(process), what);
        Some(fault)
    }

    /// How long each way of a request takes, and whether nobody answers it.
    fn way(&self, trip: &Trip) -> (Duration, bool) {
        if trip.to == To::Issuer {
            return (trip.way, false);
        }
        let is_unwritable = |prefix: &str| trip.request.contains(&format!(" Secret {prefix}"));
        let hangs = !trip.is_read && self.unwritable.is_some_and(is_unwritable);
        (trip.way + self.lag[usize::from(!trip.is_read)], hangs)
    }

    /// The fault that a request meets, and whether nobody is there to take it.
    fn arrives(&mut self, now: Timestamp, trip: &Trip) -> (Option<Fault>, bool) {
        let is_cut_off = |process: &Option<String>| process.as_ref().is_none_or(|process| *process == trip.process);
        let is_down = trip.to == To::ApiServer
            && self.api_down.iter().any(|(process, until)| now < *until && is_cut_off(process));
        let kind = match trip.is_read {
            _ if is_down => PointKind::InVain,
            true => PointKind::Read,
            false => PointKind::Change,
        };
        let point = Point { request: trip.request.clone(), kind };
        (self.point(now, &trip.process, point, trip.patience), is_down)
    }

    /// One request to the API server, from its effect to what the watches tell of it.
    pub(crate) fn request(
        &mut self,
        now: Timestamp,
        process: Option<&str>,
        verb: Verb,
        key: Key,
        body: Value,
    ) -> Reply {
        let request = told(verb, &key);
        let is_refused = process.is_some() && verb != Verb::Get && self.refused == Some(key.name.as_str());
        let reply = if is_refused { Reply::of_webhook() } else { Planted::request(self, now, verb, key, body) };
        if process.is_some() {
            self.say(now, process, What::Requested { request: request.clone(), code: reply.code });
        }
        match reply.change.clone() {
            Some(change) => self.changed(now, process, change),
            None if reply.code == 200 && verb != Verb::Get => self.say(now, process, What::Needless { request }),
            None => {}
        }
        reply
    }

    pub(crate) fn changed(&mut self, now: Timestamp, process: Option<&str>, change: Change) {
        self.say(now, process, What::Changed(Box::new(change.clone())));
        let mut feeds = std::mem::take(&mut self.feeds);
        feeds.retain_mut(|feed| feed.tell(self, now, &change));
        self.feeds = feeds;
    }

    /// What a list shows.
    pub(crate) fn list(&self, kind: Kind) -> Vec<Value> {
        self.api.all(kind).map(|(_, object)| object.clone()).collect()
    }
}

/// A request, for readers and judges.
pub(crate) fn told(verb: Verb, key: &Key) -> String {
    format!("{verb:?} {:?} {}", key.kind, key.name)
}

/// The monotonic axis starts with the process, the wall clock can be stepped.
pub(crate) struct WorldClock {
    world: Arc<World>,
    start: Instant,
}

impl Clock for WorldClock {
    fn now(&self) -> Now {
        let step = self.world.inside().step;
        Now { mono: Moment::after_start(self.start.elapsed()), wall: self.world.now() + step }
    }
}
