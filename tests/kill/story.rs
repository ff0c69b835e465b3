//! What happened, in the form that is judged.

use crate::cast::{Cast, Member};
use crate::judge::{Change, Entry, History, Key, Kind, Subject, What, calls_of};
use crate::record::Seen;
use crate::storm::entry;
use issuer_simulator::journal::Journal;
use jiff::SignedDuration;

/// Whoever of the two it was: what is stored and what the issuer is asked does not tell.
const OPERATORS: &str = "operators";
/// Changes are seen later than calls, on a machine whose cores are taken.
const BLUR: SignedDuration = SignedDuration::from_millis(100);
/// What such a machine adds to promises about time, while twenty resources are served at once.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// The whole story: the kills, what was stored, what the issuer was asked.
pub(crate) fn told(cast: &Cast, storm: Vec<Entry>, changes: &[Seen], journal: Journal) -> History {
    let mut entries = storm;
    entries.extend(changes.iter().map(changed));
    entries.extend(calls_of(&journal, OPERATORS));
    entries.push(entry(None, What::Ended));
    let subject = |member: &Member| Subject::new(&member.name, &member.credentials(), &member.name);
    let mut history = History::new(entries, journal, cast.members.iter().map(subject).collect());
    (history.blur, history.slack) = (BLUR, SLACK);
    history
}

fn changed(seen: &Seen) -> Entry {
    let kind = if seen.is_secret() { Kind::Secret } else { Kind::SyniverseToken };
    let (namespace, name) = seen.place();
    let key = Key { kind, namespace: namespace.to_owned(), name: name.to_owned() };
    let change = Change { key, was: seen.change.was.clone(), is: seen.change.is.clone() };
    let process = (!seen.is_of_the_test()).then(|| OPERATORS.to_owned());
    Entry { at: seen.at, process, what: What::Changed(Box::new(change)) }
}
