//! What the variables of the file are bound to.

use super::Compiler;
use crate::explore::binding::{PageId, Role};
use crate::explore::layout::Field;
use crate::scenario::tree::{Binding, Name, Node, Place, Variable};

impl<'a> Compiler<'a> {
    /// What binds a variable.
    pub(super) fn bound(&self, variable: &Variable) -> Option<&'a Binding> {
        let named = |name: &Name| *name == variable.name;
        let mut bindings = self.symbols.bindings.iter();
        bindings.find(|binding| binding.names().iter().any(named))
    }

    /// What an element of a variable that is bound so is on real hardware.
    pub(super) fn role(&self, name: &Name, bound: Option<&Binding>, index: usize) -> Role {
        match bound {
            Some(Binding::Page(_)) => Role::Page(self.page_id(name, index)),
            Some(Binding::Tlb { agents, page, .. }) => {
                let agent = agents.get(index);
                let agent = agent.and_then(|agent| self.symbols.agent(&agent.text));
                Role::Tlb {
                    agent: agent.unwrap_or_default(),
                    page: self.bound_page(page),
                }
            }
            Some(Binding::Smmu { page, .. }) => Role::Smmu {
                page: self.bound_page(page),
            },
            Some(Binding::Contents(_)) => Role::Contents { frame: index },
            Some(Binding::Knob(..) | Binding::Never(..)) | None => Role::Word,
        }
    }

    /// The number of an element of an entry that is bound to a page.
    fn page_id(&self, name: &Name, index: usize) -> PageId {
        let before = self.symbols.pages.iter().take_while(|page| *page != name);
        let before = before.map(|page| self.symbols.elements(&page.text));
        PageId(before.sum::<usize>() + index)
    }

    fn bound_page(&self, page: &Place) -> PageId {
        let index = match page.index.as_deref().map(|index| &index.node) {
            Some(Node::Number(number)) => *number as usize,
            _ => 0,
        };
        self.page_id(&page.name, index)
    }

    /// Whether all of these are entries of pages.
    pub(super) fn are_pages(&self, fields: &[Field]) -> bool {
        let pages = self
            .shown
            .iter()
            .filter(|one| matches!(one.role, Role::Page(_)));
        let pages: Vec<Field> = pages.map(|page| page.field).collect();
        !fields.is_empty() && fields.iter().all(|field| pages.contains(field))
    }

    /// Name and text of the knobs of the cell that `text` takes out of a binding.
    pub(super) fn bound_knobs(
        &self,
        text: impl Fn(&Binding) -> Option<(&Name, &String)>,
    ) -> Vec<(String, String)> {
        let bound = self.symbols.bindings.iter().filter_map(text);
        let on = bound.filter(|(name, _)| self.knobs.contains(&name.text.as_str()));
        on.map(|(name, text)| (name.text.clone(), text.clone()))
            .collect()
    }
}
