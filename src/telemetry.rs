//! What the process tells of itself: logs and metrics, and nothing of its memory.

pub mod logs;
pub mod metrics;
pub mod process;
