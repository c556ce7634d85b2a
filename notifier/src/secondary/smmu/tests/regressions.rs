//! What random programs found, each as small as it can be.

use super::*;

/// Stage 1 comes first: what it refuses is its fault, whatever stage 2 would say of where it leads.
#[test]
fn a_permission_fault_of_stage_1_outranks_any_fault_of_stage_2() {
    let bench = Bench::new(RO, RW);
    bench.bind_nested();
    bench.memory.write_entry(bench.slots[1], 0).unwrap();
    assert_eq!(bench.access(Access::Read), Err(FaultKind::Translation));
    assert_eq!(bench.access(Access::Write), Err(FaultKind::Permission));
}

/// A block of stage 1 over pages of stage 2 is cached in pieces. One address of the block is enough to
/// invalidate it, so all pieces go (Arm ARM D8.17).
#[test]
fn all_pieces_of_a_block_go_with_any_address_of_it() {
    let whole = |permissions| Leaf {
        size: PageSize::M2,
        ..leaf(MIDDLE, permissions)
    };
    for ttl in [None, Some(Ttl::Level2)] {
        let bench = Bench::new(RO, RW);
        let block = bench.map_block(&whole(RO));
        bench.bind_nested();
        bench.at(BLOCK, Access::Read).unwrap();
        bench.remap_block(block, &whole(RW));
        let pages = ttl.and_then(|ttl| RangeOperand::new(Granule::K4, 1, 1)?.at(ttl));
        let span = TlbiSpan {
            pages,
            ..TlbiSpan::page(Iova::new(BLOCK + 0x3000), Levels::Leaf)
        };
        let (vmid, asid) = (VMID, ASID);
        bench.now(Command::TlbiVa(TlbiVa { vmid, asid, span }));
        assert_eq!(
            bench.at(BLOCK, Access::Write),
            Ok(Gpa::new(FRAME)),
            "{ttl:?}"
        );
    }
}

/// The low bits of a root are no part of it.
#[test]
fn a_first_table_is_aligned_to_its_size() {
    let bench = programming::programmed(Config::Nested);
    let mut ste = programming::ste(Config::Nested);
    ste.stage2.root = Gpa::new(bench.roots[1].raw() | 0xff0);
    bench.set_ste(&ste);
    let mut cd = programming::cd(&bench);
    cd.lower.root = Ipa::new(bench.roots[0].raw() | 0xff0);
    bench.set_cd(0, &cd);
    assert_eq!(bench.access(Access::Read), Ok(Gpa::new(FRAME + 8)));
}

/// Where a block of stage 1 is, which leads to [`MIDDLE`].
const BLOCK: u64 = PAGE + 0x20_0000;

impl Bench {
    /// Where the entry of the block at [`BLOCK`] is.
    fn map_block(&self, leaf: &Leaf) -> Gpa {
        let neighbour = self.table_of(PAGE);
        let at = Gpa::new(neighbour.raw() + 8);
        self.remap_block(at, leaf);
        at
    }

    /// The entry of the table that `PAGE`'s entry is in.
    fn table_of(&self, address: u64) -> Gpa {
        let format = stage1();
        let mut table = self.roots[0];
        for level in [3, 2] {
            let index =
                crate::paging::index(&format, crate::paging::Level(level), Gva::new(address));
            let entry = self
                .memory
                .read_entry(crate::paging::slot(table, index))
                .unwrap();
            table = Gpa::new(entry & 0xffff_ffff_f000);
        }
        let index = crate::paging::index(&format, crate::paging::Level(1), Gva::new(address));
        crate::paging::slot(table, index)
    }

    fn remap_block(&self, at: Gpa, leaf: &Leaf) {
        let entry = stage1().encode_leaf(leaf).unwrap();
        self.memory.write_entry(at, entry).unwrap();
    }
}

/// Where the top byte is no part of an address, an invalidation is for all of its names.
#[test]
fn an_invalidation_is_for_every_tag_of_an_address() {
    let tagged = PAGE | 0x5a << 56;
    let bench = Bench::new(RO, RW);
    let format = stage1().with_top_byte(vmsa::TopByte::Ignored);
    let context = Context {
        format: Arc::new(format),
        ..bench.context()
    };
    bench.smmu.attach(STREAM, context);
    assert_eq!(bench.at(tagged, Access::Read), Ok(Gpa::new(MIDDLE)));
    bench.set_first(&leaf(MIDDLE, RW));
    let refused = bench
        .smmu
        .access(STREAM, Iova::new(tagged), Access::Write, |_| ());
    assert_eq!(refused.unwrap_err().iova, Iova::new(tagged));
    bench.tlbi_page();
    assert_eq!(bench.at(tagged, Access::Write), Ok(Gpa::new(MIDDLE)));
}

/// An access on its way by a piece of a block is covered by any address of the block.
#[test]
fn a_sync_waits_for_accesses_by_pieces_of_what_is_invalidated() {
    let bench = Bench::new(RO, RW);
    bench.map_block(&Leaf {
        size: PageSize::M2,
        ..leaf(MIDDLE, RW)
    });
    bench.bind_nested();
    let write = bench.smmu.begin(STREAM, Iova::new(BLOCK), Access::Write);
    bench.smmu.submit(Command::TlbiVa(TlbiVa {
        vmid: VMID,
        asid: ASID,
        span: TlbiSpan::page(Iova::new(BLOCK + 0x3000), Levels::Leaf),
    }));
    let sync = bench.smmu.begin_sync().unwrap();
    assert!(!bench.smmu.poll_sync(&sync), "a write is on its way");
    write.unwrap().end();
    assert!(bench.smmu.poll_sync(&sync));
}

/// What stage 2 denies is looked up again like what stage 1 denies.
#[test]
fn walking_again_goes_through_both_stages() {
    let knobs = "deny=walk".parse().unwrap();
    let bench = Bench::of(&leaf(MIDDLE, RW), &under(FRAME, RO), knobs);
    bench.bind_nested();
    bench.access(Access::Read).unwrap();
    bench.set_second(&under(FRAME, RW));
    assert_eq!(bench.access(Access::Write), Ok(Gpa::new(FRAME + 8)));
}
