//! From the checked tree and one cell of the matrix to a [`Program`].

mod bindings;
mod merge;
mod operations;
mod statements;
mod values;

use std::collections::BTreeMap;

use super::binding::{Owner, Role};
use super::code::{Code, Instr};
use super::entries::EntryFormat;
use super::layout::{Field, Layout};
use super::live;
use super::program::{Context, Happening, Program, Shown, Wanted, WantedTable};
use super::{Cell, Reductions};
use crate::scenario::tree::{Axis, Binding, Expression, Item, Kind, Name, Statement};
use crate::scenario::{Checked, Diagnostic, Span, Symbols, nearest};
use operations::Around;
use values::Value;

/// The most instructions of one agent, handler or event.
const MAX_INSTRS: usize = 8192;

/// The most registers of one agent, handler or event, with those of the procedures that it calls. Most
/// of so many can have but one value, so that the size of a state does not bound them.
const MAX_REGISTERS: usize = 256;

type Compiled<T> = Result<T, Diagnostic>;

/// Compiles `checked` for one cell.
///
/// # Errors
/// A variant that the file does not declare; a program, an entry or a state that is too large; a
/// value that can't fit where it is put.
pub(super) fn compile(checked: &Checked, cell: &Cell, reductions: Reductions) -> Compiled<Program> {
    let mut compiler = Compiler::new(checked, cell)?;
    compiler.variables()?;
    let initial = compiler.initial()?;
    let mut contexts = compiler.agents(reductions)?;
    let events = compiler.events()?;
    let properties = compiler.properties()?;
    let tables = compiler.tables()?;
    for context in &mut contexts {
        let most = context.code.stops.len().saturating_sub(1) as u64;
        context.pc = compiler.room(most, Span::default())?;
    }
    // Program counters came last, so what is kept of the state is known only now; registers were
    // there before, and all that came later is kept.
    let freed = compiler.freed.clone();
    let mut shown = compiler.shown.clone();
    if let Some(fields) = freed {
        let names = compiler
            .symbols
            .frames
            .iter()
            .map(|frame| format!("freed({frame})"));
        shown.extend(
            names
                .zip(fields)
                .enumerate()
                .map(|(frame, (name, field))| Shown {
                    name,
                    field,
                    kind: Kind::Number(1),
                    most: 1,
                    owner: Owner::Shared,
                    role: Role::Freed { frame },
                }),
        );
    }
    let knobs = compiler.bound_knobs(|binding| match binding {
        Binding::Knob(name, how) => Some((name, how)),
        _ => None,
    });
    let never = compiler.bound_knobs(|binding| match binding {
        Binding::Never(name, why) => Some((name, why)),
        _ => None,
    });
    Ok(Program {
        contexts,
        agents: compiler
            .symbols
            .agents
            .iter()
            .map(|agent| agent.name.text.clone())
            .collect(),
        events,
        properties,
        tables,
        counters: compiler
            .symbols
            .counters
            .iter()
            .map(|name| name.text.clone())
            .collect(),
        initial,
        defaults: compiler.defaults,
        shown,
        registers: compiler.registers,
        knobs,
        never,
        frames: compiler.symbols.frames.clone(),
        format: compiler.format,
        bits: compiler.layout.bits(),
        words: compiler.layout.words(),
    })
}

struct Compiler<'a> {
    checked: &'a Checked,
    symbols: &'a Symbols,
    cell: &'a Cell,
    knobs: Vec<&'a str>,
    format: EntryFormat,
    layout: Layout,
    variables: BTreeMap<&'a str, Vec<Field>>,
    freed: Option<Vec<Field>>,
    shown: Vec<Shown>,
    registers: Vec<Shown>,
    defaults: Vec<(Field, u64)>,
    /// The greatest value of a reader-writer lock, which is a writer's.
    writer: u64,
}

/// What names mean in one body.
#[derive(Clone, Default)]
struct Scope {
    /// Whose registers: agent or handler, and procedure.
    owner: String,
    parameters: BTreeMap<String, Value>,
}

/// A body that is being compiled.
#[derive(Default)]
struct Body {
    code: Code,
    registers: BTreeMap<(String, String), (Field, Kind)>,
    /// Jumps out of the loops that are open, to be pointed behind them.
    breaks: Vec<Vec<usize>>,
    /// Jumps out of the procedures that are open.
    returns: Vec<Vec<usize>>,
    grouping: Grouping,
    label: Option<String>,
    /// The statement that is being compiled.
    span: Span,
    /// The call of the procedure that it is in.
    called: Option<Span>,
    /// What leaves no room for every hardware operation there.
    around: Option<Around>,
}

/// Whether what comes next begins a step.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Grouping {
    /// If others can see it.
    #[default]
    Each,
    /// It is the first of several that are one step.
    First,
    /// It belongs to the step before.
    Rest,
}

