//! Agents side by side, as herd7 writes them: a row of names, then rows of statements.

use super::{Parsed, Parser};
use crate::scenario::tree::{Agent, Gap, Item, Layout, Name, Statement};
use crate::scenario::{Diagnostic, Span};

/// An agent as far as it is read.
struct Column {
    name: Name,
    body: Vec<Statement>,
    /// The row of each statement.
    rows: Vec<usize>,
}

impl Parser {
    /// What stands behind `agents`.
    pub(super) fn agents(&mut self) -> Parsed<Vec<Item>> {
        self.sign("{")?;
        let mut early = Vec::new();
        while let Some(comment) = self.comment_statement() {
            early.push(comment);
        }
        let mut columns = self.heads()?;
        for (row, comment) in early.into_iter().enumerate() {
            add(columns.first_mut(), row, comment);
        }
        self.rows(&mut columns)?;
        Ok(columns.into_iter().enumerate().map(agent).collect())
    }

    fn heads(&mut self) -> Parsed<Vec<Column>> {
        let mut columns = vec![self.head()?];
        while self.take_sign("|") {
            columns.push(self.head()?);
        }
        self.sign(";")?;
        Ok(columns)
    }

    fn head(&mut self) -> Parsed<Column> {
        Ok(Column {
            name: self.name()?,
            body: Vec::new(),
            rows: Vec::new(),
        })
    }

    /// Comments between rows belong to the first agent.
    fn rows(&mut self, columns: &mut [Column]) -> Parsed<()> {
        let mut row = columns.first().map_or(0, |first| first.body.len());
        while !self.take_sign("}") {
            // A row is left out where a blank line is.
            row += usize::from(matches!(self.gap(), Gap::Line));
            match self.comment_statement() {
                Some(comment) => add(columns.first_mut(), row, comment),
                None if self.row(row, columns)? => {}
                None => continue,
            }
            row += 1;
        }
        Ok(())
    }

    /// Whether there is a statement in it.
    fn row(&mut self, row: usize, columns: &mut [Column]) -> Parsed<bool> {
        let (start, agents) = (self.span(), columns.len());
        let mut filled = false;
        for (at, column) in columns.iter_mut().enumerate() {
            if at > 0 && self.is_sign(";") {
                return Err(too_few(self.since(start).to(self.span()), at, agents));
            }
            if at > 0 {
                self.sign("|")?;
            }
            if !self.is_sign("|") && !self.is_sign(";") {
                let cell = self.cell()?;
                add(Some(column), row, cell);
                filled = true;
            }
        }
        if self.is_sign("|") {
            let message = format!("a row with more cells than the {agents} of the names");
            return Err(Diagnostic::new(self.span(), message));
        }
        self.sign(";").map(|()| filled)
    }

    /// A statement without a semicolon of its own.
    fn cell(&mut self) -> Parsed<Statement> {
        if self.is_word("interrupt") {
            let message = "an `interrupt` has no place in a row";
            let error = Diagnostic::new(self.span(), message);
            return Err(error.hint("write its agent as `agent NAME { ... }`"));
        }
        if self.is_sign("}") {
            return Err(self.expected("`;`").hint("each row ends with `;`"));
        }
        self.labelled()
    }
}

fn add(column: Option<&mut Column>, row: usize, statement: Statement) {
    if let Some(column) = column {
        column.body.push(statement);
        column.rows.push(row);
    }
}

fn agent((number, column): (usize, Column)) -> Item {
    Item::Agent(Agent {
        name: column.name,
        body: column.body,
        interrupts: Vec::new(),
        layout: Layout::Column {
            number,
            rows: column.rows,
        },
    })
}

fn too_few(span: Span, cells: usize, agents: usize) -> Diagnostic {
    let error = Diagnostic::new(span, format!("a row of {cells} of {agents} cells"));
    error
        .hint("`;` ends a row, not a statement in it; cells have `|` between them and may be empty")
}
