//! Places and expressions.

use crate::scenario::tree::{Expression, FieldValue, Name, Node, Operator, Place};

pub(super) fn place(place: &Place) -> String {
    let index = place
        .index
        .as_ref()
        .map(|index| format!("[{}]", expression(index)));
    let field = place.field.as_ref().map(|field| format!(".{}", field.text));
    let name = &place.name.text;
    format!(
        "{name}{}{}",
        index.unwrap_or_default(),
        field.unwrap_or_default()
    )
}

/// An expression as it is written.
pub fn expression(value: &Expression) -> String {
    match &value.node {
        Node::Number(number) => number.to_string(),
        Node::Place(at) => place(at),
        Node::Entry(fields) => format!("entry {}", fields_text(fields)),
        Node::With(inner, fields) => format!("{} with {}", operand(inner, 9), fields_text(fields)),
        // A place would take the field for its own.
        Node::Field(inner, field) => match inner.node {
            Node::Place(_) => format!("({}).{}", expression(inner), field.text),
            _ => format!("{}.{}", operand(inner, 9), field.text),
        },
        Node::Not(inner) => match inner.node {
            Node::Not(_) | Node::Binary(..) | Node::If(..) => {
                format!("not ({})", expression(inner))
            }
            _ => format!("not {}", expression(inner)),
        },
        Node::Binary(operator, left, right) => {
            let strength = operator.strength();
            let (left, right) = (
                side(*operator, left, strength),
                side(*operator, right, strength + 1),
            );
            format!("{left} {} {right}", operator.sign())
        }
        Node::If(condition, then, otherwise) => {
            let [condition, then, otherwise] =
                [condition, then, otherwise].map(|part| expression(part));
            format!("if {condition} then {then} else {otherwise}")
        }
        Node::Call(name, arguments) => call_text(name, arguments),
    }
}

/// `inner` beside `operator`. A `not` is weaker than a comparison only; an `and` beside an `or` could
/// stand without parentheses, but few readers are sure of it.
fn side(operator: Operator, inner: &Expression, strength: u8) -> String {
    let joins = matches!(operator, Operator::And | Operator::Or);
    match &inner.node {
        Node::Not(_) if joins => expression(inner),
        Node::Binary(Operator::And, ..) if operator == Operator::Or => {
            format!("({})", expression(inner))
        }
        _ => operand(inner, strength),
    }
}

/// `inner` where only what binds at least as strongly as this can stand without parentheses.
fn operand(inner: &Expression, strength: u8) -> String {
    let text = expression(inner);
    let weaker = match &inner.node {
        Node::Binary(operator, ..) => Operator::strength(*operator) < strength,
        Node::Not(_) | Node::If(..) => true,
        _ => false,
    };
    if weaker { format!("({text})") } else { text }
}

fn fields_text(fields: &[FieldValue]) -> String {
    let fields = fields.iter().map(|field| match &field.value {
        Some(value) => format!("{} = {}", field.field.text, expression(value)),
        None => field.field.text.clone(),
    });
    let fields: Vec<_> = fields.collect();
    if fields.is_empty() {
        "{}".into()
    } else {
        format!("{{ {} }}", fields.join(", "))
    }
}

pub(super) fn call_text(name: &Name, arguments: &[Expression]) -> String {
    let arguments: Vec<_> = arguments.iter().map(expression).collect();
    format!("{}({})", name.text, arguments.join(", "))
}
