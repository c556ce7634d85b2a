//! Which configuration an access is translated by: known, or read from the stream table.

use std::sync::Arc;

use super::model::count;
use super::regime::{Half, Marks, OnFault, Regime, Stage1, Stage2, Tagged, Walks};
use super::spec::{
    Abilities, AddressSize, BadCd, Cd, Eats, EventKind, Granules, Stages, StallModel, Ste,
    StreamTable, StreamWorld as World,
};
use super::streams::{Known, Route, Source};
use super::structures::Structures;
use super::walker::Refused;
use super::{Ats, Broadcast, Caching, Granule, Httu, Requester, Smmu};
use crate::addr::{Access, Asid, Gpa, Iova, StreamId};
use crate::paging::{Format, vmsa};
use crate::secondary::cache::StreamWorld;
use crate::secondary::{CacheId, Configuration, Fault, FaultKind};

/// What software programmed: how streams are looked up that nobody bound by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Programming {
    /// CR0.SMMUEN, and what it means for streams.
    pub streams: Traffic,
    /// CR2.RECINVSID: a stream outside of the table has its event (`C_BAD_STREAMID`).
    pub records_unknown_streams: bool,
    /// CR2.PTM: whether broadcast invalidations that reach the SMMU count.
    pub broadcast: Broadcast,
}

impl Programming {
    /// What it is out of reset: off, and traffic passes.
    pub const RESET: Self = Self {
        streams: Traffic::Bypassed,
        records_unknown_streams: false,
        broadcast: Broadcast::On,
    };
}

/// What becomes of a stream's traffic before the stream table is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// The SMMU is off, and GBPA.ABORT is set.
    Aborted,
    /// The SMMU is off: it passes.
    Bypassed,
    /// The SMMU is on.
    Looked(StreamTable),
}

/// A configuration that was read.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) route: Route,
    pub(super) structures: Structures,
}

impl Fetched {
    pub(super) fn new(route: Route, structures: Structures) -> Self {
        Self { route, structures }
    }
}

/// A configuration that can't be used.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bad {
    /// By itself.
    Event(EventKind),
    /// Stage 2 does not lead to a part of it.
    Translation(Refused, CacheId),
}

impl Bad {
    pub(super) fn event(kind: EventKind) -> Self {
        Self::Event(kind)
    }

    /// Whether software does not want to hear of it.
    fn is_unheard(&self, programming: &Programming) -> bool {
        matches!(self, Self::Event(EventKind::BadStreamId)) && !programming.records_unknown_streams
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Event(EventKind::BadStreamId) => FaultKind::Stream,
            Self::Event(_) => FaultKind::Configuration,
            Self::Translation(refused, _) => refused.kind,
        }
    }
}

/// Where stage-1 tables are not what a CD says, but what the machine has: its CPUs' own format.
pub(super) type MachineFormat = Option<Arc<dyn Format>>;

impl Smmu {
    /// The same, whose stage 1 walks tables of this format whatever a CD says of theirs (TCR fields);
    /// TTB0 is their root, and TTB1 counts for nothing. For machines with page tables of their own.
    #[must_use]
    pub fn with_stage1_format(self, format: Arc<dyn Format>) -> Self {
        Self {
            stage1_format: Some(format),
            ..self
        }
    }

    /// Says how streams are looked up that nobody bound by hand; `None` if there is no such thing.
    /// What is known of streams already stays until it is invalidated.
    pub fn program(&self, programming: Option<Programming>) {
        self.programming.store(programming.map(Arc::new));
    }

    /// What the SMMU can do: what its identification registers say.
    pub fn abilities(&self) -> Abilities {
        Abilities {
            stages: Stages::Both,
            granules: Granules::all(),
            output: AddressSize::B48,
            stream_bits: 16,
            substream_bits: 20,
            two_level_streams: true,
            two_level_contexts: true,
            asid16: true,
            vmid16: true,
            ats: self.knobs.ats == Ats::On,
            split_ats: false,
            pri: self.knobs.ats == Ats::On,
            stall: StallModel::Configurable,
            httu: self.knobs.httu.ability(),
            range_invalidation: self.features.range_invalidation,
            bbml: 2,
            btm: self.knobs.broadcast == Broadcast::On,
            hyp: false,
            msi: true,
            sev: false,
            command_queue: 19,
            event_queue: 19,
            page_queue: 19,
        }
    }

