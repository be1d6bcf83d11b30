//! Standard output: lines, colours where they are wanted, and a reader that may go away.

use std::fmt::Display;
use std::io::{BufWriter, IsTerminal, Stdout, Write, stdout};

use crate::failure::{Failure, Result};

/// A terminal without a size, and anything that is none.
const DEFAULT_COLUMNS: usize = 80;

/// What a part of a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What the eye looks for.
    Name,
    /// What goes with it.
    Aside,
    Good,
    Bad,
    Plain,
}

/// See the file's text.
#[derive(Debug)]
pub(crate) struct Out {
    to: BufWriter<Stdout>,
    coloured: bool,
}

impl Out {
    /// Colours on a terminal alone, and not where `NO_COLOR` is set or the terminal is dumb.
    pub(crate) fn new() -> Out {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let coloured = stdout().is_terminal() && !is_set("NO_COLOR") && !dumb;
        Out { to: BufWriter::new(stdout()), coloured }
    }

    /// Prints one line.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<()> {
        writeln!(self.to, "{text}").map_err(|e| unheard(&e))
    }

    /// What was printed so far goes out now.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.to.flush().map_err(|e| unheard(&e))
    }

    /// The text in the colour of its kind.
    pub(crate) fn paint(&self, kind: Kind, text: impl Display) -> String {
        let code = match kind {
            _ if !self.coloured => return text.to_string(),
            Kind::Plain => return text.to_string(),
            Kind::Name => "1;36",
            Kind::Aside => "2",
            Kind::Good => "32",
            Kind::Bad => "1;31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// How wide the terminal is.
    pub(crate) fn columns(&self) -> usize {
        let size = rustix::termios::tcgetwinsize(stdout()).ok();
        size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(DEFAULT_COLUMNS)
    }
}

/// A reader that has gone, as behind `| head`, is no failure.
fn unheard(error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::Unheard,
        _ => Failure::Broken(format!("printing: {error}")),
    }
}
