//! The Secrets that this process has written or read: its own changes are told from those of others in the watch, and what
//! the watch shows unchanged need not be read again.

use std::collections::HashMap;
use syniverse_token_core::queue::ObjectName;

/// The Secrets that this process has written or read.
#[derive(Debug, Default)]
pub struct OwnWrites {
    secrets: HashMap<ObjectName, OwnWrite>,
    /// Versions that the watch has shown.
    shown: u64,
}

/// The versions that had been shown before a Secret was read.
#[derive(Clone, Copy, Debug)]
pub struct Seen(u64);

#[derive(Debug, Default)]
struct OwnWrite {
    /// The version of our last write.
    version: Option<Box<str>>,
    /// The version that this process knows, while the watch goes on and shows no other.
    current: Option<Box<str>>,
    /// Writes in progress, and what was shown meanwhile. The watch may be faster than the response.
    writing: u32,
    shown: Option<Shown>,
}

/// What was shown while a write was in progress.
#[derive(Debug)]
struct Shown {
    /// None for several: then one of them at least is of another writer.
    version: Option<String>,
    users: Vec<ObjectName>,
}

impl OwnWrites {
    /// Notes that a write of this Secret begins.
    pub fn write_started(&mut self, secret: &ObjectName) {
        self.secrets.entry(secret.clone()).or_default().writing += 1;
    }

    /// Notes that a write of this Secret has ended, with this version if it succeeded. Returns the resources that a
    /// change by another writer affects, which was shown meanwhile.
    pub fn write_ended(&mut self, secret: &ObjectName, version: Option<&str>) -> Vec<ObjectName> {
        let own = self.secrets.entry(secret.clone()).or_default();
        own.writing = own.writing.saturating_sub(1);
        if let Some(version) = version {
            (own.version, own.current) = (Some(version.into()), Some(version.into()));
        }
        if own.writing > 0 {
            return Vec::new();
        }
        let shown = own.shown.take();
        let others =
            shown.filter(|shown| shown.version.is_none() || shown.version.as_deref() != own.version.as_deref());
        if others.is_some() {
            own.current = None;
        }
        self.drop_unknown(secret);
        others.map(|shown| shown.users).unwrap_or_default()
    }

    /// Takes a version that the watch shows, and returns the resources that have to be looked at now: none of `users`
    /// for our own last write, and none before it is known whether it is our own.
    pub fn shown(
        &mut self,
        secret: &ObjectName,
        version: Option<&str>,
        users: impl FnOnce() -> Vec<ObjectName>,
    ) -> Vec<ObjectName> {
        self.shown += 1;
        let Some(own) = self.secrets.get_mut(secret) else { return users() };
        let is_own = own.version.as_deref() == version && version.is_some();
        if own.writing > 0 && !is_own {
            let version = match own.shown.take() {
                Some(before) => before.version.filter(|before| Some(before.as_str()) == version),
                None => version.map(str::to_owned),
            };
            own.shown = Some(Shown { version, users: users() });
            return Vec::new();
        }
        if is_own || own.current.as_deref() != version {
            own.current = own.version.clone().filter(|_| is_own);
        }
        if is_own { Vec::new() } else { users() }
    }

    /// The versions shown so far, to be noted before a Secret is read.
    pub fn seen(&self) -> Seen {
        Seen(self.shown)
    }

    /// Notes the version of a Secret that was read, unless another one was shown meanwhile: the read may be older.
    pub fn read(&mut self, secret: &ObjectName, version: &str, seen: Seen) {
        if seen.0 == self.shown {
            self.secrets.entry(secret.clone()).or_default().current = Some(version.into());
        }
    }

    /// The version of our last write of this Secret.
    pub fn version(&self, secret: &ObjectName) -> Option<&str> {
        self.secrets.get(secret)?.version.as_deref()
    }

    /// True when this version was written or read last, and the watch has shown no other since.
    pub fn is_current(&self, secret: &ObjectName, version: &str) -> bool {
        self.secrets.get(secret).is_some_and(|own| own.current.as_deref() == Some(version))
    }

    /// Notes that changes may go unseen, until a list shows what there is.
    pub fn watch_interrupted(&mut self) {
        self.shown += 1;
        self.secrets.values_mut().for_each(|own| own.current = None);
        self.secrets.retain(|_, own| !own.is_unknown());
    }

    /// Notes that a list is complete. What it does not show was deleted before it, be it written since the watch was
    /// interrupted, or comes after it and will be shown: no version of it is known.
    pub fn list_ended(&mut self, is_listed: impl Fn(&ObjectName) -> bool) {
        self.shown += 1;
        for (_, own) in self.secrets.iter_mut().filter(|(secret, _)| !is_listed(secret)) {
            own.current = None;
            if own.writing > 0 {
                own.shown = Some(Shown { version: None, users: Vec::new() });
            }
        }
        self.secrets.retain(|_, own| !own.is_unknown());
    }

