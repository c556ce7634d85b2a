//! Statements.

use super::{Parsed, Parser, Token};
use crate::scenario::Diagnostic;
use crate::scenario::tree::{Action, Axis, LockAction, Name, Selection, Statement};

/// The most times that a `repeat` may be unrolled.
const REPEAT: u32 = 64;

/// What a statement begins with, or what may stand behind one.
const STATEMENTS: [&str; 27] = [
    "atomic",
    "instruction",
    "live",
    "if",
    "when",
    "choose",
    "loop",
    "repeat",
    "reg",
    "cmpxchg",
    "fill",
    "tlbi",
    "free",
    "lock",
    "unlock",
    "read-lock",
    "read-unlock",
    "write-lock",
    "write-unlock",
    "await",
    "forbid",
    "count",
    "break",
    "return",
    "else",
    "or",
    "interrupt",
];

impl Parser {
    pub(super) fn block(&mut self) -> Parsed<Vec<Statement>> {
        self.nested(|parser| {
            parser.sign("{")?;
            let mut body = Vec::new();
            while !parser.take_sign("}") {
                body.push(parser.statement()?);
            }
            Ok(body)
        })
    }

    pub(super) fn statement(&mut self) -> Parsed<Statement> {
        if let Some(comment) = self.comment_statement() {
            return Ok(comment);
        }
        let mut statement = self.labelled()?;
        if statement.action.blocks().is_empty() {
            self.sign(";")?;
            statement.span.end = self.since(statement.span).end;
        }
        Ok(statement)
    }

    pub(super) fn comment_statement(&mut self) -> Option<Statement> {
        let (span, gap) = (self.span(), self.gap());
        let comment = self.comment()?;
        Some(Statement {
            label: String::new(),
            action: Action::Comment(comment),
            span,
            gap,
        })
    }

    /// A statement without the semicolon that ends it if it has no block.
    pub(super) fn labelled(&mut self) -> Parsed<Statement> {
        let gap = self.gap();
        let label = self.about();
        let start = self.span();
        let action = self.action()?;
        Ok(Statement {
            label,
            action,
            span: self.since(start),
            gap,
        })
    }

    fn action(&mut self) -> Parsed<Action> {
        let Token::Word(word) = self.peek() else {
            return Err(self.expected("a statement"));
        };
        let word = word.clone();
        if let Some(lock) = LockAction::ALL.into_iter().find(|lock| lock.word() == word) {
            self.advance();
            return Ok(Action::Lock(lock, self.place()?));
        }
        match self.block_action(&word)? {
            Some(block) => Ok(block),
            None => self.simple_action(&word),
        }
    }

    /// The statements that end with a block rather than a semicolon.
    fn block_action(&mut self, word: &str) -> Parsed<Option<Action>> {
        if ![
            "atomic",
            "instruction",
            "live",
            "if",
            "when",
            "choose",
            "loop",
            "repeat",
        ]
        .contains(&word)
        {
            return Ok(None);
        }
        self.advance();
        let action = match word {
            "atomic" => Action::Atomic(self.block()?),
            "instruction" => Action::Instruction(self.block()?),
            "live" => self.live()?,
            "if" => {
                let condition = self.expression()?;
                Action::If(condition, self.block()?, self.otherwise()?)
            }
            "when" => {
                let selection = self.selection()?;
                Action::When(selection, self.block()?, self.otherwise()?)
            }
            "choose" => self.choose()?,
            "loop" => Action::Loop(self.block()?),
            _ => self.repeat()?,
        };
        Ok(Some(action))
    }

    /// `else { ... }`, `else if ...`, `else when ...` or nothing.
    fn otherwise(&mut self) -> Parsed<Vec<Statement>> {
        if !self.take_word("else") {
            return Ok(Vec::new());
        }
        if self.is_word("if") || self.is_word("when") {
            return self.nested(|parser| Ok(vec![parser.statement()?]));
        }
        self.block()
    }

    fn choose(&mut self) -> Parsed<Action> {
        let mut branches = vec![self.block()?];
        while self.take_word("or") {
            branches.push(self.block()?);
        }
        Ok(Action::Choose(branches))
    }

