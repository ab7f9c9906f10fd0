//! Standard output: [`Out`] knows whether it is a terminal, how wide, and whether to colour.

use std::env;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde::Serialize;

use crate::cli::ColorWhen;
use crate::table::Table;

/// Buffered standard output. What is written may fail, with a closed pipe above all: use `?`, never `print!`.
#[derive(Debug)]
pub(crate) struct Out {
    writer: BufWriter<Stdout>,
    terminal: bool,
    color: bool,
}

impl Out {
    pub(crate) fn stdout(when: ColorWhen) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let color = match when {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => terminal && may_color(),
        };
        Self { writer: BufWriter::with_capacity(64 << 10, stdout), terminal, color }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    pub(crate) fn colors(&self) -> bool {
        self.color
    }

    /// Columns and lines of the terminal, asked anew since its user may change them.
    pub(crate) fn screen(&self) -> Option<(usize, usize)> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|_| self.terminal)?;
        let (columns, lines) = (usize::from(size.ws_col), usize::from(size.ws_row));
        (columns > 0 && lines > 0).then_some((columns, lines))
    }

    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        for line in table.render(self.color, None) {
            writeln!(self, "{line}")?;
        }
        Ok(())
    }

    /// A table whose last column may be long: a terminal gets what fits.
    pub(crate) fn table_cut(&mut self, table: &Table) -> io::Result<()> {
        let columns = self.screen().map(|(columns, _)| columns);
        for line in table.render(self.color, columns) {
            writeln!(self, "{line}")?;
        }
        Ok(())
    }

    /// One JSON value on one line, or on many where a human looks.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        if self.terminal {
            serde_json::to_writer_pretty(&mut *self, value)?;
        } else {
            serde_json::to_writer(&mut *self, value)?;
        }
        writeln!(self)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// <https://no-color.org>: set and not empty means none.
fn may_color() -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && env::var_os("TERM").is_none_or(|term| term != "dumb")
}
