//! A vCPU's thread.
//!
//! ```text
//! created --start--> running --its own end--> ended
//!                       \------kick---------> ended
//! ```
#![expect(
    unsafe_code,
    reason = "a second descriptor of a vCPU is how it is stopped from outside"
)]

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use kvm_ioctls::{VcpuFd, VmFd};
use notifier::addr::Gva;
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

use super::VcpuIndex;
use super::end::EndedAt;
use super::run::{Around, Refusals, SharedBuses, Unanswered, run};
use crate::arch;
use crate::recorder::Recorder;
use crate::tracker::scan::Scanner;

/// How long a kicked vCPU may take to end. It takes microseconds; a host that swaps, longer.
const KICK_LIMIT: Duration = Duration::from_secs(5);

/// The end of one vCPU.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Which.
    pub(crate) index: VcpuIndex,
    /// How, and where.
    pub(crate) at: EndedAt,
}

/// What a vCPU's thread needs.
pub(crate) struct VcpuStart {
    /// Which.
    pub(crate) index: VcpuIndex,
    /// The configured vCPU.
    pub(crate) vcpu: VcpuFd,
    /// What it can reach.
    pub(crate) buses: SharedBuses,
    /// Who answers for memory that the host refuses it.
    pub(crate) refusals: Option<Arc<dyn Refusals>>,
    /// Who makes room in its dirty ring, if it has one.
    pub(crate) scanner: Option<Arc<Scanner>>,
    /// Where its end goes...
    pub(crate) ends: Sender<Ended>,
    /// ...and what rings then.
    pub(crate) bell: EventFd,
    /// Who hears of its exits.
    pub(crate) recorder: Option<Arc<Recorder>>,
}

/// A running vCPU. Dropping it stops it and waits for its thread.
pub(crate) struct Vcpu {
    index: VcpuIndex,
    thread: Option<JoinHandle<()>>,
    /// Disconnected when the thread is over.
    over: Receiver<()>,
    stop: Arc<AtomicBool>,
    /// A duplicate of the vCPU's descriptor with a mapping of its own of the same run page, through
    /// which this side can set `immediate_exit`.
    run_page: VcpuFd,
}

/// Makes [`Vcpu`]s stoppable: a kick is a signal, and this gives it a handler that does nothing.
pub(crate) fn enable_kicks() -> io::Result<()> {
    extern "C" fn ignore(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

    register_signal_handler(SIGRTMIN(), ignore).map_err(io::Error::from)
}

impl Vcpu {
    /// Starts the thread.
    pub(crate) fn start(vm: &VmFd, start: VcpuStart) -> io::Result<Self> {
        let run_page = duplicate(vm, &start.vcpu)?;
        let index = start.index;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (alive, over) = channel();
        let thread = Builder::new()
            .name(format!("vcpu{}", index.0))
            .stack_size(256 << 10)
            .spawn(move || {
                let _alive: Sender<()> = alive;
                body(start, &stopped);
            })?;
        Ok(Self {
            index,
            thread: Some(thread),
            over,
            stop,
            run_page,
        })
    }

    /// Asks the vCPU to leave guest mode and end.
    fn kick(&mut self) {
        self.stop.store(true, Ordering::Release);
        // If the thread is about to enter the guest, it comes straight back; if it is inside, the
        // signal takes it out. No order of the two loses the kick.
        self.run_page.set_kvm_immediate_exit(1);
        fence(Ordering::Release);
        if let Some(thread) = &self.thread
            && let Err(error) = thread.kill(SIGRTMIN())
        {
            log::debug!("{} was over before it was kicked: {error}", self.index);
        }
    }
}

impl Drop for Vcpu {
    fn drop(&mut self) {
        self.kick();
        match self.over.recv_timeout(KICK_LIMIT) {
            Err(RecvTimeoutError::Timeout) => {
                log::error!("{} does not stop; its thread is left behind", self.index);
                return;
            }
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
        }
        let joined = self.thread.take().map(JoinHandle::join);
        if joined.is_some_and(|result| result.is_err()) {
            log::error!("the thread of {} panicked", self.index);
        }
    }
}

fn body(mut start: VcpuStart, stop: &AtomicBool) {
    let index = start.index;
    let around = Around {
        buses: &start.buses,
        refusals: start.refusals.as_deref().unwrap_or(&Unanswered),
        scanner: start.scanner.as_deref(),
        recorder: start.recorder.as_deref(),
    };
    let end = run(&mut start.vcpu, index, &around, stop);
    let instruction = arch::instruction_pointer(&start.vcpu).ok().map(Gva::new);
    log::debug!("{index}: {end}");
    let at = EndedAt { end, instruction };
    // Whoever waits for ends may be gone, when the machine itself is being dropped.
    let heard = start.ends.send(Ended { index, at });
    if heard.is_err() || start.bell.write(1).is_err() {
        log::debug!("nobody waits for {index} any more");
    }
}

/// A second descriptor for the same vCPU.
fn duplicate(vm: &VmFd, vcpu: &VcpuFd) -> io::Result<VcpuFd> {
    // SAFETY: the borrowed descriptor is open as long as `vcpu` is borrowed.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(vcpu.as_raw_fd()) };
    let owned = borrowed.try_clone_to_owned()?.into_raw_fd();
    // SAFETY: `owned` is a fresh descriptor of a vCPU of `vm`, which nobody else owns.
    let duplicate = unsafe { vm.create_vcpu_from_rawfd(owned) };
    duplicate.map_err(|error| io::Error::from_raw_os_error(error.errno()))
}
