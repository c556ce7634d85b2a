//! Where steps begin and end.

use core::sync::atomic::Ordering::Relaxed;

use super::processor::{Instruction, Processor, Section};
use super::setup::Mode;
use super::{Break, Flow, area, meeting};
use crate::abi::litmus::{ENTERS, LOCK, STEP, STEP_END, UNLOCK};

impl Processor<'_> {
    pub(super) fn step(&mut self, instruction: Instruction) -> Flow {
        let Instruction {
            operation, a, b, ..
        } = instruction;
        match operation {
            LOCK => self.lock(),
            UNLOCK => self.unlock(),
            _ if self.section != Section::Body || self.has_lock && operation != STEP_END => {
                Err(Break::Bad)
            }
            STEP => self.begin_step(b),
            STEP_END => self.end_step(),
            ENTERS => self.enters(a),
            _ => Err(Break::Bad),
        }
    }

    fn begin_step(&mut self, number: u64) -> Flow {
        area::standing_step(self.vcpu).store(number, Relaxed);
        match self.setup.mode {
            Mode::Batch => {
                self.perhaps_delay();
                Ok(())
            }
            Mode::Replay => self.take_turn(number),
        }
    }

    fn end_step(&mut self) -> Flow {
        match self.setup.mode {
            Mode::Batch => Ok(()),
            Mode::Replay => self.end_turn(),
        }
    }

    fn enters(&mut self, handler: u64) -> Flow {
        let enters = match self.setup.mode {
            Mode::Batch => true,
            Mode::Replay => self.turn_enters(handler)?,
        };
        self.push(i64::from(enters))
    }

    /// Goes back to where a step is tried again. In a replay whoever has the turn can make the step,
    /// or else it is not the same run.
    pub(super) fn retry(&mut self, to: u64) -> Flow {
        if self.has_lock {
            return Err(Break::Bad);
        }
        if self.taken.is_some() {
            return Err(self.diverge());
        }
        self.wait_unless_stopped()?;
        self.jump(to);
        Ok(())
    }

    /// One step in so many is delayed.
    fn perhaps_delay(&mut self) {
        let one_in = self.setup.control.delay_one_in;
        if one_in != 0 && self.run.random.below(one_in) == 0 {
            self.delay();
        }
    }

    /// Pauses for a while, in a batch. The end of the batch ends it, too.
    pub(super) fn delay(&mut self) {
        if self.setup.mode == Mode::Replay || self.setup.control.delay == 0 {
            return;
        }
        let most = self.setup.control.delay.saturating_add(1);
        for _ in 0..self.run.random.below(most) {
            if meeting::is_stopped() {
                return;
            }
            core::hint::spin_loop();
        }
    }
}
