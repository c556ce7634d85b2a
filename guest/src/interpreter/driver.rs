//! The SMMU's driver. It keeps nothing in mind: where it is in a queue, the registers say. So any
//! vCPU can drive, one at a time.

use super::{Interpreter, Stop, half};
use crate::abi::{op, smmu};
use crate::rt::Width;

/// The index in a queue, and the wrap bit above it.
const PLACE: u64 = (2 << smmu::QUEUE_BITS) - 1;
/// Entries of a queue.
const ENTRIES: u64 = 1 << smmu::QUEUE_BITS;
/// What a stopped queue that says no reason is told as: all of CMDQ_CONS.ERR.
const UNKNOWN: u64 = 0x7f;

impl Interpreter {
    /// [`op::SMMU_CONFIGURE`]
    pub(super) fn configure(&mut self, root: u64, asid: u64, flags: u64) -> Result<u64, Stop> {
        let context = smmu::context(asid, flags);
        self.structure(smmu::CONTEXT, [context, root])?;
        let entry = [smmu::STREAM_ENTRY_FIRST, smmu::STREAM_ENTRY_SECOND];
        self.structure(smmu::STREAM_ENTRY, entry)?;
        if self.register(smmu::CR0)? & smmu::CR0_SMMUEN == 0 {
            self.enable()?;
        }
        self.register(smmu::CR0ACK)
    }

    /// A structure of two words and zeros. The first, which makes it valid, comes last.
    fn structure(&mut self, at: u64, [first, second]: [u64; 2]) -> Result<(), Stop> {
        for offset in (16..smmu::STRUCTURE).step_by(8) {
            self.store(at + offset, 0, Width::Eight)?;
        }
        self.store(at + 8, second, Width::Eight)?;
        self.store(at, first, Width::Eight)
    }

    /// From reset to translation, in the order of `IHI0070` 6.3.9.6: queues, invalidation, then
    /// SMMUEN.
    fn enable(&mut self) -> Result<(), Stop> {
        self.set_register(smmu::CR0, 0)?;
        self.set_register(smmu::CR2, smmu::CR2_RECINVSID)?;
        self.set_base(smmu::STRTAB_BASE, smmu::STREAMS)?;
        self.set_register(smmu::STRTAB_BASE_CFG, smmu::STREAM_BITS)?;
        self.set_base(smmu::CMDQ_BASE, smmu::COMMANDS | smmu::QUEUE_BITS)?;
        self.set_base(smmu::EVENTQ_BASE, smmu::EVENTS | smmu::QUEUE_BITS)?;
        for place in [
            smmu::CMDQ_PROD,
            smmu::CMDQ_CONS,
            smmu::EVENTQ_PROD,
            smmu::EVENTQ_CONS,
        ] {
            self.set_register(place, 0)?;
        }
        let queues = smmu::CR0_CMDQEN | smmu::CR0_EVENTQEN;
        self.set_register(smmu::CR0, queues)?;
        for command in [smmu::CFGI_ALL, smmu::TLBI_ALL] {
            self.command(command)?;
        }
        self.sync(0, 0)?;
        self.set_register(smmu::CR0, queues | smmu::CR0_SMMUEN)
    }

    /// [`op::SMMU_COMMAND`]
    pub(super) fn command(&mut self, words: [u64; 2]) -> Result<u64, Stop> {
        let prod = self.register(smmu::CMDQ_PROD)? & PLACE;
        loop {
            let stopped = self.stopped()?;
            if stopped != op::CMDQ_OK {
                return Ok(stopped);
            }
            let cons = self.register(smmu::CMDQ_CONS)? & PLACE;
            if prod.wrapping_sub(cons) & PLACE < ENTRIES {
                break;
            }
            core::hint::spin_loop();
        }
        let at = smmu::COMMANDS + smmu::COMMAND * (prod % ENTRIES);
        self.store(at, words[0], Width::Eight)?;
        self.store(at + 8, words[1], Width::Eight)?;
        self.set_register(smmu::CMDQ_PROD, (prod + 1) & PLACE)?;
        self.stopped()
    }

    /// [`op::SMMU_SYNC`]
    pub(super) fn sync(&mut self, address: u64, data: u64) -> Result<u64, Stop> {
        let data = half(data)?;
        let command = if address == 0 {
            smmu::SYNC
        } else {
            smmu::sync_message(address, data)
        };
        let submitted = self.command(command)?;
        if submitted != op::CMDQ_OK {
            return Ok(submitted);
        }
        let prod = self.register(smmu::CMDQ_PROD)? & PLACE;
        loop {
            let done = if address == 0 {
                self.register(smmu::CMDQ_CONS)? & PLACE == prod
            } else {
                self.load(address, Width::Four)? == u64::from(data)
            };
            let stopped = self.stopped()?;
            if done || stopped != op::CMDQ_OK {
                return Ok(stopped);
            }
            core::hint::spin_loop();
        }
    }

    /// [`op::SMMU_EVENT`]
    pub(super) fn event(&mut self, to: u64, waits: u64) -> Result<u64, Stop> {
        let cons = self.register(smmu::EVENTQ_CONS)?;
        let prod = loop {
            let prod = self.register(smmu::EVENTQ_PROD)?;
            if (prod ^ cons) & PLACE != 0 {
                break prod;
            }
            if waits == 0 {
                return Ok(0);
            }
            core::hint::spin_loop();
        };
        let from = smmu::EVENTS + smmu::EVENT * (cons & PLACE & (ENTRIES - 1));
        for offset in (0..smmu::EVENT).step_by(8) {
            let word = self.load(from + offset, Width::Eight)?;
            self.store(to.wrapping_add(offset), word, Width::Eight)?;
        }
        let kind = smmu::event_type(self.load(from, Width::Eight)?);
        // What overflowed is acknowledged with it (3.5.1).
        let next = (cons + 1) & PLACE | prod & smmu::OVERFLOW;
        self.set_register(smmu::EVENTQ_CONS, next)?;
        Ok(kind)
    }

    /// Why the command queue has stopped, if it has.
    fn stopped(&mut self) -> Result<u64, Stop> {
        let active = self.register(smmu::GERROR)? ^ self.register(smmu::GERRORN)?;
        if active & smmu::GERROR_CMDQ == 0 {
            return Ok(op::CMDQ_OK);
        }
        let reason = self.register(smmu::CMDQ_CONS)? >> smmu::CMDQ_ERROR & UNKNOWN;
        Ok(if reason == op::CMDQ_OK {
            UNKNOWN
        } else {
            reason
        })
    }

    fn register(&mut self, offset: u64) -> Result<u64, Stop> {
        self.load(smmu::register(offset), Width::Four)
    }

    fn set_register(&mut self, offset: u64, value: u64) -> Result<(), Stop> {
        self.store(smmu::register(offset), value, Width::Four)
    }

    /// A register of 64 bits.
    fn set_base(&mut self, offset: u64, value: u64) -> Result<(), Stop> {
        self.store(smmu::register(offset), value, Width::Eight)
    }
}
