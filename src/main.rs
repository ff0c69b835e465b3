//! Reads the command line; runs the operator until it is stopped, or a command for people.

use std::process::ExitCode;
use syniverse_token_core::api;
use syniverse_token_operator::cli::command_line::{self, Command};
use syniverse_token_operator::cli::commands;
use syniverse_token_operator::controller;
use syniverse_token_operator::settings::{Settings, is_standard_collector_unusable};
use syniverse_token_operator::telemetry::traces::Traces;
use syniverse_token_operator::telemetry::{logs, process};
use tikv_jemallocator::Jemalloc;
use zeroizing_alloc::ZeroAlloc;

/// Wipes freed memory: a token passes through buffers of half a dozen libraries, none of which wipes them. The
/// allocator below gives back what a restart took at its peak; that of the system keeps it.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<Jemalloc> = ZeroAlloc(Jemalloc);

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match command_line::parse() {
        Command::Run(arguments) => run(arguments.settings()?).await?,
        Command::Crd => print!("{}", api::crd_yaml()?),
        Command::User(command) => return Ok(commands::run(command, command_line::definition()).await),
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let traces = settings.traces.as_deref().map(Traces::start).transpose()?;
    logs::start(settings.log, traces.as_ref())?;
    if is_standard_collector_unusable(settings.traces.as_deref()) {
        tracing::warn!(
            "no traces are exported: OTEL_EXPORTER_OTLP_ENDPOINT must be an http or https URL such as \
             http://collector.example.com:4318, without a user or a query"
        );
    }
    if let Err(error) = process::conceal() {
        tracing::warn!(%error, "failed to keep the memory of this process out of core dumps");
    }
    let ended = controller::run(settings).await;
    if let Some(traces) = traces {
        traces.flush().await;
    }
    Ok(ended?)
}
