//! Whose turn it is to call, how an endpoint fares, and who shares an application.

use std::time::Duration;
use syniverse_token_core::issuer::FailureKind;
use syniverse_token_core::observed::Sharing;
use syniverse_token_core::queue::Admission::{Go, Later};
use syniverse_token_core::queue::Outcome::{Answered, Failed};
use syniverse_token_core::queue::{Admission, Budget, Fleet, ObjectName, Outcome, Wake, Wish};
use syniverse_token_core::time::Moment;

mod crowd;
mod hosts;
mod neighbours;
mod outage;
mod queue;
mod sharing;

const UNAVAILABLE: Outcome = Failed(FailureKind::Unavailable);
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
    let (member, endpoint, call_key) = (member(name), "e".to_owned(), name.to_owned());
    Caller { member, endpoint, call_key, expires: at(expires), boundary: None, is_retry: false }
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

    fn wish(&self) -> Wish<'_> {
        let Self { member, endpoint, call_key, expires, boundary, is_retry } = self;
        Wish { member, endpoint, call_key, expires: *expires, boundary: *boundary, is_retry: *is_retry }
    }

    fn lines_up(&self, fleet: &mut Fleet, now: f64) -> (Admission, Vec<Wake>) {
        fleet.line_up(&self.wish(), at(now))
    }

    fn asks(&self, fleet: &mut Fleet, now: f64) -> Admission {
        self.asks_at(fleet, at(now))
    }

    fn asks_at(&self, fleet: &mut Fleet, now: Moment) -> Admission {
        fleet.admit(&self.wish(), now).0
    }

    fn ends(&self, fleet: &mut Fleet, outcome: Outcome, now: f64) -> Vec<Wake> {
        fleet.ended(&self.endpoint, &self.call_key, &self.member, Some(outcome), at(now))
    }

    /// A whole call.
    fn calls(&self, fleet: &mut Fleet, outcome: Outcome, now: f64) -> Vec<Wake> {
        assert_eq!(self.asks(fleet, now), Go);
        self.ends(fleet, outcome, now)
    }
}

fn fleet(budget: Budget) -> Fleet {
    Fleet::new("salt".into(), budget)
}

fn later(admission: Admission) -> Moment {
    match admission {
        Later(at) => at,
        Go => panic!("admitted"),
    }
}

fn names(wakes: &[Wake]) -> Vec<&str> {
    wakes.iter().map(|(member, _)| member.name.as_str()).collect()
}
