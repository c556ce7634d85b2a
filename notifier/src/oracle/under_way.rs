//! Changes that are announced or made and not settled.

use super::judge::same;
use crate::addr::Gva;
use crate::contract::Step;
use crate::paging::{Change, Leaf};

/// Changes that are about to be made.
#[must_use = "hand it to `Oracle::made` or to `Oracle::called_off`"]
#[derive(Debug)]
pub struct Changing(pub(super) Option<StepSpan>);

/// Changes that are made, but not yet relied on.
#[must_use = "hand it to `Oracle::settled` when whoever made them goes on"]
#[derive(Debug)]
pub struct Made {
    pub(super) pages: Option<StepSpan>,
    /// When tables were taken out of their places, or put there.
    pub(super) tables: Vec<Step>,
}

/// The first and the last of the steps, which are consecutive.
pub(super) type StepSpan = (Step, Step);

/// A change, while both sides of it are lawful.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announced {
    pub(super) step: Step,
    pub(super) change: Change,
    /// What hardware made of the old page meanwhile.
    marked: Option<Leaf>,
    /// What hardware marked meanwhile is that the page was written.
    pub(super) overtaken: bool,
}

/// All such changes, oldest first.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Vec<Announced>);

impl UnderWay {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, step: Step, change: Change) {
        self.0.push(Announced {
            step,
            change,
            marked: None,
            overtaken: false,
        });
    }

    pub(super) fn span(&self, span: Option<StepSpan>) -> impl Iterator<Item = &Announced> {
        let within = move |step| span.is_some_and(|(first, last)| first <= step && step <= last);
        self.0.iter().filter(move |one| within(one.step))
    }

    pub(super) fn take(&mut self, span: Option<StepSpan>) {
        if let Some((first, last)) = span {
            self.0.retain(|one| one.step < first || last < one.step);
        }
    }

    fn of(&self, address: Gva) -> impl Iterator<Item = &Announced> {
        let contains = move |one: &&Announced| one.change.range.contains(address);
        self.0.iter().filter(contains)
    }

    /// Whether `address` is changing.
    pub(super) fn touches(&self, address: Gva) -> bool {
        self.of(address).next().is_some()
    }

    /// Whether a change of `address` takes `leaf` away or brings it.
    pub(super) fn has(&self, address: Gva, leaf: Option<Leaf>) -> bool {
        self.of(address).any(|one| {
            let sides = [one.change.old, one.change.new];
            let marked = one.marked.is_some() && same(address, one.marked, leaf);
            marked || sides.iter().any(|side| same(address, *side, leaf))
        })
    }

    /// Hardware made `after` of `before` at `address`.
    pub(super) fn marked(&mut self, address: Gva, before: &Leaf, after: &Leaf) {
        for one in &mut self.0 {
            let old = one.marked.or(one.change.old);
            if one.change.range.contains(address) && same(address, old, Some(*before)) {
                one.marked = Some(*after);
                one.overtaken |= after.dirty && !before.dirty;
            }
        }
    }
}
