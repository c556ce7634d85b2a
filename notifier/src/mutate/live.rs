//! Which statements count in a cell.

use std::collections::BTreeSet;

use super::site::{Block, Site};
use super::step::View;
use crate::scenario::tree::{Action, Item, Statement};

/// The statements of the software that some agent comes to in this cell, in the order of the text.
///
/// Left out are what `when` leaves out, procedures that nobody calls, events, and bodies that fill a
/// TLB: those are hardware, and to change them is to change the machine, not the protocol.
pub(super) fn sites(view: &View<'_>) -> Vec<Site> {
    let mut walk = Walk {
        view,
        sites: BTreeSet::new(),
        seen: BTreeSet::new(),
    };
    for (item, declared) in view.checked.scenario.items.iter().enumerate() {
        if let Item::Agent(agent) = declared {
            let handlers = agent.interrupts.iter().map(|one| one.body.as_slice());
            let bodies = std::iter::once(agent.body.as_slice()).chain(handlers);
            for (part, body) in bodies.enumerate() {
                walk.body(body, Block::body(item, part));
            }
        }
    }
    walk.sites.into_iter().collect()
}

struct Walk<'a> {
    view: &'a View<'a>,
    sites: BTreeSet<Site>,
    /// Procedures that were walked through.
    seen: BTreeSet<usize>,
}

impl Walk<'_> {
    fn body(&mut self, body: &[Statement], at: Block) {
        let hardware = self.view.walks(body);
        let before = self.sites.clone();
        self.block(body, &at);
        if hardware {
            let own = |site: &Site| (site.block.item, site.block.part) == (at.item, at.part);
            self.sites
                .retain(|site| before.contains(site) || !own(site));
        }
    }

    fn block(&mut self, block: &[Statement], at: &Block) {
        for (index, statement) in block.iter().enumerate() {
            self.sites.insert(Site {
                block: at.clone(),
                index,
            });
            match &statement.action {
                Action::Call(name, _) => self.call(&name.text),
                Action::When(selection, then, otherwise) => {
                    let (which, inner) = match self.view.selected(selection) {
                        true => (0, then),
                        false => (1, otherwise),
                    };
                    self.block(inner, &at.inner(index, which));
                }
                action => {
                    for (which, inner) in action.blocks().into_iter().enumerate() {
                        self.block(inner, &at.inner(index, which));
                    }
                }
            }
        }
    }

    fn call(&mut self, name: &str) {
        let Some((item, procedure)) = self.view.procedure(name) else {
            return;
        };
        if self.seen.insert(item) {
            self.body(&procedure.body, Block::body(item, 0));
        }
    }
}
