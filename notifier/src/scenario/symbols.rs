//! What a scenario declares, by name.

use std::collections::BTreeMap;

use super::tree::{
    Agent, Axis, Binding, Count, Event, Function, Item, Kind, Name, Procedure, Property, Scenario,
    Table, Variable, Variant,
};
use super::{Diagnostic, nearest};

/// The fields that an entry may have, in the order in which they are shown.
const FIELDS: [&str; 7] = ["P", "F", "W", "D", "A", "SD", "WP"];

/// The functions of the language itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// `may-read(entry)`: a load through it passes the permission check.
    MayRead,
    /// `may-write(entry)`: a store through it passes the permission check.
    MayWrite,
    /// `stale-read(cached, entry)`: a load through `cached` breaks the coherence rule.
    StaleRead,
    /// `stale-write(cached, entry)`: a store through `cached` breaks the coherence rule.
    StaleWrite,
    /// `owed-write(cached, entry)`: `cached` refuses a store that `entry` allows.
    OwedWrite,
    /// `upgrades(old, new)`: the change only adds permissions.
    Upgrades,
    /// `revokes(old, new)`: the change takes something away.
    Revokes,
    /// `freed(frame)`: it is somebody else's.
    Freed,
    /// `at-boundary(agent)`: it is between two instructions, so that it can take an interrupt.
    AtBoundary,
    /// `done(agent)`: it has nothing more to do.
    Done,
    /// `held(lock)`: somebody has it, to read or to write.
    Held,
}

impl Builtin {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::MayRead,
        Self::MayWrite,
        Self::StaleRead,
        Self::StaleWrite,
        Self::OwedWrite,
        Self::Upgrades,
        Self::Revokes,
        Self::Freed,
        Self::AtBoundary,
        Self::Done,
        Self::Held,
    ];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::MayRead => "may-read",
            Self::MayWrite => "may-write",
            Self::StaleRead => "stale-read",
            Self::StaleWrite => "stale-write",
            Self::OwedWrite => "owed-write",
            Self::Upgrades => "upgrades",
            Self::Revokes => "revokes",
            Self::Freed => "freed",
            Self::AtBoundary => "at-boundary",
            Self::Done => "done",
            Self::Held => "held",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|builtin| builtin.word() == name)
    }
}

/// The most values of an axis, and knobs of one value: a matrix has a cell for each pair of values.
const MAX_VARIANTS: usize = 64;

/// What is declared at the top of a file.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// The values of both axes, in the order of the file.
    pub variants: Vec<Variant>,
    /// The frames.
    pub frames: Vec<String>,
    /// The fields of an entry, in the order P, F, W, D, A, SD, WP.
    pub fields: Vec<&'static str>,
    /// Shared and ghost variables.
    pub variables: Vec<Variable>,
    /// What is bound to real things.
    pub bindings: Vec<Binding>,
    /// The entries that are bound to pages, in the order of the file.
    pub pages: Vec<Name>,
    /// Functions.
    pub functions: Vec<Function>,
    /// Procedures.
    pub procedures: Vec<Procedure>,
    /// Agents.
    pub agents: Vec<Agent>,
    /// Events.
    pub events: Vec<Event>,
    /// Conditions.
    pub properties: Vec<Property>,
    /// Counters.
    pub counters: Vec<Name>,
    /// Tables.
    pub tables: Vec<Table>,
}

impl Symbols {
    /// Gathers what `scenario` declares.
    ///
    /// # Errors
    /// The first name that is declared twice, or belongs to the language.
    pub(super) fn gather(scenario: &Scenario) -> Result<Self, Diagnostic> {
        let mut symbols = Self::default();
        let mut taken = BTreeMap::new();
        for item in &scenario.items {
            for name in symbols.declare(item)? {
                free_name(&name)?;
                if taken.insert(name.text.clone(), ()).is_some() {
                    return Err(twice(&name));
                }
            }
        }
        Ok(symbols)
    }

    /// Takes `item` down; the names that it makes known to expressions and statements.
    fn declare(&mut self, item: &Item) -> Result<Vec<Name>, Diagnostic> {
        let one = |name: &Name| Ok(vec![name.clone()]);
        match item {
            Item::Comment(_) | Item::Initially(_) => Ok(Vec::new()),
            Item::Variant(variant) => self.variant(variant),
            Item::Frames(frames) => {
                self.frames
                    .extend(frames.iter().map(|name| name.text.clone()));
                Ok(frames.clone())
            }
            Item::Format(fields) => self.format(fields),
            Item::Variable(variable) => {
                self.variables.push(variable.clone());
                one(&variable.name)
            }
            Item::Function(function) => {
                self.functions.push(function.clone());
                one(&function.name)
            }
            Item::Procedure(procedure) => {
                self.procedures.push(procedure.clone());
                one(&procedure.name)
            }
            Item::Agent(agent) => {
                self.agents.push(agent.clone());
                one(&agent.name)
            }
            Item::Event(event) => {
                self.events.push(event.clone());
                one(&event.name)
            }
            Item::Binding(binding) => {
                if let Binding::Page(names) = binding {
                    self.pages.extend(names.iter().cloned());
                }
                self.bindings.push(binding.clone());
                Ok(Vec::new())
            }
            Item::Counter(name, _) => {
                self.counters.push(name.clone());
                one(name)
            }
            Item::Property(property) => {
                self.properties.push(property.clone());
                one(&property.name)
            }
            Item::Table(table) => {
                self.tables.push(table.clone());
                one(&table.name)
            }
        }
    }

