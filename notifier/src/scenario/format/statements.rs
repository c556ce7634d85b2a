//! Statements and blocks of them.

use super::Writer;
use super::declarations::typed_text;
use super::expressions::{call_text, expression, place};
use crate::scenario::tree::{Action, Selection, Statement};

impl Writer {
    pub(super) fn block(&mut self, head: &str, body: &[Statement]) {
        self.line(&format!("{head} {{"));
        self.inner(body);
        self.line("}");
    }

    pub(super) fn inner(&mut self, body: &[Statement]) {
        self.depth += 1;
        for statement in body {
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
            Action::Loop(body) => self.block("loop", body),
            Action::Repeat(times, body) => self.block(&format!("repeat {times}"), body),
            Action::If(condition, then, otherwise) => {
                self.branch(&format!("if {}", expression(condition)), then, otherwise);
            }
            Action::When(selection, then, otherwise) => {
                self.branch(
                    &format!("when {}", selection_text(selection)),
                    then,
                    otherwise,
                );
            }
            Action::Choose(branches) => self.choose(branches),
            simple => self.line(&format!("{};", simple_text(simple))),
        }
    }

    fn branch(&mut self, head: &str, then: &[Statement], otherwise: &[Statement]) {
        self.line(&format!("{head} {{"));
        self.inner(then);
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
        Selection::Not(inner) => format!("not ({})", selection_text(inner)),
        Selection::And(one, other) => {
            format!("({}) and ({})", selection_text(one), selection_text(other))
        }
        Selection::Or(one, other) => {
            format!("({}) or ({})", selection_text(one), selection_text(other))
        }
    }
}
