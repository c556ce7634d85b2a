//! Random programs, right and wrong, and the check of every step.

use notifier::addr::{Access, Asid, Iova, StreamId, Vmid};
use notifier::secondary::smmu::{Command, Levels, Syncing, TlbiSpan, TlbiVa, Transaction};
use proptest::prelude::*;

use super::Seen;
use super::covers::Covers;
use super::may::{May, STEPS, Time, WATCHED, address};
use crate::world::{Bound, Change, Content, PLACES, STREAMS, Setup, World, repair};

/// What software and devices do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// A place is changed.
    Change(usize, usize, Content),
    /// What was changed last is invalidated, right or wrong.
    Submit(u8, Wrong),
    /// A CMD_SYNC begins.
    Sync,
    /// An access is made.
    Access(usize, usize, u64, Access),
    /// The same, and it does not end.
    Begin(usize, usize, u64, Access),
    /// The oldest that is on its way ends.
    End,
}

/// In what an invalidation is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    Asid,
    Machine,
    Address,
    Level,
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let slot = 0..PLACES;
    let access = prop::sample::select(vec![Access::Read, Access::Write]);
    let target = (0..5_usize, slot.clone(), 0..STEPS, access);
    let change = (0..WATCHED.len(), slot, Content::any());
    let wrong = prop_oneof![
        4 => Just(Wrong::Nothing),
        1 => Just(Wrong::Asid),
        1 => Just(Wrong::Machine),
        1 => Just(Wrong::Address),
        1 => Just(Wrong::Level),
    ];
    prop_oneof![
        4 => change.prop_map(|(bound, slot, content)| Op::Change(bound, slot, content)),
        3 => (any::<u8>(), wrong).prop_map(|(how, wrong)| Op::Submit(how, wrong)),
        3 => Just(Op::Sync),
        8 => target.clone().prop_map(|(stream, slot, step, access)| {
            Op::Access(stream, slot, step, access)
        }),
        2 => target.prop_map(|(stream, slot, step, access)| Op::Begin(stream, slot, step, access)),
        2 => Just(Op::End),
    ]
}

/// An access on its way.
struct Held {
    bound: Bound,
    address: u64,
    began: Time,
    transaction: Transaction,
}

/// A CMD_SYNC on its way.
struct Pending {
    sync: Syncing,
    began: Time,
    covered: Vec<(Covers, Time)>,
}

/// A program as it runs.
struct Run<'a> {
    world: &'a World,
    setup: &'a Setup,
    may: May<'a>,
    seen: &'a Seen,
    changed: Option<Change>,
    submitted: Vec<(Covers, Time)>,
    pending: Option<Pending>,
    held: Vec<Held>,
}

pub(crate) fn run(setup: &Setup, ops: &[Op], seen: &Seen) -> Result<(), TestCaseError> {
    let world = World::new(setup);
    let mut run = Run {
        world: &world,
        setup,
        may: May::new(&world),
        seen,
        changed: None,
        submitted: Vec::new(),
        pending: None,
        held: Vec::new(),
    };
    for op in ops {
        run.step(*op)?;
        run.may.look();
        run.poll()?;
    }
    run.held.clear();
    run.poll()?;
    prop_assert!(run.pending.is_none(), "a CMD_SYNC never completes");
    Ok(())
}

