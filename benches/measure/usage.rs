//! What a process costs, as the kernel counts it.

use std::fs;
use std::iter::Sum;

/// Clock ticks of `/proc` in a second: 100 on every Linux (`man 7 time`).
const TICKS: f64 = 100.0;

/// CPU time and memory of a process, or of several together.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system, in seconds.
    pub(crate) cpu: f64,
    /// Resident now, in MiB.
    pub(crate) resident: f64,
    /// The most that was ever resident, in MiB.
    pub(crate) peak: f64,
}

impl Usage {
    /// That of one process; none if it is gone.
    pub(crate) fn of(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name in parentheses may hold anything: fields are counted behind it, from the state, which is field 3.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let mebibytes = |key| Some(number_after(&status, key)? / 1024.0);
        let cpu = (ticks(14)? + ticks(15)?) / TICKS;
        Some(Self { cpu, resident: mebibytes("VmRSS:")?, peak: mebibytes("VmHWM:")? })
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        let add = |one: Self, other: Self| Self {
            cpu: one.cpu + other.cpu,
            resident: one.resident + other.resident,
            peak: one.peak + other.peak,
        };
        each.fold(Self::default(), add)
    }
}

/// This machine, as a figure has to name it: processor, memory, and what else keeps it busy.
pub(crate) fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let memory = number_after(&read("/proc/meminfo"), "MemTotal:").unwrap_or_default() / 1024.0 / 1024.0;
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores of {model}, {memory:.0} GiB, Linux {}, load {load} before", kernel.trim())
}

fn number_after(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
