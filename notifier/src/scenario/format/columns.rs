//! Agents side by side.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr;

use super::Writer;
use crate::scenario::tree::{Action, Agent, Comment, Gap, Item, Layout, Statement};

/// The widest that a column is made for the sake of a cell, so that one long cell does not make all
/// rows long.
const WIDEST: usize = 60;

/// What is between the braces of `agents { ... }`.
pub(super) struct Table<'a> {
    head: Vec<String>,
    /// Where a number is left out there is a blank line.
    rows: BTreeMap<usize, Row<'a>>,
}

enum Row<'a> {
    Cells(Vec<String>),
    Comment(&'a Comment),
}

/// The table with which `items` begin, if that can be written, and the items behind it.
///
/// An edited agent may have lost its rows, and a comment inside a cell has no end on its line: then
/// all agents of the table are written as blocks.
pub(super) fn leading(items: &[Item]) -> Option<(Table<'_>, &[Item])> {
    let columns = items.iter().enumerate().map_while(|(at, item)| match item {
        Item::Agent(agent) => rows(agent, at).map(|rows| (agent, rows)),
        _ => None,
    });
    let columns: Vec<_> = columns.collect();
    let rest = items.get(columns.len()..)?;
    (!columns.is_empty()).then_some(())?;
    Some((table(&columns)?, rest))
}

/// The rows of the column `number`, if `agent` is one.
fn rows(agent: &Agent, number: usize) -> Option<&[usize]> {
    match &agent.layout {
        Layout::Column { number: own, rows } if *own == number => Some(rows),
        _ => None,
    }
}

fn table<'a>(columns: &[(&'a Agent, &[usize])]) -> Option<Table<'a>> {
    let mut by_row = BTreeMap::new();
    for (at, (agent, rows)) in columns.iter().enumerate() {
        let fits = rows.len() == agent.body.len() && rows.is_sorted_by(|one, next| one < next);
        (fits && agent.interrupts.is_empty()).then_some(())?;
        for (row, statement) in rows.iter().zip(&agent.body) {
            put(&mut by_row, *row, (at, columns.len()), statement)?;
        }
    }
    Some(Table {
        head: columns
            .iter()
            .map(|(agent, _)| agent.name.text.clone())
            .collect(),
        rows: by_row,
    })
}

/// Puts `statement` into the cell `at` of so many of a row; `None` if it has no place there.
fn put<'a>(
    by_row: &mut BTreeMap<usize, Row<'a>>,
    row: usize,
    (at, cells): (usize, usize),
    statement: &'a Statement,
) -> Option<()> {
    if let Action::Comment(comment) = &statement.action {
        // Elsewhere than in the first column it would be read as the first agent's.
        let alone = at == 0 && !by_row.contains_key(&row);
        by_row.insert(row, Row::Comment(comment));
        return alone.then_some(());
    }
    let empty = || Row::Cells(vec![String::new(); cells]);
    match by_row.entry(row).or_insert_with(empty) {
        Row::Cells(cells) => *cells.get_mut(at)? = cell(statement)?,
        Row::Comment(_) => return None,
    }
    Some(())
}

fn cell(statement: &Statement) -> Option<String> {
    (!has_comment(statement)).then_some(())?;
    let mut writer = Writer::on_one_line();
    writer.statement(statement);
    let text = writer.out.trim_end();
    Some(text.strip_suffix(';').unwrap_or(text).into())
}

fn has_comment(statement: &Statement) -> bool {
    let blocks = statement.action.blocks();
    matches!(statement.action, Action::Comment(_)) || blocks.into_iter().flatten().any(has_comment)
}

impl Writer {
    pub(super) fn table(&mut self, table: &Table<'_>) {
        let widths = table.widths();
        self.line("agents {");
        self.depth += 1;
        self.line(&row(&table.head, &widths));
        let mut next = table.rows.keys().next().copied();
        for (number, line) in &table.rows {
            if next != Some(*number) {
                self.gap(Gap::Line);
            }
            next = Some(number + 1);
            match line {
                Row::Cells(cells) => self.line(&row(cells, &widths)),
                Row::Comment(comment) => self.comment(comment),
            }
        }
        self.depth -= 1;
        self.line("}");
    }
}

impl Table<'_> {
    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.head.len()];
        let cells = self.rows.values().filter_map(|row| match row {
            Row::Cells(cells) => Some(cells),
            Row::Comment(_) => None,
        });
        for cells in cells.chain([&self.head]) {
            for (widest, cell) in widths.iter_mut().zip(cells) {
                *widest = cell.width().min(WIDEST).max(*widest);
            }
        }
        widths
    }
}

fn row(cells: &[String], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths).map(|(cell, width)| {
        let blanks = width.saturating_sub(cell.width());
        format!("{cell}{}", " ".repeat(blanks))
    });
    let padded: Vec<_> = padded.collect();
    format!("{} ;", padded.join(" | "))
}
