//! What is wrong with a scenario, where, and what was probably meant.

use std::fmt;

use super::Span;
use super::excerpt::{Excerpt, printable};

/// One mistake in a scenario's text.
///
/// Displayed as compilers do it: what is wrong, `file:line:column`, the line with a caret, a hint.
/// Of the text and the file's name, nothing is shown that a terminal would obey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// What to write instead, if that can be guessed.
    pub hint: Option<String>,
    /// Where; `None` for the file as a whole.
    pub span: Option<Span>,
    file: Option<String>,
    excerpt: Option<Box<Excerpt>>,
}

impl Diagnostic {
    /// A mistake at `span`.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span: Some(span),
            ..Self::whole(message)
        }
    }

    /// A mistake of the file as a whole.
    pub fn whole(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            span: None,
            file: None,
            excerpt: None,
        }
    }

    /// A mistake at `span` of what is not, or not all of it, a text.
    pub(super) fn in_bytes(bytes: &[u8], span: Span, message: impl Into<String>) -> Self {
        Self {
            excerpt: Some(Box::new(Excerpt::new(bytes, span))),
            ..Self::new(span, message)
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
        self.file.get_or_insert_with(|| file.into());
        if let (Some(span), None) = (self.span, &self.excerpt) {
            let [start, end] = [span.start, span.end].map(|at| text.floor_char_boundary(at));
            self.excerpt = Some(Box::new(Excerpt::new(text.as_bytes(), Span { start, end })));
        }
        self
    }

    /// Line and column, both from 1, if they are known.
    pub fn position(&self) -> Option<(usize, usize)> {
        let excerpt = self.excerpt.as_ref()?;
        Some((excerpt.line, excerpt.column))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().map(printable);
        match (&self.excerpt, file) {
            (None, Some(file)) => write!(f, "{file}: {}", printable(&self.message))?,
            (None, None) => write!(f, "{}", printable(&self.message))?,
            (Some(excerpt), file) => {
                writeln!(f, "{}", printable(&self.message))?;
                excerpt.write(f, &file.unwrap_or_default())?;
            }
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {}", printable(hint))?;
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
    fn a_name_that_a_terminal_would_obey_is_escaped() {
        let file = "a\u{1b}[2J\n.litmus";
        let shown = Diagnostic::whole("no").locate(file, "").to_string();
        assert_eq!(shown, "a\\u{1b}[2J\\u{a}.litmus: no");
        let span = Span::default();
        let shown = Diagnostic::new(span, "no").locate(file, "x").to_string();
        assert!(
            shown.contains("--> a\\u{1b}[2J\\u{a}.litmus:1:1\n"),
            "{shown}"
        );
    }
}
