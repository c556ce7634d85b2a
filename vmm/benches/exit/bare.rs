//! The least that can run the same guest: a loop that calls `KVM_RUN` and drops what comes out.
#![expect(unsafe_code, reason = "KVM keeps addresses of host memory")]

use std::thread;

use guest::abi::port;
use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use notifier::addr::Gpa;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion};
use vmm::arch;
use vmm::memory::Ram;

/// Offset of the entry point in an ELF-64 file.
const ELF_ENTRY: usize = 24;

/// Runs the guest that `ram` holds from the start to its end. `trapped`: the page-table pool is
/// read only.
pub(crate) fn run(kvm: &Kvm, ram: &Ram, trapped: bool) {
    let vm = kvm.create_vm().expect("a virtual machine");
    map(&vm, ram, trapped);
    let vcpu = vcpu(kvm, &vm, ram);
    let thread = thread::Builder::new().spawn(move || until_exit(vcpu));
    let over = thread.expect("a thread").join();
    over.expect("the guest comes to its end");
}

fn until_exit(mut vcpu: VcpuFd) {
    loop {
        match vcpu.run().expect("the guest runs") {
            VcpuExit::IoOut(port::EXIT, code) => return assert_eq!(code, [0; 4]),
            VcpuExit::MmioWrite(..) | VcpuExit::IoOut(..) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// As the machine's own vCPU: the entry point is the image's, the root the pool's first table.
fn vcpu(kvm: &Kvm, vm: &VmFd, ram: &Ram) -> VcpuFd {
    let vcpu = vm.create_vcpu(0).expect("a vCPU");
    let entry = &guest::images::PAYLOAD[ELF_ENTRY..ELF_ENTRY + 8];
    let entry = u64::from_le_bytes(entry.try_into().expect("eight bytes"));
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
        // SAFETY: the host range is one of `ram`'s mappings, whole, and `run` drops the virtual
        // machine before its borrow of `ram` ends. Regions do not overlap.
        let mapped = unsafe { vm.set_user_memory_region(mapping) };
        mapped.expect("memory like the machine's");
    }
}
