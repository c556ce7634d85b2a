//! Statements.

use std::collections::btree_map::Entry;

use super::operations::Around;
use super::values::Value;
use super::{Body, Compiled, Compiler, Grouping, MAX_INSTRS, MAX_REGISTERS, Scope};
use crate::explore::code::{Ex, Instr, Target};
use crate::scenario::tree::{
    Action, Expression, LockAction, Name, Place, Selection, Statement, Typed,
};
use crate::scenario::{Diagnostic, Span, format_statement};

impl Body {
    /// Adds an instruction that others can see or not; where it went.
    fn push(&mut self, instr: Instr, seen: bool, words: &str) -> usize {
        let start = match self.grouping {
            Grouping::Each => seen,
            Grouping::First => true,
            Grouping::Rest => false,
        };
        if self.grouping == Grouping::First {
            self.grouping = Grouping::Rest;
        }
        let label = self.label.take_if(|_| start);
        let words = label.as_deref().unwrap_or(words);
        self.code.push(instr, start, words, self.span)
    }

    pub(super) fn next(&self) -> usize {
        self.code.instrs.len()
    }

    /// Points the jump at `at` to what comes next.
    fn land(&mut self, at: usize) {
        let next = self.next();
        match &mut self.code.instrs[at] {
            Instr::Jump(to) | Instr::Unless(_, to) => *to = next,
            _ => {}
        }
    }
}

