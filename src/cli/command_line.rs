//! The command line as a whole: of the operator, and of the plugin of kubectl that the same binary is.

use super::commands::UserCommand;
use super::completion;
use crate::settings::RunArguments;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsStr;
use std::path::Path;

/// How the users of the plugin call it. Its file is named kubectl-syniverse_token: kubectl takes `_` for the `-` of a
/// command.
const PLUGIN: &str = "kubectl syniverse-token";

/// Keeps a live Syniverse access token in a Kubernetes Secret.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
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

/// Parses the arguments of this process; ends it where they are wrong, ask for help, or are kubectl's to be completed.
pub fn parse() -> Command {
    if called_as().starts_with(completion::CALLED) {
        let words: Vec<_> = std::env::args().skip(1).collect();
        completion::lines(&definition(), &words).iter().for_each(|line| println!("{line}"));
        std::process::exit(0);
    }
    let matches = definition().get_matches();
    CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command
}

/// The definition, in the words of a plugin where it was called as one.
pub fn definition() -> clap::Command {
    let definition = CommandLine::command();
    // Also by a short link, such as kubectl-syt.
    if !called_as().starts_with("kubectl") {
        return definition;
    }
    definition
        .name(PLUGIN)
        .bin_name(PLUGIN)
        .about("Shows and mends SyniverseTokens")
        .mut_subcommand("run", |run| run.hide(true))
}

/// The name that this process was called by.
fn called_as() -> String {
    let called = std::env::args_os().next();
    let name = called.as_deref().map(Path::new).and_then(Path::file_name).and_then(OsStr::to_str);
    name.unwrap_or_default().to_owned()
}
