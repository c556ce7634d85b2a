//! How vCPUs wait for each other, and how they give up together.
//!
//! The words here are 0 when a batch begins. A barrier counts arrivals; the last one clears the count
//! and begins the next generation, for which the others wait.

use core::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use super::area;
use super::processor::Processor;
use super::{Break, Flow};
use crate::rt::yield_host;

/// Pauses for which a barrier goes on waiting after the machine has asked for the end: most runs are
/// over by then, and count.
const GRACE: u64 = 1 << 16;

/// Who has come to the barrier.
const ARRIVED: u64 = area::meeting(0);
/// Barriers that all have come to.
const GENERATION: u64 = area::meeting(1);
/// 1 while somebody has the step lock.
const LOCK: u64 = area::meeting(2);
/// 1 once somebody has given up.
const GIVEN_UP: u64 = area::meeting(3);
/// vCPU 0: 1 if there are no more runs.
const ENDING: u64 = area::meeting(4);

/// Has all vCPUs end the batch where they wait next.
pub(super) fn give_up() -> Break {
    area::word(GIVEN_UP).store(1, SeqCst);
    Break::GivenUp
}

/// Says whether the run that all are about to begin is none.
pub(super) fn set_ending(ending: bool) {
    area::word(ENDING).store(u64::from(ending), Relaxed);
}

/// Whether it is none, once vCPU 0 has come to the barrier.
pub(super) fn is_ending() -> bool {
    area::word(ENDING).load(Relaxed) != 0
}

/// Whether the machine wants the batch to end.
pub(super) fn is_stopped() -> bool {
    area::stop().load(Relaxed) != 0
}

impl Processor<'_> {
    /// Waits until all vCPUs are here.
    pub(super) fn meet(&mut self) -> Flow {
        let (arrived, generation) = (area::word(ARRIVED), area::word(GENERATION));
        let now = generation.load(Acquire);
        if arrived.fetch_add(1, SeqCst) + 1 == self.setup.control.vcpus {
            arrived.store(0, Relaxed);
            generation.store(now.wrapping_add(1), SeqCst);
            return Ok(());
        }
        self.pauses = 0;
        let mut grace = GRACE;
        while generation.load(Acquire) == now {
            if is_stopped() {
                grace -= 1;
                if grace == 0 {
                    return Err(give_up());
                }
            }
            self.go_on_waiting()?;
        }
        Ok(())
    }

    /// Takes the step lock.
    pub(super) fn lock(&mut self) -> Flow {
        if self.has_lock {
            return Err(Break::Bad);
        }
        let lock = area::word(LOCK);
        self.pauses = 0;
        while lock.swap(1, SeqCst) != 0 {
            while lock.load(Relaxed) != 0 {
                self.wait_unless_stopped()?;
            }
        }
        self.has_lock = true;
        Ok(())
    }

    /// Gives it back.
    pub(super) fn unlock(&mut self) -> Flow {
        if !self.has_lock {
            return Err(Break::Bad);
        }
        self.has_lock = false;
        area::word(LOCK).store(0, SeqCst);
        Ok(())
    }

    /// A moment of waiting for what may never come: gives up when the machine asks for the end.
    pub(super) fn wait_unless_stopped(&mut self) -> Flow {
        if is_stopped() {
            return Err(give_up());
        }
        self.go_on_waiting()
    }

    /// A moment of waiting.
    fn go_on_waiting(&mut self) -> Flow {
        if area::word(GIVEN_UP).load(Relaxed) != 0 {
            return Err(Break::GivenUp);
        }
        self.relax();
        Ok(())
    }

    /// A moment in which somebody else can work: on a CPU that shares its core, or, when this one has
    /// lost patience, on its own CPU.
    fn relax(&mut self) {
        self.pauses += 1;
        if self.pauses != self.setup.control.patience {
            core::hint::spin_loop();
            return;
        }
        self.pauses = 0;
        let yields = area::standing_yields(self.vcpu);
        yields.store(yields.load(Relaxed) + 1, Relaxed);
        yield_host();
    }
}
