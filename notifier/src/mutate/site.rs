//! Where a statement is in the tree.

use crate::scenario::tree::{Action, Item, Scenario, Statement};

/// The address of a statement. Ordered as the text is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Site {
    pub(super) block: Block,
    pub(super) index: usize,
}

/// The address of a block: a declaration, in an agent 0 for its own code and from 1 on its handlers,
/// and on the way down each time a statement and which of its blocks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Block {
    pub(super) item: usize,
    pub(super) part: usize,
    pub(super) path: Vec<(usize, usize)>,
}

impl Block {
    pub(super) fn body(item: usize, part: usize) -> Self {
        Self {
            item,
            part,
            path: Vec::new(),
        }
    }

    /// A block of the statement with this number.
    pub(super) fn inner(&self, statement: usize, block: usize) -> Self {
        let mut inner = self.clone();
        inner.path.push((statement, block));
        inner
    }

    /// The statement that this block is of; `None` for a whole body.
    pub(super) fn parent(&self) -> Option<Site> {
        let mut block = self.clone();
        let (index, _) = block.path.pop()?;
        Some(Site { block, index })
    }

    /// The statement around this block; a `live` block does not count, since it changes nothing.
    pub(super) fn around(&self, scenario: &Scenario) -> Option<Site> {
        let mut site = self.parent()?;
        while let Some(Action::Live { .. }) = site.of(scenario).map(|one| &one.action) {
            site = site.block.parent()?;
        }
        Some(site)
    }

    pub(super) fn of<'a>(&self, scenario: &'a Scenario) -> &'a [Statement] {
        let whole = match scenario.items.get(self.item) {
            Some(Item::Procedure(procedure)) => procedure.body.as_slice(),
            Some(Item::Agent(agent)) => match self.part.checked_sub(1) {
                None => agent.body.as_slice(),
                Some(handler) => {
                    let handler = agent.interrupts.get(handler);
                    handler.map(|one| one.body.as_slice()).unwrap_or_default()
                }
            },
            _ => &[],
        };
        self.path.iter().fold(whole, |block, (statement, inner)| {
            let inner = |one: &'a Statement| one.action.blocks().get(*inner).copied();
            block.get(*statement).and_then(inner).unwrap_or_default()
        })
    }

    /// Changes the block in `scenario`.
    pub(super) fn change(&self, scenario: &mut Scenario, edit: impl FnOnce(&mut Vec<Statement>)) {
        let whole = match scenario.items.get_mut(self.item) {
            Some(Item::Procedure(procedure)) => Some(&mut procedure.body),
            Some(Item::Agent(agent)) => match self.part.checked_sub(1) {
                None => Some(&mut agent.body),
                Some(handler) => agent.interrupts.get_mut(handler).map(|one| &mut one.body),
            },
            _ => None,
        };
        let block = self.path.iter().fold(whole, |block, (statement, inner)| {
            let mut blocks = block?.get_mut(*statement)?.action.blocks_mut();
            (*inner < blocks.len()).then(|| blocks.swap_remove(*inner))
        });
        if let Some(block) = block {
            edit(block);
        }
    }
}

impl Site {
    pub(super) fn of<'a>(&self, scenario: &'a Scenario) -> Option<&'a Statement> {
        self.block.of(scenario).get(self.index)
    }

    /// Puts other statements in its place.
    pub(super) fn replace(&self, scenario: &mut Scenario, with: Vec<Statement>) {
        self.block.change(scenario, |block| {
            if self.index < block.len() {
                block.splice(self.index..=self.index, with);
            }
        });
    }

    /// Takes the statement out.
    pub(super) fn remove(&self, scenario: &mut Scenario) {
        self.replace(scenario, Vec::new());
    }

    /// Puts a statement before the one that is there.
    pub(super) fn insert(&self, scenario: &mut Scenario, statement: Statement) {
        self.block.change(scenario, |block| {
            block.insert(self.index.min(block.len()), statement);
        });
    }
}
