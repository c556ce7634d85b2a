//! Putting a machine together.

use std::sync::Arc;

use guest::abi::{dma, layout, port, program, smmu};
use kvm_ioctls::{Cap, IoEventAddress, Kvm, NoDatamatch, VmFd};
use notifier::addr::Gpa;
use notifier::contract::{AddressSpace, RegisterError, Subscription};
use notifier::oracle::{DirtyManagement, Oracle};
use notifier::paging::{Format, SystemMemory, TableMemory, Tree};
use notifier::secondary::Observer;
use notifier::secondary::shadow::Shadow;
use notifier::secondary::smmu::{Context, EndInvalidates, Httu, Knobs, Smmu, Sva};

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::{
    ASID, DRIVEN_STREAM, Machine, MachineConfig, MachineError, STREAM, TLB_ENTRIES, Watching,
};
use crate::bus::{Bus, Space};
use crate::devices::dma::{Engine, EngineParts, Registers};
use crate::devices::{CONSOLE_PORTS, Console, ExitPort, Frame, NotifyPort, ReportPort, YieldPort};
use crate::driver::SmmuDriver;
use crate::host::{HostError, READ_ONLY_SLOTS};
use crate::memory::{Layout, PageTableSlot, Ram, map_into};
use crate::mirror::Mirror;
use crate::tracker::TrackerKind;
use crate::tracker::announce::AnnouncePort;
use crate::tracker::scan::{
    DirtyLog, DirtyPages, DirtyRings, Log, Point, Scan, Scanner, ShadowCopy,
};
use crate::tracker::shadow_paging::ShadowPaging;
use crate::tracker::trap::Trap;
use crate::vcpu::Buses;
use crate::{arch, host, image, page_tables};

pub(super) fn machine(
    kvm: &Kvm,
    config: &MachineConfig<'_>,
    watching: Watching,
) -> Result<Machine, MachineError> {
    if !(1..=layout::MAX_VCPUS).contains(&config.vcpus) {
        return Err(MachineError::Vcpus(config.vcpus));
    }
    let map = Layout::new(&config.memory)?;
    host::check_memory(config.memory.size)?;
    let ram = Ram::new(map).map_err(MachineError::Memory)?;
    let loaded = image::load(&ram, config.image)?;
    arch::write_system_tables(ram.backend(), config.vcpus, &loaded.header)?;
    let format = arch::page_table_format(kvm)?;
    let built = page_tables::build(&*format, &ram)?;

    let copy = shadow_copy(&ram, config.tracker)?;
    let watched = Watched::new(&ram, copy.as_ref(), &format, built.root, (config, watching))?;
    let subscriptions = watched.subscribe(config)?;
    let mirror = Mirror::new(
        ram.clone(),
        Arc::clone(&watched.space),
        Arc::clone(&watched.oracle),
        config.policy,
    );
    let mirror = mirror.with_broadcasts(Arc::clone(&watched.smmu), ASID);
    let mirror = Arc::new(match &copy {
        Some(copy) => mirror.with_tables(Arc::clone(copy) as Arc<dyn TableMemory>),
        None => mirror,
    });
    let vm = virtual_machine(kvm, &ram, config.tracker)?;
    let scanner = scanner((&vm, &ram), copy, &mirror, config.tracker)?;
    let registers = Arc::new(Registers::new().map_err(MachineError::resource("doorbell"))?);
    connect_doorbells(&vm, &registers)?;
    let console = Arc::new(Console::new());
    let mut buses = buses(&ram, &watched.oracle, &registers, &console)?;
    let frame = Frame::new(Arc::clone(&watched.smmu), ram.clone());
    let frame = Arc::new(frame.map_err(MachineError::resource("event descriptor"))?);
    let place = (layout::SMMU_FRAME, smmu::FRAME_SIZE);
    let registers_of_smmu = Point::before(frame.clone(), scanner.as_ref());
    buses.mmio.insert(place.0, place.1, registers_of_smmu)?;
    let notify = NotifyPort::new(Arc::clone(&watched.space), Arc::clone(&watched.smmu), ASID);
    control(&mut buses).insert(port::NOTIFY.into(), 4, Arc::new(notify))?;
    let mirror_for_tracker = Arc::clone(&mirror);
    add_tracker(&mut buses, config.tracker, &ram, mirror_for_tracker, &vm)?;
    let engine = Engine::new(EngineParts {
        ram: ram.clone(),
        registers,
        smmu: Arc::clone(&watched.smmu),
        frame,
        stream: STREAM,
        driven: DRIVEN_STREAM,
        asid: ASID,
        shadow: Arc::clone(&watched.shadow),
        oracle: Arc::clone(&watched.oracle),
        scanner: scanner.clone(),
    });
    let engine = engine.map_err(MachineError::resource("timer"))?;
    let stop = EventFd::new(EFD_NONBLOCK);
    Ok(Machine {
        vcpus: config.vcpus,
        limit: config.limit,
        loaded,
        built,
        protocol: protocol(config.tracker),
        format,
        buses: Arc::new(buses),
        refusals: None,
        engine,
        scanner,
        console,
        mirror,
        _subscriptions: subscriptions,
        space: watched.space,
        smmu: watched.smmu,
        shadow: watched.shadow,
        oracle: watched.oracle,
        vm,
        recorder: None,
        ram,
        stop: stop.map_err(MachineError::resource("event descriptor"))?,
    })
}

