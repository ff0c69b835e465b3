//! The writer of the audit log: appends lines to a file, which it makes anew when it was renamed or deleted, or to standard
//! output. Client required.

use super::{Losses, Message};
use crate::settings::AuditTarget;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc::Receiver;

/// Only its owner reads what tells when and how often tokens are requested.
const MODE: u32 = 0o600;

struct Output<'a> {
    target: &'a AuditTarget,
    file: Option<File>,
    /// The last line may be there in part.
    is_broken: bool,
}

/// Writes what arrives until nobody can send any more.
pub(super) fn write(target: &AuditTarget, messages: &Receiver<Message>, losses: &Losses) {
    let mut output = Output { target, file: None, is_broken: false };
    for Message { line, written } in messages {
        if let Some(line) = line {
            match output.append(&line) {
                Ok(()) => losses.recovered(),
                Err(error) => losses.lost(&error),
            }
        }
        if let Some(written) = written {
            // Whoever asked may wait no longer.
            let _ = written.send(());
        }
    }
}

impl Output<'_> {
    /// Writes a whole line. After one that was cut off by a full disk a line of its own begins.
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let is_broken = self.is_broken;
        let file = self.open()?;
        let written = if is_broken { file.write_all(&[b"\n", line].concat()) } else { file.write_all(line) };
        self.is_broken = written.is_err();
        written
    }

    /// The file at the path as it is now: whoever rotates logs renames it, and needs not tell.
    fn open(&mut self) -> io::Result<&mut File> {
        let AuditTarget::File(path) = self.target else {
            let file = if let Some(file) = self.file.take() { file } else { standard_output()? };
            return Ok(self.file.insert(file));
        };
        let file = match self.file.take().filter(|file| is_at(file, path)) {
            Some(file) => file,
            None => {
                self.is_broken = false;
                OpenOptions::new().append(true).create(true).mode(MODE).open(path)?
            }
        };
        Ok(self.file.insert(file))
    }
}

/// Without the buffer of the library, which would write a line that failed once more, at another place.
fn standard_output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (open, there) = (file.metadata().map(identity), fs::metadata(path).map(identity));
    matches!((open, there), (Ok(open), Ok(there)) if open == there)
}
