//! Logs, metrics, traces and the audit log of the process.

pub mod audit;
pub mod logs;
pub mod metrics;
pub mod process;
pub mod traces;