    /// Forgets a Secret that is gone, unless it is being written.
    pub fn forget(&mut self, secret: &ObjectName) {
        self.shown += 1;
        if let Some(own) = self.secrets.get_mut(secret) {
            (own.version, own.current) = (None, None);
            self.drop_unknown(secret);
        }
    }

    /// Forgets all versions: the store was rolled back.
    pub fn clear(&mut self) {
        self.secrets.values_mut().for_each(|own| own.version = None);
        self.watch_interrupted();
    }

    fn drop_unknown(&mut self, secret: &ObjectName) {
        if self.secrets.get(secret).is_some_and(OwnWrite::is_unknown) {
            self.secrets.remove(secret);
        }
    }
}

impl OwnWrite {
    fn is_unknown(&self) -> bool {
        self.version.is_none() && self.current.is_none() && self.writing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ObjectName {
        ObjectName::new("n", name)
    }

    fn shown(writes: &mut OwnWrites, version: &str) -> usize {
        writes.shown(&name("secret"), Some(version), || vec![name("user")]).len()
    }

    fn is_current(writes: &OwnWrites, version: &str) -> bool {
        writes.is_current(&name("secret"), version)
    }

    #[test]
    fn our_own_write_is_no_change_whichever_comes_first_the_watch_or_the_response() {
        let mut writes = OwnWrites::default();
        for version in ["5", "6"] {
            writes.write_started(&name("secret"));
            assert_eq!(shown(&mut writes, version), 0, "perhaps our own");
            assert_eq!(writes.write_ended(&name("secret"), Some(version)), []);
            assert!(is_current(&writes, version));
            assert_eq!(shown(&mut writes, version), 0);
            assert!(is_current(&writes, version), "shown again");
        }
    }

    #[test]
    fn what_another_writer_did_during_our_write_is_looked_at_after_it() {
        for ours in [Some("6"), None] {
            let mut writes = OwnWrites::default();
            writes.write_started(&name("secret"));
            assert_eq!((shown(&mut writes, "7"), shown(&mut writes, "6")), (0, 0));
            assert_eq!(writes.write_ended(&name("secret"), ours), [name("user")], "{ours:?}");
            assert!(!is_current(&writes, "6") && !is_current(&writes, "7"));
            assert_eq!(shown(&mut writes, "8"), 1);
        }
    }

    #[test]
    fn what_a_list_does_not_show_is_not_current_although_it_was_written_while_the_list_was_read() {
        for is_listed in [true, false] {
            let mut writes = OwnWrites::default();
            writes.watch_interrupted();
            writes.write_started(&name("secret"));
            assert_eq!(writes.write_ended(&name("secret"), Some("5")), []);
            writes.list_ended(|_| is_listed);
            assert_eq!(is_current(&writes, "5"), is_listed);
            // A write whose response comes after the list may have come before it.
            writes.write_started(&name("secret"));
            writes.list_ended(|_| is_listed);
            assert_eq!(writes.write_ended(&name("secret"), Some("6")), []);
            assert_eq!(is_current(&writes, "6"), is_listed);
            assert_eq!(shown(&mut writes, "6"), 0, "still our own");
            assert!(is_current(&writes, "6"));
        }
    }

    #[test]
    fn a_version_is_current_until_the_watch_shows_another_or_breaks_and_again_when_a_list_shows_it() {
        let mut writes = OwnWrites::default();
        writes.write_started(&name("secret"));
        assert_eq!(writes.write_ended(&name("secret"), Some("5")), []);
        writes.watch_interrupted();
        assert!(!is_current(&writes, "5"));
        assert_eq!((shown(&mut writes, "5"), is_current(&writes, "5")), (0, true));
        assert_eq!((shown(&mut writes, "6"), is_current(&writes, "5")), (1, false));
        assert_eq!(writes.version(&name("secret")), Some("5"));
        writes.forget(&name("secret"));
        assert_eq!(writes.version(&name("secret")), None);
    }

    #[test]
    fn what_was_read_is_current_unless_a_change_was_shown_meanwhile_and_its_event_is_nobodys_own() {
        let mut writes = OwnWrites::default();
        let before = writes.seen();
        assert_eq!(shown(&mut writes, "5"), 1);
        writes.read(&name("secret"), "4", before);
        assert!(!is_current(&writes, "4"), "older than what was shown");
        writes.read(&name("secret"), "5", writes.seen());
        assert!(is_current(&writes, "5"));
        assert_eq!((shown(&mut writes, "5"), is_current(&writes, "5")), (1, true), "others use it, too");
        assert_eq!((shown(&mut writes, "6"), is_current(&writes, "5")), (1, false));
        writes.read(&name("secret"), "6", writes.seen());
        writes.clear();
        assert!(!is_current(&writes, "6") && writes.secrets.is_empty());
    }
}
