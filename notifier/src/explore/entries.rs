//! Entries in a few bits, and what the live code says about them.
//!
//! An entry of a scenario is turned into the [`Leaf`] that the walker would find; what it allows,
//! what a change of it amounts to and whether using a cached one is lawful is asked of the code that
//! live runs use, once for every value, and kept in a table.

use std::sync::Arc;

use crate::addr::{Access, AddrRange, Gpa, Gva, PageSize, Permissions};
use crate::oracle::rule;
use crate::paging::{Change, Leaf};
use crate::scenario::{Builtin, Symbols};

/// The most bits of an entry: there are tables over pairs of them.
const MAX_BITS: u32 = 10;

/// Where the page is; which one does not matter.
const ADDRESS: Gva = Gva::new(0x1000);

/// Which bits of an entry mean what.
#[derive(Clone, Debug)]
pub struct EntryFormat {
    /// Name, lowest bit, greatest value.
    fields: Vec<(&'static str, u32, u64)>,
    bits: u32,
}

/// Yes or no for every value, or every pair: a bit for each, 64 in a word, the first the lowest.
pub type Table = Arc<[u64]>;

impl EntryFormat {
    /// The format that `symbols` declare, `None` if an entry has too many bits.
    pub(super) fn new(symbols: &Symbols) -> Option<Self> {
        let (mut fields, mut bits) = (Vec::new(), 0);
        for field in &symbols.fields {
            let most = match *field {
                "F" => symbols.frames.len().saturating_sub(1) as u64,
                _ => 1,
            };
            fields.push((*field, bits, most));
            bits += 64 - most.leading_zeros();
        }
        (bits <= MAX_BITS).then_some(Self { fields, bits })
    }

