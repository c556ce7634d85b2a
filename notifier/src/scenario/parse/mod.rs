//! From words to the tree: recursive descent, one function a rule of the grammar.

mod expressions;
mod items;
mod statements;

use super::lex::{Spanned, Token, lex};
use super::tree::{Name, Scenario};
use super::{Diagnostic, Span, nearest};

/// How deep blocks and parentheses may be nested.
const DEPTH: usize = 64;

/// Words that have a meaning of their own wherever they stand, so that nothing may be called so.
const KEYWORDS: [&str; 40] = [
    "agent",
    "always",
    "and",
    "atomic",
    "await",
    "break",
    "choose",
    "cmpxchg",
    "count",
    "counter",
    "else",
    "entry",
    "event",
    "ever",
    "fill",
    "finally",
    "forbid",
    "frame",
    "frames",
    "free",
    "from",
    "function",
    "ghost",
    "if",
    "initially",
    "instruction",
    "interrupt",
    "lock",
    "loop",
    "not",
    "or",
    "procedure",
    "reg",
    "repeat",
    "return",
    "shared",
    "then",
    "tlbi",
    "when",
    "with",
];

/// Reads a scenario. What it says need not make sense yet: see [`check`](super::check).
///
/// # Errors
/// The first place at which the text is not in the language; not yet [located](Diagnostic::locate).
pub fn parse(text: &str) -> Result<Scenario, Diagnostic> {
    let mut parser = Parser {
        words: lex(text)?,
        at: 0,
        depth: 0,
    };
    parser.scenario()
}

struct Parser {
    words: Vec<Spanned>,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, Diagnostic>;

impl Parser {
    fn peek(&self) -> &Token {
        &self.words[self.at].token
    }

    fn span(&self) -> Span {
        self.words[self.at].span
    }

    /// From `start` to the last word that was read.
    fn since(&self, start: Span) -> Span {
        start.to(self.words[self.at.saturating_sub(1)].span)
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.words.len() - 1);
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found) if found == word)
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        if found {
            self.advance();
        }
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn sign(&mut self, sign: &str) -> Parsed<()> {
        if self.take_sign(sign) {
            Ok(())
        } else {
            Err(self.expected(&format!("`{sign}`")))
        }
    }

    fn keyword(&mut self, word: &str) -> Parsed<()> {
        if self.take_word(word) {
            return Ok(());
        }
        Err(self.expected(&format!("`{word}`")))
    }

    fn expected(&self, what: &str) -> Diagnostic {
        let found = match self.peek() {
            Token::Word(word) => format!("`{word}`"),
            Token::Number(number) => format!("`{number}`"),
            Token::Text(_) => "a text".into(),
            Token::Comment(..) => "a comment".into(),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "the end of the file".into(),
        };
        let error = Diagnostic::new(self.span(), format!("expected {what}, found {found}"));
        match self.peek() {
            Token::Comment(..) => error.hint("a comment stands between statements"),
            _ => error,
        }
    }

    /// As [`expected`](Self::expected), with the word of `known` that was probably meant.
    fn expected_one_of(&self, what: &str, known: &[&str]) -> Diagnostic {
        let error = self.expected(what);
        let Token::Word(word) = self.peek() else {
            return error;
        };
        match nearest(word, known.iter().copied()) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint(format!("one of {}", known.join(", "))),
        }
    }

    fn name(&mut self) -> Parsed<Name> {
        let span = self.span();
        let Token::Word(text) = self.peek() else {
            return Err(self.expected("a name"));
        };
        if KEYWORDS.contains(&text.as_str()) {
            return Err(self
                .expected("a name")
                .hint("this word belongs to the language"));
        }
        let text = text.clone();
        self.advance();
        Ok(Name { text, span })
    }

    /// The name of a variant, which may be any word: it stands where nothing else can.
    fn variant_name(&mut self) -> Parsed<Name> {
        let span = self.span();
        let Token::Word(text) = self.peek() else {
            return Err(self.expected("a name"));
        };
        let text = text.clone();
        self.advance();
        Ok(Name { text, span })
    }

    fn number(&mut self) -> Parsed<u32> {
        let Token::Number(number) = *self.peek() else {
            return Err(self.expected("a number"));
        };
        self.advance();
        Ok(number)
    }

    /// A text if there is one.
    fn about(&mut self) -> String {
        let Token::Text(text) = self.peek() else {
            return String::new();
        };
        let text = text.clone();
        self.advance();
        text
    }

    /// Goes one level deeper for as long as `inner` takes.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH {
            let message = format!("nested more than {DEPTH} deep");
            return Err(Diagnostic::new(self.span(), message));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// One or more, with commas between.
    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut all = vec![one(self)?];
        while self.take_sign(",") {
            all.push(one(self)?);
        }
        Ok(all)
    }
}
