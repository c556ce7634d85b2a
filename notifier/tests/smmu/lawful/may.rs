//! What may be in the SMMU's caches: everything that tables said since the last completed invalidation
//! that covered it. Hardware may cache at any time whatever a walk could find, so a translation is
//! lawful if it is among these, and no other is.

use std::collections::BTreeMap;

use notifier::addr::{Access, Gpa, Permissions};
use notifier::paging::{Level, Meaning, TableMemory};
use notifier::secondary::FaultKind;

use super::covers::Covers;
use crate::naive::{Found, Instead, Naive};
use crate::world::{Bound, Holds, SPACES, Slot, World};

/// When something happened: counts upwards.
pub(crate) type Time = u64;

/// What a walk may have found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) found: Found,
    /// Through a table that memory no longer leads to.
    via: Option<u64>,
    /// When a walk could last have found it.
    last: Time,
    /// The same of a walk that believes nothing cached of stage 2.
    afresh: Time,
}

/// A pointer to a table, and when memory last held it.
#[derive(Clone, Copy, Debug)]
struct Pointer {
    entry: u64,
    last: Time,
}

/// All that may be cached.
pub(crate) struct May<'a> {
    world: &'a World,
    pub(crate) now: Time,
    pointers: BTreeMap<Bound, Vec<Pointer>>,
    versions: BTreeMap<(Bound, u64), Vec<Version>>,
}

/// The streams' address spaces that are looked at, those of stage 2 before those that are in front of
/// them.
pub(crate) const WATCHED: [Bound; 4] = [
    Bound::Machine(0),
    Bound::Space(0),
    Bound::Space(1),
    Bound::Space(2),
];

