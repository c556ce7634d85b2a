//! Whether a scenario makes sense: names, kinds, termination, the initial state.

mod bindings;
mod flow;
mod live;
mod used;
mod values;

use super::symbols::unknown;
use super::tree::{
    Action, Count, Demand, Expression, Item, Kind, Name, Place, Scenario, Selection, Statement,
    Typed,
};
use super::{Diagnostic, Symbols};

pub(crate) use live::{nested, no_page};

/// A scenario that makes sense, with what it declares.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The tree.
    pub scenario: Scenario,
    /// What it declares.
    pub symbols: Symbols,
}

/// Sees whether `scenario`, as somebody wrote it, makes sense in all of its variants and has nothing
/// in it that is of no use.
///
/// # Errors
/// The first thing that is wrong, not yet [located](Diagnostic::locate).
pub fn check(scenario: Scenario) -> Result<Checked, Diagnostic> {
    let checked = check_edited(scenario)?;
    used::all_used(&checked.scenario, &checked.symbols)?;
    Ok(checked)
}

/// Sees whether an edited `scenario` makes sense in all of its variants. The edit may have taken away
/// what alone made use of something.
///
/// # Errors
/// The first thing that does not, not yet [located](Diagnostic::locate).
pub(crate) fn check_edited(scenario: Scenario) -> Result<Checked, Diagnostic> {
    let symbols = Symbols::gather(&scenario)?;
    declarations(&scenario, &symbols)?;
    bindings::bindings(&symbols)?;
    flow::no_recursion(&symbols)?;
    for item in &scenario.items {
        Checker::of(&symbols, item)?.item(item)?;
    }
    flow::initial_state(&scenario)?;
    if symbols.properties.is_empty() && symbols.tables.is_empty() {
        return Err(Diagnostic::new(
            scenario.name.span,
            "no condition and no table: nothing is asked",
        ));
    }
    Ok(Checked { scenario, symbols })
}

/// The most agents and events, variables, and elements of an array.
const MANY: usize = 64;

/// The most conditions and counters: each has a bit of what a step does.
const FEW: usize = 16;

/// The most registers and parameters of one body: they are looked up by their names.
const REGISTERS: usize = 256;

fn declarations(scenario: &Scenario, symbols: &Symbols) -> Result<(), Diagnostic> {
    let whole = |message: String| Err(Diagnostic::whole(message));
    let frames = scenario.items.iter().filter_map(|item| match item {
        Item::Frames(names) => Some(names),
        _ => None,
    });
    no_more("agents", MANY, symbols.agents.iter().map(|one| &one.name))?;
    no_more("events", MANY, symbols.events.iter().map(|one| &one.name))?;
    no_more("frames", MANY, frames.flatten())?;
    let variables = symbols.variables.iter().map(|one| &one.name);
    no_more("variables", MANY, variables)?;
    let conditions = symbols.properties.iter().map(|one| &one.name);
    no_more("conditions", FEW, conditions)?;
    no_more("counters", FEW, symbols.counters.iter())?;
    for variable in &symbols.variables {
        let count = symbols.count(variable.count);
        if count == 0 || count > MANY {
            let message = format!("{count} of them: an array has 1 to {MANY} elements");
            return Err(Diagnostic::new(variable.name.span, message));
        }
    }
    if symbols.fields.contains(&"F") && symbols.frames.is_empty() {
        return whole("an entry has a frame (F), but no `frames` are declared".into());
    }
    if !symbols.fields.is_empty() && !symbols.fields.contains(&"P") {
        return whole("an entry needs the field P: whether it is present".into());
    }
    Ok(())
}

/// A mistake at the first of so many names that is one too many.
fn no_more<'a>(
    what: &str,
    most: usize,
    names: impl Iterator<Item = &'a Name> + Clone,
) -> Result<(), Diagnostic> {
    match names.clone().nth(most) {
        Some(name) => {
            let number = names.count();
            let message = format!("{number} {what}: at most {most} can be explored");
            Err(Diagnostic::new(name.span, message))
        }
        None => Ok(()),
    }
}

