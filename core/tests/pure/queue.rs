//! Whose turn it is to call, how an endpoint fares, and who shares an application.

use std::time::Duration;
use syniverse_token_core::issuer::FailureKind;
use syniverse_token_core::observed::Sharing;
use syniverse_token_core::queue::Admission::{Admitted, Wait};
use syniverse_token_core::queue::EndpointResult::{Failed, Responded};
use syniverse_token_core::queue::{Admission, Budget, EndpointResult, ObjectName, Queued, RequestQueue, Wake};
use syniverse_token_core::time::Moment;

mod crowd;
mod hosts;
mod neighbours;
mod order;
mod outage;
mod sharing;

const UNAVAILABLE: EndpointResult = Failed(FailureKind::Unavailable);
const ROOMY: Budget = Budget { in_flight: 16, per_second: 50 };

fn member(name: &str) -> ObjectName {
    of("n", name)
}

fn of(namespace: &str, name: &str) -> ObjectName {
    ObjectName { namespace: namespace.into(), name: name.into() }
}

fn at(seconds: f64) -> Moment {
    Moment::after_start(Duration::from_secs_f64(seconds))
}

/// A resource as it stands before the fleet: alone with its application, at one endpoint.
#[derive(Clone)]
struct Caller {
    member: ObjectName,
    endpoint: String,
    call_key: String,
    expires: Moment,
    boundary: Option<Moment>,
    is_retry: bool,
}

fn caller(name: &str, expires: f64) -> Caller {
    let (resource, endpoint, request_key) = (member(name), "e".to_owned(), name.to_owned());
    Caller { member: resource, endpoint, call_key: request_key, expires: at(expires), boundary: None, is_retry: false }
}

impl Caller {
    fn again(self) -> Self {
        Self { is_retry: true, ..self }
    }

    /// At the end of its token.
    fn at_its_end(self) -> Self {
        Self { boundary: Some(self.expires), ..self }
    }

    fn in_namespace(self, namespace: &str) -> Self {
        Self { member: of(namespace, &self.member.name), ..self }
    }

    fn at_endpoint(self, endpoint: &str) -> Self {
        Self { endpoint: endpoint.into(), ..self }
    }

    fn with_key(self, key: &str) -> Self {
        Self { call_key: key.into(), ..self }
    }

    fn wish(&self) -> Queued<'_> {
        let Self { member: resource, endpoint, call_key: request_key, expires, boundary: expired_at, is_retry } = self;
        Queued { resource, endpoint, request_key, expires: *expires, expired_at: *expired_at, is_retry: *is_retry }
    }

    fn lines_up(&self, queue: &mut RequestQueue, now: f64) -> (Admission, Vec<Wake>) {
        queue.reserve(&self.wish(), at(now))
    }

    fn asks(&self, queue: &mut RequestQueue, now: f64) -> Admission {
        self.asks_at(queue, at(now))
    }

    fn asks_at(&self, queue: &mut RequestQueue, now: Moment) -> Admission {
        queue.admit(&self.wish(), now).0
    }

    fn ends(&self, queue: &mut RequestQueue, result: EndpointResult, now: f64) -> Vec<Wake> {
        queue.request_ended(&self.endpoint, &self.call_key, &self.member, Some(result), at(now))
    }

    /// A whole call.
    fn calls(&self, queue: &mut RequestQueue, result: EndpointResult, now: f64) -> Vec<Wake> {
        assert_eq!(self.asks(queue, now), Admitted);
        self.ends(queue, result, now)
    }
}

fn fleet(budget: Budget) -> RequestQueue {
    RequestQueue::new("salt".into(), budget)
}

fn later(admission: Admission) -> Moment {
    match admission {
        Wait(at) => at,
        Admitted => panic!("admitted"),
    }
}

fn names(wakes: &[Wake]) -> Vec<&str> {
    wakes.iter().map(|(resource, _)| resource.name.as_str()).collect()
}