impl<'a> Compiler<'a> {
    fn new(checked: &'a Checked, cell: &'a Cell) -> Compiled<Self> {
        let symbols = &checked.symbols;
        let mut knobs = Vec::new();
        for (axis, chosen) in [(Axis::Os, &cell.os), (Axis::Hardware, &cell.hardware)] {
            knobs.extend(knobs_of(symbols, axis, chosen.as_deref())?);
        }
        let too_large =
            || Diagnostic::whole("an entry has more than 10 bits; declare fewer frames or fields");
        let contexts = symbols
            .agents
            .iter()
            .map(|agent| 1 + agent.interrupts.len() as u64);
        Ok(Self {
            checked,
            symbols,
            cell,
            knobs,
            format: EntryFormat::new(symbols).ok_or_else(too_large)?,
            layout: Layout::default(),
            variables: BTreeMap::new(),
            freed: None,
            shown: Vec::new(),
            registers: Vec::new(),
            defaults: Vec::new(),
            writer: contexts.sum::<u64>() + 1,
        })
    }

    /// The greatest value of a kind.
    fn most(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Number(most) => most.into(),
            Kind::Frame => self.symbols.frames.len().saturating_sub(1) as u64,
            Kind::Entry => self.format.most(),
            Kind::Lock => 1,
            Kind::RwLock => self.writer,
        }
    }

    fn room(&mut self, most: u64, span: Span) -> Compiled<Field> {
        let message = "the state is too large: more than 256 bits";
        self.layout
            .add(most)
            .ok_or_else(|| Diagnostic::new(span, message))
    }

    fn variables(&mut self) -> Compiled<()> {
        for variable in &self.symbols.variables {
            let most = self.most(variable.kind);
            let value = match &variable.value {
                Some(value) => self.constant(value, most)?,
                None => 0,
            };
            let mut fields = Vec::new();
            let bound = self.bound(variable);
            let owner = match variable.ghost {
                true => Owner::Ghost,
                false => Owner::Shared,
            };
            for index in 0..self.symbols.count(variable.count) {
                let field = self.room(most, variable.name.span)?;
                self.defaults.push((field, value));
                let name = self.element(variable, index);
                self.shown.push(Shown {
                    name,
                    field,
                    kind: variable.kind,
                    most,
                    owner,
                    role: self.role(&variable.name, bound, index),
                });
                fields.push(field);
            }
            self.variables.insert(&variable.name.text, fields);
        }
        Ok(())
    }

    fn element(&self, variable: &crate::scenario::tree::Variable, index: usize) -> String {
        use crate::scenario::tree::Count;
        let name = &variable.name.text;
        match variable.count {
            Count::One => name.clone(),
            Count::Many(_) => format!("{name}[{index}]"),
            Count::PerFrame => format!("{name}[{}]", self.symbols.frames[index]),
        }
    }

    /// The value of an initial value, which depends on nothing.
    fn constant(&mut self, expression: &Expression, most: u64) -> Compiled<u64> {
        let value = self.value(expression, &Scope::default(), &Body::default())?;
        let number = value
            .ex
            .constant()
            .and_then(|number| u64::try_from(number).ok());
        match number {
            Some(number) if number <= most => Ok(number),
            Some(number) => {
                let message = format!("{number} does not fit in 0..{most}");
                Err(Diagnostic::new(expression.span, message))
            }
            None => Err(
                Diagnostic::new(expression.span, "an initial value depends on nothing")
                    .hint("use `initially { ... }`"),
            ),
        }
    }

    /// The assignments of the initial state, as one step.
    fn initial(&mut self) -> Compiled<Code> {
        let mut body = Body {
            grouping: Grouping::Rest,
            ..Body::default()
        };
        let checked = self.checked;
        for item in &checked.scenario.items {
            if let Item::Initially(statements) = item {
                self.block(statements, &Scope::default(), &mut body)?;
            }
        }
        body.code.push(Instr::End, false, "", Span::default());
        Ok(body.code)
    }

    fn agents(&mut self, reductions: Reductions) -> Compiled<Vec<Context>> {
        let mut contexts = Vec::new();
        let symbols = self.symbols;
        for (agent, declared) in symbols.agents.iter().enumerate() {
            let name = &declared.name.text;
            let body = self.body(name, &declared.body, Body::default(), reductions)?;
            let first = contexts.len();
            contexts.push(Context {
                agent,
                name: name.clone(),
                code: body,
                ..Context::default()
            });
            for interrupt in &declared.interrupts {
                let name = format!("{name}.{}", interrupt.name.text);
                let condition = self
                    .value(&interrupt.condition, &Scope::default(), &Body::default())?
                    .ex;
                let mut body = Body::default();
                let about = match interrupt.about.is_empty() {
                    true => format!("takes the interrupt {}", interrupt.name.text),
                    false => interrupt.about.clone(),
                };
                body.code
                    .push(Instr::Enter, true, &about, interrupt.name.span);
                let code = self.body(&name, &interrupt.body, body, reductions)?;
                contexts.push(Context {
                    agent,
                    name,
                    code,
                    condition: Some(condition),
                    ..Context::default()
                });
            }
            let all = first..contexts.len();
            for at in all.clone() {
                contexts[at].below = (first..at).collect();
                contexts[at].above = (at + 1..all.end).collect();
            }
        }
        Ok(contexts)
    }

    fn body(
        &mut self,
        owner: &str,
        statements: &[Statement],
        mut body: Body,
        reductions: Reductions,
    ) -> Compiled<Code> {
        let scope = Scope {
            owner: owner.into(),
            ..Scope::default()
        };
        self.block(statements, &scope, &mut body)?;
        body.code.push(Instr::End, false, "", Span::default());
        if reductions == Reductions::On {
            merge::merge(&mut body.code);
            // Their numbers say nothing any more.
            body.code.operations.clear();
        }
        self.name_registers(owner, &body);
        body.code.number_stops();
        let registers: Vec<Field> = body.registers.values().map(|(field, _)| *field).collect();
        live::clear_dead(&mut body.code, &registers, reductions == Reductions::On);
        Ok(body.code)
    }

    /// Takes down whose registers are where.
    fn name_registers(&mut self, owner: &str, body: &Body) {
        let named = |((scope, name), (field, kind)): (&(String, String), &(Field, Kind))| Shown {
            name: match scope == owner {
                true => format!("{owner}.{name}"),
                false => format!("{owner}.{scope}.{name}"),
            },
            field: *field,
            kind: *kind,
            most: self.most(*kind),
            owner: Owner::Register,
            role: Role::Word,
        };
        let registers: Vec<Shown> = body.registers.iter().map(named).collect();
        self.registers.extend(registers);
    }

    fn events(&mut self) -> Compiled<Vec<Happening>> {
        let mut events = Vec::new();
        let symbols = self.symbols;
        for event in &symbols.events {
            let condition = self
                .value(&event.condition, &Scope::default(), &Body::default())?
                .ex;
            let mut body = Body {
                grouping: Grouping::Rest,
                around: Some(Around::Event),
                ..Body::default()
            };
            let name = &event.name.text;
            let scope = Scope {
                owner: name.clone(),
                ..Scope::default()
            };
            self.block(&event.body, &scope, &mut body)?;
            body.code.push(Instr::End, false, "", Span::default());
            let words = if event.about.is_empty() {
                name
            } else {
                &event.about
            };
            self.name_registers(name, &body);
            if condition.constant() != Some(0) {
                events.push(Happening {
                    name: name.clone(),
                    words: words.clone(),
                    condition,
                    code: body.code,
                    scratch: body
                        .registers
                        .into_values()
                        .map(|(field, _)| field)
                        .collect(),
                });
            }
        }
        Ok(events)
    }

    fn properties(&mut self) -> Compiled<Vec<Wanted>> {
        let symbols = self.symbols;
        let wanted = symbols.properties.iter().map(|property| {
            let condition = match &property.condition {
                Some(condition) => Some(
                    self.value(condition, &Scope::default(), &Body::default())?
                        .ex,
                ),
                None => None,
            };
            let counter = property
                .counter
                .as_ref()
                .and_then(|name| self.counter(name));
            Ok(Wanted {
                name: property.name.text.clone(),
                about: property.about.clone(),
                demand: property.demand,
                scope: property.scope,
                condition,
                counter,
            })
        });
        wanted.collect()
    }

    fn counter(&self, name: &Name) -> Option<usize> {
        self.symbols
            .counters
            .iter()
            .position(|counter| counter.text == name.text)
    }

    fn tables(&mut self) -> Compiled<Vec<WantedTable>> {
        let mut tables = Vec::new();
        let symbols = self.symbols;
        for table in &symbols.tables {
            let mut columns = Vec::new();
            for column in &table.columns {
                let value = self.value(column, &Scope::default(), &Body::default())?;
                columns.push((
                    crate::scenario::format_expression(column),
                    value.ex,
                    value.kind,
                ));
            }
            tables.push(WantedTable {
                name: table.name.text.clone(),
                about: table.about.clone(),
                columns,
            });
        }
        Ok(tables)
    }
}

/// The knobs that the chosen value of an axis turns on.
fn knobs_of<'a>(symbols: &'a Symbols, axis: Axis, chosen: Option<&str>) -> Compiled<Vec<&'a str>> {
    let Some(chosen) = chosen else {
        return Ok(Vec::new());
    };
    let mut variants = symbols
        .variants
        .iter()
        .filter(|variant| variant.axis == axis);
    match variants.find(|variant| variant.name.text == chosen) {
        Some(variant) => Ok(variant
            .knobs
            .iter()
            .map(|knob| knob.text.as_str())
            .collect()),
        None => {
            let known: Vec<&str> = symbols.of_axis(axis).collect();
            let error = Diagnostic::whole(format!("no {} is called `{chosen}`", axis.word()));
            Err(match nearest(chosen, known.iter().copied()) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error.hint(format!("one of {}", known.join(", "))),
            })
        }
    }
}
