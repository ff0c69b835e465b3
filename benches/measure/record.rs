//! What a watch saw of each resource: tokens, writes of its two Secrets, writes of its status. Pure.

use std::collections::BTreeMap;

use issuer_simulator::analysis::Held;
use jiff::Timestamp;
use kube::ResourceExt;
use syniverse_token_core::api::STATE_SECRET_SUFFIX;

use crate::stage::{Sighting, token_in};

/// One watch of Secrets, one of resources.
const WATCHES: usize = 2;

/// Everything seen, by the name of the resource.
pub(crate) struct Record {
    seen: BTreeMap<String, Seen>,
    began: usize,
    disturbed: bool,
}

/// What was seen of one resource, in order.
#[derive(Default)]
pub(crate) struct Seen {
    /// The tokens in its token Secret.
    pub(crate) tokens: Vec<Held>,
    /// Writes of its state Secret.
    pub(crate) state_writes: Vec<Timestamp>,
    /// Writes of its token Secret.
    pub(crate) token_writes: Vec<Timestamp>,
    /// Writes of the resource: its creation, and from then on of its status.
    pub(crate) status_writes: Vec<Timestamp>,
}

impl Record {
    /// An empty record of these resources.
    pub(crate) fn of(names: impl IntoIterator<Item = String>) -> Self {
        Self { seen: names.into_iter().map(|name| (name, Seen::default())).collect(), began: 0, disturbed: false }
    }

    /// Takes what was seen at `at`.
    pub(crate) fn see(&mut self, at: Timestamp, sighting: Sighting) {
        match sighting {
            Sighting::Began => self.began += 1,
            Sighting::NoSecret(name) => self.disturbed |= self.seen.contains_key(owner(&name)),
            Sighting::Resource(resource) => {
                if let Some(seen) = self.seen.get_mut(&resource.name_any()) {
                    seen.status_writes.push(at);
                }
            }
            Sighting::Secret(secret) => {
                let name = secret.name_any();
                if let Some(seen) = self.seen.get_mut(owner(&name)) {
                    let is_state = name.ends_with(STATE_SECRET_SUFFIX);
                    (if is_state { &mut seen.state_writes } else { &mut seen.token_writes }).push(at);
                    seen.tokens.extend(token_in(&secret).map(|token| Held { since: at, token }));
                    seen.tokens.dedup_by(|later, earlier| later.token == earlier.token);
                }
            }
        }
    }

    /// True while no watch was interrupted, so that each write is there once, and nobody deleted a Secret.
    pub(crate) fn is_whole(&self) -> bool {
        self.began <= WATCHES && !self.disturbed
    }

    /// How many resources have had so many tokens.
    pub(crate) fn held(&self, tokens: usize) -> usize {
        self.seen.values().filter(|seen| seen.tokens.len() >= tokens).count()
    }

    /// All writes so far.
    pub(crate) fn writes(&self) -> usize {
        self.seen.values().flat_map(Seen::writes).map(Vec::len).sum()
    }

    /// The resources by name.
    pub(crate) fn resources(&self) -> impl Iterator<Item = (&String, &Seen)> {
        self.seen.iter()
    }
}

impl Seen {
    fn writes(&self) -> [&Vec<Timestamp>; 3] {
        [&self.state_writes, &self.token_writes, &self.status_writes]
    }
}

/// The resource that a token Secret or state Secret of this name is written for.
fn owner(secret: &str) -> &str {
    secret.strip_suffix(STATE_SECRET_SUFFIX).unwrap_or(secret)
}
