//! A walker that has no cache, written from the specification and [`Format::decode`] alone: what every
//! access would get from an SMMU that remembers nothing.

use std::sync::Arc;

use notifier::addr::{Access, Gpa, Gva, PageSize, Permissions};
use notifier::paging::{Format, Leaf, Level, Malformed, Meaning, TableMemory};
use notifier::secondary::FaultKind;
use notifier::secondary::smmu::Httu;

/// A tree of tables: of stage 2, or of stage 1, whose root is then what stage 2 is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) format: Arc<dyn Format>,
    pub(crate) root: Gpa,
}

/// What a stream is translated by.
#[derive(Clone, Debug)]
pub(crate) struct Stages {
    pub(crate) first: Option<Tables>,
    pub(crate) second: Option<Tables>,
}

/// What a tree says of an address, marks of the access at hand included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) output: Gpa,
    pub(crate) permissions: Permissions,
    pub(crate) size: PageSize,
    pub(crate) global: bool,
}

/// An entry that is read as something else than what stands in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instead {
    pub(crate) at: Gpa,
    pub(crate) entry: u64,
}

/// An entry that says a page.
#[derive(Clone, Copy)]
struct Entry {
    entry: u64,
    level: Level,
    /// By the tables above it.
    limits: Permissions,
    /// Whether it may be marked.
    writable: bool,
}

/// The walker.
pub(crate) struct Naive<'a> {
    pub(crate) memory: &'a dyn TableMemory,
    pub(crate) httu: Httu,
    pub(crate) instead: Option<Instead>,
}

impl Naive<'_> {
    /// Where an access goes, or why it does not.
    pub(crate) fn access(
        &self,
        by: &Stages,
        address: u64,
        access: Access,
    ) -> Result<Gpa, FaultKind> {
        let allowed = |found: Found| {
            let allows = found.permissions.allow(access);
            allows.then_some(found.output).ok_or(FaultKind::Permission)
        };
        let behind = by.second.as_ref();
        let between = match &by.first {
            Some(first) => allowed(self.tree(first, behind, address, access)?)?,
            None => Gpa::new(address),
        };
        match behind {
            Some(second) => allowed(self.tree(second, None, between.raw(), access)?),
            None => Ok(between),
        }
    }

    /// What one tree says of `address`; its tables are where `behind` says.
    pub(crate) fn tree(
        &self,
        tables: &Tables,
        behind: Option<&Tables>,
        address: u64,
        access: Access,
    ) -> Result<Found, FaultKind> {
        let format = &*tables.format;
        if !format.is_canonical(Gva::new(address)) {
            return Err(FaultKind::Translation);
        }
        let (mut table, mut limits) = (tables.root, Permissions::all());
        for level in (0..=format.root().0).rev().map(Level) {
            let number = address >> format.span(level).shift() & (format.entries(level) as u64 - 1);
            let (at, writable) = self.place(Gpa::new(table.raw() + 8 * number), behind)?;
            let entry = self.read(at)?;
            match format.decode(entry, level).map_err(malformed)? {
                Meaning::NotPresent => return Err(FaultKind::Translation),
                Meaning::Table { next, limits: more } => {
                    table = next;
                    limits &= more;
                }
                Meaning::Leaf(_) => {
                    let entry = Entry {
                        entry,
                        level,
                        limits,
                        writable,
                    };
                    return self.leaf(format, entry, address, access);
                }
            }
        }
        Err(FaultKind::Translation)
    }

    /// Where an entry is, and whether it may be marked there.
    fn place(&self, at: Gpa, behind: Option<&Tables>) -> Result<(Gpa, bool), FaultKind> {
        let Some(second) = behind else {
            return Ok((at, true));
        };
        let found = self.tree(second, None, at.raw(), Access::Read)?;
        if !found.permissions.contains(Permissions::READ) {
            return Err(FaultKind::Permission);
        }
        Ok((found.output, found.permissions.contains(Permissions::WRITE)))
    }

    fn read(&self, at: Gpa) -> Result<u64, FaultKind> {
        match self.instead {
            Some(instead) if instead.at == at => Ok(instead.entry),
            _ => self.memory.read_entry(at).map_err(|_| FaultKind::Address),
        }
    }

    fn leaf(
        &self,
        format: &dyn Format,
        at: Entry,
        address: u64,
        access: Access,
    ) -> Result<Found, FaultKind> {
        let said = |entry| match format.decode(entry, at.level) {
            Ok(Meaning::Leaf(leaf)) => Some(leaf),
            _ => None,
        };
        let leaf = said(at.entry).ok_or(FaultKind::Translation)?;
        if self.httu == Httu::None && !leaf.accessed {
            return Err(FaultKind::AccessFlag);
        }
        let dirty = said(format.marked(at.entry, Access::Write)).filter(|dirty| {
            let clean = *dirty
                != Leaf {
                    accessed: true,
                    ..leaf
                };
            let allows = (dirty.permissions & at.limits).allow(Access::Write);
            access == Access::Write && self.httu == Httu::AccessDirty && clean && allows
        });
        let marks = dirty.is_some() || !leaf.accessed;
        if marks && !at.writable {
            return Err(FaultKind::Permission);
        }
        Ok(Found {
            output: Gpa::new(leaf.output.raw() | address & leaf.size.offset_mask()),
            permissions: dirty.unwrap_or(leaf).permissions & at.limits,
            size: leaf.size,
            global: leaf.global,
        })
    }
}

fn malformed(malformed: Malformed) -> FaultKind {
    match malformed {
        Malformed::AddressSize { .. } | Malformed::Reserved { .. } | Malformed::NoEntry(_) => {
            FaultKind::Address
        }
    }
}
