//! Stores to page-table entries.

use super::{Interpreter, Stop};
use crate::abi::layout::PAGE;
use crate::abi::port;
use crate::abi::program::{Announcement, PROTOCOL_ANNOUNCE, PROTOCOL_STORE};
use crate::rt::{Width, arch};

/// How the machine learns of a page-table change.
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    /// It sees the stores itself.
    Store,
    /// It is told before and after.
    Announce,
    /// One that this payload does not know; entries can't be stored.
    Unknown,
}

impl Protocol {
    pub(super) fn from_abi(protocol: u64) -> Self {
        match protocol {
            PROTOCOL_STORE => Self::Store,
            PROTOCOL_ANNOUNCE => Self::Announce,
            _ => Self::Unknown,
        }
    }
}

impl Interpreter {
    /// Stores the `bytes` (1 to 8) low bytes of `value` at `address` by the block's protocol.
    ///
    /// One instruction where the processor has one of that width. Otherwise the fewest that do not
    /// overlap, the widest and lowest first: 3 = 2+1, 5 = 4+1, 6 = 4+2, 7 = 4+2+1; nor does one
    /// cross a page. In between, others see the entry half changed, as they would of any guest that
    /// does this. Each is announced by itself, so that both trackers see the same stores.
    pub(super) fn set_entry(&mut self, address: u64, value: u64, bytes: u64) -> Result<(), Stop> {
        if !(1..=8).contains(&bytes) {
            return Err(Stop::Bad);
        }
        let mut stored = 0;
        while stored < bytes {
            let at = address.wrapping_add(stored);
            let in_page = PAGE - at % PAGE;
            let width = Width::within((bytes - stored).min(in_page));
            self.store_part(at, value >> (8 * stored), width)?;
            stored += width.bytes();
        }
        Ok(())
    }

    /// One store. A fault ends an announced one without its commit: it has not happened.
    fn store_part(&mut self, address: u64, value: u64, width: Width) -> Result<(), Stop> {
        match self.protocol {
            Protocol::Store => self.store_entry(address, value, width),
            Protocol::Announce => {
                self.block.set_announcement(Announcement {
                    address,
                    value,
                    width: width.bytes(),
                });
                arch::port::write_u32(port::ANNOUNCE, port::ANNOUNCE_PREPARE);
                self.store_entry(address, value, width)?;
                arch::port::write_u32(port::ANNOUNCE, port::ANNOUNCE_COMMIT);
                Ok(())
            }
            Protocol::Unknown => Err(Stop::Bad),
        }
    }

    fn store_entry(&mut self, address: u64, value: u64, width: Width) -> Result<(), Stop> {
        let stored = self.memory.store(address, value, width);
        stored.map_err(|fault| self.stop(fault))
    }
}
