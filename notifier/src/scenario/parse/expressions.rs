//! Expressions: precedence climbing.

use super::{Parsed, Parser, Token};
use crate::scenario::Diagnostic;
use crate::scenario::tree::{Expression, FieldValue, Node, Operator, Place};

/// How many operators of one strength may stand in a row: each is one level of the tree.
const CHAIN: usize = 128;

impl Parser {
    pub(super) fn expression(&mut self) -> Parsed<Expression> {
        self.nested(|parser| parser.binary(0))
    }

    fn binary(&mut self, weakest: u8) -> Parsed<Expression> {
        let start = self.span();
        let mut left = self.unary()?;
        let mut length = 0;
        while let Some(operator) = self.operator().filter(|sign| sign.strength() >= weakest) {
            self.advance();
            let right = self.nested(|parser| parser.binary(operator.strength() + 1))?;
            length += 1;
            if length > CHAIN {
                let message = format!("more than {CHAIN} operators of one strength in a row");
                let error = Diagnostic::new(self.since(start), message);
                return Err(error.hint("a `function` can stand for a part of it"));
            }
            let node = Node::Binary(operator, Box::new(left), Box::new(right));
            left = Expression {
                node,
                span: self.since(start),
            };
        }
        Ok(left)
    }

    fn operator(&mut self) -> Option<Operator> {
        self.tried("and");
        self.tried("or");
        let found = match self.peek() {
            Token::Sign(sign) => *sign,
            Token::Word(word) => word.as_str(),
            _ => return None,
        };
        Operator::ALL
            .into_iter()
            .find(|operator| operator.sign() == found)
    }

    fn unary(&mut self) -> Parsed<Expression> {
        let start = self.span();
        if self.take_word("not") {
            // Weaker than comparisons: `not a == b` is `not (a == b)`.
            let inner = self.nested(|parser| parser.binary(Operator::Equal.strength()))?;
            let node = Node::Not(Box::new(inner));
            return Ok(Expression {
                node,
                span: self.since(start),
            });
        }
        if self.take_word("if") {
            return self.conditional(start);
        }
        self.postfix()
    }

    fn conditional(&mut self, start: crate::scenario::Span) -> Parsed<Expression> {
        let condition = Box::new(self.expression()?);
        self.keyword("then")?;
        let then = Box::new(self.expression()?);
        self.keyword("else")?;
        let otherwise = Box::new(self.expression()?);
        let node = Node::If(condition, then, otherwise);
        Ok(Expression {
            node,
            span: self.since(start),
        })
    }

    fn postfix(&mut self) -> Parsed<Expression> {
        let start = self.span();
        let mut value = self.primary()?;
        let mut changes = 0;
        loop {
            let node = if self.take_word("with") {
                Node::With(Box::new(value), self.fields()?)
            } else if self.take_sign(".") {
                Node::Field(Box::new(value), self.name()?)
            } else {
                return Ok(value);
            };
            changes += 1;
            if changes > super::DEPTH {
                let message = format!("more than {} changes in a row", super::DEPTH);
                let error = Diagnostic::new(self.since(start), message);
                return Err(error.hint("one `with { ... }` can set several fields"));
            }
            value = Expression {
                node,
                span: self.since(start),
            };
        }
    }

    fn primary(&mut self) -> Parsed<Expression> {
        let start = self.span();
        let node = match self.peek() {
            Token::Number(_) => Node::Number(self.number()?),
            Token::Sign("(") => return self.parenthesis(),
            Token::Word(word) if word == "entry" => {
                self.advance();
                Node::Entry(self.fields()?)
            }
            Token::Word(_) => self.named()?,
            _ => return Err(self.expected("a value")),
        };
        Ok(Expression {
            node,
            span: self.since(start),
        })
    }

    fn parenthesis(&mut self) -> Parsed<Expression> {
        self.advance();
        let inner = self.expression()?;
        self.sign(")")?;
        Ok(inner)
    }

    fn named(&mut self) -> Parsed<Node> {
        let next = self.words.get(self.at + 1).map(|word| &word.token);
        if next == Some(&Token::Sign("(")) {
            let name = self.name()?;
            return Ok(Node::Call(name, self.arguments()?));
        }
        self.place().map(Node::Place)
    }

    pub(super) fn place(&mut self) -> Parsed<Place> {
        let name = self.name()?;
        let index = match self.take_sign("[") {
            true => {
                let index = self.expression()?;
                self.sign("]")?;
                Some(Box::new(index))
            }
            false => None,
        };
        let field = match self.take_sign(".") {
            true => Some(self.name()?),
            false => None,
        };
        Ok(Place { name, index, field })
    }

    pub(super) fn arguments(&mut self) -> Parsed<Vec<Expression>> {
        self.sign("(")?;
        if self.take_sign(")") {
            return Ok(Vec::new());
        }
        let arguments = self.list(Self::expression)?;
        self.sign(")")?;
        Ok(arguments)
    }

    /// `{ P, W = 0 }`
    fn fields(&mut self) -> Parsed<Vec<FieldValue>> {
        self.sign("{")?;
        if self.take_sign("}") {
            return Ok(Vec::new());
        }
        let fields = self.list(|parser| {
            let field = parser.name()?;
            let value = match parser.take_sign("=") {
                true => Some(parser.expression()?),
                false => None,
            };
            Ok(FieldValue { field, value })
        })?;
        self.sign("}")?;
        Ok(fields)
    }
}