/// What is known at some place of a scenario.
struct Checker<'a> {
    symbols: &'a Symbols,
    /// Parameters, and behind them registers.
    locals: Vec<(String, Kind)>,
    /// How many parameters there are.
    parameters: usize,
    /// Whether ghosts may be looked at here.
    ghosts: bool,
    /// Whether a procedure's body is looked at, so that `return` has a meaning.
    procedure: bool,
    loops: usize,
    /// Whether all of it is one step.
    atomic: bool,
    /// What this place is in, where that matters for a `live` block.
    within: Within,
}

/// What a statement may be in that leaves no room for every hardware operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Nothing,
    Event,
    Atomic,
    Instruction,
    Live,
}

type Checks = Result<(), Diagnostic>;

impl<'a> Checker<'a> {
    fn of(symbols: &'a Symbols, item: &Item) -> Result<Self, Diagnostic> {
        let mut checker = Self {
            symbols,
            locals: Vec::new(),
            parameters: 0,
            ghosts: false,
            procedure: matches!(item, Item::Procedure(_)),
            loops: 0,
            atomic: matches!(item, Item::Event(_) | Item::Initially(_)),
            within: match item {
                Item::Event(_) => Within::Event,
                _ => Within::Nothing,
            },
        };
        match item {
            Item::Function(function) => checker.declare(&function.parameters)?,
            Item::Procedure(procedure) => {
                checker.declare(&procedure.parameters)?;
                checker.registers(&procedure.body)?;
            }
            Item::Agent(agent) => checker.registers(&agent.body)?,
            Item::Event(event) => checker.registers(&event.body)?,
            _ => {}
        }
        Ok(checker)
    }

    fn declare(&mut self, all: &[Typed]) -> Checks {
        self.parameters = all.len();
        all.iter().try_for_each(|typed| self.local(typed))
    }

    fn local(&mut self, typed: &Typed) -> Checks {
        let name = &typed.name.text;
        if self.locals.len() == REGISTERS {
            let message = format!("more than {REGISTERS} registers and parameters");
            return Err(Diagnostic::new(typed.name.span, message));
        }
        let known = self.locals.iter().any(|(local, _)| local == name)
            || self.symbols.variable(name).is_some()
            || self.symbols.frame(name).is_some()
            || self.symbols.has_knob(name);
        if known {
            return Err(Diagnostic::new(
                typed.name.span,
                format!("`{name}` is declared twice"),
            ));
        }
        if typed.kind == Kind::Entry {
            self.has_format(&typed.name)?;
        }
        self.locals.push((name.clone(), typed.kind));
        Ok(())
    }

    /// Takes down all registers of a body, wherever they are declared in it.
    fn registers(&mut self, body: &[Statement]) -> Checks {
        for statement in body {
            if let Action::Register(typed) = &statement.action {
                if matches!(typed.kind, Kind::Lock | Kind::RwLock) {
                    return Err(Diagnostic::new(
                        typed.name.span,
                        "a lock is shared, not a register",
                    ));
                }
                self.local(typed)?;
            }
            for block in statement.action.blocks() {
                self.registers(block)?;
            }
        }
        Ok(())
    }

    fn item(&mut self, item: &Item) -> Checks {
        match item {
            Item::Variable(variable) => {
                if variable.kind == Kind::Entry {
                    self.has_format(&variable.name)?;
                }
                match &variable.value {
                    Some(value) => self.fits(value, variable.kind),
                    None => Ok(()),
                }
            }
            Item::Function(function) => {
                // Called from a condition, it may be given ghosts, but it does not look for them.
                self.kind_of(&function.body).map(|_| ())
            }
            Item::Procedure(procedure) => self.body(&procedure.body),
            Item::Agent(agent) => {
                self.body(&agent.body)?;
                agent.interrupts.iter().try_for_each(|interrupt| {
                    let mut inner = Self::of(self.symbols, &Item::Initially(Vec::new()))?;
                    inner.atomic = false;
                    inner.registers(&interrupt.body)?;
                    inner.truth(&interrupt.condition)?;
                    inner.body(&interrupt.body)
                })
            }
            Item::Event(event) => {
                self.truth(&event.condition)?;
                self.body(&event.body)
            }
            Item::Initially(body) => self.body(body),
            Item::Property(property) => {
                self.ghosts = true;
                if let Some(counter) = &property.counter {
                    self.counter(counter)?;
                }
                if property.demand == Demand::Progress && property.condition.is_none() {
                    return Err(Diagnostic::new(property.name.span, "progress to where?"));
                }
                property
                    .condition
                    .iter()
                    .try_for_each(|condition| self.truth(condition))
            }
            Item::Table(table) => {
                self.ghosts = true;
                table
                    .columns
                    .iter()
                    .try_for_each(|column| self.kind_of(column).map(|_| ()))
            }
            _ => Ok(()),
        }
    }

