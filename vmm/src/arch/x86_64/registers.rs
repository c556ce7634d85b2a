//! The registers a vCPU starts with.

use guest::abi::layout::MAX_VCPUS;
use guest::abi::x86_64::{USER_CODE, USER_DATA, USER_STACK_END, system};
use kvm_bindings::{
    KVM_MP_STATE_RUNNABLE, kvm_fpu, kvm_mp_state, kvm_regs, kvm_segment, kvm_sregs,
};
use kvm_ioctls::{Kvm, VcpuFd};
use vm_memory::GuestAddress;

use super::cpuid::{personalize, supported_cpuid, vendor};
use super::descriptors::{code, data, global_register, interrupt_register, task_register};
use super::interrupts::{apic_base, enable_interrupts};
use crate::arch::{ArchError, Result, Step};

/// Protected mode, monitor coprocessor, extension type, native x87 errors, write protection also
/// for ring 0, paging. Intel SDM vol. 3, §2.5.
const CR0: u64 = 1 | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 16 | 1 << 31;
/// Physical-address extension, global pages, SSE and its exceptions. Neither SMEP nor SMAP: ring 0
/// runs from pages that ring 3 may use.
const CR4: u64 = 1 << 5 | 1 << 7 | 1 << 9 | 1 << 10;
/// Long mode enabled and active, no-execute pages.
const EFER: u64 = 1 << 8 | 1 << 10 | 1 << 11;
/// RFLAGS: its always-set bit, and interrupts on. Ring 3 can't turn them off: its I/O privilege level
/// is 0.
const FLAGS: u64 = 1 << 1 | 1 << 9;
/// x87 control word after FNINIT: all exceptions masked, 64-bit precision.
const X87_CONTROL: u16 = 0x37f;
/// MXCSR after reset: all exceptions masked.
const MXCSR: u32 = 0x1f80;

/// Makes `vcpu` start in ring 3 at `entry`, on the page tables at `page_table_root`, as vCPU
/// `index` of its machine, which has an [interrupt controller](super::add_interrupt_controller). The
/// system tables may be written before or after.
///
/// # Errors
///
/// If the index is too high or KVM refuses.
pub fn configure_vcpu(
    kvm: &Kvm,
    vcpu: &VcpuFd,
    index: u64,
    entry: GuestAddress,
    page_table_root: GuestAddress,
) -> Result<()> {
    let apic_id = u8::try_from(index).ok().filter(|_| index < MAX_VCPUS);
    let apic_id = apic_id.ok_or(ArchError::TooManyVcpus(index.saturating_add(1)))?;
    // First of all: KVM checks the registers against the features.
    let mut cpuid = supported_cpuid(kvm)?;
    personalize(&mut cpuid, apic_id);
    vcpu.set_cpuid2(&cpuid)
        .map_err(Step::SetFeatures.failed())?;

    let reset = vcpu.get_sregs().map_err(Step::ReadRegisters.failed())?;
    let task = task_register(index, vendor(&cpuid));
    let system = system_registers(reset, task, page_table_root);
    vcpu.set_sregs(&system)
        .map_err(Step::SetSystemRegisters.failed())?;
    enable_interrupts(vcpu, apic_id)?;
    vcpu.set_regs(&general_registers(index, entry))
        .map_err(Step::SetRegisters.failed())?;
    vcpu.set_fpu(&floating_point())
        .map_err(Step::SetFloatingPoint.failed())?;
    // With an interrupt controller in KVM, all but the first wait for a start-up interrupt.
    let runnable = kvm_mp_state {
        mp_state: KVM_MP_STATE_RUNNABLE,
    };
    vcpu.set_mp_state(runnable)
        .map_err(Step::SetRunnable.failed())
}

/// Where `vcpu`, which must not be running, would go on.
///
/// # Errors
///
/// If KVM refuses.
pub fn instruction_pointer(vcpu: &VcpuFd) -> Result<u64> {
    vcpu.get_regs()
        .map(|registers| registers.rip)
        .map_err(Step::ReadRegisters.failed())
}

/// What is not set here (LDT) stays as after reset.
fn system_registers(
    reset: kvm_sregs,
    task: kvm_segment,
    page_table_root: GuestAddress,
) -> kvm_sregs {
    let data = data(USER_DATA);
    kvm_sregs {
        cs: code(USER_CODE),
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data,
        tr: task,
        gdt: global_register(),
        idt: interrupt_register(),
        cr0: CR0,
        cr3: page_table_root.0,
        cr4: CR4,
        efer: EFER,
        apic_base: apic_base(reset.apic_base),
        ..reset
    }
}

fn general_registers(index: u64, entry: GuestAddress) -> kvm_regs {
    kvm_regs {
        rip: entry.0,
        rsp: system(index) + USER_STACK_END,
        rdi: index,
        rflags: FLAGS,
        ..Default::default()
    }
}

fn floating_point() -> kvm_fpu {
    kvm_fpu {
        fcw: X87_CONTROL,
        mxcsr: MXCSR,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::cpuid::Vendor;
    use super::*;

    #[test]
    fn the_stack_is_aligned_as_the_abi_wants_it_before_a_call() {
        for index in 0..MAX_VCPUS {
            assert!(
                general_registers(index, GuestAddress(0))
                    .rsp
                    .is_multiple_of(16)
            );
        }
    }

    #[test]
    fn a_vcpu_starts_in_ring_3() {
        let task = task_register(1, Vendor::Other);
        let registers = system_registers(kvm_sregs::default(), task, GuestAddress(0x40_0000));
        assert_eq!((registers.cs.dpl, registers.ss.dpl), (3, 3));
        assert_eq!((registers.cs.l, registers.cs.db), (1, 0));
        assert_eq!(registers.cr3, 0x40_0000);
    }

    #[test]
    fn the_task_register_is_busy_where_the_vendor_has_such_a_bit() {
        let types = [Vendor::Amd, Vendor::Other].map(|vendor| task_register(0, vendor).type_);
        assert_eq!(types, [0x9, 0xb]);
    }
}
