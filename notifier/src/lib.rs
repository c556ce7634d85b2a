//! The secondary-MMU layer of Stalemate: what a page-table change means, who must be told of it,
//! what a device's TLB still holds, and whether the device ever used what it had no right to.
//!
//! The rooms, each of which imports only rooms before it:
//!
//! | room | owns |
//! |---|---|
//! | [`addr`] | addresses, half-open ranges, permissions |
//! | [`paging`] | page-table formats, walker, builder, the meaning of a change |
//! | [`contract`] | the mmu-notifier contract: address space, page-table lock, subscribers |
//! | [`secondary`] | subscribers: an SMMU that keeps what it cached, a KVM-like shadow MMU |
//! | [`oracle`] | the history of entries, and the verdict |
//! | [`scenario`] | the scenario language: text, tree, what is wrong with them |
//! | [`explore`] | a scenario through every interleaving: verdicts and shortest traces |
//! | [`mutate`] | edits of a scenario: mutants, repairs, what can be left out |
//!
//! Nothing here knows KVM, spawns a thread or contains `unsafe`; any VMM can use it.
#![forbid(unsafe_code)]

pub mod addr;
pub mod contract;
pub mod explore;
pub mod mutate;
pub mod oracle;
pub mod paging;
pub mod scenario;
pub mod secondary;

mod sync;
#[cfg(test)]
mod test_space;
