//! What the oracle is told of changes: announced, made, settled or called off.

use super::history::Fact;
use super::judge::State;
use super::under_way::{Announced, Changing, Made, StepSpan};
use crate::paging::Change;

impl State {
    pub(super) fn announce(&mut self, changes: &[Change]) -> Changing {
        Changing(self.put_under_way(changes))
    }

    /// `changes` are what was really made of what was announced, often the same.
    pub(super) fn make(&mut self, announced: Changing, changes: &[Change]) -> Made {
        let expected: Vec<Announced> = self.under_way.span(announced.0).copied().collect();
        let as_announced = expected
            .iter()
            .map(|one| one.change)
            .eq(changes.iter().copied());
        let pages = if as_announced {
            announced.0
        } else {
            self.call_off(announced);
            self.put_under_way(changes)
        };
        let made: Vec<Announced> = self.under_way.span(pages).copied().collect();
        for Announced { step, change, .. } in made {
            self.judge_mark(&expected, step, &change);
            self.judge_break(step, &change);
            self.current.set(change.range, change.new);
        }
        Made {
            pages,
            tables: Vec::new(),
        }
    }

    pub(super) fn settle(&mut self, made: &Made) {
        self.under_way.take(made.pages);
        self.tables.settle(&made.tables);
        let first_table = made.tables.first().copied();
        let first = made.pages.map(|(first, _)| first).or(first_table);
        if let Some(first) = first {
            self.note(Fact::Settled(first));
        }
        self.judge_waste();
    }

    pub(super) fn call_off(&mut self, announced: Changing) {
        self.under_way.take(announced.0);
        if let Some((first, last)) = announced.0 {
            self.note(Fact::CalledOff(first, last));
        }
        self.judge_waste();
    }

    fn put_under_way(&mut self, changes: &[Change]) -> Option<StepSpan> {
        let mut steps = changes.iter().map(|change| {
            let step = self.note(Fact::Changing(*change));
            self.under_way.add(step, *change);
            step
        });
        let first = steps.next();
        let last = steps.last().or(first);
        first.zip(last)
    }
}
