//! I/O ports. Each takes one 32-bit write, except the serial port's byte registers.

/// 16550 serial console, eight byte-wide registers.
pub const SERIAL: u16 = 0x3f8;
/// Gives the host's CPU to whoever else wants it, before the vCPU goes on; any value.
pub const YIELD: u16 = 0xf0;
/// Ends this vCPU's run; the value is one of the `EXIT_*` codes.
pub const EXIT: u16 = 0xf4;
/// A marker in the run's order of events; any value.
pub const REPORT: u16 = 0xf8;
/// Page-table announcements, see [`program::Announcement`](super::program::Announcement).
pub const ANNOUNCE: u16 = 0xfc;

/// Has the machine tell secondary MMUs of a page of the window: bits 0 to 15 the page, bits 16 to 31
/// one of the `NOTIFY_*` kinds. The invalidation is complete when the write is.
pub const NOTIFY: u16 = 0x104;

/// The program ran to its end.
pub const EXIT_DONE: u32 = 0;
/// A fault that no operation was prepared for; the program block has the details.
pub const EXIT_FATAL: u32 = 1;
/// The payload itself panicked.
pub const EXIT_PANIC: u32 = 2;
/// The ring-0 stub faulted.
pub const EXIT_STUB: u32 = 3;

/// The change in the announcement is about to be stored.
pub const ANNOUNCE_PREPARE: u32 = 1;
/// The store is done. A store that faults is not followed by this.
pub const ANNOUNCE_COMMIT: u32 = 2;

/// From the page-table code, under its lock: the call that secondary TLBs get.
pub const NOTIFY_SECONDARY_TLB: u32 = 0;
/// By a start/end event of a protection change.
pub const NOTIFY_EVENT: u32 = 1;
/// By the CPUs' own broadcast of an invalidation, for an SMMU that listens.
pub const NOTIFY_BROADCAST: u32 = 2;
