//! What an invalidation is certain to take, read off the specification (`IHI0070` 4.4).

use notifier::addr::{AddrRange, Address, Asid, Iova, PageSize, Vmid};
use notifier::secondary::smmu::{Command, Granule, Levels, TlbiSpan};

use crate::naive::Found;
use crate::world::{Bound, SPACES};

/// A command, as far as it matters here.
pub(crate) struct Covers {
    pub(crate) command: Command,
    pub(crate) granule: Granule,
}

impl Covers {
    /// Whether it takes entries of both stages, whatever they were made from.
    pub(crate) fn both_stages(&self) -> bool {
        matches!(self.command, Command::TlbiVmall(_) | Command::TlbiNsnhAll)
    }

    /// Whether what was found at `address` goes.
    pub(crate) fn page(&self, bound: Bound, address: u64, found: &Found) -> bool {
        let page = AddrRange::page(Iova::new(address), found.size);
        let levels = |span: Option<Operand>| {
            span.is_none_or(|span| {
                span.range.overlaps(page) && span.only.is_none_or(|only| only == found.size)
            })
        };
        match self.tag(bound) {
            Takes::Nothing => false,
            Takes::All => levels(self.operand()),
            Takes::NotGlobal => !found.global && levels(self.operand()),
            Takes::Global => found.global && levels(self.operand()),
        }
    }

    /// Whether pointers to tables for `range` go.
    pub(crate) fn tables(&self, bound: Bound, range: AddrRange<Iova>) -> bool {
        let tag = matches!(self.tag(bound), Takes::All | Takes::NotGlobal);
        let operand = self.operand();
        tag && operand.is_none_or(|it| it.levels == Levels::All && it.range.overlaps(range))
    }

    /// Whether an access on its way must be waited for, or may not be; `None` if neither is certain.
    pub(crate) fn waits(&self, bound: Bound, address: u64) -> Option<bool> {
        let of_other = match (bound, self.vmid()) {
            (Bound::Space(space), Some(vmid)) => SPACES[space].1 != vmid,
            (Bound::Machine(machine), Some(vmid)) => usize::from(vmid.0) != machine + 1,
            (_, None) => false,
        };
        let here = self
            .operand()
            .is_none_or(|it| it.range.contains(Iova::new(address)));
        match (self.tag(bound), here) {
            _ if of_other => Some(false),
            (Takes::All, true) if self.operand().is_none_or(|it| it.only.is_none()) => Some(true),
            _ => None,
        }
    }

    fn vmid(&self) -> Option<Vmid> {
        match self.command {
            Command::TlbiVa(it) => Some(it.vmid),
            Command::TlbiVaa(vmid, _)
            | Command::TlbiAsid(vmid, _)
            | Command::TlbiAll(vmid)
            | Command::TlbiVmall(vmid)
            | Command::TlbiIpa(vmid, _) => Some(vmid),
            _ => None,
        }
    }

    fn tag(&self, bound: Bound) -> Takes {
        let all_if = |right| if right { Takes::All } else { Takes::Nothing };
        let Bound::Space(space) = bound else {
            let Bound::Machine(machine) = bound else {
                return Takes::Nothing;
            };
            let own = |vmid: Vmid| usize::from(vmid.0) == machine + 1;
            return match self.command {
                Command::TlbiIpa(vmid, _) | Command::TlbiVmall(vmid) => all_if(own(vmid)),
                Command::TlbiNsnhAll => Takes::All,
                _ => Takes::Nothing,
            };
        };
        let own = SPACES[space];
        let by_asid = |asid: Asid, vmid: Vmid, (right, wrong)| match (own.1 == vmid, own.0 == asid)
        {
            (false, _) => Takes::Nothing,
            (true, true) => right,
            (true, false) => wrong,
        };
        match self.command {
            Command::TlbiVa(it) => by_asid(it.asid, it.vmid, (Takes::All, Takes::Global)),
            Command::TlbiAsid(vmid, asid) => {
                by_asid(asid, vmid, (Takes::NotGlobal, Takes::Nothing))
            }
            Command::TlbiVaa(vmid, _) | Command::TlbiAll(vmid) | Command::TlbiVmall(vmid) => {
                all_if(own.1 == vmid)
            }
            Command::TlbiNsnhAll => Takes::All,
            _ => Takes::Nothing,
        }
    }

    fn operand(&self) -> Option<Operand> {
        match self.command {
            Command::TlbiVa(it) => Some(self.span(&it.span)),
            Command::TlbiVaa(_, span) => Some(self.span(&span)),
            Command::TlbiIpa(_, span) => Some(self.span(&span)),
            _ => None,
        }
    }

    /// (NUM + 1) * 2^SCALE pages of TG; without a range the page of the address.
    fn span<A: Address>(&self, span: &TlbiSpan<A>) -> Operand {
        let at = Iova::new(span.address.raw());
        let range = match span.pages {
            None => AddrRange::page(at, self.granule.page()),
            Some(pages) => {
                let bytes = (u64::from(pages.num()) + 1) << pages.scale();
                let page = pages.granule().page();
                AddrRange::from_length(at.align_down(page), bytes * page.bytes()).unwrap()
            }
        };
        let only = span.pages.and_then(|it| it.level()?.size(it.granule()));
        Operand {
            range,
            only,
            levels: span.levels,
        }
    }
}

/// Whose entries.
enum Takes {
    Nothing,
    All,
    NotGlobal,
    Global,
}

/// For which addresses and levels.
struct Operand {
    range: AddrRange<Iova>,
    only: Option<PageSize>,
    levels: Levels,
}