impl Run<'_> {
    fn step(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Change(bound, slot, content) => {
                self.changed = Some(match WATCHED[bound] {
                    Bound::Space(space) => {
                        self.world.set_first(space, self.setup.place(slot), content)
                    }
                    Bound::Machine(machine) => {
                        self.world
                            .set_second(machine, self.setup.place(slot), content)
                    }
                });
            }
            Op::Submit(how, wrong) => self.submit(how, wrong),
            Op::Sync => self.sync(),
            Op::Access(stream, slot, step, access) => {
                return self.access(stream, slot, step, access);
            }
            Op::Begin(stream, slot, step, access) => {
                return self.begin(stream, slot, step, access);
            }
            Op::End if !self.held.is_empty() => self.held.remove(0).transaction.end(),
            Op::End => {}
        }
        Ok(())
    }

    fn submit(&mut self, how: u8, wrong: Wrong) {
        let Some(change) = &self.changed else { return };
        for command in repair(change, self.world.granule, how).concat() {
            let command = spoil(command, wrong);
            self.world.smmu.submit(command);
            let covers = Covers {
                command,
                granule: self.world.granule,
            };
            self.submitted.push((covers, self.may.now));
        }
    }

    /// One at a time: they complete in order.
    fn sync(&mut self) {
        if self.pending.is_none() {
            self.pending = Some(Pending {
                sync: self.world.smmu.begin_sync().unwrap(),
                began: self.may.now,
                covered: std::mem::take(&mut self.submitted),
            });
        }
    }

    /// Whether the CMD_SYNC on its way is complete, and that it is when it must be and not before.
    fn poll(&mut self) -> Result<(), TestCaseError> {
        let Some(pending) = &self.pending else {
            return Ok(());
        };
        let waits = |held: &Held| {
            let each = pending.covered.iter();
            let each: Vec<_> = each
                .map(|(covers, _)| covers.waits(held.bound, held.address))
                .collect();
            if each.contains(&Some(true)) {
                Some(true)
            } else {
                each.iter()
                    .all(|waits| *waits == Some(false))
                    .then_some(false)
            }
        };
        let before = self.held.iter().filter(|held| held.began <= pending.began);
        let waits: Vec<_> = before.map(waits).collect();
        let done = self.world.smmu.poll_sync(&pending.sync);
        if waits.contains(&Some(true)) {
            prop_assert!(!done, "complete with a covered access on its way");
            self.seen.waits.set(self.seen.waits.get() + 1);
        }
        if waits.iter().all(|waits| *waits == Some(false)) {
            prop_assert!(done, "waits for nobody");
        }
        if let Some(pending) = self.pending.take_if(|_| done) {
            for (covers, since) in &pending.covered {
                self.may.completed(covers, *since);
            }
        }
        Ok(())
    }

    fn access(
        &mut self,
        stream: usize,
        slot: usize,
        step: u64,
        access: Access,
    ) -> Result<(), TestCaseError> {
        let (bound, address) = self.place(stream, slot, step);
        let fresh = self.world.naive(bound, address, access);
        let got = self.world.access(stream, address, access);
        self.seen
            .stale
            .set(self.seen.stale.get() + u64::from(fresh != got));
        let lawful = self.may.is_lawful(bound, address, access, got);
        prop_assert!(lawful, "{bound:?} {access} of {address:#x}: {got:?}");
        Ok(())
    }

    fn begin(
        &mut self,
        stream: usize,
        slot: usize,
        step: u64,
        access: Access,
    ) -> Result<(), TestCaseError> {
        let (bound, address) = self.place(stream, slot, step);
        let from = StreamId(u32::try_from(stream).unwrap());
        let begun = self.world.smmu.begin(from, Iova::new(address), access);
        let got = begun.as_ref().map(Transaction::target);
        let got = got.map_err(|fault| fault.kind);
        let lawful = self.may.is_lawful(bound, address, access, got);
        prop_assert!(lawful, "{bound:?} {access} of {address:#x}: {got:?}");
        if let Ok(transaction) = begun {
            self.held.push(Held {
                bound,
                address,
                began: self.may.now,
                transaction,
            });
        }
        Ok(())
    }

    fn place(&self, stream: usize, slot: usize, step: u64) -> (Bound, u64) {
        let bound = STREAMS[stream];
        let slot = &self.world.slots(bound)[self.setup.place(slot)];
        (bound, address(slot, step))
    }
}

/// The same with something wrong, if there is such a thing in it.
fn spoil(command: Command, wrong: Wrong) -> Command {
    let other_asid = |asid: Asid| Asid(asid.0 ^ 3);
    let other_vmid = |vmid: Vmid| Vmid(vmid.0 ^ 1);
    match (command, wrong) {
        (Command::TlbiVa(it), Wrong::Asid) => Command::TlbiVa(TlbiVa {
            asid: other_asid(it.asid),
            ..it
        }),
        (Command::TlbiVa(it), Wrong::Machine) => Command::TlbiVa(TlbiVa {
            vmid: other_vmid(it.vmid),
            ..it
        }),
        (Command::TlbiVa(it), Wrong::Address) => Command::TlbiVa(TlbiVa {
            span: TlbiSpan {
                address: Iova::new(it.span.address.raw() ^ 1 << 16),
                ..it.span
            },
            ..it
        }),
        (Command::TlbiVa(it), Wrong::Level) => Command::TlbiVa(TlbiVa {
            span: TlbiSpan {
                levels: Levels::Leaf,
                ..it.span
            },
            ..it
        }),
        (Command::TlbiVaa(vmid, span), Wrong::Level) => {
            let levels = Levels::Leaf;
            Command::TlbiVaa(vmid, TlbiSpan { levels, ..span })
        }
        (Command::TlbiAsid(vmid, asid), Wrong::Asid) => Command::TlbiAsid(vmid, other_asid(asid)),
        (Command::TlbiAsid(vmid, asid), Wrong::Machine) => {
            Command::TlbiAsid(other_vmid(vmid), asid)
        }
        (Command::TlbiAll(vmid), Wrong::Machine) => Command::TlbiAll(other_vmid(vmid)),
        (Command::TlbiVmall(vmid), Wrong::Machine) => Command::TlbiVmall(other_vmid(vmid)),
        (Command::TlbiIpa(vmid, span), Wrong::Machine) => Command::TlbiIpa(other_vmid(vmid), span),
        (other, _) => other,
    }
}