    /// Each field: name, lowest bit, greatest value.
    pub fn fields(&self) -> &[(&'static str, u32, u64)] {
        &self.fields
    }

    /// How many bits an entry has.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The greatest value of an entry.
    pub fn most(&self) -> u64 {
        (1 << self.bits) - 1
    }

    /// Lowest bit and greatest value of a field.
    pub fn field(&self, name: &str) -> Option<(u32, u64)> {
        let mut fields = self.fields.iter();
        let field = fields.find(|(field, ..)| *field == name)?;
        Some((field.1, field.2))
    }

    /// All ones in the bits of a field of this greatest value.
    pub fn ones(most: u64) -> u64 {
        most.checked_next_power_of_two().map_or(u64::MAX, |power| {
            if power == most {
                2 * power - 1
            } else {
                power - 1
            }
        })
    }

    /// What a TLB keeps of an entry: presence, frame, W and D.
    pub fn cached(&self) -> u64 {
        let kept = self
            .fields
            .iter()
            .filter(|(name, ..)| ["P", "F", "W", "D"].contains(name));
        kept.map(|(_, shift, most)| Self::ones(*most) << shift)
            .sum()
    }

    fn value(&self, raw: u64, name: &str) -> Option<u64> {
        let (shift, most) = self.field(name)?;
        Some(raw >> shift & Self::ones(most))
    }

    fn is_set(&self, raw: u64, name: &str) -> bool {
        self.value(raw, name).is_some_and(|value| value != 0)
    }

    /// What the walker finds. A format without W is of pages that are always writable.
    fn leaf(&self, raw: u64) -> Option<Leaf> {
        let writable = self.value(raw, "W") != Some(0);
        let software = u16::from(self.is_set(raw, "SD")) | u16::from(self.is_set(raw, "WP")) << 1;
        self.is_set(raw, "P").then(|| Leaf {
            output: Gpa::new(self.value(raw, "F").unwrap_or(0) * PageSize::K4.bytes()),
            size: PageSize::K4,
            permissions: if writable {
                Permissions::READ_WRITE
            } else {
                Permissions::READ_ONLY
            },
            accessed: self.is_set(raw, "A"),
            dirty: self.is_set(raw, "D"),
            global: false,
            memory_type: 0,
            software,
            hints: crate::paging::LeafHints::empty(),
        })
    }

    /// The table of a function of one entry or two; a pair is at `first << bits | second`.
    pub(super) fn table(&self, builtin: Builtin) -> Table {
        let leaf = |raw| self.leaf(raw);
        let pair = |index: u64| (leaf(index >> self.bits), leaf(index & self.most()));
        match builtin {
            Builtin::MayRead => fill(self.bits, |raw| {
                rule::owed(leaf(raw).as_ref(), Access::Read)
            }),
            Builtin::MayWrite => fill(self.bits, |raw| {
                rule::owed(leaf(raw).as_ref(), Access::Write)
            }),
            Builtin::StaleRead => fill(2 * self.bits, |index| stale(pair(index), Access::Read)),
            Builtin::StaleWrite => fill(2 * self.bits, |index| stale(pair(index), Access::Write)),
            Builtin::OwedWrite => fill(2 * self.bits, |index| owed(pair(index))),
            Builtin::Revokes => fill(2 * self.bits, |index| {
                change(pair(index)).is_some_and(|change| change.kind.revokes())
            }),
            _ => fill(2 * self.bits, |index| {
                change(pair(index))
                    .is_some_and(|change| change.kind == crate::paging::ChangeKind::Upgrade)
            }),
        }
    }

    /// `P1 F=old W0`, or `none` for an entry that is all zeroes.
    pub fn show(&self, raw: u64, frames: &[String]) -> String {
        if raw == 0 {
            return "none".into();
        }
        let show = |(name, shift, most): &(&str, u32, u64)| {
            let value = raw >> shift & Self::ones(*most);
            let frame = usize::try_from(value)
                .ok()
                .and_then(|value| frames.get(value));
            match (*name, frame) {
                ("F", Some(frame)) => format!("F={frame}"),
                _ => format!("{name}{value}"),
            }
        };
        let fields: Vec<_> = self.fields.iter().map(show).collect();
        fields.join(" ")
    }
}

/// A use of what is not cached is none.
fn stale((cached, current): (Option<Leaf>, Option<Leaf>), access: Access) -> bool {
    cached.is_some_and(|cached| {
        cached.permissions.allow(access)
            && rule::trespass(&cached, current.as_ref(), ADDRESS, access).is_some()
    })
}

fn owed((cached, current): (Option<Leaf>, Option<Leaf>)) -> bool {
    let refuses = cached.is_some_and(|cached| !cached.permissions.allow(Access::Write));
    refuses && rule::owed(current.as_ref(), Access::Write)
}

fn change((old, new): (Option<Leaf>, Option<Leaf>)) -> Option<Change> {
    Change::between(AddrRange::page(ADDRESS, PageSize::K4), old, new)
}

fn fill(bits: u32, holds: impl Fn(u64) -> bool) -> Table {
    let mut words = vec![0; (1_usize << bits).div_ceil(64)];
    for index in (0..1_u64 << bits).filter(|index| holds(*index)) {
        words[(index / 64) as usize] |= 1 << (index % 64);
    }
    words.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    fn format() -> EntryFormat {
        let text =
            "scenario x; frames a, b, c; entry { P, F, W, D }; shared e: entry; always n: 1;";
        let checked = scenario::check(scenario::parse(text).unwrap()).unwrap();
        EntryFormat::new(&checked.symbols).unwrap()
    }

    fn says(table: &Table, index: u64) -> bool {
        table[(index / 64) as usize] >> (index % 64) & 1 == 1
    }

    /// P is bit 0, F bits 1 and 2, W bit 3, D bit 4.
    #[test]
    fn tables_say_what_the_rule_says() {
        let format = format();
        let (writable, read_only, moved) = (0b01001, 0b00001, 0b01011);
        let writes = format.table(Builtin::MayWrite);
        assert!(says(&writes, writable) && !says(&writes, read_only) && !says(&writes, 0b01000));
        let stale = format.table(Builtin::StaleWrite);
        let pair = |cached: u64, current: u64| cached << 5 | current;
        assert!(says(&stale, pair(writable, read_only)));
        assert!(says(&stale, pair(writable, moved)));
        assert!(says(&stale, pair(writable, 0)));
        assert!(!says(&stale, pair(writable, writable)));
        assert!(!says(&stale, pair(0, read_only)));
        let owed = format.table(Builtin::OwedWrite);
        assert!(says(&owed, pair(read_only, writable)) && !says(&owed, pair(writable, writable)));
        let upgrades = format.table(Builtin::Upgrades);
        assert!(says(&upgrades, pair(read_only, writable)));
        assert!(!says(&upgrades, pair(writable, read_only)));
        assert!(says(
            &format.table(Builtin::Revokes),
            pair(writable, read_only)
        ));
    }

    #[test]
    fn a_tlb_keeps_no_software_bits_and_values_are_shown_by_name() {
        let format = format();
        assert_eq!(format.cached(), 0b11111);
        assert_eq!(
            format.show(0b01011, &["a".into(), "b".into()]),
            "P1 F=b W1 D0"
        );
    }
}
