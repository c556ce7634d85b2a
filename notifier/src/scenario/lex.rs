//! From text to words.

use super::tree::Gap;
use super::{Diagnostic, Span, herd};

/// A word of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or a keyword: letters, digits, `_`, and `-` between two of those.
    Word(String),
    Number(u32),
    /// A text between quotation marks, without them.
    Text(String),
    /// `// ...`, without the slashes and without blanks at the end; whether something stands before
    /// it on its line.
    Comment(String, bool),
    Sign(&'static str),
    End,
}

/// A word and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) span: Span,
    /// What is before it.
    pub(super) gap: Gap,
}

/// Longer ones first, so that `==` is not taken for two `=`.
const SIGNS: [&str; 22] = [
    "..", "==", "!=", "<=", ">=", "->", "{", "}", "(", ")", "[", "]", ",", ";", ":", ".", "=", "<",
    ">", "+", "-", "|",
];

/// Cuts `text` into words, the last of which is [`Token::End`].
pub(super) fn lex(text: &str) -> Result<Vec<Spanned>, Diagnostic> {
    let mut lexer = Lexer { text, at: 0 };
    let mut words = Vec::new();
    loop {
        let word = lexer.next()?;
        let ended = word.token == Token::End;
        words.push(word);
        if ended {
            return Ok(words);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Spanned, Diagnostic> {
        let rest = &self.text[self.at..];
        let fresh = rest.trim_start();
        let blank = &rest[..rest.len() - fresh.len()];
        self.at += blank.len();
        let start = self.at;
        let token = self.token(fresh)?;
        let end = self.at;
        Ok(Spanned {
            token,
            span: Span { start, end },
            gap: match blank.matches('\n').count() {
                0 | 1 => Gap::None,
                _ => Gap::Line,
            },
        })
    }

    fn token(&mut self, rest: &str) -> Result<Token, Diagnostic> {
        let Some(first) = rest.chars().next() else {
            return Ok(Token::End);
        };
        if rest.starts_with("//") {
            return Ok(self.comment(rest));
        }
        match first {
            '"' => self.quoted(rest),
            '0'..='9' => self.number(rest),
            'A'..='Z' | 'a'..='z' | '_' => self.word(rest),
            _ => self.sign(rest, first),
        }
    }

    fn comment(&mut self, rest: &str) -> Token {
        let line = rest.split('\n').next().unwrap_or(rest);
        let before = self.text[..self.at].rsplit('\n').next().unwrap_or("");
        self.at += line.len();
        Token::Comment(line[2..].trim_end().into(), !before.trim().is_empty())
    }

    fn quoted(&mut self, rest: &str) -> Result<Token, Diagnostic> {
        let (start, inner) = (self.at, &rest[1..]);
        let Some(length) = inner
            .find(['"', '\n'])
            .filter(|at| inner.as_bytes()[*at] == b'"')
        else {
            let span = Span {
                start,
                end: start + 1,
            };
            return Err(Diagnostic::new(
                span,
                "a text that does not end on its line",
            ));
        };
        self.at += length + 2;
        Ok(Token::Text(inner[..length].into()))
    }

    fn number(&mut self, rest: &str) -> Result<Token, Diagnostic> {
        let length = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let span = Span {
            start: self.at,
            end: self.at + length,
        };
        self.at += length;
        let number = rest[..length]
            .parse()
            .ok()
            .filter(|number| *number <= MAX_NUMBER);
        let bad = || Diagnostic::new(span, format!("not a number from 0 to {MAX_NUMBER}"));
        number.map(Token::Number).ok_or_else(bad)
    }

    fn word(&mut self, rest: &str) -> Result<Token, Diagnostic> {
        let bytes = rest.as_bytes();
        let part = |at: usize| bytes.get(at).is_some_and(|byte| is_part(char::from(*byte)));
        let mut length = 0;
        while part(length) || (bytes.get(length) == Some(&b'-') && part(length + 1)) {
            length += 1;
        }
        let (start, end) = (self.at, self.at + length);
        if length > MAX_WORD {
            let message = format!("a name of more than {MAX_WORD} characters");
            return Err(Diagnostic::new(Span { start, end }, message));
        }
        self.at = end;
        Ok(Token::Word(rest[..length].into()))
    }

    fn sign(&mut self, rest: &str, first: char) -> Result<Token, Diagnostic> {
        let span = Span {
            start: self.at,
            end: self.at + first.len_utf8(),
        };
        let unknown = || {
            let message = format!("`{}` has no meaning here", first.escape_default());
            let error = Diagnostic::new(span, message);
            match herd::sign(rest) {
                Some(hint) => error.hint(hint),
                None => error,
            }
        };
        let sign = SIGNS
            .into_iter()
            .find(|sign| rest.starts_with(sign))
            .ok_or_else(unknown)?;
        self.at += sign.len();
        Ok(Token::Sign(sign))
    }
}

/// Nothing that a scenario counts needs more, and sums of such numbers can't overflow.
pub(super) const MAX_NUMBER: u32 = 65_535;

/// The longest name: what is wrong with one is told in a line.
pub(super) const MAX_WORD: usize = 100;

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        lex(text)
            .unwrap()
            .into_iter()
            .map(|word| word.token)
            .collect()
    }

    #[test]
    fn a_hyphen_joins_words_and_between_blanks_it_subtracts() {
        let word = |text: &str| Token::Word(text.into());
        let joined = [word("uffd-wp"), Token::End];
        assert_eq!(tokens("uffd-wp"), joined);
        let difference = [word("a"), Token::Sign("-"), word("b"), Token::End];
        assert_eq!(tokens("a - b"), difference);
        assert_eq!(tokens("a -> b")[1], Token::Sign("->"));
    }

    #[test]
    fn a_comment_knows_whether_it_follows_something() {
        let comment = |text: &str, follows| Token::Comment(text.into(), follows);
        assert_eq!(
            tokens("x // y \n  //   z")[1..3],
            [comment(" y", true), comment("   z", false)]
        );
    }

    #[test]
    fn what_is_no_word_is_refused_where_it_stands() {
        for (text, at) in [
            ("a $", 2),
            ("\"open", 0),
            ("x 70000", 2),
            ("1x", 0),
            ("a \u{e9}", 2),
            (&format!("a {}", "b".repeat(MAX_WORD + 1)), 2),
        ] {
            assert_eq!(lex(text).unwrap_err().span.unwrap().start, at, "{text}");
        }
    }
}