    fn has_format(&self, name: &Name) -> Checks {
        if self.symbols.fields.is_empty() {
            let error = Diagnostic::new(name.span, "the format of an entry is not declared");
            return Err(error.hint("for example `entry { P, W, D };`"));
        }
        Ok(())
    }

    fn body(&mut self, body: &[Statement]) -> Checks {
        body.iter()
            .try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Statement) -> Checks {
        let here = |message: &str| Err(Diagnostic::new(statement.span, message));
        match &statement.action {
            Action::Comment(_) | Action::Register(_) => Ok(()),
            Action::Assign(place, value) => self.assign(place, value),
            Action::Cmpxchg {
                place,
                old,
                new,
                success,
            } => {
                let kind = self.place(place)?;
                self.fits(old, kind)?;
                self.fits(new, kind)?;
                let (success_kind, span) = (self.place(success)?, success.name.span);
                self.same(success_kind, Kind::Number(1), span)
            }
            Action::Fill(place, value) => {
                let kind = self.place(place)?;
                self.same(kind, Kind::Entry, place.name.span)?;
                self.fits(value, Kind::Entry)
            }
            Action::Tlbi(place, agent) => self.tlbi(place, agent.as_ref()),
            Action::Free(frame) => self.fits(frame, Kind::Frame),
            Action::Lock(action, lock) => self.lock(*action, lock),
            Action::Await(condition) => self.truth(condition),
            Action::Forbid(name, condition) => self.forbid(name, condition),
            Action::Count(name) => self.counter(name),
            Action::Call(name, arguments) => self.call(name, arguments),
            Action::Atomic(body) => {
                let outer = std::mem::replace(&mut self.atomic, true);
                self.inner(body, Within::Atomic)?;
                self.atomic = outer;
                Ok(())
            }
            Action::Instruction(body) => self.inner(body, Within::Instruction),
            Action::Live {
                operation,
                page,
                result,
                body,
            } => self.live(statement.span, (*operation, page, result), body),
            Action::Repeat(_, body) => {
                self.loops += 1;
                self.body(body)?;
                self.loops -= 1;
                Ok(())
            }
            Action::If(condition, then, otherwise) => {
                self.truth(condition)?;
                self.body(then)?;
                self.body(otherwise)
            }
            Action::When(selection, then, otherwise) => {
                self.selection(selection)?;
                self.body(then)?;
                self.body(otherwise)
            }
            Action::Choose(branches) => branches.iter().try_for_each(|branch| self.body(branch)),
            Action::Loop(_) if self.atomic => here("a loop in one step: it might never end"),
            Action::Loop(body) => self.endless(statement, body),
            Action::Break if self.loops == 0 && self.within == Within::Live => {
                live::leaves("break", statement.span)
            }
            Action::Return if self.within == Within::Live => live::leaves("return", statement.span),
            Action::Break if self.loops == 0 => here("`break` outside of a loop"),
            Action::Return if !self.procedure => here("`return` outside of a procedure"),
            Action::Break | Action::Return => Ok(()),
        }
    }

