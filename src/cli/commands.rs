//! The commands for people, as `kubectl syniverse-token`: what they ask of a cluster with their own rights. None prints a
//! token or another value of a Secret.

use crate::client::error::describe;
use clap::Subcommand;
use std::process::ExitCode;

#[macro_use]
mod terminal;
mod check;
mod consumers;
mod create;
mod events;
mod refresh;
mod simulate;
mod status;
mod suspend;
mod target;
mod times;
mod token;

/// The commands for people.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Show how long tokens live, what comes next, and what is wrong; with a name all about one
    Status(status::Arguments),
    /// Make a SyniverseToken and its credentials Secret, and wait for the first token
    Create(create::Arguments),
    /// Ask the issuer now
    Refresh(refresh::Arguments),
    /// Request no token until it is resumed: the present one runs out
    Suspend(suspend::Arguments),
    /// Request tokens again
    Resume(suspend::Arguments),
    /// Find out what is wrong with the cluster, the operator and the tokens
    #[command(alias = "doctor")]
    Check(check::Arguments),
    /// Show what the operator will do, and for how long a token would be dead, without a cluster
    Simulate(simulate::Arguments),
    /// Show which Pods use a token, and what they hold
    Consumers(consumers::Arguments),
    /// Show what happened to a SyniverseToken
    Events(events::Arguments),
    /// Print a script that completes commands in a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
}

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// All is as it should be.
    Good,
    /// Something is not.
    Bad,
}

/// Runs a command. The exit code is 0 when all is well, 1 when something is not, 2 when that cannot be told.
/// `definition` is that of the whole command line, for its completion.
pub async fn run(command: UserCommand, definition: clap::Command) -> ExitCode {
    match verdict(command, definition).await {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {}", told(&error));
            ExitCode::from(2)
        }
    }
}

/// An error with what it comes from, that of the API server in its own words.
fn told(error: &anyhow::Error) -> String {
    let mut parts = Vec::new();
    for cause in error.chain() {
        match cause.downcast_ref::<kube::Error>() {
            Some(cause) => {
                parts.push(plain(cause));
                break;
            }
            None => parts.push(cause.to_string()),
        }
    }
    parts.join(": ")
}

/// What the API server says, as kubectl would.
fn plain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.message.contains("404 page not found") => {
            "the cluster does not know SyniverseTokens: kubectl syniverse-token check".to_owned()
        }
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        error => describe(error),
    }
}

async fn verdict(command: UserCommand, mut definition: clap::Command) -> anyhow::Result<Verdict> {
    match command {
        UserCommand::Status(arguments) => status::run(arguments).await,
        UserCommand::Create(arguments) => create::run(arguments).await,
        UserCommand::Refresh(arguments) => refresh::run(arguments).await,
        UserCommand::Suspend(arguments) => suspend::run(arguments, true).await,
        UserCommand::Resume(arguments) => suspend::run(arguments, false).await,
        UserCommand::Check(arguments) => check::run(arguments).await,
        UserCommand::Simulate(arguments) => simulate::run(arguments).await,
        UserCommand::Consumers(arguments) => consumers::run(arguments).await,
        UserCommand::Events(arguments) => events::run(arguments).await,
        UserCommand::Completion { shell } => {
            // A plugin is completed by kubectl, but may be called by the name of its file.
            let name = definition.get_name().replace("kubectl syniverse-token", "kubectl-syniverse_token");
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut definition, name, &mut script);
            terminal::write(&String::from_utf8_lossy(&script));
            Ok(Verdict::Good)
        }
        UserCommand::Version => {
            say!("{}", env!("CARGO_PKG_VERSION"));
            Ok(Verdict::Good)
        }
    }
}
