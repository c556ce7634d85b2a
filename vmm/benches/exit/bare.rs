//! The least that can run the same guest: a loop that calls `KVM_RUN` and drops what comes out.

use std::thread;

use guest::abi::port;
use guest::images::PAYLOAD;
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd};
use vmm::memory::Ram;

use crate::bare_vm;

/// Runs the guest that `ram` holds from the start to its end. `trapped`: the page-table pool is
/// read only.
pub(crate) fn run(kvm: &Kvm, ram: &Ram, trapped: bool) {
    let (_vm, vcpu) = bare_vm::new(kvm, ram, PAYLOAD, trapped);
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