    fn repeat(&mut self) -> Parsed<Action> {
        let span = self.span();
        let times = self.number()?;
        if times > REPEAT {
            return Err(Diagnostic::new(
                span,
                format!("repeats at most {REPEAT} times"),
            ));
        }
        Ok(Action::Repeat(times, self.block()?))
    }

    fn simple_action(&mut self, word: &str) -> Parsed<Action> {
        let known = [
            "reg", "cmpxchg", "fill", "tlbi", "free", "await", "forbid", "count", "break", "return",
        ];
        if !known.contains(&word) {
            return self.call_or_assign();
        }
        self.advance();
        Ok(match word {
            "reg" => Action::Register(self.typed()?),
            "cmpxchg" => self.cmpxchg()?,
            "fill" => {
                let place = self.place()?;
                self.keyword("from")?;
                Action::Fill(place, self.expression()?)
            }
            "tlbi" => Action::Tlbi(self.place()?, self.on_agent()?),
            "free" => Action::Free(self.expression()?),
            "await" => Action::Await(self.expression()?),
            "forbid" => {
                let name = self.name()?;
                self.keyword("if")?;
                Action::Forbid(name, self.expression()?)
            }
            "count" => Action::Count(self.name()?),
            "break" => Action::Break,
            _ => Action::Return,
        })
    }

    fn on_agent(&mut self) -> Parsed<Option<Name>> {
        match self.take_word("on") {
            true => self.name().map(Some),
            false => Ok(None),
        }
    }

    fn cmpxchg(&mut self) -> Parsed<Action> {
        let place = self.place()?;
        self.sign(",")?;
        let old = self.expression()?;
        self.sign(",")?;
        let new = self.expression()?;
        self.sign("->")?;
        let success = self.place()?;
        Ok(Action::Cmpxchg {
            place,
            old,
            new,
            success,
        })
    }

    fn call_or_assign(&mut self) -> Parsed<Action> {
        let next = self.words.get(self.at + 1).map(|word| &word.token);
        if next == Some(&Token::Sign("(")) {
            let name = self.name()?;
            return Ok(Action::Call(name, self.arguments()?));
        }
        let misspelt = self.misspelt(next);
        let place = self.place()?;
        if let Some(error) = misspelt.filter(|_| !self.is_sign("=")) {
            return Err(error);
        }
        self.sign("=")?;
        Ok(Action::Assign(place, self.expression()?))
    }

    /// The mistake, should no assignment begin here.
    fn misspelt(&self, next: Option<&Token>) -> Option<Diagnostic> {
        let Token::Word(word) = self.peek() else {
            return None;
        };
        if matches!(next, Some(Token::Sign("=" | "." | "["))) {
            return None;
        }
        let meant = super::slip(word, &STATEMENTS)?;
        let error = Diagnostic::new(self.span(), format!("no statement begins with `{word}`"));
        Some(error.hint(format!("did you mean `{meant}`?")))
    }

    fn selection(&mut self) -> Parsed<Selection> {
        let mut left = self.selection_and()?;
        if self.take_word("or") {
            let right = self.nested(Self::selection)?;
            left = Selection::Or(Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn selection_and(&mut self) -> Parsed<Selection> {
        let mut left = self.selection_one()?;
        if self.take_word("and") {
            let right = self.nested(Self::selection_and)?;
            left = Selection::And(Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn selection_one(&mut self) -> Parsed<Selection> {
        if self.take_word("not") {
            let inner = self.nested(Self::selection_one)?;
            return Ok(Selection::Not(Box::new(inner)));
        }
        if self.take_sign("(") {
            let inner = self.nested(Self::selection)?;
            self.sign(")")?;
            return Ok(inner);
        }
        for axis in [Axis::Os, Axis::Hardware] {
            if self.take_word(axis.word()) {
                self.keyword("is")?;
                return Ok(Selection::Is(axis, self.alternatives()?));
            }
        }
        self.name().map(Selection::Knob)
    }

    fn alternatives(&mut self) -> Parsed<Vec<Name>> {
        let mut names = vec![self.variant_name()?];
        while self.take_sign("|") {
            names.push(self.variant_name()?);
        }
        Ok(names)
    }
}
