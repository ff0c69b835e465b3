//! This process as the kernel sees it: its resource usage and memory protection. Client required: it reads `/proc`.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::fs;
use std::io;

/// Clock ticks of `/proc` in a second: 100 on every Linux, whatever the kernel's own rate (`man 7 time`).
const TICKS: f64 = 100.0;

/// Keeps the memory of this process, which holds tokens and credentials, out of core dumps, and from other processes of
/// the same user.
///
/// # Errors
/// When the kernel refuses.
pub fn conceal() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Resource usage of this process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// CPU time, user and system.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub resident_bytes: i64,
    /// Open file descriptors.
    pub open_files: i64,
    /// When it started, Unix time in seconds.
    pub start_time: i64,
}

impl Usage {
    /// None where there is no `/proc`, or it looks otherwise.
    #[allow(clippy::cast_possible_truncation)] // ticks since boot
    pub fn of_this_process() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name in parentheses may hold anything: fields are counted behind it, from the state, which is field 3.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        let boot: i64 = number_after(&fs::read_to_string("/proc/stat").ok()?, "btime")?;
        let resident: i64 = number_after(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")?;
        Some(Self {
            cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS,
            resident_bytes: resident * 1024,
            open_files: i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()?,
            start_time: boot + (ticks(22)? / TICKS) as i64,
        })
    }
}

fn number_after(text: &str, key: &str) -> Option<i64> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn this_process_started_before_now_and_uses_some_of_everything() {
        let usage = Usage::of_this_process().unwrap();
        let age = jiff::Timestamp::now().as_second() - usage.start_time;
        assert!((0..86_400).contains(&age), "{age}");
        assert!(usage.resident_bytes > 1_000_000 && usage.open_files > 2 && usage.cpu_seconds >= 0.0, "{usage:?}");
    }
}
