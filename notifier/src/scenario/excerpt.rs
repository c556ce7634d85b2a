//! The line of a mistake, as a terminal can show it.

use std::fmt;

use unicode_width::UnicodeWidthChar;

use super::Span;

/// Columns of the line that are shown before the mistake, and from it on, at most.
const AROUND: usize = 60;

/// Blanks that stand for a tab.
const TAB: &str = "    ";

/// Stands for what is cut off.
const MORE: &str = "…";

/// The part of a text in which a mistake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1; a byte that belongs to none counts as one.
    pub(super) column: usize,
    /// What is shown of the line.
    pub(super) text: String,
    /// Columns of a terminal before the carets.
    pub(super) before: usize,
    /// Carets; at least one.
    pub(super) carets: usize,
}

impl Excerpt {
    /// The first line of `span`. What is no UTF-8 is shown as the bytes that it is.
    pub(super) fn new(text: &[u8], span: Span) -> Self {
        let (head, tail) = text.split_at(span.start.min(text.len()));
        let begin = head.iter().rposition(|byte| *byte == b'\n');
        let start = &head[begin.map_or(0, |newline| newline + 1)..];
        let rest = tail.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let marked = rest.len().min(span.end.saturating_sub(span.start));
        let column = letters(start).count();
        let (left, before) = end_of(start, column);
        let (right, _) = beginning_of(rest);
        Self {
            line: head.split(|byte| *byte == b'\n').count(),
            column: column + 1,
            text: left + &right,
            before,
            carets: beginning_of(&rest[..marked]).1.max(1),
        }
    }

    /// The place, the line and the carets, each on a line, without an end of the last one.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, file: &str) -> fmt::Result {
        let Self { line, column, .. } = self;
        let margin = " ".repeat(line.to_string().len());
        writeln!(f, "{margin}--> {file}:{line}:{column}\n{margin} |")?;
        writeln!(f, "{line} | {}", self.text.trim_end())?;
        let carets = "^".repeat(self.carets);
        write!(f, "{margin} | {}{carets}", " ".repeat(self.before))
    }
}

/// The end of what stands before a mistake, and its columns; it has `count` characters.
fn end_of(start: &[u8], count: usize) -> (String, usize) {
    let near = letters(start).skip(count.saturating_sub(AROUND));
    let near: Vec<_> = near.map(Letter::shown).collect();
    let mut width = 0;
    let fits = near.iter().rev().take_while(|(_, more)| {
        width += more;
        width <= AROUND
    });
    let fits = fits.count();
    let kept = &near[near.len() - fits..];
    let cut = if fits < count { MORE } else { "" };
    let columns = kept.iter().map(|(_, width)| width).sum::<usize>();
    let text: String = kept.iter().map(|(text, _)| text.as_str()).collect();
    (format!("{cut}{text}"), columns + cut.chars().count())
}

/// The beginning of the line from a mistake on, and its columns without the mark of a cut.
fn beginning_of(rest: &[u8]) -> (String, usize) {
    let (mut text, mut columns) = (String::new(), 0);
    for (more, width) in letters(rest).map(Letter::shown) {
        if columns + width > AROUND {
            return (text + MORE, columns);
        }
        text += &more;
        columns += width;
    }
    (text, columns)
}

/// `text` with nothing in it that a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    let letters = text.chars().map(|letter| Letter::Char(letter).shown().0);
    letters.collect()
}

#[derive(Clone, Copy)]
enum Letter {
    Char(char),
    Byte(u8),
}

fn letters(bytes: &[u8]) -> impl Iterator<Item = Letter> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let bytes = chunk.invalid().iter().copied().map(Letter::Byte);
        chunk.valid().chars().map(Letter::Char).chain(bytes)
    })
}

impl Letter {
    /// What is shown for it, and the columns that this takes.
    fn shown(self) -> (String, usize) {
        let escaped = match self {
            Self::Byte(byte) => format!("\\x{byte:02x}"),
            Self::Char('\t') => TAB.into(),
            Self::Char('\r') => "\\r".into(),
            Self::Char(letter) if !is_hidden(letter) => {
                return (letter.into(), letter.width().unwrap_or(0));
            }
            Self::Char(letter) => letter.escape_unicode().to_string(),
        };
        let width = escaped.len();
        (escaped, width)
    }
}

/// Whether a terminal would obey it rather than show it: control characters, and those that change
/// the direction of a line, end it, or take no room.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &[u8], start: usize, end: usize) -> (String, usize, usize) {
        let excerpt = Excerpt::new(text, Span { start, end });
        (excerpt.text, excerpt.before, excerpt.carets)
    }

    #[test]
    fn carets_stand_under_what_is_meant_behind_tabs_and_wide_and_combining_characters() {
        let table: [(&str, &str, usize, usize); 4] = [
            ("\tx = ab;", "    x = ab;", 8, 2),
            ("\u{6f22}\u{5b57} ab", "\u{6f22}\u{5b57} ab", 5, 2),
            ("e\u{301} ab", "e\u{301} ab", 2, 2),
            ("\u{1b}[2J\u{0} ab", "\\u{1b}[2J\\u{0} ab", 15, 2),
        ];
        for (text, shown, before, carets) in table {
            let at = text.find("ab").unwrap();
            let found = excerpt(text.as_bytes(), at, at + 2);
            assert_eq!(found, (shown.into(), before, carets), "{text:?}");
        }
    }

    #[test]
    fn a_line_is_cut_on_both_sides_and_the_cuts_are_shown() {
        let text = format!("{}!!{}", "a".repeat(500_000), "b".repeat(400_000));
        let (shown, before, carets) = excerpt(text.as_bytes(), 500_000, 500_002);
        let expected = format!("…{}!!{}…", "a".repeat(60), "b".repeat(58));
        assert_eq!((shown, before, carets), (expected, 61, 2));
        let (shown, before, carets) = excerpt(text.as_bytes(), 0, 900_000);
        assert_eq!((shown.chars().count(), before, carets), (61, 0, 60));
    }

    #[test]
    fn what_needs_more_room_is_cut_earlier() {
        let text = "\u{7f}".repeat(1000);
        let (shown, before, carets) = excerpt(text.as_bytes(), 500, 501);
        assert_eq!((shown.chars().count(), before, carets), (122, 61, 6));
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        let found = excerpt(b"one\ntwo \xff\xfe x\n", 8, 9);
        assert_eq!(found, ("two \\xff\\xfe x".into(), 4, 4));
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_printable() {
        let text = "a\u{1b}[31m\n\u{202e}\u{feff}b";
        assert_eq!(printable(text), "a\\u{1b}[31m\\u{a}\\u{202e}\\u{feff}b");
    }
}
