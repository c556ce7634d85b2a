//! The interrupt controller: a local APIC for each vCPU, in KVM, and nothing else. vCPUs send each
//! other interrupts through it; devices have none.

use guest::abi::layout::PAGE;
use guest::abi::x86_64::{LOCAL_APIC, SHOOT_DOWN_VECTOR};
use kvm_bindings::{KVM_CAP_SPLIT_IRQCHIP, kvm_enable_cap, kvm_lapic_state};
use kvm_ioctls::{VcpuFd, VmFd};

use crate::arch::{Result, Step};

/// Logical destination register (Intel SDM vol. 3, §12.6.2.2): in its highest byte this APIC's bit.
/// In the flat model, which a reset leaves behind, a command reaches all APICs whose bit it has.
const LOGICAL_DESTINATION: usize = 0xd0;
/// Spurious-interrupt vector register (§12.9).
const SPURIOUS: usize = 0xf0;
/// In it: the APIC is on.
const SOFTWARE_ENABLE: u32 = 1 << 8;

/// Gives `vm`, which has no vCPU yet, local APICs. The rest of an interrupt controller would be
/// user space's, which has none.
///
/// # Errors
///
/// If KVM refuses.
pub fn add_interrupt_controller(vm: &VmFd) -> Result<()> {
    let split = kvm_enable_cap {
        cap: KVM_CAP_SPLIT_IRQCHIP,
        ..Default::default()
    };
    vm.enable_cap(&split)
        .map_err(Step::AddInterruptController.failed())
}

/// IA32_APIC_BASE as after reset, with the registers where the payload expects them.
pub(super) fn apic_base(reset: u64) -> u64 {
    reset & (PAGE - 1) | LOCAL_APIC
}

/// Turns `vcpu`'s APIC on, with this id's bit as its logical destination. An interrupt that turns out
/// to be none comes as a shoot-down, which then finds nothing asked.
pub(super) fn enable_interrupts(vcpu: &VcpuFd, apic_id: u8) -> Result<()> {
    let mut apic = vcpu
        .get_lapic()
        .map_err(Step::SetInterruptController.failed())?;
    set(
        &mut apic,
        LOGICAL_DESTINATION,
        1 << (24 + u32::from(apic_id)),
    );
    #[expect(clippy::cast_possible_truncation, reason = "a vector is a byte")]
    set(
        &mut apic,
        SPURIOUS,
        SOFTWARE_ENABLE | SHOOT_DOWN_VECTOR as u32,
    );
    vcpu.set_lapic(&apic)
        .map_err(Step::SetInterruptController.failed())
}

fn set(apic: &mut kvm_lapic_state, register: usize, value: u32) {
    for (slot, byte) in apic.regs[register..].iter_mut().zip(value.to_le_bytes()) {
        *slot = byte.cast_signed() as _;
    }
}
