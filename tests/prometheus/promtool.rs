//! The real promtool.

use std::io::Write;
use std::process::{Command, Stdio};

/// What it says to these arguments and this input: with an error if it finds fault.
pub(crate) fn promtool(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new(harness::prometheus("promtool").unwrap());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    running.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    if output.status.success() { Ok(said) } else { Err(said) }
}
