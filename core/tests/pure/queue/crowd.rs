//! Hundreds of resources at one endpoint, second by second.

use super::*;
use std::collections::{BTreeMap, HashMap};

/// How long a pass takes before it sends its request.
const PASS: Duration = Duration::from_millis(10);

enum Event {
    /// The queue said that the next permit is to be expected now.
    Look,
    /// A resource needs a token, or its retry is due: that one which was planned then.
    Due(usize, Moment),
    Sends(usize),
    Ends(usize),
}

#[derive(Default)]
struct Resource {
    wants: bool,
    failures: u32,
    /// When its next request is due, if that is not yet in line.
    planned: Option<Moment>,
}

/// Resources with one issuer, which answers after `latency` as `issuer` says for the moment of sending.
struct Crowd<F: Fn(usize, Moment) -> EndpointResult> {
    queue: RequestQueue,
    callers: Vec<Caller>,
    index: HashMap<ObjectName, usize>,
    resources: Vec<Resource>,
    events: BTreeMap<(Moment, usize), Event>,
    latency: Duration,
    issuer: F,
    sent: Vec<(Moment, usize)>,
    running: HashMap<usize, Moment>,
    most_running: usize,
    passes: usize,
    counter: usize,
}

impl<F: Fn(usize, Moment) -> EndpointResult> Crowd<F> {
    fn new(callers: Vec<Caller>, budget: Budget, latency: f64, issuer: F) -> Self {
        Self {
            queue: fleet(budget),
            index: callers.iter().enumerate().map(|(n, caller)| (caller.member.clone(), n)).collect(),
            resources: callers.iter().map(|_| Resource::default()).collect(),
            callers,
            events: BTreeMap::new(),
            latency: Duration::from_secs_f64(latency),
            issuer,
            sent: Vec::new(),
            running: HashMap::new(),
            most_running: 0,
            passes: 0,
            counter: 0,
        }
    }

    fn event(&mut self, at: Moment, event: Event) {
        self.counter += 1;
        self.events.insert((at, self.counter), event);
    }

    /// From `from` on this one needs a token.
    fn wants(&mut self, n: usize, from: f64) {
        self.resources[n].wants = true;
        self.plans(n, at(from));
    }

    fn plans(&mut self, n: usize, at: Moment) {
        self.resources[n].planned = Some(at);
        self.event(at, Event::Due(n, at));
    }

    fn run(&mut self, until: f64) {
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= at(until)) {
            assert!(self.counter < 100_000, "it never comes to rest");
            let ((now, _), event) = entry.remove_entry();
            match event {
                Event::Look => {}
                Event::Due(n, planned) if self.resources[n].planned == Some(planned) => {
                    self.resources[n].planned = None;
                    self.callers[n].waits_at(&mut self.queue, now);
                }
                Event::Due(..) => continue,
                Event::Sends(n) => self.sends(n, now),
                Event::Ends(n) => self.ends(n, now),
            }
            self.grant(now);
        }
    }

    fn grant(&mut self, now: Moment) {
        loop {
            match self.queue.grant(now) {
                Turn(resource) => self.pass(self.index[&resource], now),
                At(moment) => {
                    let is_planned = matches!(self.events.first_entry(), Some(first) if first.key().0 <= moment);
                    if !is_planned {
                        self.event(moment, Event::Look);
                    }
                    return;
                }
                Later => return,
            }
        }
    }

    /// It begins with a permit: nobody comes in vain.
    fn pass(&mut self, n: usize, now: Moment) {
        self.passes += 1;
        let (resource, caller) = (&mut self.resources[n], &self.callers[n]);
        assert!(resource.wants, "{:?} has all it wants", caller.member);
        let is_early = resource.planned.take().is_some();
        let is_released = self.queue.take_retry_release(&caller.member);
        assert!(is_released || !is_early, "before its retry is due");
        self.event(now + PASS, Event::Sends(n));
    }

    fn sends(&mut self, n: usize, now: Moment) {
        let Caller { member: resource, request } = &self.callers[n];
        assert!(self.queue.acquire(resource, request.clone(), now));
        self.queue.request_started(resource);
        self.sent.push((now, n));
        self.running.insert(n, now);
        self.most_running = self.most_running.max(self.running.len());
        self.event(now + self.latency, Event::Ends(n));
    }

    fn ends(&mut self, n: usize, now: Moment) {
        let result = (self.issuer)(n, self.running.remove(&n).unwrap());
        self.queue.permit_ended("e", &self.callers[n].member, Some(result), now);
        let resource = &mut self.resources[n];
        resource.wants = result != Responded;
        if resource.wants {
            resource.failures += 1;
            let pause = Duration::from_secs(1 << resource.failures.min(3)).min(Duration::from_secs(4));
            self.callers[n].request.priority = Priority::Retry;
            self.plans(n, now + pause);
        }
    }

    fn sent_between(&self, from: f64, until: f64) -> usize {
        self.sent.iter().filter(|(moment, _)| (at(from)..at(until)).contains(moment)).count()
    }

    fn last_sent(&self) -> Moment {
        self.sent.last().unwrap().0
    }

    fn assert_one_pass_each(&self) {
        assert_eq!(self.passes, self.sent.len(), "one pass for each request");
        assert!(self.counter <= 6 * self.sent.len(), "{} looks for {} requests", self.counter, self.sent.len());
    }

    fn assert_rate(&self, per_second: f64) {
        for (n, (first, _)) in self.sent.iter().enumerate() {
            for (m, (last, _)) in self.sent.iter().enumerate().skip(n) {
                let (calls, seconds) = ((m - n + 1) as f64, last.until(*first).as_secs_f64());
                assert!(calls <= per_second * (seconds + 1.0) + 1e-6, "{calls} calls in {seconds} s");
            }
        }
    }
}

