//! Expressions and places.

use super::{Body, Compiled, Compiler, Scope};
use crate::explore::code::{Ex, Target};
use crate::explore::entries::EntryFormat;
use crate::explore::layout::Field;
use crate::scenario::tree::{Expression, FieldValue, Kind, Name, Node, Operator, Place};
use crate::scenario::{Builtin, Diagnostic, Span};

/// The most nodes that an expression may have when all functions in it are written out.
const MAX_NODES: usize = 20_000;

/// An expression that is compiled.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) ex: Ex,
    pub(super) kind: Kind,
    /// It is at most this.
    pub(super) most: u64,
    /// Where it is, if it can be assigned to.
    pub(super) target: Option<Target>,
    /// Whether others can see it.
    pub(super) shared: bool,
    nodes: usize,
}

impl Value {
    fn number(ex: Ex, most: u64, parts: &[&Self]) -> Self {
        Self::of(ex, Kind::Number(1), most, parts)
    }

    fn of(ex: Ex, kind: Kind, most: u64, parts: &[&Self]) -> Self {
        Self {
            ex,
            kind,
            most,
            target: None,
            shared: parts.iter().any(|part| part.shared),
            nodes: 1 + parts.iter().map(|part| part.nodes).sum::<usize>(),
        }
    }
}

