//! Logs, metrics and the audit log of the process.

pub mod audit;
pub mod logs;
pub mod metrics;
pub mod process;
