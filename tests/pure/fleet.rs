//! Whose turn it is to call, how an endpoint fares, and who shares an application.

use std::time::Duration;
use syniverse_token_operator::facts::Sharing;
use syniverse_token_operator::fleet::Admission::{Go, Later};
use syniverse_token_operator::fleet::Outcome::{Answered, Failed};
use syniverse_token_operator::fleet::{Admission, Budget, Fleet, ObjectName, Outcome, Wake, Wish};
use syniverse_token_operator::issuer::FailureKind;
use syniverse_token_operator::moment::Moment;

#[path = "fleet/crowd.rs"]
mod crowd;
#[path = "fleet/outage.rs"]
mod outage;
#[path = "fleet/queue.rs"]
mod queue;
#[path = "fleet/sharing.rs"]
mod sharing;

const UNAVAILABLE: Outcome = Failed(FailureKind::Unavailable);
const ROOMY: Budget = Budget { in_flight: 16, per_second: 50 };

fn member(name: &str) -> ObjectName {
    ObjectName { namespace: "n".into(), name: name.into() }
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
    expires: Option<Moment>,
    is_retry: bool,
    is_new: bool,
}

fn caller(name: &str, expires: f64) -> Caller {
    let (member, endpoint, call_key) = (member(name), "e".to_owned(), name.to_owned());
    Caller { member, endpoint, call_key, expires: Some(at(expires)), is_retry: false, is_new: false }
}

impl Caller {
    fn without_token(self) -> Self {
        Self { expires: None, ..self }
    }

    fn again(self) -> Self {
        Self { is_retry: true, ..self }
    }

    fn just_created(self) -> Self {
        Self { is_new: true, ..self }
    }

    fn with_key(self, key: &str) -> Self {
        Self { call_key: key.into(), ..self }
    }

    fn wish(&self) -> Wish<'_> {
        let Self { member, endpoint, call_key, expires, is_retry, is_new } = self;
        Wish { member, endpoint, call_key, expires: *expires, is_retry: *is_retry, is_new: *is_new }
    }

    fn lines_up(&self, fleet: &mut Fleet, now: f64) -> (Admission, Vec<Wake>) {
        fleet.line_up(&self.wish(), at(now))
    }

    fn asks(&self, fleet: &mut Fleet, now: f64) -> Admission {
        self.asks_at(fleet, at(now))
    }

    fn asks_at(&self, fleet: &mut Fleet, now: Moment) -> Admission {
        fleet.admit(&self.wish(), now)
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