impl Compiler<'_> {
    pub(super) fn value(
        &mut self,
        expression: &Expression,
        scope: &Scope,
        body: &Body,
    ) -> Compiled<Value> {
        let value = self.written(expression, scope, body)?;
        if value.nodes > MAX_NODES {
            let message = "too large when its functions are written out";
            return Err(Diagnostic::new(expression.span, message));
        }
        Ok(value)
    }

    fn written(&mut self, expression: &Expression, scope: &Scope, body: &Body) -> Compiled<Value> {
        match &expression.node {
            Node::Number(number) => {
                let most = u64::from(*number);
                Ok(Value::of(
                    Ex::Const((*number).into()),
                    Kind::Number(*number),
                    most,
                    &[],
                ))
            }
            Node::Place(place) => self.place(place, scope, body),
            Node::Entry(fields) => {
                let zero = Value::of(Ex::Const(0), Kind::Entry, self.format.most(), &[]);
                self.with(zero, fields, scope, body)
            }
            Node::With(inner, fields) => {
                let inner = self.value(inner, scope, body)?;
                self.with(inner, fields, scope, body)
            }
            Node::Field(inner, field) => {
                let inner = self.value(inner, scope, body)?;
                self.field(inner, field)
            }
            Node::Not(inner) => {
                let inner = self.value(inner, scope, body)?;
                Ok(Value::number(not(inner.ex.clone()), 1, &[&inner]))
            }
            Node::Binary(operator, left, right) => {
                let left = self.value(left, scope, body)?;
                let right = self.value(right, scope, body)?;
                Ok(binary(*operator, &left, &right))
            }
            Node::If(condition, then, otherwise) => {
                let condition = self.value(condition, scope, body)?;
                let then = self.value(then, scope, body)?;
                let otherwise = self.value(otherwise, scope, body)?;
                Ok(choice(&condition, then, otherwise))
            }
            Node::Call(name, arguments) => self.function(name, arguments, scope, body),
        }
    }

    pub(super) fn place(&mut self, place: &Place, scope: &Scope, body: &Body) -> Compiled<Value> {
        let value = self.whole(place, scope, body)?;
        match &place.field {
            Some(field) => self.field(value, field),
            None => Ok(value),
        }
    }

    fn whole(&mut self, place: &Place, scope: &Scope, body: &Body) -> Compiled<Value> {
        let name = &place.name.text;
        if let Some(value) = scope.parameters.get(name) {
            return Ok(value.clone());
        }
        if let Some((field, kind)) = body.registers.get(&(scope.owner.clone(), name.clone())) {
            return Ok(self.at(vec![*field], None, *kind, false));
        }
        if let Some(variable) = self.symbols.variable(name) {
            let fields = self
                .variables
                .get(name.as_str())
                .cloned()
                .unwrap_or_default();
            let index = match &place.index {
                Some(index) => Some(self.index(index, fields.len(), scope, body)?),
                None => None,
            };
            return Ok(self.at(fields, index, variable.kind, !variable.ghost));
        }
        if let Some(frame) = self.symbols.frame(name) {
            let frame = frame as u64;
            return Ok(Value::of(
                Ex::Const(frame.cast_signed()),
                Kind::Frame,
                frame,
                &[],
            ));
        }
        let on = i64::from(self.knobs.contains(&name.as_str()));
        Ok(Value::number(Ex::Const(on), 1, &[]))
    }

    fn index(
        &mut self,
        index: &Expression,
        length: usize,
        scope: &Scope,
        body: &Body,
    ) -> Compiled<Value> {
        let value = self.value(index, scope, body)?;
        if value.most >= length as u64 {
            let message = format!("this may be up to {}, and there are {length}", value.most);
            return Err(Diagnostic::new(index.span, message));
        }
        Ok(value)
    }

    fn at(&self, fields: Vec<Field>, index: Option<Value>, kind: Kind, shared: bool) -> Value {
        let most = self.most(kind);
        // An index that is known picks one field once and for all.
        let (fields, index) = match index {
            Some(index) => match index.ex.constant().and_then(|at| usize::try_from(at).ok()) {
                Some(at) => (fields.get(at).copied().into_iter().collect(), None),
                None => (fields, Some(index)),
            },
            None => (fields, None),
        };
        let ex = match (&index, fields.first()) {
            (Some(index), _) => Ex::At(fields.clone(), Box::new(index.ex.clone())),
            (None, Some(field)) => Ex::Get(*field),
            (None, None) => Ex::Const(0),
        };
        let parts: Vec<&Value> = index.iter().collect();
        let mut value = Value::of(ex, kind, most, &parts);
        value.shared |= shared;
        let index = index.map(|index| Box::new(index.ex));
        value.target = Some(Target {
            fields,
            index,
            part: None,
            most,
        });
        value
    }

    fn field(&mut self, value: Value, field: &Name) -> Compiled<Value> {
        let (shift, most) = self.format.field(&field.text).unwrap_or_default();
        let ones = EntryFormat::ones(most);
        let kind = if field.text == "F" {
            Kind::Frame
        } else {
            Kind::Number(1)
        };
        let target = value.target.clone().map(|target| Target {
            part: Some((shift, ones)),
            most,
            ..target
        });
        let ex = Ex::Part(Box::new(value.ex.clone()), shift, ones);
        Ok(Value {
            target,
            ..Value::of(fold(ex), kind, most, &[&value])
        })
    }

    fn with(
        &mut self,
        inner: Value,
        fields: &[FieldValue],
        scope: &Scope,
        body: &Body,
    ) -> Compiled<Value> {
        let (mut parts, mut values) = (Vec::new(), vec![inner]);
        for FieldValue { field, value } in fields {
            let (shift, most) = self.format.field(&field.text).unwrap_or_default();
            let new = match value {
                Some(value) => self.value(value, scope, body)?,
                None => Value::number(Ex::Const(1), 1, &[]),
            };
            if new.most > most {
                let message = format!(
                    "this may be up to {}, and {} only up to {most}",
                    new.most, field.text
                );
                return Err(Diagnostic::new(field.span, message));
            }
            parts.push((shift, EntryFormat::ones(most), new.ex.clone()));
            values.push(new);
        }
        let ex = fold(Ex::With(Box::new(values[0].ex.clone()), parts));
        let values: Vec<&Value> = values.iter().collect();
        Ok(Value::of(ex, Kind::Entry, self.format.most(), &values))
    }

    fn function(
        &mut self,
        name: &Name,
        arguments: &[Expression],
        scope: &Scope,
        body: &Body,
    ) -> Compiled<Value> {
        if let Some(builtin) = Builtin::named(&name.text) {
            return self.builtin(builtin, arguments, scope, body);
        }
        let symbols = self.symbols;
        let mut functions = symbols.functions.iter();
        let Some(function) = functions.find(|one| one.name.text == name.text) else {
            return Err(Diagnostic::new(name.span, "no such function"));
        };
        let mut inner = Scope {
            owner: String::new(),
            ..Scope::default()
        };
        for (argument, parameter) in arguments.iter().zip(&function.parameters) {
            let value = self.argument(argument, parameter.kind, scope, body)?;
            inner.parameters.insert(parameter.name.text.clone(), value);
        }
        self.value(&function.body, &inner, body)
    }

    pub(super) fn argument(
        &mut self,
        argument: &Expression,
        kind: Kind,
        scope: &Scope,
        body: &Body,
    ) -> Compiled<Value> {
        let value = self.value(argument, scope, body)?;
        let most = self.most(kind);
        if value.most > most {
            let message = format!(
                "this may be up to {}, and the parameter only up to {most}",
                value.most
            );
            return Err(Diagnostic::new(argument.span, message));
        }
        Ok(value)
    }

    fn builtin(
        &mut self,
        builtin: Builtin,
        arguments: &[Expression],
        scope: &Scope,
        body: &Body,
    ) -> Compiled<Value> {
        if let (
            Builtin::AtBoundary | Builtin::Done,
            [
                Expression {
                    node: Node::Place(place),
                    ..
                },
            ],
        ) = (builtin, arguments)
        {
            let agent = self.symbols.agent(&place.name.text).unwrap_or_default();
            let ex = match builtin {
                Builtin::Done => Ex::Done(agent),
                _ => Ex::AtBoundary(agent),
            };
            return Ok(Value {
                shared: true,
                ..Value::number(ex, 1, &[])
            });
        }
        let mut values = Vec::new();
        for argument in arguments {
            values.push(self.value(argument, scope, body)?);
        }
        let ex = match (builtin, &values[..]) {
            (Builtin::Freed, [frame]) => {
                let fields = self.freed()?;
                let ex = Ex::At(fields, Box::new(frame.ex.clone()));
                return Ok(Value {
                    shared: true,
                    ..Value::number(ex, 1, &[frame])
                });
            }
            (Builtin::Held, [lock]) => not(not(lock.ex.clone())),
            (_, [one]) => Ex::One(self.format.table(builtin), Box::new(one.ex.clone())),
            (_, [one, other]) => {
                let (bits, table) = (self.format.bits(), self.format.table(builtin));
                Ex::Two(
                    table,
                    bits,
                    Box::new(one.ex.clone()),
                    Box::new(other.ex.clone()),
                )
            }
            _ => Ex::Const(0),
        };
        let values: Vec<&Value> = values.iter().collect();
        Ok(Value::number(ex, 1, &values))
    }

    /// A flag for each frame: whether it is somebody else's.
    pub(super) fn freed(&mut self) -> Compiled<Vec<Field>> {
        if let Some(fields) = &self.freed {
            return Ok(fields.clone());
        }
        let frames = 0..self.symbols.frames.len();
        let fields: Compiled<Vec<Field>> = frames.map(|_| self.room(1, Span::default())).collect();
        let fields = fields?;
        self.defaults.extend(fields.iter().map(|field| (*field, 0)));
        self.freed = Some(fields.clone());
        Ok(fields)
    }
}

