//! Rust source as a rule wants to see it: comments apart from code, and no text of a string mistaken for code.

/// One line of a source, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// The code: comments are gone, and what stood between quotes is blank.
    pub code: String,
    /// The text of the comments, without their marks.
    pub comment: String,
}

/// What the scanner is inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    /// `//` up to the end of the line.
    LineComment,
    /// `/*`, nested so deep.
    BlockComment(usize),
    /// `"`.
    Text,
    /// `r"`, with so many hashes.
    RawText(usize),
}

/// Takes a source apart, line by line.
pub fn lines(source: &str) -> Vec<Line> {
    let mut scanner = Scanner { rest: source, inside: Inside::Code, line: Line::default() };
    let mut lines = Vec::new();
    while let Some(c) = scanner.rest.chars().next() {
        if c == '\n' {
            if scanner.inside == Inside::LineComment {
                scanner.inside = Inside::Code;
            }
            lines.push(std::mem::take(&mut scanner.line));
            scanner.skip(1);
        } else {
            scanner.step(c);
        }
    }
    lines.push(scanner.line);
    lines
}

struct Scanner<'a> {
    rest: &'a str,
    inside: Inside,
    line: Line,
}

impl Scanner<'_> {
    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn step(&mut self, c: char) {
        match self.inside {
            Inside::Code => self.step_code(c),
            Inside::LineComment => {
                self.line.comment.push(c);
                self.skip(c.len_utf8());
            }
            Inside::BlockComment(depth) => self.step_block(depth, c),
            Inside::Text => self.step_text(c),
            Inside::RawText(hashes) => self.step_raw(hashes, c),
        }
    }

    fn step_code(&mut self, c: char) {
        if self.rest.starts_with("//") {
            self.skip(2);
            self.inside = Inside::LineComment;
        } else if self.rest.starts_with("/*") {
            self.skip(2);
            self.inside = Inside::BlockComment(1);
        } else if let Some((prefix, hashes)) = self.raw_start() {
            self.line.code.push('"');
            self.skip(prefix);
            self.inside = Inside::RawText(hashes);
        } else if let Some(bytes) = self.quoted_char() {
            self.line.code.push_str("' '");
            self.skip(bytes);
        } else {
            self.line.code.push(c);
            self.skip(c.len_utf8());
            if c == '"' {
                self.inside = Inside::Text;
            }
        }
    }

    /// The bytes of `r##"`, and how many hashes it has, if a raw text starts here.
    fn raw_start(&self) -> Option<(usize, usize)> {
        let before = self.line.code.chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            return None;
        }
        let tail = self.rest.strip_prefix("br").or_else(|| self.rest.strip_prefix('r'))?;
        let hashes = tail.len() - tail.trim_start_matches('#').len();
        let prefix = self.rest.len() - tail.len() + hashes + 1;
        tail[hashes..].starts_with('"').then_some((prefix, hashes))
    }

    /// The bytes of a character in quotes, if one starts here; a lifetime is none.
    fn quoted_char(&self) -> Option<usize> {
        let tail = self.rest.strip_prefix('\'')?;
        let mut chars = tail.char_indices();
        let (_, first) = chars.next()?;
        if first == '\\' {
            // What follows the backslash is never the end.
            let end = tail[2..].find('\'')?;
            return Some(1 + 2 + end + 1);
        }
        let (at, second) = chars.next()?;
        (second == '\'').then_some(1 + at + 1)
    }

    fn step_block(&mut self, depth: usize, c: char) {
        if self.rest.starts_with("*/") {
            self.skip(2);
            self.inside = if depth == 1 { Inside::Code } else { Inside::BlockComment(depth - 1) };
        } else if self.rest.starts_with("/*") {
            self.skip(2);
            self.inside = Inside::BlockComment(depth + 1);
        } else {
            self.line.comment.push(c);
            self.skip(c.len_utf8());
        }
    }

    fn step_text(&mut self, c: char) {
        self.skip(c.len_utf8());
        match c {
            '"' => {
                self.line.code.push('"');
                self.inside = Inside::Code;
            }
            // The character after it, unless the line goes on below.
            '\\' => {
                let escaped = self.rest.chars().next().filter(|&c| c != '\n');
                self.skip(escaped.map_or(0, char::len_utf8));
            }
            _ => {}
        }
    }

    fn step_raw(&mut self, hashes: usize, c: char) {
        let end = format!("\"{}", "#".repeat(hashes));
        if self.rest.starts_with(&end) {
            self.line.code.push('"');
            self.skip(end.len());
            self.inside = Inside::Code;
        } else {
            self.skip(c.len_utf8());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(source: &str) -> Vec<String> {
        lines(source).into_iter().map(|line| line.code).collect()
    }

    #[test]
    fn comments_are_apart_from_code() {
        let all = lines("let a = 1; // unsafe {\n/* one /* two */ still */ b");
        assert_eq!(all[0].code, "let a = 1; ");
        assert_eq!(all[0].comment, " unsafe {");
        assert_eq!(all[1].code, " b");
    }

    #[test]
    fn what_is_quoted_is_blank() {
        assert_eq!(
            code(r#"f("unsafe { \" // no", 'x', '"', '\'', b)"#),
            [r#"f("", ' ', ' ', ' ', b)"#]
        );
        assert_eq!(code("r#\"todo!() \" //\"# + br\"x\""), ["\"\" + \"\""]);
    }

    #[test]
    fn a_lifetime_is_not_a_character() {
        assert_eq!(code("fn f<'a>(x: &'a str) {}"), ["fn f<'a>(x: &'a str) {}"]);
    }

    #[test]
    fn a_text_may_go_on_over_lines() {
        assert_eq!(code("(\"a\\\n  todo!()\n\") b"), ["(\"", "", "\") b"]);
    }
}
