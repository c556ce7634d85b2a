//! The SMMUv3's bit layouts (Arm `IHI0070`): commands, structures in memory, records, registers.
//! Nothing here has state or touches memory.

mod abilities;
mod bits;
mod cd;
mod command;
mod context_table;
mod control;
mod event;
mod page_request;
mod registers;
mod ring;
mod ste;
mod stream_table;
#[cfg(test)]
pub(super) mod tests;

pub use abilities::{Abilities, AddressSize, Granules, Httu, Stages, StallModel};
pub use cd::{AsidSet, BadCd, Cd, Half};
pub use command::{
    AtcScope, Command, Illegal, Levels, PageResponse, Prefetch, PriResp, RangeOperand, Resume,
    Signal, Stag, SyncMsi, TlbiSpan, TlbiVa, Ttl,
};
pub use context_table::{ContextFormat, ContextTable, ContextTableLevel1, FindContext};
pub use control::{Cr0, GlobalBypass, GlobalErrors, InterruptEnables, MsiConfig, QueueBase};
pub use event::{
    Class, Event, EventKind, EventTransaction, NoEvent, PageHint, Privilege, TranslationEvent,
};
pub use page_request::PageRequest;
pub use registers::{Access, Bit, Part, Register, Width};
pub use ring::{Cons, OutputCons, OutputProd, Prod, Ring};
pub use ste::{BadSte, Config, DefaultSubstream, Eats, Stage2, Ste, StreamWorld};
pub use stream_table::{FindStream, StreamTable, StreamTableLevel1};
