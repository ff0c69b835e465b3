//! A folder that goes away with the process that made it, however that process ends.

use std::{
    env,
    hash::{BuildHasher, RandomState},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{Error, Result};

/// Waits for the end of stdin, then removes the folder; servers killed at the same moment may still add a last file.
const SWEEP: &str = r#"read -r _; for attempt in 1 2 3 4 5; do rm -rf "$1" 2>/dev/null && break; sleep 1; done"#;

/// A temporary folder, readable by its owner only, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    sweeper: Child,
}

impl Scratch {
    /// Makes a new, empty folder.
    ///
    /// # Errors
    /// If the folder cannot be made, or the shell that will remove it cannot be started.
    pub fn new() -> Result<Self> {
        let path = env::temp_dir().join(format!("syniverse-token-operator-{:016x}", random()));
        let making = || Error::io(format!("make the folder {}", path.display()));
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .create(&path)
            .map_err(making())?;
        let mut sweep = Command::new("/bin/sh");
        sweep.args(["-c", SWEEP, "sweep"]).arg(&path).process_group(0);
        sweep.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let sweeper = sweep.spawn().map_err(making())?;
        Ok(Self { path, sweeper })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        // Fails only if there is nothing left to wait for.
        let _ = self.sweeper.wait();
    }
}

/// A number nobody else has: the standard library seeds each of these hashers from the system's randomness.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
