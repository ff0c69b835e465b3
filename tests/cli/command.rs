//! Runs a command for people.

use crate::support::Stage;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a command has said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs it with a kubeconfig and with this on its standard input.
pub(crate) async fn run(kubeconfig: &Path, arguments: &[&str], input: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syniverse-token-operator"));
    command.args(arguments).env("KUBECONFIG", kubeconfig);
    said(command, input.to_owned()).await
}

/// Runs it in the namespace of a stage.
pub(crate) async fn on(stage: &Stage, arguments: &[&str]) -> Said {
    on_with(stage, arguments, "").await
}

/// The same with this on its standard input.
pub(crate) async fn on_with(stage: &Stage, arguments: &[&str], input: &str) -> Said {
    let arguments = [arguments, &["--namespace", stage.namespace.name()]].concat();
    run(stage.cluster.kubeconfig(), &arguments, input).await
}

/// Runs any command.
pub(crate) async fn said(mut command: Command, input: String) -> Said {
    let run = move || {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = piped.spawn().unwrap();
        // It may end without reading all.
        let _ = running.stdin.take().unwrap().write_all(input.as_bytes());
        running.wait_with_output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