    /// A block that leaves no room for every hardware operation.
    fn inner(&mut self, body: &[Statement], within: Within) -> Checks {
        // What is in a `live` block stays in it, whatever is between.
        let within = match self.within {
            Within::Live => Within::Live,
            _ => within,
        };
        let outer = std::mem::replace(&mut self.within, within);
        self.body(body)?;
        self.within = outer;
        Ok(())
    }

    fn endless(&mut self, statement: &Statement, body: &[Statement]) -> Checks {
        if !flow::can_leave(body) {
            let error = Diagnostic::new(statement.span, "this loop can't terminate");
            return Err(error.hint("a loop needs a `break` or a `return`"));
        }
        self.loops += 1;
        self.body(body)?;
        self.loops -= 1;
        Ok(())
    }

    fn assign(&mut self, place: &Place, value: &Expression) -> Checks {
        let ghost = self
            .symbols
            .variable(&place.name.text)
            .is_some_and(|variable| variable.ghost);
        let outer = std::mem::replace(&mut self.ghosts, ghost);
        let kind = self.place(place)?;
        if matches!(kind, Kind::Lock | Kind::RwLock) {
            let error = Diagnostic::new(place.name.span, "a lock is not assigned to");
            return Err(error.hint("use lock, unlock, read-lock, ..."));
        }
        self.fits(value, kind)?;
        self.ghosts = outer;
        Ok(())
    }

    fn tlbi(&mut self, place: &Place, agent: Option<&Name>) -> Checks {
        let whole = place.index.is_none() && place.field.is_none();
        let array = self.symbols.variable(&place.name.text);
        let array = array.is_some_and(|variable| variable.count != Count::One);
        let kind = match (whole && array, self.symbols.variable(&place.name.text)) {
            (true, Some(variable)) => variable.kind,
            _ => self.place(place)?,
        };
        self.same(kind, Kind::Entry, place.name.span)?;
        agent.map_or(Ok(()), |agent| self.agent(agent))
    }

    fn agent(&self, name: &Name) -> Checks {
        match self.symbols.agent(&name.text) {
            Some(_) => Ok(()),
            None => Err(self.symbols.unknown(name, "agent", &self.locals)),
        }
    }

    fn forbid(&mut self, name: &Name, condition: &Expression) -> Checks {
        let mut properties = self.symbols.properties.iter();
        let Some(property) = properties.find(|property| property.name.text == name.text) else {
            return Err(self.symbols.unknown(name, "condition", &self.locals));
        };
        if property.demand != Demand::Forbidden {
            return Err(Diagnostic::new(
                name.span,
                "only a `forbidden` condition is broken by a step",
            ));
        }
        let outer = std::mem::replace(&mut self.ghosts, true);
        self.truth(condition)?;
        self.ghosts = outer;
        Ok(())
    }

    fn counter(&self, name: &Name) -> Checks {
        match self
            .symbols
            .counters
            .iter()
            .any(|counter| counter.text == name.text)
        {
            true => Ok(()),
            false => Err(self.symbols.unknown(name, "counter", &self.locals)),
        }
    }

    fn call(&mut self, name: &Name, arguments: &[Expression]) -> Checks {
        let mut procedures = self.symbols.procedures.iter();
        let Some(procedure) = procedures.find(|one| one.name.text == name.text) else {
            return Err(self.symbols.unknown(name, "procedure", &self.locals));
        };
        self.arguments(name, arguments, &procedure.parameters)
    }

    fn selection(&self, selection: &Selection) -> Checks {
        match selection {
            Selection::Is(axis, names) => names.iter().try_for_each(|name| {
                let known: Vec<&str> = self.symbols.of_axis(*axis).collect();
                match known.contains(&name.text.as_str()) {
                    true => Ok(()),
                    false => Err(unknown(name, axis.word(), &known)),
                }
            }),
            Selection::Knob(name) if self.symbols.has_knob(&name.text) => Ok(()),
            Selection::Knob(name) => Err(self.symbols.unknown(name, "knob", &self.locals)),
            Selection::Not(inner) => self.selection(inner),
            Selection::And(one, other) | Selection::Or(one, other) => {
                self.selection(one)?;
                self.selection(other)
            }
        }
    }
}
