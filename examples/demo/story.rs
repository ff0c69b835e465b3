//! What happened, in words, and whether it is what the operator promises: pure, from sightings and the journal.

use std::time::Duration;

use issuer_simulator::analysis::{self, Held, Spread};
use issuer_simulator::journal::{Call, Journal};
use jiff::{SignedDuration, Timestamp};
use syniverse_token_core::api::SyniverseTokenStatus;
use syniverse_token_core::fingerprint::fingerprint;
use syniverse_token_core::reason::Reason;
use syniverse_token_core::redacted::Redacted;
use syniverse_token_core::status::READY;

/// How long a first token, a rotation or a repair may take. It is far more than it does take: the demo may share its
/// machine with a compiler.
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);

/// One line of the demo.
pub(crate) struct Happening {
    /// When it happened.
    pub(crate) at: Timestamp,
    /// One word.
    pub(crate) what: What,
    /// The fingerprint of the token it is about.
    pub(crate) token: String,
    /// What there is to know about it.
    pub(crate) text: String,
}

/// The kinds of happenings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The first token is in the Secret.
    Issued,
    /// The issuer was asked and returned the same token.
    Checked,
    /// Another token is in the Secret.
    Rotated,
    /// The Secret is gone.
    Deleted,
    /// The Secret holds something else than the issuer's token.
    Edited,
    /// The token is back in the Secret.
    Healed,
    /// The resource says something new about itself.
    Status,
    /// The issuer did not give a token.
    Failed,
    /// Something promised did not happen.
    Broken,
}

/// Everything told so far.
pub(crate) struct Story {
    began: Timestamp,
    journal: Journal,
    told_calls: usize,
    /// What the Secret held, an empty text where there was none.
    history: Vec<Held>,
    ready: Option<(String, String)>,
    we_delete: Option<Timestamp>,
    broken: Vec<String>,
}

impl Story {
    /// A story that begins with the creation of the resource.
    pub(crate) fn new(began: Timestamp) -> Self {
        let (journal, history) = (Journal::default(), Vec::new());
        Self { began, journal, told_calls: 0, history, ready: None, we_delete: None, broken: Vec::new() }
    }

    /// How many calls the issuer has had.
    pub(crate) fn calls(&self) -> usize {
        self.journal.calls.len()
    }

    /// How many rotations there were.
    pub(crate) fn rotations(&self) -> usize {
        analysis::rotations(&self.journal, &self.history).len()
    }

    /// The fingerprint of the token in the Secret and how long it has to live at `now`; negative after its end.
    pub(crate) fn present(&self, now: Timestamp) -> Option<(String, SignedDuration)> {
        let token = &self.history.last()?.token;
        Some((print(token), self.death(token)?.duration_since(now)))
    }

    /// What was promised and did not happen.
    pub(crate) fn broken(&self) -> &[String] {
        &self.broken
    }

    /// Takes the newest journal, and tells of the answers that brought no new token.
    pub(crate) fn journal(&mut self, journal: Journal) -> Vec<Happening> {
        self.journal = journal;
        let finished = self.journal.calls.iter().skip(self.told_calls).take_while(|call| call.ended.is_some());
        let (count, told) = (finished.clone().count(), finished.filter_map(|call| self.answer(call)).collect());
        self.told_calls += count;
        told
    }

    fn answer(&self, call: &Call) -> Option<Happening> {
        let at = call.ended?;
        let Some(token) = &call.token else {
            let text = format!("the issuer answered {}", call.status.unwrap_or_default());
            return Some(Happening { at, what: What::Failed, token: String::new(), text });
        };
        if self.journal.token(token)?.birth >= call.received {
            return None; // New: told when it is in the Secret.
        }
        let left = self.death(token)?.duration_since(call.received).as_secs_f64();
        Some(Happening { at, what: What::Checked, token: print(token), text: format!("the same, {left:.3} s to live") })
    }

    /// Takes what the token Secret holds from `at` on, and tells of it if that is new.
    pub(crate) fn secret(&mut self, at: Timestamp, token: Option<String>) -> Option<Happening> {
        let token = token.unwrap_or_default();
        if self.history.last().map_or("", |held| &held.token) == token {
            return None;
        }
        let last = self.last_token().map(str::to_owned);
        let since = self.history.last().map(|held| held.since);
        self.history.push(Held { since: at, token: token.clone() });
        let (what, text) = match last {
            _ if token.is_empty() => (What::Deleted, self.whose_deletion(at)),
            _ if self.journal.token(&token).is_none() => (What::Edited, "by somebody else".to_owned()),
            None => (What::Issued, self.to_live(&token, at)),
            Some(last) if last == token => (What::Healed, self.repair(since.unwrap_or(at), at)),
            Some(_) => (What::Rotated, format!("{}, {}", self.lateness()?, self.to_live(&token, at))),
        };
        Some(Happening { at, what, token: print(&token), text })
    }

    fn whose_deletion(&self, at: Timestamp) -> String {
        let ours = self.we_delete.is_some_and(|asked| at.duration_since(asked).abs() < SignedDuration::from_secs(2));
        (if ours { "by this demo: kubectl delete secret" } else { "by somebody else" }).to_owned()
    }

