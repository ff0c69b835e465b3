//! How a new token reaches those who use it: which Pods are told, which workloads are restarted, and what the status says of
//! it. It is no part of a refresh, and never in its way.

mod annotation;
mod consumer;
mod messages;
mod names;
mod outcome;
mod workload;

pub use annotation::{RESTART_ANNOTATION, TOKEN_ANNOTATION, has_token, with_token};
pub use consumer::{SecretUse, containers_using, is_reached, owner_of, secret_use};
pub use messages::{denied, right_missing};
pub use names::Names;
pub use outcome::{Delivery, MOST_WORKLOADS, Outcome, Shown, shown};
pub use workload::{Verdict, Workload, pause_between};
