//! Reads settings, starts telemetry, creates the client, runs until stopped.

use clap::Parser;
use syniverse_token_core::api;
use syniverse_token_operator::cli::settings::{Command, CommandLine, Settings};
use syniverse_token_operator::controller;
use syniverse_token_operator::telemetry::{logs, process};
use tikv_jemallocator::Jemalloc;
use zeroizing_alloc::ZeroAlloc;

/// Wipes freed memory: a token passes through buffers of half a dozen libraries, none of which wipes them. The
/// allocator below gives back what a restart took at its peak; that of the system keeps it.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<Jemalloc> = ZeroAlloc(Jemalloc);

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
    logs::start(settings.log)?;
    if let Err(error) = process::conceal() {
        tracing::warn!(%error, "failed to keep the memory of this process out of core dumps");
    }
    Ok(controller::run(settings).await?)
}
