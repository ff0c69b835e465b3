//! The command line as a whole: of the operator, and of the plugin of kubectl that the same binary is.

use super::commands::UserCommand;
use super::settings::RunArguments;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsStr;
use std::path::Path;

/// How the users of the plugin call it. Its file is named kubectl-syniverse_token: kubectl takes `_` for the `-` of a
/// command.
const PLUGIN: &str = "kubectl syniverse-token";

/// Keeps a live Syniverse access token in a Kubernetes Secret.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct CommandLine {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "a process has one")]
pub enum Command {
    /// Run the operator, with the in-cluster configuration or the current kubeconfig
    Run(Box<RunArguments>),
    /// Print the custom resource definition
    Crd,
    /// A command for people.
    #[command(flatten)]
    User(UserCommand),
}

/// Parses the arguments of this process; ends it where they are wrong, or ask for help.
pub fn parse() -> Command {
    let matches = definition().get_matches();
    CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command
}

/// The definition, in the words of a plugin where it was called as one.
pub fn definition() -> clap::Command {
    let definition = CommandLine::command();
    if !is_plugin() {
        return definition;
    }
    definition
        .name(PLUGIN)
        .bin_name(PLUGIN)
        .about("Shows and mends SyniverseTokens")
        .mut_subcommand("run", |run| run.hide(true))
}

/// True when it was called as a plugin of kubectl, also by a short link to it such as `kubectl-syt`.
fn is_plugin() -> bool {
    let called = std::env::args_os().next();
    let name = called.as_deref().map(Path::new).and_then(Path::file_name).and_then(OsStr::to_str);
    name.is_some_and(|name| name.starts_with("kubectl-"))
}