    fn variant(&mut self, variant: &Variant) -> Result<Vec<Name>, Diagnostic> {
        let known = self
            .of_axis(variant.axis)
            .any(|name| name == variant.name.text);
        if known {
            return Err(twice(&variant.name));
        }
        let word = variant.axis.word();
        let values = self.of_axis(variant.axis).count() + 1;
        few(&variant.name, values, &format!("values of {word}"))?;
        few(&variant.name, variant.knobs.len(), "knobs of one variant")?;
        let new = variant
            .knobs
            .iter()
            .filter(|knob| !self.has_knob(&knob.text));
        let new = new.cloned().collect();
        self.variants.push(variant.clone());
        Ok(new)
    }

    fn format(&mut self, fields: &[Name]) -> Result<Vec<Name>, Diagnostic> {
        for field in fields {
            if !FIELDS.contains(&field.text.as_str()) {
                let error =
                    Diagnostic::new(field.span, format!("no entry has a field `{}`", field.text));
                return Err(error.hint(format!("one of {}", FIELDS.join(", "))));
            }
        }
        if !self.fields.is_empty() {
            let span = fields.first().map(|field| field.span).unwrap_or_default();
            return Err(Diagnostic::new(
                span,
                "the format of an entry is declared twice",
            ));
        }
        let named = |field: &&str| fields.iter().any(|name| name.text == **field);
        self.fields = FIELDS.into_iter().filter(|field| named(field)).collect();
        Ok(Vec::new())
    }

    /// The names of an axis's values, in the order of the file.
    pub fn of_axis(&self, axis: Axis) -> impl Iterator<Item = &str> {
        let variants = self
            .variants
            .iter()
            .filter(move |variant| variant.axis == axis);
        variants.map(|variant| variant.name.text.as_str())
    }

    /// Whether any variant turns this knob on.
    pub fn has_knob(&self, name: &str) -> bool {
        self.knobs().any(|knob| knob == name)
    }

    /// All knobs, as often as they are turned on.
    pub fn knobs(&self) -> impl Iterator<Item = &str> {
        let knobs = self.variants.iter().flat_map(|variant| &variant.knobs);
        knobs.map(|knob| knob.text.as_str())
    }

    /// The number of a frame.
    pub fn frame(&self, name: &str) -> Option<usize> {
        self.frames.iter().position(|frame| frame == name)
    }

    /// How many of a variable there are.
    pub fn count(&self, count: Count) -> usize {
        match count {
            Count::One => 1,
            Count::Many(count) => count as usize,
            Count::PerFrame => self.frames.len(),
        }
    }

    /// The shared or ghost variable of this name.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables
            .iter()
            .find(|variable| variable.name.text == name)
    }

    /// How many elements the variable of this name has; 0 if there is none.
    pub fn elements(&self, name: &str) -> usize {
        self.variable(name)
            .map_or(0, |variable| self.count(variable.count))
    }

    /// Whether this is an entry that is bound to a page.
    pub fn is_page(&self, name: &str) -> bool {
        self.pages.iter().any(|page| page.text == name)
    }

    /// The agent of this name.
    pub fn agent(&self, name: &str) -> Option<usize> {
        self.agents.iter().position(|agent| agent.name.text == name)
    }

    /// An error for a name that means nothing, with the known name that was probably meant.
    pub(super) fn unknown(&self, name: &Name, what: &str, locals: &[(String, Kind)]) -> Diagnostic {
        let mut known: Vec<&str> = self.frames.iter().map(String::as_str).collect();
        known.extend(locals.iter().map(|(name, _)| name.as_str()));
        known.extend(
            self.variables
                .iter()
                .map(|variable| variable.name.text.as_str()),
        );
        known.extend(self.knobs());
        match what {
            "agent" => {
                known = self
                    .agents
                    .iter()
                    .map(|agent| agent.name.text.as_str())
                    .collect()
            }
            "function" => {
                known = self
                    .functions
                    .iter()
                    .map(|function| function.name.text.as_str())
                    .collect();
                known.extend(Builtin::ALL.map(Builtin::word));
            }
            "procedure" => {
                known = self
                    .procedures
                    .iter()
                    .map(|one| one.name.text.as_str())
                    .collect();
            }
            "condition" => {
                known = self
                    .properties
                    .iter()
                    .map(|one| one.name.text.as_str())
                    .collect()
            }
            "counter" => known = self.counters.iter().map(|one| one.text.as_str()).collect(),
            "knob" => known = self.knobs().collect(),
            _ => {}
        }
        unknown(name, what, &known)
    }
}

/// An error for a name that is none of `known`.
pub(super) fn unknown(name: &Name, what: &str, known: &[&str]) -> Diagnostic {
    let error = Diagnostic::new(name.span, format!("no {what} is called `{}`", name.text));
    match nearest(&name.text, known.iter().copied()) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None if known.is_empty() => error.hint("the file declares none"),
        None => error,
    }
}

/// A mistake if `count` things of a kind are more than a matrix has room for.
fn few(name: &Name, count: usize, what: &str) -> Result<(), Diagnostic> {
    match count > MAX_VARIANTS {
        true => Err(Diagnostic::new(
            name.span,
            format!("more than {MAX_VARIANTS} {what}"),
        )),
        false => Ok(()),
    }
}

fn twice(name: &Name) -> Diagnostic {
    Diagnostic::new(name.span, format!("`{}` is declared twice", name.text))
}

fn free_name(name: &Name) -> Result<(), Diagnostic> {
    match Builtin::named(&name.text) {
        None => Ok(()),
        Some(_) => {
            let message = format!("`{}` is a function of the language", name.text);
            Err(Diagnostic::new(name.span, message))
        }
    }
}
