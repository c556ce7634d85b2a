//! Statements and blocks of them.

use super::Writer;
use super::declarations::typed_text;
use super::expressions::{call_text, expression, place};
use crate::scenario::tree::{Action, HardwareOperation, Place, Selection, Statement};

impl Writer {
    pub(super) fn block(&mut self, head: &str, body: &[Statement]) {
        self.line(&format!("{head} {{"));
        self.inner(body);
        self.line("}");
    }

    pub(super) fn inner(&mut self, body: &[Statement]) {
        self.depth += 1;
        for (at, statement) in body.iter().enumerate() {
            if at > 0 {
                self.gap(statement.gap);
            }
            self.statement(statement);
        }
        self.depth -= 1;
    }

    pub(super) fn statement(&mut self, statement: &Statement) {
        if !statement.label.is_empty() {
            self.line(&format!("\"{}\"", statement.label));
        }
        self.action(&statement.action);
    }

    pub(super) fn action(&mut self, action: &Action) {
        match action {
            Action::Comment(comment) => self.comment(comment),
            Action::Atomic(body) => self.block("atomic", body),
            Action::Instruction(body) => self.block("instruction", body),
            Action::Live {
                operation,
                page,
                result,
                body,
            } => {
                let head = live_text(*operation, page.as_ref(), result.as_ref());
                self.block(&head, body);
            }
            Action::Loop(body) => self.block("loop", body),
            Action::Repeat(times, body) => self.block(&format!("repeat {times}"), body),
            Action::Choose(branches) => self.choose(branches),
            other => match branches(other) {
                Some((head, then, otherwise)) => self.branch(&head, then, otherwise),
                None => self.line(&format!("{};", simple_text(other))),
            },
        }
    }

    fn branch(&mut self, head: &str, then: &[Statement], otherwise: &[Statement]) {
        self.line(&format!("{head} {{"));
        self.inner(then);
        if let [one] = otherwise
            && one.label.is_empty()
            && let Some((head, then, otherwise)) = branches(&one.action)
        {
            return self.branch(&format!("}} else {head}"), then, otherwise);
        }
        if !otherwise.is_empty() {
            self.line("} else {");
            self.inner(otherwise);
        }
        self.line("}");
    }

    fn choose(&mut self, branches: &[Vec<Statement>]) {
        let mut head = "choose {";
        for branch in branches {
            self.line(head);
            self.inner(branch);
            head = "} or {";
        }
        self.line("}");
    }
}

/// What stands before the block of an `if` or a `when`, the block, and that of its `else`.
fn branches(action: &Action) -> Option<(String, &[Statement], &[Statement])> {
    match action {
        Action::If(condition, then, otherwise) => {
            Some((format!("if {}", expression(condition)), then, otherwise))
        }
        Action::When(selection, then, otherwise) => Some((
            format!("when {}", selection_text(selection)),
            then,
            otherwise,
        )),
        _ => None,
    }
}

fn live_text(operation: HardwareOperation, page: Option<&Place>, result: Option<&Place>) -> String {
    let page = page.map(|page| format!(" {}", place(page)));
    let result = result.map(|result| format!(" -> {}", place(result)));
    let (page, result) = (page.unwrap_or_default(), result.unwrap_or_default());
    format!("live {}{page}{result}", operation.word())
}

fn simple_text(action: &Action) -> String {
    match action {
        Action::Register(typed) => format!("reg {}", typed_text(typed)),
        Action::Assign(to, value) => format!("{} = {}", place(to), expression(value)),
        Action::Cmpxchg {
            place: to,
            old,
            new,
            success,
        } => {
            let (old, new) = (expression(old), expression(new));
            format!("cmpxchg {}, {old}, {new} -> {}", place(to), place(success))
        }
        Action::Fill(to, value) => format!("fill {} from {}", place(to), expression(value)),
        Action::Tlbi(to, None) => format!("tlbi {}", place(to)),
        Action::Tlbi(to, Some(agent)) => format!("tlbi {} on {}", place(to), agent.text),
        Action::Free(frame) => format!("free {}", expression(frame)),
        Action::Lock(action, lock) => format!("{} {}", action.word(), place(lock)),
        Action::Await(condition) => format!("await {}", expression(condition)),
        Action::Forbid(name, condition) => {
            format!("forbid {} if {}", name.text, expression(condition))
        }
        Action::Count(name) => format!("count {}", name.text),
        Action::Call(name, arguments) => call_text(name, arguments),
        Action::Return => "return".into(),
        // All others are blocks, and those are not simple.
        _ => "break".into(),
    }
}

fn selection_text(selection: &Selection) -> String {
    match selection {
        Selection::Is(axis, names) => {
            let names: Vec<_> = names.iter().map(|name| name.text.as_str()).collect();
            format!("{} is {}", axis.word(), names.join(" | "))
        }
        Selection::Knob(name) => name.text.clone(),
        Selection::Not(inner) => format!("not {}", part_text(inner, |_| false)),
        Selection::And(one, other) => {
            let next = |other: &_| matches!(other, Selection::And(..));
            format!(
                "{} and {}",
                part_text(one, |_| false),
                part_text(other, next)
            )
        }
        Selection::Or(one, other) => {
            let next = |other: &_| matches!(other, Selection::Or(..));
            format!(
                "{} or {}",
                part_text(one, |_| false),
                part_text(other, next)
            )
        }
    }
}

/// A part of a selection, with parentheses unless it is simple or goes `on` with the same word.
fn part_text(part: &Selection, on: impl Fn(&Selection) -> bool) -> String {
    let text = selection_text(part);
    match part {
        Selection::Is(..) | Selection::Knob(_) | Selection::Not(_) => text,
        joined if on(joined) => text,
        _ => format!("({text})"),
    }
}
