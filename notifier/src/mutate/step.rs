//! What a statement is for: what the classes of mutation are about.

use crate::explore::Cell;
use crate::scenario::Checked;
use crate::scenario::tree::{
    Action, Axis, Count, Expression, Item, Kind, LockAction, Node, Place, Procedure, Selection,
    Statement, Variable,
};

/// What a statement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// It drops what a TLB cached, and does nothing but that (and wait for it).
    Invalidation,
    /// `await`
    Wait,
    /// It writes a shared word that is neither an entry nor data.
    Signal,
    /// A lock is taken or dropped.
    Lock(LockAction),
    /// It changes an entry.
    Entry,
    /// Nobody else can see it, or it does nothing.
    Local,
    /// A jump out of a loop or a procedure.
    Jump,
    /// Anything else.
    Other,
}

impl Sort {
    /// Whether it orders or tells something and does nothing by itself.
    pub(super) fn is_told(self) -> bool {
        matches!(self, Self::Invalidation | Self::Wait | Self::Signal)
    }
}

/// A scenario in one cell, to be looked at statement by statement.
pub(super) struct View<'a> {
    pub(super) checked: &'a Checked,
    pub(super) cell: &'a Cell,
    knobs: Vec<&'a str>,
}

/// What is in some statements.
#[derive(Clone, Copy, Default)]
struct Content {
    invalidates: bool,
    waits: bool,
    signals: bool,
    entry: bool,
    lock: bool,
    jump: bool,
    fill: bool,
    other: bool,
}

impl Content {
    fn and(self, more: Self) -> Self {
        Self {
            invalidates: self.invalidates | more.invalidates,
            waits: self.waits | more.waits,
            signals: self.signals | more.signals,
            entry: self.entry | more.entry,
            lock: self.lock | more.lock,
            jump: self.jump | more.jump,
            fill: self.fill | more.fill,
            other: self.other | more.other,
        }
    }

    fn without_jump(self) -> Self {
        Self {
            jump: false,
            ..self
        }
    }

    fn sort(self) -> Sort {
        match self {
            Self { jump: true, .. } => Sort::Jump,
            Self { fill: true, .. } | Self { lock: true, .. } => Sort::Other,
            Self { entry: true, .. } => Sort::Entry,
            // What it reads beside is only to know what to wait for.
            Self {
                invalidates: true, ..
            } => Sort::Invalidation,
            Self { other: true, .. } => Sort::Other,
            Self { waits: true, .. } => Sort::Wait,
            Self { signals: true, .. } => Sort::Signal,
            _ => Sort::Local,
        }
    }
}

impl<'a> View<'a> {
    pub(super) fn new(checked: &'a Checked, cell: &'a Cell) -> Self {
        Self {
            checked,
            cell,
            knobs: cell.knobs(checked),
        }
    }

    /// Whether the first block of a `when` counts in this cell.
    pub(super) fn selected(&self, selection: &Selection) -> bool {
        selection.holds(
            &|axis: Axis, name| self.cell.value(axis) == Some(name),
            &|knob| self.knobs.contains(&knob),
        )
    }

    pub(super) fn procedure(&self, name: &str) -> Option<(usize, &'a Procedure)> {
        let items = self.checked.scenario.items.iter().enumerate();
        let mut procedures = items.filter_map(|(at, item)| match item {
            Item::Procedure(procedure) => Some((at, procedure)),
            _ => None,
        });
        procedures.find(|(_, procedure)| procedure.name.text == name)
    }

    fn variable(&self, place: &Place) -> Option<&'a Variable> {
        let mut variables = self.checked.symbols.variables.iter();
        variables.find(|variable| variable.name.text == place.name.text)
    }

    pub(super) fn sort(&self, statement: &Statement) -> Sort {
        match &statement.action {
            Action::Lock(action, _) => Sort::Lock(*action),
            _ => self.content(statement).sort(),
        }
    }

    fn block(&self, block: &[Statement]) -> Content {
        block
            .iter()
            .map(|one| self.content(one))
            .fold(Content::default(), Content::and)
    }

    fn content(&self, statement: &Statement) -> Content {
        let none = Content::default();
        let other = Content {
            other: true,
            ..none
        };
        match &statement.action {
            Action::Comment(_) | Action::Register(_) => none,
            Action::Tlbi(..) => Content {
                invalidates: true,
                ..none
            },
            Action::Await(_) => Content {
                waits: true,
                ..none
            },
            Action::Assign(place, value) => self.written(place, value),
            Action::Cmpxchg { .. } => Content {
                entry: true,
                ..none
            },
            Action::Fill(..) => Content { fill: true, ..none },
            // It would not be an invalidation any more, so it is counted among the entries.
            Action::Free(_) => Content {
                entry: true,
                ..none
            },
            Action::Lock(..) => Content { lock: true, ..none },
            Action::Forbid(..) | Action::Count(_) => other,
            Action::Break | Action::Return => Content { jump: true, ..none },
            Action::Call(name, _) => match self.procedure(&name.text) {
                Some((_, procedure)) => self.block(&procedure.body).without_jump(),
                None => other,
            },
            Action::When(selection, then, otherwise) => self.block(if self.selected(selection) {
                then
            } else {
                otherwise
            }),
            Action::Loop(body) | Action::Repeat(_, body) => self.block(body).without_jump(),
            action => {
                let blocks = action.blocks().into_iter().map(|block| self.block(block));
                blocks.fold(none, Content::and)
            }
        }
    }

    fn written(&self, place: &Place, value: &Expression) -> Content {
        let none = Content::default();
        match self.variable(place) {
            Some(variable) if variable.ghost => none,
            Some(variable) => match (variable.kind, variable.count) {
                (Kind::Entry, _) => Content {
                    entry: true,
                    ..none
                },
                (Kind::Number(_), Count::One) => Content {
                    signals: true,
                    ..none
                },
                _ => Content {
                    entry: true,
                    ..none
                },
            },
            None if matches!(value.node, Node::Number(_)) => none,
            None => Content {
                other: true,
                ..none
            },
        }
    }

    /// How many invalidations are in a statement.
    pub(super) fn drops(&self, statement: &Statement) -> usize {
        let sum = |block: &[Statement]| block.iter().map(|one| self.drops(one)).sum();
        match &statement.action {
            Action::Tlbi(..) => 1,
            Action::Call(name, _) => self
                .procedure(&name.text)
                .map_or(0, |(_, procedure)| sum(&procedure.body)),
            Action::When(selection, then, otherwise) => sum(if self.selected(selection) {
                then
            } else {
                otherwise
            }),
            action => action.blocks().into_iter().map(sum).sum(),
        }
    }

    /// Whether a body fills a TLB: it is hardware that walks, and no code of a kernel.
    pub(super) fn walks(&self, body: &[Statement]) -> bool {
        body.iter().any(|statement| match &statement.action {
            Action::Call(..) => false,
            Action::Fill(..) => true,
            Action::When(selection, then, otherwise) => self.walks(if self.selected(selection) {
                then
            } else {
                otherwise
            }),
            action => action.blocks().into_iter().any(|block| self.walks(block)),
        })
    }
}
