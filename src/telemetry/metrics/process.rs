//! Resource usage of this process.

use super::{SecondsTotal, register};
use crate::telemetry::process::Usage;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub(super) struct ProcessMetrics {
    cpu: SecondsTotal,
    memory: Gauge,
    open_files: Gauge,
    start: Gauge,
}

impl ProcessMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            cpu: register(registry, "cpu_seconds", "CPU time of this process", SecondsTotal::default()),
            memory: register(registry, "resident_memory_bytes", "Resident memory of this process", Gauge::default()),
            open_files: register(registry, "open_fds", "Open file descriptors of this process", Gauge::default()),
            start: register(registry, "start_time_seconds", "When this process started, Unix time", Gauge::default()),
        }
    }

    pub(super) fn measure(&self) {
        let Some(usage) = Usage::of_this_process() else { return };
        self.cpu.inc_by((usage.cpu_seconds - self.cpu.get()).max(0.0));
        self.memory.set(usage.resident_bytes);
        self.open_files.set(usage.open_files);
        self.start.set(usage.start_time);
    }
}
