//! Invalidation on other vCPUs.

use super::arch::{self, Mailbox};
use super::{Spin, VcpuSet};

/// Invalidates the translation of `address` on each of `vcpus`, and returns once it is done
/// everywhere: those that have invalidated it. A vCPU that does not exist or runs no more has
/// not; one that has not started yet is waited for, since it will.
///
/// Any number of vCPUs may do this at once, to each other too: each has a word of its own in every
/// other's mailbox, and answers while it waits.
pub fn shoot_down(vcpus: VcpuSet, address: u64) -> VcpuSet {
    let from = arch::this_vcpu();
    let (own, others) = vcpus.partition(|vcpu| vcpu == from);
    let online = others
        .partition(|vcpu| Mailbox::of_vcpu(vcpu).is_online())
        .0;
    for vcpu in online.iter() {
        Mailbox::of_vcpu(vcpu).request(from, address);
    }
    if !online.is_empty() {
        arch::interrupt(online);
    }
    if !own.is_empty() {
        arch::invalidate(address);
    }
    own.union(online.partition(|vcpu| answers(vcpu, from)).0)
}

/// Waits until `vcpu` has carried out the request of vCPU `from`, or runs no more.
fn answers(vcpu: u64, from: u64) -> bool {
    let mailbox = Mailbox::of_vcpu(vcpu);
    let mut spin = Spin::default();
    loop {
        // In this order, so that the last thing it did still counts.
        let online = mailbox.is_online();
        if mailbox.is_answered(from) || !online {
            return mailbox.is_answered(from);
        }
        spin.wait();
    }
}