fn crowd_of(size: usize) -> Vec<Caller> {
    (0..size).map(|n| caller(&format!("r{n:03}"), n as f64 * 7.0 % 100.0).not_due()).collect()
}

#[test]
fn three_hundred_at_once_keep_to_the_rate_and_use_it_with_one_pass_each() {
    let budget = Budget { in_flight: 16, per_second: 20 };
    let mut crowd = Crowd::new(crowd_of(300), budget, 0.2, |_, _| Responded);
    (0..300).for_each(|n| crowd.wants(n, 0.0));
    crowd.run(60.0);
    assert_eq!(crowd.sent.len(), 300);
    crowd.assert_rate(20.0);
    assert!(crowd.most_running <= 16);
    assert!(crowd.last_sent() < at(300.0 / 20.0 + 1.0), "{:?}", crowd.last_sent());
    crowd.assert_one_pass_each();
}

#[test]
fn slow_calls_fill_the_room_in_flight_and_no_more() {
    let mut crowd = Crowd::new(crowd_of(100), ROOMY, 9.0, |_, _| Responded);
    (0..100).for_each(|n| crowd.wants(n, 0.0));
    crowd.run(100.0);
    assert_eq!((crowd.sent.len(), crowd.most_running), (100, 16));
    // 100 calls by 16 at a time are 7 rounds.
    assert!(crowd.last_sent() < at(6.0 * 9.0 + 1.0), "{:?}", crowd.last_sent());
    crowd.assert_one_pass_each();
}

#[test]
fn those_that_fail_for_ever_starve_nobody_and_are_not_starved() {
    let budget = Budget { in_flight: 16, per_second: 10 };
    let issuer = |n, _| if n < 100 { Failed(FailureKind::Refused) } else { Responded };
    let mut crowd = Crowd::new(crowd_of(200), budget, 0.2, issuer);
    (0..100).for_each(|n| crowd.wants(n, 0.0));
    crowd.run(60.0);
    (100..200).for_each(|n| crowd.wants(n, 60.0));
    crowd.run(90.0);
    crowd.assert_rate(10.0);
    let served: Vec<_> = crowd.sent.iter().filter(|(_, n)| *n >= 100).map(|(moment, _)| *moment).collect();
    assert_eq!(served.len(), 100);
    assert!(served.iter().all(|moment| *moment < at(60.0 + 100.0 / 5.0 + 2.0)), "half of the rate is theirs");
    let retries = crowd.sent_between(60.0, 80.0) - served.iter().filter(|moment| **moment < at(80.0)).count();
    assert!((80..=110).contains(&retries), "{retries} retries in 20 s");
}

#[test]
fn an_outage_with_three_hundred_is_probed_by_one_and_ends_for_all_at_the_rate() {
    let budget = Budget { in_flight: 16, per_second: 20 };
    let is_down = |moment: Moment| (at(100.0)..at(220.0)).contains(&moment);
    let issuer = move |_, sent| if is_down(sent) { UNAVAILABLE } else { Responded };
    let mut crowd = Crowd::new(crowd_of(300), budget, 0.2, issuer);
    (0..300).for_each(|n| crowd.wants(n, 100.0 + n as f64 * 0.3));
    crowd.run(102.0);
    let before = crowd.sent.len();
    crowd.most_running = 0;
    crowd.run(220.0);
    let probes = crowd.sent.len() - before;
    assert!((28..=60).contains(&probes), "{probes} probes");
    assert_eq!(crowd.most_running, 1);
    let mut probers: Vec<_> = crowd.sent[before..].iter().map(|(_, n)| *n).collect();
    probers.sort_unstable();
    probers.dedup();
    assert!(probers.len() * 10 > probes * 9, "{} went round {} times", probers.len(), probes);
    crowd.run(300.0);
    assert!(crowd.resources.iter().all(|resource| !resource.wants), "all have a token");
    crowd.assert_rate(20.0);
    crowd.assert_one_pass_each();
    let up = crowd.sent.iter().find(|(sent, _)| *sent >= at(220.0)).unwrap().0;
    assert!(up <= at(224.3) && crowd.last_sent().until(up) < Duration::from_secs(300 / 20 + 5));
}
