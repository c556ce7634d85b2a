//! From words to the tree: recursive descent, one function a rule of the grammar.

mod columns;
mod expressions;
mod items;
mod live;
mod statements;

use super::lex::{Spanned, Token, lex};
use super::tree::{Gap, Name, Scenario};
use super::{Diagnostic, Span, herd, nearest};

/// How deep blocks and parentheses may be nested.
const DEPTH: usize = 64;

/// Words that have a meaning of their own wherever they stand, so that nothing may be called so.
const KEYWORDS: [&str; 41] = [
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
    "live",
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
    if let Some(error) = herd::mistaken(text) {
        return Err(error);
    }
    let mut parser = Parser {
        words: lex(text)?,
        at: 0,
        depth: 0,
        tried: (0, Vec::new()),
    };
    parser.scenario()
}

struct Parser {
    words: Vec<Spanned>,
    at: usize,
    depth: usize,
    /// Keywords that could have stood at a word, and which word that is.
    tried: (usize, Vec<&'static str>),
}

type Parsed<T> = Result<T, Diagnostic>;

impl Parser {
    fn peek(&self) -> &Token {
        &self.words[self.at].token
    }

    fn span(&self) -> Span {
        self.words[self.at].span
    }

    /// What is before the next word.
    fn gap(&self) -> Gap {
        self.words[self.at].gap
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

    /// Notes that `word` could stand here.
    fn tried(&mut self, word: &'static str) {
        if self.tried.0 != self.at {
            self.tried.0 = self.at;
            self.tried.1.clear();
        }
        if !self.tried.1.contains(&word) {
            self.tried.1.push(word);
        }
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        if found {
            self.advance();
        }
        found
    }

    fn take_word(&mut self, word: &'static str) -> bool {
        self.tried(word);
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

    fn keyword(&mut self, word: &'static str) -> Parsed<()> {
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
        match self.hint() {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// What was probably meant by the word that was not expected.
    fn hint(&self) -> Option<String> {
        match self.peek() {
            Token::Comment(..) => Some("a comment stands between statements or rows".into()),
            Token::Sign(":") => self.register_of_herd(),
            _ if self.tried.0 != self.at => None,
            Token::Sign("=") if self.tried.1.contains(&"and") => Some("`==` compares".into()),
            Token::Word(word) => {
                let meant = slip(word, &self.tried.1)?;
                Some(format!("did you mean `{meant}`?"))
            }
            _ => None,
        }
    }

    /// herd7's `0:EAX` and `P0:x`.
    fn register_of_herd(&self) -> Option<String> {
        let before = &self.words[self.at.checked_sub(1)?].token;
        let of_agent = match before {
            Token::Number(_) => true,
            Token::Word(word) => word
                .strip_prefix('P')
                .is_some_and(|id| id.parse::<u8>().is_ok()),
            _ => false,
        };
        let hint =
            "a condition sees no registers: let the agent copy it into a `ghost`, and ask that";
        of_agent.then(|| hint.into())
    }

    /// As [`expected`](Self::expected), with the word of `known` that was probably meant.
    fn expected_one_of(&self, what: &str, known: &[&str]) -> Diagnostic {
        let error = self.expected(what);
        let Token::Word(word) = self.peek() else {
            return error;
        };
        match slip(word, known).or(nearest(word, known.iter().copied())) {
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

/// The word of `known` of which `word` is a slip: nearly the same, and with the same beginning or the
/// same letters, for between words of two or three letters nearness alone says nothing.
fn slip<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    let same = known.iter().find(|meant| sorted(meant) == sorted(&word));
    let alike = known
        .iter()
        .filter(|meant| meant.len() > 2 && meant.chars().next() == word.chars().next());
    same.copied().or_else(|| nearest(&word, alike.copied()))
}
