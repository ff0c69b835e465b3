//! Makes a SyniverseToken and its credentials Secret.

use super::Verdict;
use super::target::{Target, TargetArguments};
use super::terminal;
use super::times::{Times, brief, duration};
use super::token::{Life, TokenView};
use crate::client::error::describe_write;
use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use futures::StreamExt;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use std::path::PathBuf;
use std::time::Duration;
use syniverse_token_core::api::SyniverseToken;

mod manifest;
mod values;

use values::Values;

/// The arguments of `create`. Values of credentials are no arguments: they would be seen in the list of processes and in
/// the shell's history.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The name of the SyniverseToken, and of the Secret that holds its token
    name: String,
    /// What issues the token
    #[arg(long, value_name = "KIND", default_value = "application")]
    kind: Kind,
    /// The credentials Secret, which is made if it does not exist [default: NAME-credentials]
    #[arg(long, value_name = "SECRET")]
    credentials: Option<String>,
    /// The values of the credentials Secret as lines KEY=VALUE; - reads standard input [default: they are asked for]
    #[arg(long, value_name = "FILE")]
    from_env_file: Option<PathBuf>,
    /// The credentials Secret of a second application that takes turns with the first; its values are asked for if it does
    /// not exist
    #[arg(long, value_name = "SECRET")]
    standby: Option<String>,
    /// How long each token of an application is to live
    #[arg(long, value_name = "DURATION")]
    validity: Option<String>,
    /// The URL of the issuer; a session and client credentials need it
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// A scope of client credentials [repeatable]
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// Print what would be made, without values, and make nothing
    #[arg(long)]
    dry_run: bool,
    /// For how long the first token is waited for; 0s = not at all
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    wait: Duration,
    #[command(flatten)]
    target: TargetArguments,
}

/// What issues a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// An application of the Syniverse Platform
    Application,
    /// A login session
    Session,
    /// An OAuth 2.0 client
    ClientCredentials,
}

/// Runs `create`.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<Verdict> {
    let manifest = manifest::manifest(&arguments)?;
    if arguments.dry_run {
        terminal::write(&serde_saphyr::to_string(&manifest)?);
        return Ok(Verdict::Good);
    }
    let resource: SyniverseToken = serde_json::from_value(manifest)?;
    let target = arguments.target.open()?;
    let tokens = target.api::<SyniverseToken>();
    // What is wrong with the resource is said before anybody types a secret.
    let trial = PostParams { dry_run: true, ..PostParams::default() };
    tokens.create(&trial, &resource).await.context("the API server does not take this SyniverseToken")?;
    give_credentials(&target, &arguments).await?;
    give_standby(&target, &arguments).await?;
    let resource = tokens.create(&PostParams::default(), &resource).await?;
    say!("syniversetoken.syniverse.dev/{} created", arguments.name);
    if arguments.wait.is_zero() {
        return Ok(Verdict::Good);
    }
    wait(&target, &resource, arguments.wait).await
}

/// Makes the credentials Secret unless it exists.
async fn give_credentials(target: &Target, arguments: &Arguments) -> anyhow::Result<()> {
    let name = manifest::credentials_name(arguments);
    let secrets = target.api::<Secret>();
    let exists = secrets.get_metadata_opt(&name).await.with_context(|| format!("Secret {name} cannot be looked up"))?;
    if exists.is_some() {
        if arguments.from_env_file.is_some() {
            bail!("Secret {name} exists: leave out --from-env-file to use it, or name another with --credentials");
        }
        eprintln!("using Secret {name}, which exists");
        return Ok(());
    }
    let values = match &arguments.from_env_file {
        Some(file) => Values::read(arguments.kind, file)?,
        None => Values::ask(arguments.kind, "")?,
    };
    make_secret(target, &name, &values).await
}

/// Makes the credentials Secret of the standby unless it exists.
async fn give_standby(target: &Target, arguments: &Arguments) -> anyhow::Result<()> {
    let Some(name) = &arguments.standby else { return Ok(()) };
    let exists = target.api::<Secret>().get_metadata_opt(name).await;
    if exists.with_context(|| format!("Secret {name} cannot be looked up"))?.is_some() {
        return Ok(());
    }
    let values = Values::ask(arguments.kind, "of the standby: ");
    let values = values.with_context(|| format!("Secret {name}, of the standby, does not exist"))?;
    make_secret(target, name, &values).await
}

/// A policy or webhook that has seen the Secret may repeat what is in it: then it is not quoted.
async fn make_secret(target: &Target, name: &str, values: &Values) -> anyhow::Result<()> {
    let secret = values.secret(name);
    let made = target.api::<Secret>().create(&PostParams::default(), &secret).await;
    made.map_err(|error| anyhow!("Secret {name} could not be made: {}", describe_write(&error, &[&secret])))?;
    say!("secret/{name} created");
    Ok(())
}

/// Waits for the first token, saying what it is waiting for.
async fn wait(target: &Target, made: &SyniverseToken, patience: Duration) -> anyhow::Result<Verdict> {
    let name = made.metadata.name.clone().unwrap_or_default();
    let (mut seen, mut said) = (target.follow(&name), String::new());
    let ready = async {
        while let Some(resource) = seen.next().await {
            let times = Times::at(target.now().await, false);
            let token = TokenView::new(&resource, times.present());
            if token.is_ready() {
                return Some(first(&token, &times));
            }
            let now = token.headline_text().unwrap_or_default();
            if now != said && !now.is_empty() {
                eprintln!("waiting: {now}");
                said = now;
            }
        }
        None
    };
    match tokio::time::timeout(patience, ready).await.ok().flatten() {
        Some(first) => {
            say!("{first}");
            Ok(Verdict::Good)
        }
        None => {
            let waited = brief(SignedDuration::try_from(patience).unwrap_or_default());
            say!("no token within {waited}: kubectl syniverse-token status {name}");
            Ok(Verdict::Bad)
        }
    }
}

fn first(token: &TokenView<'_>, times: &Times) -> String {
    let fingerprint = token.fingerprint().unwrap_or_default();
    let until = match token.life() {
        Life::Until(end) => format!(", until {}", times.clock(end)),
        Life::Endless | Life::None => String::new(),
    };
    format!("Secret {} holds token {fingerprint}{until}", token.resource.secret_name())
}
