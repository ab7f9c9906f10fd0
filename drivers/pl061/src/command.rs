//! Commands as text, for the shell: `echo "3 in both" > /dev/gpiouio0`.
//!
//! ```text
//!   write    = command { ("\n" | ";") command }
//!   command  = "" | "show" | lines what
//!   lines    = "all" | range { "," range }          range = LINE [ "-" LINE ]      LINE = 0 to 7
//!   what     = "in" [ kind ] | "out" [ level ] | "set" level
//!   kind     = "none" | "rising" | "falling" | "both" | "level-high" | "level-low"
//!   level    = "0" | "1"
//! ```
//!
//! A write is understood whole before anything of it is done.

use crate::lines::{Change, Kind, To};
use crate::regs::LINES;

/// Bytes of the longest write that is looked at.
pub(crate) const LONGEST: usize = 4096;

/// What a command is, for those who got one wrong.
pub(crate) const GRAMMAR: &str = "write LINES in [rising|falling|both|level-high|level-low], LINES out [0|1], LINES set 0|1, or show";

/// A write, understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Commands {
    pub(crate) changes: Vec<Change>,
    /// The states of the lines are to be read next.
    pub(crate) show: bool,
}

/// A command that is none, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misunderstood {
    pub(crate) command: String,
    pub(crate) cause: String,
}

/// Understands a write.
pub(crate) fn parse(data: &[u8]) -> Result<Commands, Misunderstood> {
    let whole = |cause: &str| {
        let shown = data.get(..64).unwrap_or(data);
        let command = String::from_utf8_lossy(shown).into_owned();
        Misunderstood { command, cause: cause.to_owned() }
    };
    if data.len() > LONGEST {
        return Err(whole("it is longer than 4096 bytes"));
    }
    let text = std::str::from_utf8(data).map_err(|_| whole("it is not text"))?;
    let mut commands = Commands::default();
    for command in text.split(['\n', ';']).map(str::trim) {
        let refuse = |cause| Misunderstood { command: command.to_owned(), cause };
        match command {
            "" => {}
            "show" => commands.show = true,
            _ => commands.changes.push(change(command).map_err(refuse)?),
        }
    }
    Ok(commands)
}

fn change(command: &str) -> Result<Change, String> {
    let mut words = command.split_whitespace();
    let lines = lines(words.next().unwrap_or_default())?;
    let to = match (words.next(), words.next()) {
        (Some("in"), kind) => To::Input(kind.map_or(Ok(Kind::None), self::kind)?),
        (Some("out"), None) => To::OutputAsIs,
        (Some("out"), Some(word)) => To::Output(level(word, lines)?),
        (Some("set"), Some(word)) => To::Level(level(word, lines)?),
        (Some("set"), None) => return Err("it does not say to which level".to_owned()),
        (Some(word), _) => return Err(format!("`{word}` is none of in, out and set")),
        (None, _) => return Err("it does not say what to do with the line".to_owned()),
    };
    match words.next() {
        None => Ok(Change { lines, to }),
        Some(word) => Err(format!("`{word}` is one word too many")),
    }
}

fn lines(text: &str) -> Result<u8, String> {
    if text == "all" {
        return Ok(u8::MAX);
    }
    text.split(',').try_fold(0, |mask, range| Ok(mask | self::range(range)?))
}

fn range(text: &str) -> Result<u8, String> {
    let Some((first, last)) = text.split_once('-') else { return Ok(1 << line(text)?) };
    let (first, last) = (line(first)?, line(last)?);
    if first > last {
        return Err(format!("`{text}` goes down"));
    }
    Ok(u8::MAX >> (LINES - 1 - last + first) << first)
}

fn line(text: &str) -> Result<usize, String> {
    match text.as_bytes() {
        [digit @ b'0'..=b'7'] => Ok(usize::from(digit - b'0')),
        _ => Err(format!("`{text}` is no line; they are 0 to 7, or all")),
    }
}

fn kind(word: &str) -> Result<Kind, String> {
    let found = Kind::ALL.into_iter().find(|kind| kind.word() == word);
    found.ok_or_else(|| format!("`{word}` is no kind of event"))
}

/// The level, for each of the lines.
fn level(word: &str, lines: u8) -> Result<u8, String> {
    match word {
        "0" => Ok(0),
        "1" => Ok(lines),
        _ => Err(format!("`{word}` is no level; it is 0 or 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (u8, To) {
        let commands = parse(text.as_bytes()).unwrap();
        assert_eq!(commands.changes.len(), 1, "{text}");
        (commands.changes[0].lines, commands.changes[0].to)
    }

    #[test]
    fn a_command_names_lines_and_what_they_become() {
        assert_eq!(one("3 in\n"), (0x08, To::Input(Kind::None)));
        assert_eq!(one("3 in both\n"), (0x08, To::Input(Kind::Both)));
        assert_eq!(one("0,2,5-7 in level-low"), (0xE5, To::Input(Kind::LevelLow)));
        assert_eq!(one("all out"), (0xFF, To::OutputAsIs));
        assert_eq!(one("  4-4   out \t 1 "), (0x10, To::Output(0x10)));
        assert_eq!(one("0-7 set 0"), (0xFF, To::Level(0)));
    }

    #[test]
    fn a_write_may_have_several_and_they_keep_their_order() {
        let commands = parse(b"4 out 1; 4 set 0\n\n show\n").unwrap();
        let changes = [To::Output(0x10), To::Level(0)].map(|to| Change { lines: 0x10, to });
        assert_eq!(commands, Commands { changes: changes.into(), show: true });
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, cause) in [
            ("8 in", "`8` is no line; they are 0 to 7, or all"),
            ("x in", "`x` is no line; they are 0 to 7, or all"),
            ("3-1 in", "`3-1` goes down"),
            ("0, in", "`` is no line; they are 0 to 7, or all"),
            ("3", "it does not say what to do with the line"),
            ("3 up", "`up` is none of in, out and set"),
            ("3 in edges", "`edges` is no kind of event"),
            ("3 out both", "`both` is no level; it is 0 or 1"),
            ("3 out 2", "`2` is no level; it is 0 or 1"),
            ("3 set", "it does not say to which level"),
            ("3 in both 1", "`1` is one word too many"),
        ] {
            let whole = format!("1 out 1\n{text}\n");
            let error = parse(whole.as_bytes()).unwrap_err();
            assert_eq!((error.command.as_str(), error.cause.as_str()), (text, cause));
        }
    }

    #[test]
    fn what_is_no_text_or_too_long_is_refused() {
        assert_eq!(parse(b"3 in \xFF").unwrap_err().cause, "it is not text");
        assert_eq!(parse(&[b'\n'; LONGEST]), Ok(Commands::default()));
        assert_eq!(parse(&[b'\n'; LONGEST + 1]).unwrap_err().cause, "it is longer than 4096 bytes");
    }
}