impl<'a> May<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        let mut may = Self {
            world,
            now: 0,
            pointers: BTreeMap::new(),
            versions: BTreeMap::new(),
        };
        may.look();
        may
    }

    /// Time passes, and caches take up what tables say now.
    pub(crate) fn look(&mut self) {
        self.now += 1;
        for bound in WATCHED {
            self.look_at_pointer(bound);
            for address in self.addresses(bound) {
                let found = self.findable(bound, address);
                let known = self.versions.entry((bound, address)).or_default();
                for version in found {
                    remember(known, version);
                }
            }
        }
    }

    fn look_at_pointer(&mut self, bound: Bound) {
        let slot = either(self.world.slots(bound));
        let format = match bound {
            Bound::Space(space) => &self.world.spaces[space].tables.format,
            Bound::Machine(machine) => &self.world.machines[machine].tables.format,
        };
        let entry = self.world.memory.read_entry(slot.entries[0]).unwrap();
        if !matches!(format.decode(entry, Level(1)), Ok(Meaning::Table { .. })) {
            return;
        }
        let last = self.now;
        let known = self.pointers.entry(bound).or_default();
        known.retain(|pointer| pointer.entry != entry);
        known.push(Pointer { entry, last });
    }

    /// Every address that is looked at.
    fn addresses(&self, bound: Bound) -> Vec<u64> {
        let slots = self.world.slots(bound).iter();
        let mut addresses: Vec<_> = slots
            .flat_map(|slot| (0..STEPS).map(|step| address(slot, step)))
            .collect();
        if bound == Bound::Machine(0) {
            addresses.extend(self.intermediate());
        }
        addresses
    }

    /// All that a place of stage 1 can make of an address.
    fn intermediate(&self) -> Vec<u64> {
        let nested = &self.world.spaces[2];
        let all = nested.slots.iter().flat_map(|slot| {
            nested.outputs().iter().flat_map(move |output| {
                let size = slot.size.bytes() / slot.entries.len() as u64;
                let page = nested.tables.format.span(Level(0)).bytes();
                (0..STEPS).flat_map(move |step| {
                    let offset = address(slot, step) - slot.address;
                    let base = output & !(slot.size.bytes() - 1);
                    let small = output & !(page - 1);
                    [base + offset, small + offset % page, base + offset % size]
                })
            })
        });
        all.collect()
    }

    /// What walks can find now, by way of every table that may still be believed in.
    fn findable(&self, bound: Bound, address: u64) -> Vec<Version> {
        let mut all = Vec::new();
        for via in self.ways(bound, address) {
            for access in [Access::Read, Access::Write] {
                match bound {
                    Bound::Space(space) if SPACES[space].1.0 > 0 => {
                        all.extend(self.through_both(bound, via, address, access));
                    }
                    _ => all.extend(self.walk(bound, via, address, access).ok().map(|found| {
                        Version {
                            found,
                            via,
                            last: self.now,
                            afresh: self.now,
                        }
                    })),
                }
            }
        }
        all
    }

    fn through_both(
        &self,
        bound: Bound,
        via: Option<u64>,
        address: u64,
        access: Access,
    ) -> Vec<Version> {
        let Ok(first) = self.walk(bound, via, address, access) else {
            return Vec::new();
        };
        let under = self.versions.get(&(Bound::Machine(0), first.output.raw()));
        let combine = |under: &Version| Version {
            found: Found {
                output: under.found.output,
                permissions: first.permissions & (under.found.permissions | Permissions::USER),
                ..first
            },
            via,
            last: self.now,
            afresh: under.last,
        };
        under.into_iter().flatten().map(combine).collect()
    }

    /// Nothing special, and each table that memory no longer leads to.
    fn ways(&self, bound: Bound, address: u64) -> Vec<Option<u64>> {
        let slot = either(self.world.slots(bound));
        let inside = slot.range().contains(notifier::addr::Iova::new(address));
        let known = self.pointers.get(&bound).into_iter().flatten();
        let stale = known.filter(|pointer| inside && pointer.last < self.now);
        let mut ways: Vec<_> = stale.map(|pointer| Some(pointer.entry)).collect();
        ways.push(None);
        ways
    }

    /// One stage: of an address space the first.
    fn walk(
        &self,
        bound: Bound,
        via: Option<u64>,
        address: u64,
        access: Access,
    ) -> Result<Found, FaultKind> {
        let at = either(self.world.slots(bound)).entries[0];
        let walker = Naive {
            memory: &*self.world.memory,
            httu: self.world.smmu.knobs().httu,
            instead: via.map(|entry| Instead { at, entry }),
        };
        let stages = self.world.stages(bound);
        match (&stages.first, &stages.second) {
            (Some(first), behind) => walker.tree(first, behind.as_ref(), address, access),
            (None, Some(second)) => walker.tree(second, None, address, access),
            (None, None) => Err(FaultKind::Translation),
        }
    }

    /// Whether an access may get this.
    pub(crate) fn is_lawful(
        &self,
        bound: Bound,
        address: u64,
        access: Access,
        got: Result<Gpa, FaultKind>,
    ) -> bool {
        let mut cached = self.cached(bound, address);
        match got {
            Ok(target) => cached.any(|version| {
                version.found.output == target && version.found.permissions.allow(access)
            }),
            Err(FaultKind::Permission) => {
                cached.any(|version| !version.found.permissions.allow(access))
                    || self.refuses(bound, address, access, FaultKind::Permission)
            }
            Err(kind) => self.refuses(bound, address, access, kind),
        }
    }

    /// Its own, and what others of its virtual machine have that is global.
    fn cached(&self, bound: Bound, address: u64) -> impl Iterator<Item = &Version> {
        let shares = move |other: Bound| match (bound, other) {
            (Bound::Space(one), Bound::Space(other)) => SPACES[one].1 == SPACES[other].1,
            _ => false,
        };
        let all = self
            .versions
            .iter()
            .filter(move |((_, at), _)| *at == address);
        all.flat_map(move |((other, _), versions)| {
            let visible = move |version: &&Version| {
                *other == bound || (shares(*other) && version.found.global)
            };
            versions.iter().filter(visible)
        })
    }

    /// Whether a walk that is made now may end so: such a fault is never cached.
    fn refuses(&self, bound: Bound, address: u64, access: Access, kind: FaultKind) -> bool {
        let nested = matches!(bound, Bound::Space(space) if SPACES[space].1.0 > 0);
        self.ways(bound, address).into_iter().any(|via| {
            match self.walk(bound, via, address, access) {
                Err(found) => found == kind,
                Ok(found) if !found.permissions.allow(access) => kind == FaultKind::Permission,
                Ok(found) if nested => {
                    self.refuses(Bound::Machine(0), found.output.raw(), access, kind)
                }
                Ok(_) => false,
            }
        })
    }

    /// An invalidation that was submitted at `since` is complete.
    pub(crate) fn completed(&mut self, covers: &Covers, since: Time) {
        for bound in WATCHED {
            let either = either(self.world.slots(bound)).range();
            let mut gone = Vec::new();
            if covers.tables(bound, either) {
                let known = self.pointers.entry(bound).or_default();
                gone = known
                    .iter()
                    .filter(|it| it.last < since)
                    .map(|it| it.entry)
                    .collect();
                known.retain(|pointer| pointer.last >= since);
            }
            let own = self.versions.iter_mut().filter(|((of, _), _)| *of == bound);
            for ((_, address), versions) in own {
                versions.retain(|version| {
                    let last = if covers.both_stages() {
                        version.afresh
                    } else {
                        version.last
                    };
                    let through = version.via.is_some_and(|via| gone.contains(&via));
                    !(covers.page(bound, *address, &version.found) && (last < since || through))
                });
            }
        }
    }
}

/// How many addresses of a place are looked at.
pub(crate) const STEPS: u64 = 2;

/// The address so many steps into a place.
pub(crate) fn address(slot: &Slot, step: u64) -> u64 {
    slot.address + ((step * 0x1008) & slot.size.offset_mask())
}

fn either(slots: &[Slot]) -> &Slot {
    slots
        .iter()
        .find(|slot| slot.holds == Holds::Either)
        .unwrap()
}

fn remember(known: &mut Vec<Version>, version: Version) {
    let same = |old: &&mut Version| (old.found, old.via) == (version.found, version.via);
    match known.iter_mut().find(same) {
        Some(old) => {
            old.last = version.last;
            old.afresh = old.afresh.max(version.afresh);
        }
        None => known.push(version),
    }
}
