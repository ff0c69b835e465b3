//! The terminal: one line per happening, and on a terminal a last line that counts down.

use std::env;
use std::io::{self, IsTerminal, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::story::{Happening, Story, What};

/// Wide enough to cover the longest countdown, narrow enough for any terminal.
const COUNTDOWN_WIDTH: usize = 79;

/// Standard output, as far as it is a terminal.
pub(crate) struct View {
    counts_down: bool,
    colours: bool,
    zone: TimeZone,
}

impl View {
    /// A view on standard output: no escape codes where that is no terminal, or with `NO_COLOR`.
    pub(crate) fn new() -> Self {
        let counts_down = io::stdout().is_terminal();
        let colours = counts_down && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { counts_down, colours, zone: TimeZone::system() }
    }

    /// Prints one line as it is.
    ///
    /// # Errors
    /// If nobody reads standard output any more.
    pub(crate) fn say(&self, line: &str) -> io::Result<()> {
        self.clear()?;
        writeln!(io::stdout(), "{line}")
    }

    /// Prints one happening, with the calls that the issuer has had by then.
    ///
    /// # Errors
    /// If nobody reads standard output any more.
    pub(crate) fn tell(&self, happening: &Happening, calls: usize) -> io::Result<()> {
        let Happening { at, what, token, text } = happening;
        let time = at.to_zoned(self.zone.clone()).strftime("%H:%M:%S%.3f").to_string();
        let word = format!("{:<8}", format!("{what:?}").to_lowercase());
        let word = if self.colours { format!("\x1b[{}m{word}\x1b[0m", colour(*what)) } else { word };
        self.say(&format!("{time}  {word}  {token:<8}  {text}  [calls: {calls}]"))
    }

    /// Draws the last line anew.
    ///
    /// # Errors
    /// If nobody reads standard output any more.
    pub(crate) fn count_down(&self, story: &Story, now: Timestamp) -> io::Result<()> {
        if !self.counts_down {
            return Ok(());
        }
        let present = story.present(now).map_or_else(
            || "no live token in the Secret".to_owned(),
            |(token, left)| format!("{token} expires in {} s", left.as_secs_f64().ceil()),
        );
        let line = format!("{present} | rotations: {} | calls: {}", story.rotations(), story.calls());
        let mut stdout = io::stdout();
        write!(stdout, "\r{line:<COUNTDOWN_WIDTH$}")?;
        stdout.flush()
    }

    fn clear(&self) -> io::Result<()> {
        if self.counts_down { write!(io::stdout(), "\r{:COUNTDOWN_WIDTH$}\r", "") } else { Ok(()) }
    }
}

const fn colour(what: What) -> &'static str {
    match what {
        What::Issued | What::Rotated | What::Healed => "32",
        What::Checked | What::Status => "36",
        What::Deleted | What::Edited => "33",
        What::Failed | What::Broken => "31",
    }
}
