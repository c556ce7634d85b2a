//! An SMMU behind its own registers and queues: what a machine puts on a bus.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::interface::{
    CommandError, Core, Global, Interface, Interrupts, Progress, Recorded, SyncState, SyncTicket,
};
use super::spec::{Command, Cr0, PriResp, Width};
use super::{Broadcast, NoAnswer, Programming, Smmu, Syncing, Traffic};
use crate::paging::SystemMemory;
use crate::sync::lock;

/// How often the command queue is run in a row: software that fills it up again meanwhile waits for
/// the next poke, and can't keep whoever pokes for ever.
const RUNS: usize = 3;

/// An SMMU with its programming interface.
pub struct Front(Interface<Programmed>);

/// The SMMU, as the interface drives it.
struct Programmed {
    smmu: Arc<Smmu>,
    syncs: Mutex<Syncs>,
}

#[derive(Default)]
struct Syncs {
    next: u64,
    begun: BTreeMap<u64, Result<Syncing, NoAnswer>>,
}

impl Front {
    /// The interface of `smmu`, out of reset: what nobody bound by hand passes untranslated.
    pub fn new(
        smmu: Arc<Smmu>,
        memory: Arc<dyn SystemMemory>,
        interrupts: Arc<dyn Interrupts>,
    ) -> Self {
        let abilities = smmu.abilities();
        smmu.program(Some(Programming::RESET));
        let core = Programmed {
            smmu,
            syncs: Mutex::default(),
        };
        Self(Interface::new(core, abilities, memory, interrupts))
    }

    /// Reads a register.
    pub fn read(&self, offset: u64, width: Width) -> u64 {
        self.0.read(offset, width)
    }

    /// Writes a register. Commands that this submits have been consumed on return, up to a CMD_SYNC
    /// that has to wait, or to the 2,048th: then [`poke`](Self::poke) again.
    pub fn write(&self, offset: u64, width: Width, value: u64) {
        if !self.0.write(offset, width, value).is_empty() {
            self.poke();
        }
    }

    /// Goes on with what had to wait: commands, records that there was no room for. To be called when
    /// an access has ended or was refused. It waits for the accesses and transfers of other threads that are
    /// just being made, and never for one that is held open.
    pub fn poke(&self) -> Progress {
        let mut progress = Progress::More;
        for _ in 0..RUNS {
            self.record();
            progress = self.0.run();
            let to_record = self.0.core().smmu.has_fault_records();
            if progress != Progress::More && !(progress == Progress::Syncing && to_record) {
                break;
            }
        }
        progress
    }

    fn record(&self) {
        let smmu = &self.0.core().smmu;
        let mut later = Vec::new();
        while let Some(event) = smmu.take_event() {
            if self.0.record(event) == Recorded::Later {
                later.push(event);
            }
        }
        smmu.put_events_back(later);
        while let Some(request) = smmu.take_page_request() {
            let answered = self.0.page_request(request, || smmu.ste(request.stream));
            if let Some(answer) = answered {
                smmu.respond(&PriResp {
                    stream: answer.stream,
                    substream: answer.substream,
                    group: answer.group,
                    response: answer.response,
                });
            }
        }
    }
}

impl Core for Programmed {
    fn command(&self, command: Command) -> Result<(), CommandError> {
        self.smmu.submit(command);
        Ok(())
    }

    fn begin_sync(&self) -> SyncTicket {
        let begun = self.smmu.begin_sync();
        let mut syncs = lock(&self.syncs);
        let number = syncs.next;
        syncs.next += 1;
        // One at a time: whatever is left was abandoned.
        syncs.begun.clear();
        syncs.begun.insert(number, begun);
        SyncTicket(number)
    }

    fn poll_sync(&self, ticket: SyncTicket) -> SyncState {
        match lock(&self.syncs).begun.get(&ticket.0) {
            Some(Err(NoAnswer(_))) => SyncState::AtcTimeout,
            // A CMD_SYNC makes visible what was recorded of accesses that have ended (`IHI0070` 4.7.3).
            Some(Ok(_)) if self.smmu.has_fault_records() => SyncState::Pending,
            Some(Ok(sync)) if !self.smmu.poll_sync(sync) => SyncState::Pending,
            Some(Ok(_)) | None => SyncState::Done,
        }
    }

    fn configure(&self, global: Global) {
        self.smmu.program(Some(Programming {
            streams: traffic(&global),
            records_unknown_streams: global.record_bad_streams,
            broadcast: if global.private_tlb {
                Broadcast::Off
            } else {
                Broadcast::On
            },
        }));
    }
}

fn traffic(global: &Global) -> Traffic {
    if global.enabled.contains(Cr0::SMMUEN) {
        Traffic::Looked(global.streams)
    } else if global.bypass.aborts() {
        Traffic::Aborted
    } else {
        Traffic::Bypassed
    }
}
