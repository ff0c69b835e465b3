//! What it was worth: rotations, kills, dead-token time, and what was lost.

use crate::cast::{Cast, Member};
use crate::judge::{Entry, What};
use crate::record::Seen;
use issuer_simulator::analysis::{DeadTime, Rotation, Spread, dead_time, rotations};
use issuer_simulator::journal::{Cause, Journal};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use syniverse_token_core::api::STATE_SECRET_SUFFIX;

/// Everything that is told, and judged.
#[derive(Default)]
pub(crate) struct Figures {
    lasted: SignedDuration,
    pub(crate) kills: usize,
    pub(crate) api_server_kills: usize,
    /// New tokens of applications in their Secrets.
    pub(crate) rotations: Vec<Rotation>,
    /// New tokens of sessions in their Secrets that came by an extension.
    pub(crate) extensions: Vec<Rotation>,
    log_ins: usize,
    calls: usize,
    resources: usize,
    /// Of each resource whose session was not lost for good.
    dead: Vec<DeadTime>,
    /// Tokens of applications that the issuer gave and no state Secret ever held.
    pub(crate) lost_tokens: Vec<String>,
    /// The same of the pairs of sessions.
    lost_pairs: Vec<String>,
    /// Resources that ever said so.
    pub(crate) lost_sessions: BTreeSet<String>,
}

impl Figures {
    pub(crate) fn of(cast: &Cast, storm: &[Entry], changes: &[Seen], journal: &Journal) -> Self {
        let [from, until] = [changes.first(), changes.last()].map(|seen| seen.map(|seen| seen.at).unwrap_or_default());
        let count = |is: fn(&What) -> bool| storm.iter().filter(|entry| is(&entry.what)).count();
        let mut figures = Self {
            lasted: until.duration_since(from),
            kills: count(|what| matches!(what, What::Died)),
            api_server_kills: count(|what| matches!(what, What::Trouble { .. })),
            calls: journal.calls.len(),
            resources: cast.members.len(),
            ..Self::default()
        };
        for member in &cast.members {
            figures.add(member, changes, journal, until);
        }
        figures
    }

    fn add(&mut self, member: &Member, changes: &[Seen], journal: &Journal, until: Timestamp) {
        let held = Seen::held(changes, &member.name);
        let recorded = Seen::held(changes, &format!("{}{STATE_SECRET_SUFFIX}", member.name));
        let recorded: HashSet<_> = recorded.into_iter().map(|held| held.token).collect();
        let given = journal.calls_of(&member.name).filter_map(|call| call.token.clone());
        let lost = given.filter(|token| !recorded.contains(token));
        let says_lost = |seen: &Seen| seen.is_of(&member.name) && seen.ready_reason() == Some("SessionLost");
        if changes.iter().any(says_lost) {
            self.lost_sessions.insert(member.name.clone());
        } else {
            self.dead.push(dead_time(journal, &held, until));
        }
        let rotations = rotations(journal, &held);
        if member.session.is_none() {
            self.rotations.extend(rotations);
            self.lost_tokens.extend(lost);
            return;
        }
        self.extensions.extend(rotations.into_iter().filter(|rotation| rotation.death.cause == Cause::Superseded));
        self.log_ins += journal.calls_of(&member.name).filter(|call| call.method == "POST").count();
        self.lost_pairs.extend(lost);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resources, lasted, kills, api_server_kills, log_ins, calls, .. } = self;
        let late = |rotations: &[Rotation]| {
            let millis = rotations.iter().map(|rotation| rotation.lateness.as_millis());
            Spread::of(millis).map_or_else(|| "none".to_owned(), |spread| format!("{spread}"))
        };
        let dead = |of: fn(&DeadTime) -> SignedDuration| {
            let (sum, most) = (self.dead.iter().map(of).sum::<SignedDuration>(), self.dead.iter().map(of).max());
            format!(
                "{:.1} s in all, {:.1} s of one resource at most",
                sum.as_secs_f64(),
                most.unwrap_or_default().as_secs_f64()
            )
        };
        writeln!(f, "{resources} resources for {:.0} s", lasted.as_secs_f64())?;
        writeln!(f, "{kills} kills of operators, {api_server_kills} of the API server")?;
        writeln!(f, "rotations, lateness in ms: {}", late(&self.rotations))?;
        writeln!(f, "extensions, lateness in ms: {}", late(&self.extensions))?;
        writeln!(f, "{log_ins} log ins, {calls} calls in all")?;
        writeln!(f, "dead-token time, expired: {}", dead(|dead| dead.expired))?;
        writeln!(f, "dead-token time, superseded: {}", dead(|dead| dead.superseded))?;
        writeln!(f, "lost: {} tokens, {} pairs", self.lost_tokens.len(), self.lost_pairs.len())?;
        write!(f, "lost sessions, their dead-token time not counted: {:?}", self.lost_sessions)
    }
}
