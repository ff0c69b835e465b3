//! Starts a control plane, runs a command against it and takes it down: `control-plane exec COMMAND [ARGUMENT]...`

use std::{
    env,
    process::{Command, ExitCode},
};

use harness::{ControlPlane, Error, KUBECONFIG_VARIABLE, Result};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [exec, program, arguments @ ..] if exec == "exec" => report(run(program, arguments).await),
        _ => {
            eprintln!("usage: control-plane exec COMMAND [ARGUMENT]...");
            ExitCode::from(2)
        }
    }
}

/// Runs the command with `KUBECONFIG` for kubectl and the variable that `shared` looks for, and gives its exit code.
async fn run(program: &str, arguments: &[String]) -> Result<u8> {
    let plane = ControlPlane::start().await?;
    let kubeconfig = plane.cluster().kubeconfig();
    let mut command = Command::new(program);
    command.args(arguments).env("KUBECONFIG", kubeconfig).env(KUBECONFIG_VARIABLE, kubeconfig);
    let status = command.status().map_err(|source| Error::Io { doing: format!("run {program}"), source })?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn report(code: Result<u8>) -> ExitCode {
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