/// How the payload must store entries so that the tracker sees them.
fn protocol(tracker: TrackerKind) -> u64 {
    match tracker {
        TrackerKind::Trap | TrackerKind::Scan(_) => program::PROTOCOL_STORE,
        TrackerKind::Announce => program::PROTOCOL_ANNOUNCE,
    }
}

/// What secondary MMUs walk instead of the guest's own tables, if they do.
fn shadow_copy(ram: &Ram, tracker: TrackerKind) -> Result<Option<Arc<ShadowCopy>>, MachineError> {
    if !matches!(tracker, TrackerKind::Scan(_)) {
        return Ok(None);
    }
    let copy = ShadowCopy::new(ram.clone());
    let copy = copy.map_err(|error| MachineError::Assembly(error.into()))?;
    Ok(Some(Arc::new(copy)))
}

/// Who scans, if anybody must.
fn scanner(
    (vm, ram): (&Arc<VmFd>, &Ram),
    copy: Option<Arc<ShadowCopy>>,
    mirror: &Arc<Mirror>,
    tracker: TrackerKind,
) -> Result<Option<Arc<Scanner>>, MachineError> {
    let (Some(copy), TrackerKind::Scan(pages)) = (copy, tracker) else {
        return Ok(None);
    };
    let log: Box<dyn Log> = match pages {
        DirtyPages::Ring => Box::new(DirtyRings::new(Arc::clone(vm), ram)),
        DirtyPages::Log => Box::new(DirtyLog::new(Arc::clone(vm), ram)),
    };
    let scanner = Scanner::new(Scan::new(log, copy, Arc::clone(mirror)));
    let scanner = scanner.map_err(MachineError::resource("event descriptor"))?;
    Ok(Some(Arc::new(scanner)))
}

/// The address space, what follows it, and what watches both.
struct Watched {
    space: Arc<AddressSpace<Tree>>,
    smmu: Arc<Smmu>,
    shadow: Arc<Shadow>,
    oracle: Arc<Oracle>,
}