    /// Finds the configuration of `from` and goes on with it.
    pub(super) fn configured<R>(
        &self,
        from: Requester,
        iova: Iova,
        access: Access,
        go_on: impl FnOnce(&Route) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let streams = self.streams.all();
        let known = streams.get(&from);
        if let Some(known) = known.filter(|known| known.is_bound_by_hand()) {
            return go_on(&known.route);
        }
        let programming = self.programming.load();
        let Some(programming) = &*programming else {
            return Err(self.refuse_untranslated(FaultKind::Stream, iova, access));
        };
        match (&programming.streams, known) {
            (Traffic::Aborted, _) => go_on(&Route::Abort),
            (Traffic::Bypassed, _) => go_on(&Route::Bypass),
            (Traffic::Looked(_), Some(known)) => {
                self.tell_known(from, iova, access, known);
                go_on(&known.route)
            }
            (Traffic::Looked(table), None) => {
                let ticket = self.streams.fetch_began();
                let fetched = self.fetch(table, from);
                let fetched = fetched.map_err(|bad| {
                    self.tell_bad(from, iova, access, &bad, programming);
                    self.refuse_untranslated(bad.kind(), iova, access)
                })?;
                count(&self.counters.configurations);
                self.tell_configured(from, iova, access, Configuration::Fetched);
                if self.knobs.configuration_cache == Caching::On {
                    self.streams.keep(from, &fetched, ticket);
                }
                go_on(&fetched.route)
            }
        }
    }

    /// What an access of `from` would find of its configuration, without making one.
    pub fn found_configuration(&self, from: impl Into<Requester>) -> Configuration {
        match self
            .streams
            .all()
            .get(&from.into())
            .map(|known| &known.source)
        {
            Some(Source::Tables(structures, _)) => {
                let differs = self.differing(structures);
                differs.map_or(Configuration::Cached, Configuration::CachedDiffers)
            }
            Some(Source::Hand(_)) | None => Configuration::Fetched,
        }
    }

    fn tell_known(&self, from: Requester, iova: Iova, access: Access, known: &Known) {
        let Source::Tables(structures, _) = &known.source else {
            return;
        };
        if self.observer.watches() {
            let differs = self.differing(structures);
            let found = differs.map_or(Configuration::Cached, Configuration::CachedDiffers);
            self.tell_configured(from, iova, access, found);
        }
    }

    fn tell_configured(&self, from: Requester, iova: Iova, access: Access, found: Configuration) {
        let Requester { stream, substream } = from;
        self.observer
            .configured(stream, substream, iova, access, found);
    }

    fn tell_bad(
        &self,
        from: Requester,
        iova: Iova,
        access: Access,
        bad: &Bad,
        programming: &Programming,
    ) {
        match bad {
            Bad::Event(_) if bad.is_unheard(programming) => {}
            Bad::Event(kind) => self.record(from, *kind),
            Bad::Translation(refused, cache) => {
                self.observer.denied(*cache, iova, access, &refused.denial);
                self.record_refusal(from, iova, access, refused, None);
            }
        }
    }

    /// The stream-table entry of a stream, if it has a valid one.
    pub(super) fn ste(&self, stream: StreamId) -> Option<Ste> {
        let programming = self.programming.load();
        match &programming.as_ref()?.streams {
            Traffic::Looked(table) => self.valid_ste(table, stream),
            Traffic::Aborted | Traffic::Bypassed => None,
        }
    }

    fn refuse_untranslated(&self, kind: FaultKind, iova: Iova, access: Access) -> Fault {
        count(&self.counters.untranslated);
        Fault::new(kind, iova, access)
    }

    pub(super) fn stage2_of(&self, ste: &Ste) -> Result<Option<Stage2>, Bad> {
        if !ste.config.second() {
            return Ok(None);
        }
        let second = &ste.stage2;
        let marks = Marks {
            httu: Httu::from_fields(second.hardware_access, second.hardware_dirty),
            ignores_access_flag: second.access_fault_disabled,
        };
        let format = stage2_format(ste).ok_or(Bad::event(EventKind::BadSte))?;
        let root = aligned(&format, second.root);
        Ok(Some(Stage2::new(
            &self.tlb,
            Arc::new(format),
            root,
            second.vmid,
            marks,
        )))
    }

