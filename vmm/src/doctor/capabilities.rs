//! What KVM says that it can.

use kvm_bindings::{
    KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_IRQCHIP, KVM_CAP_IRQFD,
    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CAP_MAX_VCPUS, KVM_CAP_MEMORY_FAULT_INFO,
    KVM_CAP_READONLY_MEM, KVM_CAP_SYNC_MMU,
};
use kvm_ioctls::Kvm;

use super::{Area, Finding, State};
use crate::host::NEEDED;

/// Number, name, what for, what to do without.
type Known = (u32, &'static str, &'static str, &'static str);

const NEWER: &str = "use a newer kernel";

const OPTIONAL: [Known; 7] = [
    (
        KVM_CAP_READONLY_MEM,
        "read-only memory",
        "the tracker `trap`: page-table writes as exits",
        "use the tracker `announce`",
    ),
    (
        KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
        "dirty log, cleared by hand",
        "seeing which pages the guest wrote, without losing any",
        NEWER,
    ),
    (
        KVM_CAP_SYNC_MMU,
        "mmu notifiers",
        "the guest loses a page when this process does (KVM_CAP_SYNC_MMU)",
        NEWER,
    ),
    (
        KVM_CAP_IRQCHIP,
        "interrupt controller",
        "interrupts between vCPUs",
        "vCPUs can only poll; use a kernel whose KVM has an interrupt controller",
    ),
    (
        KVM_CAP_IRQFD,
        "irqfd",
        "interrupts from devices without an exit",
        NEWER,
    ),
    (
        KVM_CAP_MEMORY_FAULT_INFO,
        "memory-fault info",
        "which address KVM could not give the guest",
        "failures say less; use Linux 6.8 or newer",
    ),
    (
        KVM_CAP_MAX_VCPUS,
        "vCPUs",
        "as many in one machine, at most",
        NEWER,
    ),
];

/// What every machine needs.
pub(super) fn needed(kvm: &Kvm) -> Vec<Finding> {
    let findings = NEEDED.iter().map(|(number, name)| {
        let there = kvm.check_extension_raw((*number).into()) > 0;
        let what = if there { "there" } else { "not there" };
        finding(Area::Needed, name, there, what.into(), NEWER)
    });
    findings.collect()
}

/// What some uses need.
pub(super) fn optional(kvm: &Kvm) -> Vec<Finding> {
    let asked = |number: u32| kvm.check_extension_raw(number.into());
    let known = OPTIONAL.iter().map(|(number, name, purpose, remedy)| {
        let answer = asked(*number);
        let what = match *number {
            KVM_CAP_MAX_VCPUS => format!("{purpose}: {answer}"),
            _ => (*purpose).into(),
        };
        finding(Area::Optional, name, answer > 0, what, remedy)
    });
    let ring = asked(KVM_CAP_DIRTY_LOG_RING).max(asked(KVM_CAP_DIRTY_LOG_RING_ACQ_REL));
    let what = "the same per vCPU, in order".into();
    let ring = finding(
        Area::Optional,
        "dirty ring",
        ring > 0,
        what,
        "use the dirty log",
    );
    known.chain([ring]).collect()
}

fn finding(area: Area, name: &str, there: bool, what: String, remedy: &str) -> Finding {
    Finding {
        area,
        name: name.into(),
        state: if there { State::Ok } else { State::Missing },
        what,
        measured: None,
        remedy: (!there).then(|| remedy.into()),
    }
}
