//! The run loop: one exit after another, each to whom it belongs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kvm_bindings::KVM_EXIT_DIRTY_RING_FULL;
use kvm_ioctls::{VcpuExit, VcpuFd};
use notifier::addr::Gpa;

use super::{VcpuEnd, VcpuIndex};
use crate::bus::{Bus, Flow};
use crate::recorder::{Activity, Recorder};
use crate::tracker::scan::Scanner;

/// What a vCPU can reach outside memory.
pub(crate) struct Buses {
    /// Guest-physical addresses.
    pub(crate) mmio: Bus,
    /// I/O ports.
    pub(crate) ports: Bus,
}

/// Who answers where the host refused a vCPU an access to guest memory.
pub(crate) trait Refusals: Send + Sync {
    /// KVM could not make an access in the page at this address, which not every KVM tells. To go on
    /// is to have the vCPU try again.
    fn refused(&self, page: Option<Gpa>) -> Flow;
}

/// Where nobody answers.
pub(super) struct Unanswered;

impl Refusals for Unanswered {
    fn refused(&self, page: Option<Gpa>) -> Flow {
        let at = page.map_or("somewhere".into(), |page| page.to_string());
        failed(format!(
            "the host refuses an access to guest memory at {at}"
        ))
    }
}

/// Whom a vCPU's exits belong to.
pub(super) struct Around<'a> {
    pub(super) buses: &'a Buses,
    pub(super) refusals: &'a dyn Refusals,
    pub(super) scanner: Option<&'a Scanner>,
    /// Who hears of each exit.
    pub(super) recorder: Option<&'a Recorder>,
}

/// Runs `vcpu` until it ends, or until `stop` is set and it is kicked.
pub(super) fn run(
    vcpu: &mut VcpuFd,
    index: VcpuIndex,
    around: &Around<'_>,
    stop: &AtomicBool,
) -> VcpuEnd {
    loop {
        if stop.load(Ordering::Acquire) {
            return VcpuEnd::Stopped;
        }
        let flow = match vcpu.run() {
            Ok(VcpuExit::MemoryFault { gpa, .. }) => around.refusals.refused(Some(Gpa::new(gpa))),
            Ok(VcpuExit::Unsupported(KVM_EXIT_DIRTY_RING_FULL)) => full_ring(around.scanner),
            Ok(exit) => match around.recorder {
                None => dispatch(exit, index, around.buses),
                Some(recorder) => recorded(exit, index, around.buses, recorder),
            },
            Err(error) if error.errno() == libc::EFAULT => around.refusals.refused(None),
            Err(error) => resume(error),
        };
        if let Flow::Break(end) = flow {
            return end;
        }
    }
}

fn recorded(exit: VcpuExit<'_>, index: VcpuIndex, buses: &Buses, recorder: &Recorder) -> Flow {
    let activity = Activity::Exit(index.0, (&exit).into());
    let start = recorder.now();
    let flow = dispatch(exit, index, buses);
    recorder.add(activity, start);
    flow
}

fn dispatch(exit: VcpuExit<'_>, index: VcpuIndex, buses: &Buses) -> Flow {
    match exit {
        VcpuExit::MmioWrite(address, data) => buses.mmio.write(index, address, data),
        VcpuExit::MmioRead(address, data) => buses.mmio.read(address, data),
        VcpuExit::IoOut(port, data) => buses.ports.write(index, u64::from(port), data),
        VcpuExit::IoIn(port, data) => buses.ports.read(u64::from(port), data),
        VcpuExit::Intr => Flow::Continue(()),
        VcpuExit::Shutdown => Flow::Break(VcpuEnd::Shutdown),
        VcpuExit::FailEntry(reason, _) => failed(format!("entry failed, reason {reason:#x}")),
        VcpuExit::InternalError => failed("an instruction it can't emulate".into()),
        other => failed(format!("unexpected exit {other:?}")),
    }
}

/// It is emptied, and the vCPU goes on.
fn full_ring(scanner: Option<&Scanner>) -> Flow {
    match scanner.map(|scanner| scanner.scan().make_room()) {
        Some(Ok(())) => Flow::Continue(()),
        Some(Err(error)) => failed(format!("its dirty ring can't be emptied: {error}")),
        None => failed("a full dirty ring, where there is none".into()),
    }
}

/// A signal or a spurious wake-up is no reason to end; everything else is.
fn resume(error: kvm_ioctls::Error) -> Flow {
    match error.errno() {
        libc::EINTR | libc::EAGAIN => Flow::Continue(()),
        _ => failed(error.to_string()),
    }
}

fn failed(reason: String) -> Flow {
    Flow::Break(VcpuEnd::Kvm(reason))
}

pub(super) type SharedBuses = Arc<Buses>;
