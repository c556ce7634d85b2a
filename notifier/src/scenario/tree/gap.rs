//! Blank lines.

use std::collections::BTreeSet;

/// Whether a blank line stands before something; several are one.
///
/// All gaps compare equal: two trees are the same if they say the same, however it is spread out.
#[derive(Clone, Copy, Debug, Default)]
pub enum Gap {
    /// It stands on the next line, or on the same.
    #[default]
    None,
    /// There is a blank line between.
    Line,
}

impl PartialEq for Gap {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Gap {}

/// Which parts of a file stand behind a blank line. All compare equal, as every [`Gap`] does.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    items: BTreeSet<usize>,
}

impl Gaps {
    /// Notes what is before the part with this number.
    pub(crate) fn note(&mut self, item: usize, gap: Gap) {
        if matches!(gap, Gap::Line) {
            self.items.insert(item);
        }
    }

    /// What is before the part with this number.
    pub fn before(&self, item: usize) -> Gap {
        match self.items.contains(&item) {
            true => Gap::Line,
            false => Gap::None,
        }
    }
}

impl PartialEq for Gaps {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Gaps {}