    /// Stage 2 alone, or with stage 1 bypassed.
    pub(super) fn stage2_regime(&self, ste: &Ste, stage2: Stage2) -> Regime {
        let on_fault = OnFault {
            stalls: ste.stage2.stall,
            records: ste.stage2.record,
        };
        Regime {
            on_stage2_fault: on_fault,
            ats: ste.ats == Eats::Full,
            ..Regime::new(&self.tlb, tagged(ste, None), None, Some(stage2))
        }
    }

    pub(super) fn stage1_regime(
        &self,
        ste: &Ste,
        cd: &Cd,
        stage2: Option<Stage2>,
    ) -> Result<Regime, Bad> {
        let bad = |_: BadCd| Bad::event(EventKind::BadCd);
        cd.check(&self.abilities(), ste, World::El1).map_err(bad)?;
        let stage1 = Stage1 {
            halves: self.halves(cd).ok_or(Bad::event(EventKind::BadCd))?,
            marks: Marks {
                httu: Httu::from_fields(cd.hardware_access, cd.hardware_dirty),
                ignores_access_flag: cd.access_fault_disabled,
            },
        };
        Ok(Regime {
            on_stage1_fault: OnFault {
                stalls: cd.stall,
                records: cd.record,
            },
            on_stage2_fault: OnFault {
                stalls: ste.stage2.stall,
                records: ste.stage2.record,
            },
            ats: ste.ats == Eats::Full,
            ..Regime::new(&self.tlb, tagged(ste, Some(cd.asid)), Some(stage1), stage2)
        })
    }

    fn halves(&self, cd: &Cd) -> Option<Vec<Half>> {
        if let Some(format) = &self.stage1_format {
            return Some(vec![Half {
                format: Arc::clone(format),
                root: aligned(&**format, cd.lower.root.to_gpa()),
                walks: walks(&cd.lower),
            }]);
        }
        let halves = [(vmsa::Half::Low, &cd.lower), (vmsa::Half::High, &cd.upper)];
        halves
            .map(|(which, half)| stage1_half(cd, which, half))
            .into_iter()
            .collect()
    }
}

fn walks(half: &super::spec::Half) -> Walks {
    if half.walks_disabled {
        Walks::Disabled
    } else {
        Walks::Enabled
    }
}

/// A half whose walks are disabled need not make sense otherwise; what is in the TLB of it, it
/// translates.
fn stage1_half(cd: &Cd, which: vmsa::Half, half: &super::spec::Half) -> Option<Half> {
    let disabled = half.walks_disabled;
    let granule = half.granule.or(disabled.then_some(Granule::K4))?;
    let input = vmsa::InputSize::from_tsz(half.size);
    let input = input.or(disabled.then_some(vmsa::InputSize::BITS_48))?;
    let top_byte = if half.top_byte_ignored {
        vmsa::TopByte::Ignored
    } else {
        vmsa::TopByte::Checked
    };
    let hierarchy = if half.hierarchy_disabled {
        vmsa::Hierarchy::Ignored
    } else {
        vmsa::Hierarchy::Limits
    };
    let format = vmsa::Stage1::new(granule, which, input, output(cd.output));
    Some(Half {
        root: aligned(&format, half.root.to_gpa()),
        format: Arc::new(format.with_top_byte(top_byte).with_hierarchy(hierarchy)),
        walks: walks(half),
    })
}

/// A first table is aligned to its size, whatever its address says below that (`IHI0070` 5.4, TTB0).
fn aligned(format: &dyn Format, root: Gpa) -> Gpa {
    let entries = u64::try_from(format.entries(format.root())).unwrap_or(1);
    Gpa::new(root.raw() & !(8 * entries - 1))
}

fn stage2_format(ste: &Ste) -> Option<vmsa::Stage2> {
    let second = &ste.stage2;
    let granule = second.granule?;
    let start = vmsa::StartLevel::from_sl0(granule, second.sl0)?;
    let input = vmsa::InputSize::from_tsz(second.t0sz)?;
    vmsa::Stage2::new(granule, start, input, output(second.output)).ok()
}

/// Capped to what the SMMU has.
fn output(size: AddressSize) -> vmsa::OutputSize {
    let field = u8::try_from(size.field()).unwrap_or(u8::MAX);
    vmsa::OutputSize::from_field(field).unwrap_or(vmsa::OutputSize::Bits48)
}

fn tagged(ste: &Ste, asid: Option<Asid>) -> Tagged {
    Tagged {
        world: StreamWorld::NsEl1,
        vmid: Some(ste.stage2.vmid),
        asid,
    }
}
