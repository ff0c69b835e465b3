//! The writer of the audit log: appends lines to a file, which it makes anew when it was renamed or deleted, or to standard
//! output. Client required.

use super::{LONGEST_WAIT, Losses, Message};
use crate::settings::AuditTarget;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
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
    for Message { sent, line, written } in messages {
        if let Some(line) = line {
            match output.append(&line) {
                // One that was written late shows that the next would be waited for again.
                Ok(()) if sent.elapsed() < LONGEST_WAIT => losses.recovered(),
                Ok(()) => {}
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
        // Opening tells whether the file ends with a whole line.
        self.open()?;
        let separator: &[u8] = if self.is_broken { b"\n" } else { b"" };
        let written = self.open()?.write_all(&[separator, line].concat());
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
                let file = OpenOptions::new().append(true).create(true).mode(MODE).open(path)?;
                // A process before this one may have left a part of a line.
                self.is_broken = !ends_a_line(path);
                file
            }
        };
        Ok(self.file.insert(file))
    }
}

/// Without the buffer of the library, which would write a line that failed once more, at another place.
fn standard_output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// True of a file that is empty, or whose last line is whole. What is no file has no lines.
fn ends_a_line(path: &Path) -> bool {
    let length = fs::metadata(path).ok().filter(fs::Metadata::is_file).map_or(0, |metadata| metadata.len());
    let last = || {
        let mut last = [0];
        File::open(path)?.read_exact_at(&mut last, length - 1)?;
        io::Result::Ok(last[0])
    };
    length == 0 || last().is_ok_and(|last| last == b'\n')
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (open, there) = (file.metadata().map(identity), fs::metadata(path).map(identity));
    matches!((open, there), (Ok(open), Ok(there)) if open == there)
}
