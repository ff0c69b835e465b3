//! The simulator as a process: starts, says where it listens, and runs until it is told to stop.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use issuer_simulator::application::NewApplication;
use issuer_simulator::client::NewClient;
use issuer_simulator::model::Life;
use issuer_simulator::session::{NewSession, Pair};
use issuer_simulator::switches::{Rounding, Switches, UnknownOldToken};
use issuer_simulator::{Options, Simulator};
use jiff::SignedDuration;
use tokio::signal::unix::{SignalKind, signal};

/// A test tool: it keeps no secret, and its tokens open nothing.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Flags {
    /// Address of the issuers; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address of the control endpoint; without it there is none
    #[arg(long)]
    control: Option<SocketAddr>,
    /// Speak https, with a certificate authority made at start
    #[arg(long)]
    tls: bool,
    /// Where to write that authority's certificate (PEM)
    #[arg(long, requires = "tls")]
    ca_file: Option<PathBuf>,
    /// An application: key=K,secret=S,token=T[,life=60s|never]; without a life its token has expired
    #[arg(long = "application", value_parser = application)]
    applications: Vec<NewApplication>,
    /// An account: username=U,password=P[,token=T,refresh=R,life=1h|never][,validity=SECONDS]
    #[arg(long = "session", value_parser = session)]
    sessions: Vec<NewSession>,
    /// A client: id=I,secret=S[,validity=SECONDS][,scope=A B]
    #[arg(long = "client", value_parser = client)]
    clients: Vec<NewClient>,
    /// Round remaining times up instead of down
    #[arg(long)]
    round_up: bool,
    /// Answer an old token the application never had with 500 instead of 200
    #[arg(long)]
    reject_unknown_old_token: bool,
    /// Make the same tokens in each run, from this number
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to run the simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), Box<dyn Error>> {
    let simulator = Simulator::start(options(&flags)).await?;
    flags.applications.into_iter().for_each(|new| simulator.add_application(new));
    flags.sessions.into_iter().for_each(|new| simulator.add_session(new));
    flags.clients.into_iter().for_each(|new| simulator.add_client(new));
    if let (Some(path), Some(pem)) = (flags.ca_file, simulator.ca_pem()) {
        std::fs::write(&path, pem).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    println!("application={}", simulator.endpoint());
    println!("session={}", simulator.session_endpoint());
    println!("client={}", simulator.token_endpoint());
    println!("verify={}", simulator.verify_endpoint());
    if let Some(control) = simulator.control_url() {
        println!("control={control}");
    }
    Ok(told_to_stop().await?)
}

fn options(flags: &Flags) -> Options {
    let rounding = if flags.round_up { Rounding::Up } else { Rounding::Down };
    let unknown_old_token =
        if flags.reject_unknown_old_token { UnknownOldToken::Reject } else { UnknownOldToken::Accept };
    let switches = Switches { rounding, unknown_old_token, ..Switches::default() };
    Options { listen: flags.listen, control: flags.control, tls: flags.tls, switches, seed: flags.seed }
}

async fn told_to_stop() -> io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
    }
}

fn application(text: &str) -> Result<NewApplication, String> {
    let mut fields = fields(text, &["key", "secret", "token", "life"])?;
    let life = life(fields.remove("life"))?;
    let mut required = |name| fields.remove(name).ok_or_else(|| format!("{name}= is missing"));
    Ok(NewApplication::expired(required("key")?, required("secret")?, required("token")?).living(life))
}

fn session(text: &str) -> Result<NewSession, String> {
    let mut fields = fields(text, &["username", "password", "token", "refresh", "life", "validity"])?;
    let life = life(fields.remove("life"))?;
    let pair = match (fields.remove("token"), fields.remove("refresh")) {
        (Some(token), Some(refresh_token)) => Some(Pair { token: token.into(), refresh_token: refresh_token.into() }),
        (None, None) => None,
        _ => return Err("token= and refresh= go together".to_owned()),
    };
    let seconds = validity(fields.remove("validity"))?;
    let mut required = |name| fields.remove(name).ok_or_else(|| format!("{name}= is missing"));
    let account = NewSession::account(required("username")?, required("password")?).valid_for(seconds);
    Ok(NewSession { pair, life, ..account })
}

fn client(text: &str) -> Result<NewClient, String> {
    let mut fields = fields(text, &["id", "secret", "validity", "scope"])?;
    let seconds = validity(fields.remove("validity"))?;
    let scopes: Vec<_> = fields.remove("scope").unwrap_or_default().split_ascii_whitespace().collect();
    let mut required = |name| fields.remove(name).ok_or_else(|| format!("{name}= is missing"));
    Ok(NewClient::of(required("id")?, required("secret")?).with_scopes(&scopes).valid_for(seconds))
}

fn validity(text: Option<&str>) -> Result<u32, String> {
    let text = text.unwrap_or("3600");
    text.parse().map_err(|_| format!("validity={text} is no number of seconds"))
}

/// Splits `a=1,b=2`; a value may hold `=` but no comma.
fn fields<'a>(text: &'a str, names: &[&str]) -> Result<HashMap<&'a str, &'a str>, String> {
    let split = text.split(',').map(|field| {
        let known = field.split_once('=').filter(|(name, _)| names.contains(name));
        known.ok_or_else(|| format!("{field:?} is not one of {}=…", names.join("=…, ")))
    });
    split.collect()
}

fn life(text: Option<&str>) -> Result<Life, String> {
    let Some(text) = text else { return Ok(Life::Expired) };
    if text == "never" {
        return Ok(Life::Never);
    }
    let length = text.parse::<SignedDuration>().map_err(|e| format!("life={text} is no duration: {e}"))?;
    let length = Duration::try_from(length).map_err(|_| format!("life={text} is negative"))?;
    Ok(Life::of(length))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_read_from_its_fields() {
        let read = application("key=k,secret=s=,token=t,life=1m30s").unwrap();
        assert_eq!(read, NewApplication::expired("k", "s=", "t").living(Life::Millis(90_000)));
        assert_eq!(application("key=k,secret=s,token=t").unwrap().life, Life::Expired);
        assert_eq!(application("key=k,secret=s,token=t,life=never").unwrap().life, Life::Never);
    }

    #[test]
    fn a_session_is_read_with_and_without_a_pair() {
        let account = session("username=u,password=p").unwrap();
        assert_eq!((account.pair, account.validity_seconds), (None, 3600));
        let read = session("username=u,password=p,token=t,refresh=r,life=2s,validity=60").unwrap();
        assert_eq!(read, NewSession::account("u", "p").with_pair("t", "r", Life::Millis(2000)).valid_for(60));
    }

    #[test]
    fn a_client_is_read_from_its_fields() {
        let read = client("id=i,secret=s,validity=60,scope=a b").unwrap();
        assert_eq!(read, NewClient::of("i", "s").with_scopes(&["a", "b"]).valid_for(60));
        assert_eq!(client("id=i").unwrap_err(), "secret= is missing");
    }

    #[test]
    fn what_is_wrong_with_a_field_is_said() {
        assert_eq!(application("key=k,token=t").unwrap_err(), "secret= is missing");
        assert_eq!(session("username=u,password=p,token=t").unwrap_err(), "token= and refresh= go together");
        assert!(application("key=k,colour=red").unwrap_err().contains("colour=red"));
        assert!(application("key=k,secret=s,token=t,life=soon").unwrap_err().contains("life=soon"));
        assert!(application("key=k,secret=s,token=t,life=-1s").unwrap_err().contains("negative"));
        assert!(session("username=u,password=p,validity=x").unwrap_err().contains("validity=x"));
    }
}