fn not(ex: Ex) -> Ex {
    fold(Ex::Not(Box::new(ex)))
}

fn binary(operator: Operator, left: &Value, right: &Value) -> Value {
    let both = |make: fn(Box<Ex>, Box<Ex>) -> Ex, one: &Value, other: &Value| {
        fold(make(Box::new(one.ex.clone()), Box::new(other.ex.clone())))
    };
    let ex = match operator {
        Operator::Or => both(Ex::Or, left, right),
        Operator::And => both(Ex::And, left, right),
        Operator::Equal => both(Ex::Equal, left, right),
        Operator::Differ => not(both(Ex::Equal, left, right)),
        Operator::Less => both(Ex::Less, left, right),
        Operator::Greater => both(Ex::Less, right, left),
        Operator::LessEqual => not(both(Ex::Less, right, left)),
        Operator::GreaterEqual => not(both(Ex::Less, left, right)),
        Operator::Add => both(Ex::Add, left, right),
        Operator::Subtract => both(Ex::Subtract, left, right),
    };
    let most = match operator {
        Operator::Add => left.most + right.most,
        Operator::Subtract => left.most,
        _ => 1,
    };
    Value::number(ex, most, &[left, right])
}

fn choice(condition: &Value, then: Value, otherwise: Value) -> Value {
    match condition.ex.constant() {
        Some(0) => otherwise,
        Some(_) => then,
        None => {
            let [one, two, three] =
                [condition, &then, &otherwise].map(|value| Box::new(value.ex.clone()));
            let most = then.most.max(otherwise.most);
            Value::of(
                Ex::If(one, two, three),
                then.kind,
                most,
                &[condition, &then, &otherwise],
            )
        }
    }
}

/// The same value in fewer nodes, where constants allow it.
fn fold(ex: Ex) -> Ex {
    let number = |ex: &Ex| ex.constant();
    match &ex {
        Ex::Not(inner) => number(inner).map(|inner| Ex::Const(i64::from(inner == 0))),
        Ex::Part(inner, shift, ones) => {
            number(inner).map(|inner| Ex::Const((inner >> shift) & ones.cast_signed()))
        }
        Ex::Or(one, other) => match (number(one), number(other)) {
            (Some(0), Some(other)) => Some(Ex::Const(i64::from(other != 0))),
            (Some(one), _) if one != 0 => Some(Ex::Const(1)),
            (_, Some(other)) if other != 0 => Some(Ex::Const(1)),
            _ => None,
        },
        Ex::And(one, other) => match (number(one), number(other)) {
            (Some(0), _) | (_, Some(0)) => Some(Ex::Const(0)),
            (Some(_), Some(_)) => Some(Ex::Const(1)),
            _ => None,
        },
        Ex::Equal(one, other) => number(one)
            .zip(number(other))
            .map(|(one, other)| Ex::Const(i64::from(one == other))),
        Ex::With(inner, parts) => folded_entry(number(inner), parts),
        _ => None,
    }
    .unwrap_or(ex)
}

fn folded_entry(inner: Option<i64>, parts: &[(u32, u64, Ex)]) -> Option<Ex> {
    let mut entry = inner?.cast_unsigned();
    for (shift, ones, value) in parts {
        let value = value.constant()?.cast_unsigned();
        entry = entry & !(ones << shift) | (value & ones) << shift;
    }
    Some(Ex::Const(entry.cast_signed()))
}
