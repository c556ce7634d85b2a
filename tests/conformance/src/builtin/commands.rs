//! The plans of the drivers in `notifier::secondary`.

use notifier::addr::{AddrRange, Asid, Iova, PageSize, StreamId};
use notifier::secondary::smmu::{self, Features, Levels, Request, TlbiVa};
use notifier::secondary::vtd::{self, CacheTags, Descriptor};
use notifier::secondary::{AlignedSpan, amd, ocxl};

use crate::subject::{Bounds, Command, Commands, Depth, Driver, Teardown};

const ASID: Asid = Asid(1);
const STREAM: StreamId = StreamId(1);

/// The drivers.
pub(super) struct Drivers;

impl Commands for Drivers {
    fn vtd_release(&self) -> Option<Vec<Teardown>> {
        let tags = CacheTags {
            pasid: ASID,
            devices: &[STREAM],
        };
        let all = AlignedSpan::covering(AddrRange::all());
        let step = |step| match step {
            vtd::Teardown::ClearEntry(_) => Some(Teardown::ClearEntry),
            vtd::Teardown::PasidCache(_) => Some(Teardown::EntryCache),
            vtd::Teardown::Invalidate(Descriptor::IotlbPasid(_)) => Some(Teardown::Tlb),
            vtd::Teardown::Invalidate(Descriptor::DeviceTlb(_, _, span)) if span == all => {
                Some(Teardown::DeviceTlb)
            }
            // Of anything else some translations would be left.
            vtd::Teardown::Invalidate(_) => None,
        };
        Some(tags.tear_down().into_iter().filter_map(step).collect())
    }

    fn commands(&self, driver: Driver, bounds: Bounds) -> Option<Vec<Command>> {
        let range = bounds.range().ok()?.map(Iova::shared);
        let features = Features::default();
        Some(match driver {
            Driver::SmmuByPage => of_smmu(features, range),
            Driver::SmmuByRange => {
                let range_invalidation = true;
                let features = Features {
                    range_invalidation,
                    ..features
                };
                of_smmu(features, range)
            }
            Driver::SmmuErratum => {
                let tlbi_twice = true;
                let features = Features {
                    tlbi_twice,
                    ..features
                };
                of_smmu(features, range)
            }
            Driver::Vtd => of_vtd(range),
            Driver::Amd => of_amd(range),
            Driver::Ocxl => ocxl::plan(range, PageSize::K4).map(of_ocxl).collect(),
        })
    }
}

fn bounds(range: AddrRange<Iova>) -> Bounds {
    range.map(Iova::to_gva).into()
}

fn device_tlb(span: AlignedSpan) -> Command {
    Command::DeviceTlb {
        start: span.start().to_gva(),
        order: span.order(),
    }
}

fn of_smmu(features: Features, range: AddrRange<Iova>) -> Vec<Command> {
    let request = Request {
        range,
        levels: Levels::All,
        tags: &[ASID],
        ats: &[STREAM],
    };
    let batches = features.plan(&request);
    let commands = batches.iter().flat_map(|batch| batch.commands());
    commands.map(smmu_command).collect()
}

fn smmu_command(command: &smmu::Command) -> Command {
    match command {
        smmu::Command::TlbiVa(tlbi) => tlbi_va(tlbi),
        smmu::Command::TlbiAsid(..) => Command::Everything,
        smmu::Command::AtcInv(_, _, span) => device_tlb(*span),
        smmu::Command::Sync(_) => Command::Sync,
        other => unreachable!("no plan has {other}"),
    }
}

fn tlbi_va(tlbi: &TlbiVa) -> Command {
    let depth = match tlbi.span.levels {
        Levels::All => Depth::Tables,
        Levels::Leaf => Depth::Leaves,
    };
    match tlbi.span.pages {
        Some(operand) => Command::Range {
            start: tlbi.span.address.to_gva(),
            num: operand.num(),
            scale: operand.scale(),
            depth,
        },
        None => Command::Pages(
            bounds(AddrRange::page(tlbi.span.address, PageSize::K4)),
            depth,
        ),
    }
}

fn of_vtd(range: AddrRange<Iova>) -> Vec<Command> {
    let tags = CacheTags {
        pasid: ASID,
        devices: &[STREAM],
    };
    let command = |descriptor| match descriptor {
        Descriptor::IotlbPasid(_) => Command::Everything,
        Descriptor::IotlbPages(_, span) => Command::Pages(bounds(span.range()), Depth::Tables),
        Descriptor::DeviceTlb(_, _, span) => device_tlb(span),
    };
    tags.plan(range).into_iter().map(command).collect()
}

fn of_amd(range: AddrRange<Iova>) -> Vec<Command> {
    let device = amd::Device {
        stream: STREAM,
        pasid: ASID,
        ats: true,
    };
    let command = |command| match command {
        amd::Command::IommuPages(_, operand) => match operand.range() {
            all if all == AddrRange::all() => Command::Everything,
            range => Command::Pages(bounds(range), Depth::Tables),
        },
        amd::Command::IotlbPages(_, _, operand) => {
            device_tlb(AlignedSpan::covering(operand.range()))
        }
        amd::Command::CompletionWait => Command::Sync,
    };
    amd::plan(&[device], range)
        .into_iter()
        .map(command)
        .collect()
}

fn of_ocxl(shoot_down: ocxl::ShootDown) -> Command {
    match shoot_down {
        ocxl::ShootDown::Page(range) => Command::Pages(bounds(range), Depth::Tables),
        ocxl::ShootDown::Process => Command::Everything,
    }
}