    fn to_live(&self, token: &str, at: Timestamp) -> String {
        let left = self.death(token).map(|death| death.duration_since(at).as_secs_f64());
        left.map_or_else(|| "lives for ever".to_owned(), |left| format!("{left:.1} s to live"))
    }

    fn repair(&self, since: Timestamp, at: Timestamp) -> String {
        let calls = self.journal.calls.iter().filter(|call| call.received >= since).count();
        let millis = at.duration_since(since).as_millis();
        format!("after {millis} ms, with {calls} calls to the issuer")
    }

    fn lateness(&self) -> Option<String> {
        let rotation = analysis::rotations(&self.journal, &self.history).pop()?;
        Some(format!("{} ms after the end of {}", rotation.lateness.as_millis(), print(&rotation.old)))
    }

    /// Takes the resource's status, and tells of a new word for Ready.
    pub(crate) fn status(&mut self, at: Timestamp, status: &SyniverseTokenStatus) -> Option<Happening> {
        let ready = status.conditions.iter().find(|condition| condition.type_ == READY)?;
        let limited = Reason::CallsLimited.as_str();
        if status.conditions.iter().any(|condition| condition.reason == limited) {
            self.break_promise(format!("the governor held calls back ({limited}): {}", ready.message));
        }
        let said = (ready.status.clone(), ready.reason.clone());
        if self.ready.as_ref() == Some(&said) {
            return None;
        }
        self.ready = Some(said);
        let text = format!("Ready={} {}: {}", ready.status, ready.reason, ready.message);
        let token = status.fingerprint.clone().unwrap_or_default();
        Some(Happening { at, what: What::Status, token, text })
    }

    /// When the demo is to delete the Secret: once, a third of the way through the first token's life.
    pub(crate) fn delete_at(&self, validity: Duration) -> Option<Timestamp> {
        let first = self.history.first().filter(|_| self.we_delete.is_none())?;
        first.since.checked_add(validity / 3).ok()
    }

    /// Takes note that the demo itself deletes the Secret now.
    pub(crate) fn we_delete(&mut self, now: Timestamp) {
        self.we_delete = Some(now);
    }

    /// Tells of promises that are broken by now.
    pub(crate) fn check(&mut self, now: Timestamp) -> Vec<Happening> {
        let told = self.broken.len();
        if let Some(overdue) = self.overdue(now) {
            self.break_promise(overdue);
        }
        let broken = self.broken.iter().skip(told);
        broken.map(|text| Happening { at: now, what: What::Broken, token: String::new(), text: text.clone() }).collect()
    }

    /// At the end of the story even what is not overdue must have been there.
    pub(crate) fn check_end(&mut self) {
        if self.history.is_empty() {
            self.break_promise("no token was issued".to_owned());
        }
    }

    fn overdue(&self, now: Timestamp) -> Option<String> {
        let within = PATIENCE.as_secs();
        let Some(held) = self.history.last() else {
            return (now.duration_since(self.began) > PATIENCE).then(|| format!("no token within {within} s"));
        };
        let Some(death) = self.death(&held.token) else {
            let overdue = self.journal.token(&held.token).is_none() && now.duration_since(held.since) > PATIENCE;
            return overdue.then(|| format!("the Secret was not healed within {within} s"));
        };
        let overdue = now.duration_since(death.max(held.since)) > PATIENCE;
        overdue.then(|| format!("no rotation within {within} s of the end of {}", print(&held.token)))
    }

    fn break_promise(&mut self, what: String) {
        if !self.broken.contains(&what) {
            self.broken.push(what);
        }
    }

    fn last_token(&self) -> Option<&str> {
        let mut tokens = self.history.iter().rev().map(|held| held.token.as_str());
        tokens.find(|token| self.journal.token(token).is_some())
    }

    fn death(&self, token: &str) -> Option<Timestamp> {
        Some(self.journal.token(token)?.death()?.at)
    }

    /// The figures of the whole run, a line each.
    pub(crate) fn summary(&self, now: Timestamp) -> Vec<String> {
        let rotations = analysis::rotations(&self.journal, &self.history);
        let late = Spread::of(rotations.iter().map(|rotation| rotation.lateness.as_millis()));
        let late = late.map(|late| format!(", late by {} ms in the median, {} ms at most", late.median, late.most));
        let calls = Spread::of(analysis::calls_per_rotation(&self.journal).into_iter().skip(1));
        let calls = calls.map(|calls| format!(", {} a rotation in the median, {} at most", calls.median, calls.most));
        let dead = analysis::dead_time(&self.journal, &self.history, now).expired.as_secs_f64();
        vec![
            format!("rotations  {}{}", rotations.len(), late.unwrap_or_default()),
            format!("calls      {}{}", self.calls(), calls.unwrap_or_default()),
            format!("dead time  {dead:.2} s in {:.0} s", now.duration_since(self.began).as_secs_f64()),
        ]
    }
}

fn print(token: &str) -> String {
    if token.is_empty() { String::new() } else { fingerprint(&Redacted::new(token)) }
}
