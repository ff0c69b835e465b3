//! Reads settings, starts telemetry, opens the client, runs until told to stop.

use clap::Parser;
use syniverse_token_operator::settings::{Command, CommandLine, Settings};
use syniverse_token_operator::{api, controller, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match CommandLine::parse().command {
        Command::Run(arguments) => run(arguments.settings()?).await,
        Command::Crd => {
            print!("{}", api::crd_yaml()?);
            Ok(())
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    telemetry::start(settings.log)?;
    Ok(controller::run(settings).await?)
}
