//! What is wrong with a scenario, where, and what was probably meant.

use std::fmt;

use super::Span;

/// The longest part of a source line that is shown, in characters.
const SHOWN: usize = 120;

/// One mistake in a scenario's text.
///
/// Displayed as compilers do it: what is wrong, `file:line:column`, the line with a caret, a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// What to write instead, if that can be guessed.
    pub hint: Option<String>,
    /// Where; `None` for the file as a whole.
    pub span: Option<Span>,
    shown: Option<Box<Shown>>,
}

/// The place, worked out from the text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    file: String,
    line: usize,
    column: usize,
    text: String,
    /// Characters before the caret in `text`, and carets.
    caret: (usize, usize),
}

impl Diagnostic {
    /// A mistake at `span`.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            span: Some(span),
            shown: None,
        }
    }

    /// A mistake of the file as a whole.
    pub fn whole(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            span: None,
            shown: None,
        }
    }

    /// This mistake with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// This mistake with the place in `text`, which the file `file` contains.
    #[must_use]
    pub fn locate(mut self, file: &str, text: &str) -> Self {
        let Some(span) = self.span else {
            self.message = format!("{file}: {}", self.message);
            return self;
        };
        if self.shown.is_none() {
            self.shown = Some(Box::new(Shown::new(file, text, span)));
        }
        self
    }

    /// Line and column, both from 1, if they are known.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.shown.as_ref().map(|shown| (shown.line, shown.column))
    }
}

impl Shown {
    fn new(file: &str, text: &str, span: Span) -> Self {
        let at = floor(text, span.start.min(text.len()));
        let begin = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[at..].find('\n').map_or(text.len(), |rest| at + rest);
        let before = text[begin..at].chars().count();
        let skipped = before.saturating_sub(SHOWN / 2);
        let line = text[begin..line_end].chars().skip(skipped).take(SHOWN);
        let length = text[at..floor(text, span.end.clamp(at, line_end))]
            .chars()
            .count();
        Self {
            file: file.into(),
            line: text[..at].matches('\n').count() + 1,
            column: before + 1,
            text: line.map(|c| if c.is_control() { ' ' } else { c }).collect(),
            caret: (before - skipped, length.clamp(1, SHOWN / 2)),
        }
    }
}

/// The last character boundary at or before `at`.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(shown) = &self.shown {
            let number = shown.line.to_string();
            let margin = " ".repeat(number.len());
            let (before, carets) = shown.caret;
            let place = format!("{}:{}:{}", shown.file, shown.line, shown.column);
            write!(f, "\n{margin}--> {place}\n{margin} |\n")?;
            writeln!(f, "{number} | {}", shown.text.trim_end())?;
            write!(f, "{margin} | {}{}", " ".repeat(before), "^".repeat(carets))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_mistake() {
        let text = "one\ntwo thr\u{e9}e four\n";
        let span = Span { start: 8, end: 14 };
        let shown = Diagnostic::new(span, "no").hint("yes").locate("f", text);
        assert_eq!(shown.position(), Some((2, 5)));
        let expected = "no\n --> f:2:5\n  |\n2 | two thr\u{e9}e four\n  |     ^^^^^\n  hint: yes";
        assert_eq!(shown.to_string(), expected);
    }

    #[test]
    fn places_at_and_past_the_end_and_inside_a_character_are_shown() {
        for start in [0, 2, 3, 99] {
            let span = Span { start, end: 500 };
            let shown = Diagnostic::new(span, "no")
                .locate("f", "a\u{e9}b")
                .to_string();
            assert!(shown.contains("f:1:"), "{shown}");
        }
    }

    #[test]
    fn a_very_long_line_is_cut_around_the_mistake() {
        let text = "x".repeat(100_000);
        let span = Span {
            start: 50_000,
            end: 90_000,
        };
        assert!(
            Diagnostic::new(span, "no")
                .locate("f", &text)
                .to_string()
                .len()
                < 400
        );
    }
}
