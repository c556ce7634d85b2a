//! A virtual machine with one vCPU like the machine's own, and nothing around it.
#![expect(unsafe_code, reason = "KVM keeps addresses of host memory")]

use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use notifier::addr::Gpa;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion};
use vmm::arch;
use vmm::memory::Ram;

/// Offset of the entry point in an ELF-64 file.
const ELF_ENTRY: usize = 24;

/// One on the memory of a machine that never runs, with this image in it. `trapped`: the page-table
/// pool is read only. The caller drops the virtual machine before `ram`.
pub(crate) fn new(kvm: &Kvm, ram: &Ram, image: &[u8], trapped: bool) -> (VmFd, VcpuFd) {
    let vm = kvm.create_vm().expect("a virtual machine");
    map(&vm, ram, trapped);
    arch::add_interrupt_controller(&vm).expect("interrupts");
    let vcpu = vcpu(kvm, &vm, ram, image);
    (vm, vcpu)
}

/// The entry point is the image's, the root the pool's first table.
fn vcpu(kvm: &Kvm, vm: &VmFd, ram: &Ram, image: &[u8]) -> VcpuFd {
    let vcpu = vm.create_vcpu(0).expect("a vCPU");
    let entry = image[ELF_ENTRY..ELF_ENTRY + 8].try_into();
    let entry = u64::from_le_bytes(entry.expect("eight bytes"));
    let root = ram.layout().page_tables().start().raw();
    let configured = arch::configure_vcpu(kvm, &vcpu, 0, GuestAddress(entry), GuestAddress(root));
    configured.expect("a vCPU like the machine's");
    vcpu
}

fn map(vm: &VmFd, ram: &Ram, trapped: bool) {
    for (slot, region) in (0..).zip(ram.backend().iter()) {
        let start = region.start_addr().0;
        let read_only = trapped && ram.is_page_table(Gpa::new(start), 1);
        let mapping = kvm_userspace_memory_region {
            slot,
            flags: if read_only { KVM_MEM_READONLY } else { 0 },
            guest_phys_addr: start,
            memory_size: region.len(),
            userspace_addr: region.as_ptr() as u64,
        };
        // SAFETY: the host range is one of `ram`'s mappings, whole, and callers drop the virtual
        // machine before their borrow of `ram` ends. Regions do not overlap.
        let mapped = unsafe { vm.set_user_memory_region(mapping) };
        mapped.expect("memory like the machine's");
    }
}