impl Compiler<'_> {
    pub(super) fn block(
        &mut self,
        statements: &[Statement],
        scope: &Scope,
        body: &mut Body,
    ) -> Compiled<()> {
        for statement in statements {
            if body.next() > MAX_INSTRS {
                let message = "too long when procedures and repetitions are written out";
                return Err(Diagnostic::new(statement.span, message));
            }
            self.statement(statement, scope, body)?;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement, scope: &Scope, body: &mut Body) -> Compiled<()> {
        let words = words(statement);
        if !statement.label.is_empty() {
            body.label = Some(statement.label.clone());
        }
        let outer = std::mem::replace(&mut body.span, statement.span);
        self.action(statement, &words, scope, body)?;
        body.span = outer;
        body.label = None;
        Ok(())
    }

    fn action(
        &mut self,
        statement: &Statement,
        words: &str,
        scope: &Scope,
        body: &mut Body,
    ) -> Compiled<()> {
        match &statement.action {
            Action::Comment(_) => {}
            Action::Register(typed) => self.register(typed, scope, body)?,
            Action::Assign(place, value) => {
                let target = self.place(place, scope, body)?;
                let value = self.value(value, scope, body)?;
                self.assign(&target, value, statement.span, words, body)?;
            }
            Action::Cmpxchg {
                place,
                old,
                new,
                success,
            } => {
                let (place, success) = (
                    self.place(place, scope, body)?,
                    self.place(success, scope, body)?,
                );
                let (old, new) = (self.value(old, scope, body)?, self.value(new, scope, body)?);
                let target = self.target(&place, statement.span)?;
                let done = self.target(&success, statement.span)?;
                let instr = Instr::Cmpxchg(target, place.ex, old.ex, new.ex, done, statement.span);
                body.push(instr, true, words);
            }
            Action::Fill(place, value) => {
                let place = self.place(place, scope, body)?;
                let mut value = self.value(value, scope, body)?;
                value.ex = Ex::Part(Box::new(value.ex), 0, self.format.cached());
                self.assign(&place, value, statement.span, words, body)?;
            }
            Action::Tlbi(place, agent) => self.tlbi(place, agent.as_ref(), words, scope, body)?,
            Action::Free(frame) => {
                let frame = self.value(frame, scope, body)?;
                let target = Target {
                    fields: self.freed()?,
                    index: Some(Box::new(frame.ex)),
                    part: None,
                    most: 1,
                };
                body.push(
                    Instr::Assign(target, Ex::Const(1), statement.span),
                    true,
                    words,
                );
            }
            Action::Lock(action, place) => self.lock(*action, place, words, scope, body)?,
            Action::Await(condition) => {
                let condition = self.value(condition, scope, body)?;
                body.push(Instr::Await(condition.ex), true, words);
            }
            Action::Forbid(name, condition) => {
                let mut properties = self.symbols.properties.iter();
                let property = properties
                    .position(|one| one.name.text == name.text)
                    .unwrap_or_default();
                let condition = self.value(condition, scope, body)?;
                body.push(Instr::Forbid(property, condition.ex), false, words);
            }
            Action::Count(name) => {
                let counter = self.counter(name).unwrap_or_default();
                body.push(Instr::Count(counter), false, words);
            }
            Action::Call(name, arguments) => self.call(name, arguments, scope, body)?,
            Action::Atomic(inner) => self.atomic(inner, scope, body)?,
            Action::Instruction(inner) => {
                let first = body.next();
                self.block_in(Around::Instruction, inner, scope, body)?;
                let starts = (first..body.next()).filter(|at| body.code.starts[*at]);
                let inside: Vec<usize> = starts.skip(1).collect();
                inside
                    .into_iter()
                    .for_each(|at| body.code.inside[at] = true);
            }
            Action::Live {
                operation,
                page,
                result,
                body: inner,
            } => {
                let head = (*operation, page.as_ref(), result.as_ref());
                self.live(head, inner, scope, body)?;
            }
            Action::If(condition, then, otherwise) => {
                let condition = self.value(condition, scope, body)?;
                self.branch(condition, words, [then, otherwise], scope, body)?;
            }
            Action::When(selection, then, otherwise) => {
                let chosen = if self.selected(selection) {
                    then
                } else {
                    otherwise
                };
                self.block(chosen, scope, body)?;
            }
            Action::Choose(branches) => self.choose(branches, words, scope, body)?,
            Action::Loop(inner) => self.endless(inner, scope, body)?,
            Action::Repeat(times, inner) => self.repeat(*times, inner, scope, body)?,
            Action::Break => {
                let jump = body.push(Instr::Jump(0), false, words);
                body.breaks
                    .last_mut()
                    .into_iter()
                    .for_each(|jumps| jumps.push(jump));
            }
            Action::Return => {
                let jump = body.push(Instr::Jump(0), false, words);
                body.returns
                    .last_mut()
                    .into_iter()
                    .for_each(|jumps| jumps.push(jump));
            }
        }
        Ok(())
    }

    fn register(&mut self, typed: &Typed, scope: &Scope, body: &mut Body) -> Compiled<()> {
        let key = (scope.owner.clone(), typed.name.text.clone());
        if body.registers.len() == MAX_REGISTERS && !body.registers.contains_key(&key) {
            let message = format!(
                "more than {MAX_REGISTERS} registers of one agent, with the procedures that it calls"
            );
            return Err(Diagnostic::new(typed.name.span, message));
        }
        if let Entry::Vacant(free) = body.registers.entry(key) {
            let field = self.room(self.most(typed.kind), typed.name.span)?;
            free.insert((field, typed.kind));
        }
        Ok(())
    }

    fn target(&self, place: &Value, span: Span) -> Compiled<Target> {
        let error = || Diagnostic::new(span, "this can't be assigned to");
        place.target.clone().ok_or_else(error)
    }

    fn assign(
        &mut self,
        place: &Value,
        value: Value,
        span: Span,
        words: &str,
        body: &mut Body,
    ) -> Compiled<()> {
        let target = self.target(place, span)?;
        // What only ghosts see belongs to the step before, whatever it looks at.
        let ghost = place
            .target
            .as_ref()
            .is_some_and(|target| self.is_ghost(target));
        let seen = !ghost && (place.shared || value.shared);
        body.push(Instr::Assign(target, value.ex, span), seen, words);
        Ok(())
    }

    fn is_ghost(&self, target: &Target) -> bool {
        let mut ghosts = self
            .symbols
            .variables
            .iter()
            .filter(|variable| variable.ghost);
        ghosts.any(|ghost| {
            let fields = self.variables.get(ghost.name.text.as_str());
            fields.is_some_and(|fields| target.fields.iter().any(|field| fields.contains(field)))
        })
    }

    fn tlbi(
        &mut self,
        place: &Place,
        agent: Option<&Name>,
        words: &str,
        scope: &Scope,
        body: &mut Body,
    ) -> Compiled<()> {
        if let Some(agent) = agent {
            let agent = self.symbols.agent(&agent.text).unwrap_or_default();
            body.push(Instr::Await(Ex::AtBoundary(agent)), true, words);
        }
        let value = self.place(place, scope, body)?;
        let target = self.target(&value, place.name.span)?;
        let all = match target.index {
            Some(_) => vec![target],
            None => target
                .fields
                .iter()
                .map(|field| Target {
                    fields: vec![*field],
                    ..target.clone()
                })
                .collect(),
        };
        for (at, target) in all.into_iter().enumerate() {
            let seen = at == 0 && agent.is_none();
            body.push(
                Instr::Assign(target, Ex::Const(0), place.name.span),
                seen,
                words,
            );
        }
        Ok(())
    }

    fn lock(
        &mut self,
        action: LockAction,
        place: &Place,
        words: &str,
        scope: &Scope,
        body: &mut Body,
    ) -> Compiled<()> {
        let lock = self.place(place, scope, body)?;
        let target = self.target(&lock, place.name.span)?;
        let held = || Box::new(lock.ex.clone());
        let number = |number: u64| Ex::Const(number.cast_signed());
        let one = || Box::new(number(1));
        let free = || Ex::Not(held());
        let (wait, value) = match action {
            LockAction::Lock => (Some(free()), number(1)),
            LockAction::WriteLock => (Some(free()), number(self.writer)),
            LockAction::Unlock | LockAction::WriteUnlock => (None, number(0)),
            LockAction::ReadLock => {
                let written = Ex::Equal(held(), Box::new(number(self.writer)));
                (Some(Ex::Not(Box::new(written))), Ex::Add(held(), one()))
            }
            LockAction::ReadUnlock => (None, Ex::Subtract(held(), one())),
        };
        let waits = wait.is_some();
        if let Some(wait) = wait {
            body.push(Instr::Await(wait), true, words);
        }
        body.push(Instr::Assign(target, value, place.name.span), !waits, words);
        Ok(())
    }

    fn call(
        &mut self,
        name: &Name,
        arguments: &[Expression],
        scope: &Scope,
        body: &mut Body,
    ) -> Compiled<()> {
        let symbols = self.symbols;
        let mut procedures = symbols.procedures.iter();
        let Some(procedure) = procedures.find(|one| one.name.text == name.text) else {
            return Err(Diagnostic::new(name.span, "no such procedure"));
        };
        let mut inner = Scope {
            owner: name.text.clone(),
            ..Scope::default()
        };
        for (argument, parameter) in arguments.iter().zip(&procedure.parameters) {
            let value = self.argument(argument, parameter.kind, scope, body)?;
            inner.parameters.insert(parameter.name.text.clone(), value);
        }
        body.returns.push(Vec::new());
        let outer = body.called.replace(body.span);
        self.block(&procedure.body, &inner, body)?;
        body.called = outer;
        let jumps = body.returns.pop().unwrap_or_default();
        jumps.into_iter().for_each(|jump| body.land(jump));
        Ok(())
    }

    fn atomic(&mut self, inner: &[Statement], scope: &Scope, body: &mut Body) -> Compiled<()> {
        let outer = body.grouping;
        if outer == Grouping::Each {
            body.grouping = Grouping::First;
        }
        let label = body.label.clone();
        let around = body.around.replace(Around::Atomic);
        self.block_keeping(inner, label, scope, body)?;
        body.around = around;
        body.grouping = match (outer, body.grouping) {
            (Grouping::First, Grouping::Rest) => Grouping::Rest,
            _ => outer,
        };
        Ok(())
    }

    /// A block whose first step has the label of what it stands in.
    fn block_keeping(
        &mut self,
        inner: &[Statement],
        label: Option<String>,
        scope: &Scope,
        body: &mut Body,
    ) -> Compiled<()> {
        for statement in inner {
            if body.grouping == Grouping::First {
                body.label.clone_from(&label);
            }
            let mut statement = statement.clone();
            if label.is_some() && body.grouping == Grouping::First {
                statement.label.clear();
            }
            self.block(std::slice::from_ref(&statement), scope, body)?;
        }
        Ok(())
    }

    fn branch(
        &mut self,
        condition: Value,
        words: &str,
        [then, otherwise]: [&[Statement]; 2],
        scope: &Scope,
        body: &mut Body,
    ) -> Compiled<()> {
        if let Some(known) = condition.ex.constant() {
            return self.block(if known == 0 { otherwise } else { then }, scope, body);
        }
        let skip = body.push(Instr::Unless(condition.ex, 0), condition.shared, words);
        self.block(then, scope, body)?;
        if otherwise.is_empty() {
            body.land(skip);
            return Ok(());
        }
        let leave = body.push(Instr::Jump(0), false, words);
        body.land(skip);
        self.block(otherwise, scope, body)?;
        body.land(leave);
        Ok(())
    }

    fn choose(
        &mut self,
        branches: &[Vec<Statement>],
        words: &str,
        scope: &Scope,
        body: &mut Body,
    ) -> Compiled<()> {
        let choice = body.push(Instr::Choose(Vec::new()), true, words);
        let (mut targets, mut leave) = (Vec::new(), Vec::new());
        for branch in branches {
            targets.push(body.next());
            self.block(branch, scope, body)?;
            leave.push(body.push(Instr::Jump(0), false, words));
        }
        body.code.instrs[choice] = Instr::Choose(targets);
        leave.into_iter().for_each(|jump| body.land(jump));
        Ok(())
    }

    /// Each round begins a step, so that no step is without end. In a step there is no room for that;
    /// a procedure does not know whether it is called in one.
    fn endless(&mut self, inner: &[Statement], scope: &Scope, body: &mut Body) -> Compiled<()> {
        if body.grouping != Grouping::Each {
            let message = "a loop in one step: it might never end";
            return Err(Diagnostic::new(body.span, message)
                .hint("it is called in an `atomic` block or an event"));
        }
        let first = body.next();
        body.breaks.push(Vec::new());
        self.block(inner, scope, body)?;
        body.push(Instr::Jump(first), false, "again");
        body.code.starts[first] = true;
        let jumps = body.breaks.pop().unwrap_or_default();
        jumps.into_iter().for_each(|jump| body.land(jump));
        Ok(())
    }

    /// `break` leaves a repetition as it leaves a loop.
    fn repeat(
        &mut self,
        times: u32,
        inner: &[Statement],
        scope: &Scope,
        body: &mut Body,
    ) -> Compiled<()> {
        body.breaks.push(Vec::new());
        for _ in 0..times {
            self.block(inner, scope, body)?;
        }
        let jumps = body.breaks.pop().unwrap_or_default();
        jumps.into_iter().for_each(|jump| body.land(jump));
        Ok(())
    }

    fn selected(&self, selection: &Selection) -> bool {
        selection.holds(&|axis, name| self.cell.value(axis) == Some(name), &|knob| {
            self.knobs.contains(&knob)
        })
    }
}

/// What a statement does, up to its block if it has one.
fn words(statement: &Statement) -> String {
    let text = match &statement.action {
        Action::If(condition, ..) => format!(
            "looks whether {}",
            crate::scenario::format_expression(condition)
        ),
        Action::Choose(_) => "one of several".into(),
        Action::Comment(_) | Action::Register(_) | Action::Call(..) => String::new(),
        Action::Atomic(_)
        | Action::Instruction(_)
        | Action::Live { .. }
        | Action::When(..)
        | Action::Loop(_)
        | Action::Repeat(..) => String::new(),
        _ => format_statement(statement),
    };
    text.trim_end_matches(';').into()
}
