//! Whose turn it is to send a request or to run a pass, how an endpoint fares, and who shares an application.

use std::time::Duration;
use syniverse_token_core::issuer::FailureKind;
use syniverse_token_core::observed::Sharing;
use syniverse_token_core::queue::EndpointResult::{Failed, Responded};
use syniverse_token_core::queue::Next::{At, Later, Turn};
use syniverse_token_core::queue::{Budget, EndpointResult, Next, ObjectName, Priority, QueuedRequest, RequestQueue};
use syniverse_token_core::time::Moment;

mod budget;
mod crowd;
mod hosts;
mod load;
mod neighbours;
mod order;
mod outage;
mod passes;
mod permits;
mod sharing;
mod turns;

const UNAVAILABLE: EndpointResult = Failed(FailureKind::Unavailable);
const ROOMY: Budget = Budget { in_flight: 16, per_second: 50 };
const ONE: Budget = Budget { in_flight: 1, per_second: 50 };

fn member(name: &str) -> ObjectName {
    of("n", name)
}

fn of(namespace: &str, name: &str) -> ObjectName {
    ObjectName::new(namespace, name)
}

fn at(seconds: f64) -> Moment {
    Moment::after_start(Duration::from_secs_f64(seconds))
}

/// A resource as it stands before the queue: alone with its application, at one endpoint.
#[derive(Clone)]
struct Caller {
    member: ObjectName,
    request: QueuedRequest,
}

/// A resource whose token expires then.
fn caller(name: &str, expires: f64) -> Caller {
    let (endpoint, request_key, priority) = ("e".into(), name.to_owned(), Priority::Due);
    let request = QueuedRequest { endpoint, request_key, expires: at(expires), expired_at: None, priority };
    Caller { member: member(name), request }
}

impl Caller {
    fn with_priority(mut self, priority: Priority) -> Self {
        self.request.priority = priority;
        self
    }

    fn not_due(self) -> Self {
        self.with_priority(Priority::New)
    }

    fn again(self) -> Self {
        self.with_priority(Priority::Retry)
    }

    /// At the end of its token.
    fn at_its_end(mut self) -> Self {
        self.request.expired_at = Some(self.request.expires);
        self
    }

    fn in_namespace(self, namespace: &str) -> Self {
        Self { member: of(namespace, self.member.name()), ..self }
    }

    fn at_endpoint(mut self, endpoint: &str) -> Self {
        self.request.endpoint = endpoint.into();
        self
    }

    fn with_key(mut self, key: &str) -> Self {
        self.request.request_key = key.into();
        self
    }

    fn waits(&self, queue: &mut RequestQueue, now: f64) {
        self.waits_at(queue, at(now));
    }

    fn waits_at(&self, queue: &mut RequestQueue, now: Moment) {
        queue.enqueue(&self.member, self.request.clone(), now);
    }

    fn acquires(&self, queue: &mut RequestQueue, now: f64) -> bool {
        queue.acquire(&self.member, self.request.clone(), at(now))
    }

    /// Sends a request.
    fn sends(&self, queue: &mut RequestQueue, now: f64) {
        assert!(self.acquires(queue, now), "{:?} has to wait", self.member);
        queue.request_started(&self.member);
    }

    fn ends(&self, queue: &mut RequestQueue, result: EndpointResult, now: f64) {
        queue.permit_ended(&self.request.endpoint, &self.member, Some(result), at(now));
    }

    fn does_not_send(&self, queue: &mut RequestQueue, now: f64) {
        queue.permit_ended(&self.request.endpoint, &self.member, None, at(now));
    }

    /// A whole request.
    fn calls(&self, queue: &mut RequestQueue, result: EndpointResult, now: f64) {
        self.sends(queue, now);
        self.ends(queue, result, now);
    }
}

fn fleet(budget: Budget) -> RequestQueue {
    RequestQueue::new("salt".into(), budget)
}

fn all_wait(queue: &mut RequestQueue, callers: &[Caller], now: f64) {
    callers.iter().for_each(|caller| caller.waits(queue, now));
}

fn all_send(queue: &mut RequestQueue, callers: &[Caller], now: f64) {
    callers.iter().for_each(|caller| caller.sends(queue, now));
}

/// Everybody who gets a permit now.
fn granted(queue: &mut RequestQueue, now: f64) -> Vec<ObjectName> {
    let mut granted = Vec::new();
    while let Turn(resource) = queue.grant(at(now)) {
        assert!(granted.len() < 20_000, "permits without end, the last for {resource:?}");
        granted.push(resource);
    }
    granted
}

/// The names of those who get a permit now, and send their request.
fn senders(queue: &mut RequestQueue, now: f64) -> Vec<String> {
    let granted = granted(queue, now);
    granted.iter().for_each(|resource| queue.request_started(resource));
    granted.into_iter().map(|resource| resource.name().to_owned()).collect()
}

/// The moment at which the next permit is to be expected.
fn expected(queue: &mut RequestQueue, now: f64) -> Moment {
    match queue.grant(at(now)) {
        At(moment) => moment,
        next => panic!("{next:?}"),
    }
}

/// The callers in the order of their permits: each sends a request when the one before has ended, a second later.
fn one_by_one(queue: &mut RequestQueue, waiting: &[Caller], from: f64) -> Vec<Caller> {
    let mut order = Vec::new();
    let mut now = from;
    while let Turn(next) = queue.grant(at(now)) {
        let caller = waiting.iter().find(|caller| caller.member == next).unwrap();
        queue.request_started(&next);
        caller.ends(queue, Responded, now + 0.5);
        order.push(caller.clone());
        now += 1.0;
    }
    order
}

fn names(callers: &[Caller]) -> Vec<&str> {
    callers.iter().map(|caller| caller.member.name()).collect()
}