impl Watched {
    fn new(
        ram: &Ram,
        copy: Option<&Arc<ShadowCopy>>,
        format: &Arc<dyn Format>,
        root: Gpa,
        (config, watching): (&MachineConfig<'_>, Watching),
    ) -> Result<Self, MachineError> {
        let tree = Tree::read(Arc::clone(format), ram, root, ram.layout().page_tables())?;
        let oracle = Arc::new(Oracle::new().with_dirty_management(dirty_management(config.smmu)));
        oracle.begin(tree.pages());
        let memory: Arc<dyn SystemMemory> = match copy {
            Some(copy) => Arc::clone(copy) as _,
            None => Arc::new(ram.clone()),
        };
        let observer: Arc<dyn Observer> = match watching {
            Watching::Oracle => oracle.clone(),
            Watching::Nobody => Arc::new(()),
        };
        let smmu = Smmu::new(TLB_ENTRIES, memory.clone(), observer).with_knobs(config.smmu);
        let smmu = smmu.with_stage1_format(Arc::clone(format));
        if config.driver == SmmuDriver::Vmm {
            let context = Context {
                asid: ASID,
                root,
                format: Arc::clone(format),
            };
            smmu.attach(STREAM, context);
        }
        let shadow = Shadow::new(memory, Arc::clone(format), root, oracle.clone());
        Ok(Self {
            space: Arc::new(match watching {
                Watching::Oracle => AddressSpace::observed(tree, oracle.clone()),
                Watching::Nobody => AddressSpace::new(tree),
            }),
            smmu: Arc::new(smmu),
            shadow: Arc::new(shadow),
            oracle,
        })
    }

    /// Each secondary MMU in its family; the SMMU's driver of the age that the policy is of, unless
    /// the guest has one.
    fn subscribe(&self, config: &MachineConfig<'_>) -> Result<Vec<Subscription>, RegisterError> {
        let mut subscriptions = vec![self.space.register_ranges(self.shadow.clone())?];
        if config.driver == SmmuDriver::Guest {
            return Ok(subscriptions);
        }
        let sva = Sva::new(Arc::clone(&self.smmu), ASID);
        let driver = Arc::new(sva.clone());
        subscriptions.push(self.space.register_secondary_tlb(driver)?);
        if config.policy.ends_invalidate_tlbs() {
            let driver = Arc::new(EndInvalidates(sva));
            subscriptions.push(self.space.register_ranges(driver)?);
        }
        Ok(subscriptions)
    }
}

/// Who marks pages dirty that the device writes.
fn dirty_management(knobs: Knobs) -> DirtyManagement {
    match knobs.httu {
        Httu::AccessDirty => DirtyManagement::Hardware,
        Httu::None | Httu::Access => DirtyManagement::Software,
    }
}

fn virtual_machine(kvm: &Kvm, ram: &Ram, tracker: TrackerKind) -> Result<Arc<VmFd>, MachineError> {
    let vm = kvm
        .create_vm()
        .map_err(MachineError::kvm("create a virtual machine"))?;
    if tracker == TrackerKind::Trap && !vm.check_extension(Cap::ReadonlyMem) {
        return Err(HostError::Missing(READ_ONLY_SLOTS).into());
    }
    if tracker == TrackerKind::Scan(DirtyPages::Ring) {
        DirtyRings::enable(&vm).map_err(MachineError::kvm("log writes in dirty rings"))?;
    }
    let pool = match tracker {
        TrackerKind::Trap => PageTableSlot::ReadOnly,
        TrackerKind::Announce => PageTableSlot::Ordinary,
        TrackerKind::Scan(_) => PageTableSlot::Logged,
    };
    map_into(&vm, ram, pool).map_err(MachineError::kvm("map guest memory"))?;
    arch::add_interrupt_controller(&vm)?;
    Ok(Arc::new(vm))
}

fn connect_doorbells(vm: &VmFd, registers: &Registers) -> Result<(), MachineError> {
    for (channel, doorbell) in (0..).zip(registers.doorbells()) {
        let address = IoEventAddress::Mmio(dma::register(channel, dma::DOORBELL));
        vm.register_ioevent(doorbell, &address, NoDatamatch)
            .map_err(MachineError::kvm("connect a doorbell"))?;
    }
    Ok(())
}

fn buses(
    ram: &Ram,
    oracle: &Arc<Oracle>,
    registers: &Arc<Registers>,
    console: &Arc<Console>,
) -> Result<Buses, MachineError> {
    let (mut mmio, ports) = (Bus::new(Space::Mmio), Bus::new(Space::Port));
    mmio.insert(layout::MMIO, dma::SIZE, registers.clone())?;
    let mut buses = Buses { mmio, ports };
    let control = control(&mut buses);
    control.insert(port::SERIAL.into(), CONSOLE_PORTS, console.clone())?;
    let exit = Arc::new(ExitPort::new(ram.clone()));
    control.insert(port::EXIT.into(), 4, exit)?;
    let report = Arc::new(ReportPort::new(Arc::clone(oracle)));
    control.insert(port::REPORT.into(), 4, report)?;
    control.insert(port::YIELD.into(), 4, Arc::new(YieldPort))?;
    Ok(buses)
}

/// The bus on which the payload talks to the machine.
fn control(buses: &mut Buses) -> &mut Bus {
    match arch::CONTROL {
        Space::Mmio => &mut buses.mmio,
        Space::Port => &mut buses.ports,
    }
}

fn add_tracker(
    buses: &mut Buses,
    tracker: TrackerKind,
    ram: &Ram,
    mirror: Arc<Mirror>,
    vm: &Arc<VmFd>,
) -> Result<(), MachineError> {
    let pool = ram.layout().page_tables();
    match tracker {
        TrackerKind::Trap => {
            let shadow_paging = ShadowPaging::new(Arc::clone(vm), ram.clone());
            let shadow_paging = shadow_paging.map_err(MachineError::resource("spare page"))?;
            let trap = Trap::new(ram.clone(), mirror, shadow_paging);
            let length = pool.length().unwrap_or(0);
            buses
                .mmio
                .insert(pool.start().raw(), length, Arc::new(trap))?;
        }
        TrackerKind::Announce => {
            let port = AnnouncePort::new(ram.clone(), mirror);
            control(buses).insert(port::ANNOUNCE.into(), 4, Arc::new(port))?;
        }
        // The guest needs nothing of it.
        TrackerKind::Scan(_) => {}
    }
    Ok(())
}
