//! Use of the budget: the requests that wait for it, and how much of it the fullest endpoint has used up.

use super::endpoint::Endpoint;
use super::host::Host;
use super::{Priority, RequestQueue};
use crate::time::Moment;

/// Use of the budget by the requests of all resources.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BudgetUse {
    /// Requests that wait for nothing but a permit, by [`Priority`]: not those of an endpoint that is down.
    pub waiting: [usize; 3],
    /// Share of the requests in flight that is taken at the endpoint or host with least room: 0 to 1.
    pub in_flight: f64,
    /// Share of the requests per second that is used up at the endpoint or host with fewest left: 0 to 1.
    pub rate: f64,
}

impl RequestQueue {
    /// The use of the budget as it is `now`.
    pub fn budget_use(&self, now: Moment) -> BudgetUse {
        let of_endpoints = self.endpoints.values().map(|endpoint| endpoint.budget_use(now));
        let of_hosts = self.hosts.values().map(|host| host.budget_use(now));
        of_endpoints.chain(of_hosts).fold(BudgetUse::default(), BudgetUse::with)
    }
}

impl Endpoint {
    fn budget_use(&self, now: Moment) -> BudgetUse {
        BudgetUse {
            waiting: self.lines.lengths(),
            in_flight: share(self.in_use().count(), self.budget.in_flight),
            rate: self.limiter.used(now, self.budget.refill()),
        }
    }
}

impl Host {
    fn budget_use(&self, now: Moment) -> BudgetUse {
        BudgetUse {
            waiting: [0; 3],
            in_flight: share(self.permits.values().sum(), self.budget.in_flight),
            rate: self.limiter.used(now, self.budget.refill()),
        }
    }
}

impl BudgetUse {
    /// The number of waiting requests of this priority.
    pub fn waiting(&self, priority: Priority) -> usize {
        self.waiting[priority as usize]
    }

    fn with(self, other: Self) -> Self {
        Self {
            waiting: std::array::from_fn(|priority| self.waiting[priority] + other.waiting[priority]),
            in_flight: self.in_flight.max(other.in_flight),
            rate: self.rate.max(other.rate),
        }
    }
}

fn share(used: usize, of: usize) -> f64 {
    (used as f64 / of.max(1) as f64).min(1.0)
}
