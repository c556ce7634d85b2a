//! Kinds of places and expressions.

use super::{Checker, Checks};
use crate::scenario::tree::{
    Count, Expression, FieldValue, Kind, LockAction, Name, Node, Operator, Place, Typed,
};
use crate::scenario::{Builtin, Diagnostic, Span};

type Kinded = Result<Kind, Diagnostic>;

/// Kinds are the same whatever the greatest number is.
fn alike(one: Kind, other: Kind) -> bool {
    matches!((one, other), (Kind::Number(_), Kind::Number(_))) || one == other
}

fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Number(_) => "a number",
        Kind::Frame => "a frame",
        Kind::Entry => "an entry",
        Kind::Lock => "a lock",
        Kind::RwLock => "a reader-writer lock",
    }
}

impl Checker<'_> {
    pub(super) fn same(&self, found: Kind, wanted: Kind, span: Span) -> Checks {
        if alike(found, wanted) {
            return Ok(());
        }
        let message = format!("this is {}, and {} is needed", words(found), words(wanted));
        Err(Diagnostic::new(span, message))
    }

    /// Whether a value can be put where `wanted` is.
    pub(super) fn fits(&mut self, value: &Expression, wanted: Kind) -> Checks {
        let found = self.kind_of(value)?;
        self.same(found, wanted, value.span)?;
        match (&value.node, wanted) {
            (Node::Number(number), Kind::Number(most)) if *number > most => {
                let message = format!("{number} does not fit in 0..{most}");
                Err(Diagnostic::new(value.span, message))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn truth(&mut self, value: &Expression) -> Checks {
        let kind = self.kind_of(value)?;
        self.same(kind, Kind::Number(1), value.span)
    }

    pub(super) fn lock(&mut self, action: LockAction, place: &Place) -> Checks {
        let kind = self.place(place)?;
        let wanted = match action {
            LockAction::Lock | LockAction::Unlock => Kind::Lock,
            _ => Kind::RwLock,
        };
        self.same(kind, wanted, place.name.span)
    }

    pub(super) fn place(&mut self, place: &Place) -> Kinded {
        let kind = self.whole(place)?;
        match &place.field {
            None => Ok(kind),
            Some(field) => self.field(kind, field, place.name.span),
        }
    }

    fn whole(&mut self, place: &Place) -> Kinded {
        let name = &place.name;
        let found = self
            .locals
            .iter()
            .find(|(local, _)| *local == name.text)
            .map(|(_, kind)| *kind);
        if let Some(kind) = found {
            return self.no_index(place).map(|()| kind);
        }
        let Some(variable) = self.symbols.variable(&name.text) else {
            return self.no_variable(name);
        };
        if variable.ghost && !self.ghosts {
            let error = Diagnostic::new(name.span, format!("`{}` is a ghost", name.text));
            return Err(error.hint("only conditions, `forbid` and ghosts may look at a ghost"));
        }
        let (count, kind) = (variable.count, variable.kind);
        self.index(place, count)?;
        Ok(kind)
    }

    fn no_variable(&self, name: &Name) -> Kinded {
        if self.symbols.frame(&name.text).is_some() {
            return Ok(Kind::Frame);
        }
        if self.symbols.has_knob(&name.text) {
            return Ok(Kind::Number(1));
        }
        Err(self.symbols.unknown(name, "variable", &self.locals))
    }

    fn no_index(&self, place: &Place) -> Checks {
        match &place.index {
            None => Ok(()),
            Some(index) => Err(Diagnostic::new(
                index.span,
                format!("`{}` is no array", place.name.text),
            )),
        }
    }

    fn index(&mut self, place: &Place, count: Count) -> Checks {
        let Some(index) = &place.index else {
            return match count {
                Count::One => Ok(()),
                _ => {
                    let message = format!("`{}` is an array: which one of it?", place.name.text);
                    Err(Diagnostic::new(place.name.span, message))
                }
            };
        };
        match count {
            Count::One => self.no_index(place),
            Count::PerFrame => self.fits(index, Kind::Frame),
            Count::Many(many) => self.fits(index, Kind::Number(many - 1)),
        }
    }

    fn field(&self, kind: Kind, field: &Name, span: Span) -> Kinded {
        self.same(kind, Kind::Entry, span)?;
        if !self.symbols.fields.contains(&field.text.as_str()) {
            let fields = &self.symbols.fields;
            return Err(crate::scenario::symbols::unknown(
                field,
                "field of an entry",
                fields,
            ));
        }
        Ok(if field.text == "F" {
            Kind::Frame
        } else {
            Kind::Number(1)
        })
    }

    pub(super) fn kind_of(&mut self, value: &Expression) -> Kinded {
        match &value.node {
            Node::Number(number) => Ok(Kind::Number(*number)),
            Node::Place(place) => self.place(place),
            Node::Entry(fields) => self.fields(fields, value.span),
            Node::With(inner, fields) => {
                self.fits(inner, Kind::Entry)?;
                self.fields(fields, value.span)
            }
            Node::Field(inner, field) => {
                let kind = self.kind_of(inner)?;
                self.field(kind, field, inner.span)
            }
            Node::Not(inner) => self.truth(inner).map(|()| Kind::Number(1)),
            Node::Binary(operator, left, right) => self.binary(*operator, left, right),
            Node::If(condition, then, otherwise) => {
                self.truth(condition)?;
                let kind = self.kind_of(then)?;
                self.fits(otherwise, kind.widest())?;
                Ok(kind)
            }
            Node::Call(name, arguments) => self.function(name, arguments),
        }
    }

    fn fields(&mut self, fields: &[FieldValue], span: Span) -> Kinded {
        if self.symbols.fields.is_empty() {
            return Err(Diagnostic::new(
                span,
                "the format of an entry is not declared",
            ));
        }
        for FieldValue { field, value } in fields {
            let kind = self.field(Kind::Entry, field, field.span)?;
            match value {
                Some(value) => self.fits(value, kind)?,
                None => self.same(Kind::Number(1), kind, field.span)?,
            }
        }
        Ok(Kind::Entry)
    }

    fn binary(&mut self, operator: Operator, left: &Expression, right: &Expression) -> Kinded {
        let kind = self.kind_of(left)?;
        match operator {
            Operator::Equal | Operator::Differ => self.fits(right, kind.widest())?,
            _ => {
                self.truth(left)?;
                self.truth(right)?;
            }
        }
        Ok(Kind::Number(1))
    }

    fn function(&mut self, name: &Name, arguments: &[Expression]) -> Kinded {
        if let Some(builtin) = Builtin::named(&name.text) {
            return self
                .builtin(builtin, name, arguments)
                .map(|()| Kind::Number(1));
        }
        let mut functions = self.symbols.functions.iter();
        let Some(function) = functions.find(|one| one.name.text == name.text) else {
            return Err(self.symbols.unknown(name, "function", &self.locals));
        };
        self.arguments(name, arguments, &function.parameters)?;
        Ok(self.result(&function.body, &function.parameters))
    }

    /// The kind of a function's body, which is checked on its own.
    fn result(&self, body: &Expression, parameters: &[Typed]) -> Kind {
        match &body.node {
            Node::Place(place) if place.field.is_none() => {
                let mut named = parameters.iter().filter(|one| one.name == place.name);
                let global = || match self.symbols.variable(&place.name.text) {
                    Some(variable) => variable.kind,
                    None if self.symbols.frame(&place.name.text).is_some() => Kind::Frame,
                    None => Kind::Number(1),
                };
                named.next().map_or_else(global, |one| one.kind)
            }
            Node::Place(Place {
                field: Some(field), ..
            })
            | Node::Field(_, field) => {
                if field.text == "F" {
                    Kind::Frame
                } else {
                    Kind::Number(1)
                }
            }
            Node::Entry(_) | Node::With(..) => Kind::Entry,
            Node::If(_, then, _) => self.result(then, parameters),
            Node::Call(name, _) => {
                let mut functions = self.symbols.functions.iter();
                let called = functions.find(|one| one.name == *name);
                called.map_or(Kind::Number(1), |one| {
                    self.result(&one.body, &one.parameters)
                })
            }
            _ => Kind::Number(1),
        }
    }

    fn builtin(&mut self, builtin: Builtin, name: &Name, arguments: &[Expression]) -> Checks {
        if matches!(builtin, Builtin::AtBoundary | Builtin::Done) {
            return match arguments {
                [
                    Expression {
                        node: Node::Place(place),
                        ..
                    },
                ] => self.agent(&place.name),
                _ => Err(Diagnostic::new(
                    name.span,
                    format!("`{}` takes an agent", name.text),
                )),
            };
        }
        if builtin == Builtin::Held {
            self.count(name, arguments, 1)?;
            return arguments
                .iter()
                .try_for_each(|argument| self.is_lock(argument));
        }
        let (kind, count) = match builtin {
            Builtin::Freed => (Kind::Frame, 1),
            Builtin::MayRead | Builtin::MayWrite => (Kind::Entry, 1),
            _ => (Kind::Entry, 2),
        };
        self.count(name, arguments, count)?;
        arguments
            .iter()
            .try_for_each(|argument| self.fits(argument, kind))
    }

    fn is_lock(&mut self, argument: &Expression) -> Checks {
        match self.kind_of(argument)? {
            Kind::RwLock => Ok(()),
            kind => self.same(kind, Kind::Lock, argument.span),
        }
    }

    fn count(&self, name: &Name, arguments: &[Expression], count: usize) -> Checks {
        if arguments.len() == count {
            return Ok(());
        }
        let message = format!(
            "`{}` takes {count} arguments, not {}",
            name.text,
            arguments.len()
        );
        Err(Diagnostic::new(name.span, message))
    }

    pub(super) fn arguments(
        &mut self,
        name: &Name,
        arguments: &[Expression],
        parameters: &[Typed],
    ) -> Checks {
        self.count(name, arguments, parameters.len())?;
        let mut pairs = arguments.iter().zip(parameters);
        pairs.try_for_each(|(argument, parameter)| self.fits(argument, parameter.kind.widest()))
    }
}

impl Kind {
    /// The kind with no limit to a number, where nothing is stored.
    fn widest(self) -> Self {
        match self {
            Self::Number(_) => Self::Number(u32::MAX),
            other => other,
        }
    }
}
