//! How output looks: marks and colours on a terminal, words elsewhere.

use anstyle::{AnsiColor, Style};
use std::io::{ErrorKind, IsTerminal, Write};

/// Writes a line to standard output, with the arguments of `format!`.
macro_rules! say {
    ($($arguments:tt)*) => { $crate::cli::commands::terminal::write(&format!("{}\n", format_args!($($arguments)*))) };
}

/// Writes to standard output. A reader that has had enough, such as `head`, ends the command.
pub(super) fn write(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprintln!("error: the output could not be written: {error}");
            std::process::exit(2);
        }
    }
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Good,
    Warning,
    Bad,
}

/// What output goes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terminal {
    has_symbols: bool,
    has_colours: bool,
}

impl Terminal {
    /// Standard output. `NO_COLOR` with any value takes the colours off.
    pub(super) fn stdout() -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let is_terminal = std::io::stdout().is_terminal() && !is_dumb;
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { has_symbols: is_terminal, has_colours: is_terminal && !is_plain }
    }

    /// A mark.
    pub(super) fn mark(self, mark: Mark) -> String {
        let (symbol, word, colour) = match mark {
            Mark::Good => ("✓", "ok", AnsiColor::Green),
            Mark::Warning => ("‼", "warn", AnsiColor::Yellow),
            Mark::Bad => ("✗", "FAIL", AnsiColor::Red),
        };
        let text = if self.has_symbols { symbol } else { word };
        let style = Style::new().fg_color(Some(colour.into()));
        if self.has_colours { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// A table: columns are as wide as what is in them, but for the last.
    pub(super) fn table(self, head: &[&str], rows: &[Vec<String>]) -> String {
        let head = head.iter().map(|title| (*title).to_owned()).collect::<Vec<_>>();
        let widest = |column: usize| {
            let cells = std::iter::once(&head).chain(rows).filter_map(|row| row.get(column));
            cells.map(|cell| width(cell)).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..head.len()).map(widest).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, wide)| format!("{cell}{}", " ".repeat(wide - width(cell))));
            format!("{}\n", cells.collect::<Vec<_>>().join("   ").trim_end())
        };
        std::iter::once(&head).chain(rows).map(line).collect()
    }
}

/// The columns that a text takes up: its letters, without what colours it.
fn width(text: &str) -> usize {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().chars().count();
    first + parts.map(|part| part.split_once('m').map_or(0, |(_, shown)| shown.chars().count())).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_also_where_they_are_coloured() {
        let terminal = Terminal { has_symbols: true, has_colours: true };
        let rows = [vec![terminal.mark(Mark::Bad), "b".to_owned()], vec!["long".to_owned(), "é".to_owned()]];
        let table = terminal.table(&["A", "B"], &rows);
        let columns: Vec<_> = table.lines().map(width).collect();
        assert_eq!(columns, [8, 8, 8]);
    }

    #[test]
    fn without_a_terminal_marks_are_words() {
        let terminal = Terminal { has_symbols: false, has_colours: false };
        let marks = [Mark::Good, Mark::Warning, Mark::Bad].map(|mark| terminal.mark(mark));
        assert_eq!(marks, ["ok", "warn", "FAIL"]);
    }
}
