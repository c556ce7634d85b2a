//! What stands behind `live`.

use super::{Parsed, Parser, Token};
use crate::scenario::Diagnostic;
use crate::scenario::tree::{Action, Binding, HardwareOperation, Name, Place};

impl Parser {
    /// What a declaration binds.
    pub(super) fn binding(&mut self) -> Parsed<Binding> {
        let binding = if self.take_word("page") {
            Binding::Page(self.list(Self::name)?)
        } else if self.take_word("tlb") {
            let name = self.name()?;
            self.keyword("of")?;
            let agents = self.list(Self::name)?;
            let page = self.bound_page()?;
            Binding::Tlb { name, agents, page }
        } else if self.take_word("smmu") {
            let names = self.list(Self::name)?;
            let page = self.bound_page()?;
            Binding::Smmu { names, page }
        } else if self.take_word("contents") {
            Binding::Contents(self.list(Self::name)?)
        } else if self.take_word("knob") {
            let (knob, how) = self.knob("how the knob is turned on, as for `--smmu`")?;
            Binding::Knob(knob, how)
        } else if self.take_word("never") {
            let (knob, why) = self.knob("why no machine has it")?;
            Binding::Never(knob, why)
        } else {
            return Err(self.no_binding());
        };
        self.sign(";")?;
        Ok(binding)
    }

    fn bound_page(&mut self) -> Parsed<Place> {
        self.keyword("for")?;
        self.place()
    }

    /// A knob and the text that has to stand behind it.
    fn knob(&mut self, what: &str) -> Parsed<(Name, String)> {
        let (name, span) = (self.name()?, self.span());
        if !matches!(self.peek(), Token::Text(_)) {
            return Err(self.expected(&format!("a text: {what}")));
        }
        let text = self.about();
        match text.trim().is_empty() {
            true => Err(Diagnostic::new(span, format!("an empty text: {what}"))),
            false => Ok((name, text)),
        }
    }

    fn no_binding(&self) -> Diagnostic {
        match self.operation() {
            Some(operation) => {
                let hint = format!("`live {}` is a statement", operation.word());
                self.expected("what is bound").hint(hint)
            }
            None => self.expected_one_of("what is bound", &Binding::WORDS),
        }
    }

    /// The operation whose word stands here.
    fn operation(&self) -> Option<HardwareOperation> {
        let mut known = HardwareOperation::ALL.into_iter();
        known.find(|operation| self.is_word(operation.word()))
    }

    /// What hardware does at once, and the model of it.
    pub(super) fn live(&mut self) -> Parsed<Action> {
        let Some(operation) = self.operation() else {
            return Err(self.no_operation());
        };
        self.advance();
        let (page, result) = match operation {
            HardwareOperation::Event => (None, None),
            _ => (Some(self.place()?), self.result()?),
        };
        Ok(Action::Live {
            operation,
            page,
            result,
            body: self.block()?,
        })
    }

    fn no_operation(&self) -> Diagnostic {
        match Binding::WORDS.into_iter().find(|word| self.is_word(word)) {
            Some(word) => {
                let hint = format!("`live {word}` is a declaration: it stands in no block");
                self.expected("an operation").hint(hint)
            }
            None => {
                let known = HardwareOperation::ALL.map(HardwareOperation::word);
                self.expected_one_of("an operation", &known)
            }
        }
    }

    fn result(&mut self) -> Parsed<Option<Place>> {
        match self.take_sign("->") {
            true => self.place().map(Some),
            false => Ok(None),
        }
    }
}
