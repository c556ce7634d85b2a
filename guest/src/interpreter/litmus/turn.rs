//! The turns of a replay.

use core::sync::atomic::Ordering::{Acquire, Release, SeqCst};

use super::area;
use super::processor::{Processor, Section};
use super::{Break, Flow, meeting};
use crate::abi::litmus::{TURN_EVENT, TURN_HANDLER, TURN_STEP, Turn};

/// A choice in a turn: 4 bits.
const CHOICE_BITS: u64 = 4;

/// A turn that a vCPU is making.
pub(super) struct Taken {
    index: u64,
    /// Those that are still to be made.
    choices: u64,
    left: u64,
    /// The handler was entered, and its first step is yet to begin.
    first_step_due: bool,
}

impl Taken {
    fn new(index: u64, turn: Turn) -> Self {
        Self {
            index,
            choices: turn.choices,
            left: 64 / CHOICE_BITS,
            first_step_due: turn.kind == TURN_HANDLER,
        }
    }

    pub(super) fn index(&self) -> u64 {
        self.index
    }

    /// The next choice, which is one of so many ways.
    pub(super) fn choice(&mut self, ways: u64) -> Flow<u64> {
        let way = self.choices & ((1 << CHOICE_BITS) - 1);
        if self.left == 0 || way >= ways {
            return Err(Break::Bad);
        }
        self.left -= 1;
        self.choices >>= CHOICE_BITS;
        Ok(way)
    }
}

impl Processor<'_> {
    /// Waits for the turn that makes the step `number`.
    pub(super) fn take_turn(&mut self, number: u64) -> Flow {
        if let Some(taken) = &mut self.taken {
            return if core::mem::take(&mut taken.first_step_due) {
                Ok(())
            } else {
                Err(Break::Bad)
            };
        }
        let (index, turn) = self.next_turn()?;
        if (turn.kind, turn.at) != (TURN_STEP, number) {
            return Err(self.diverge());
        }
        self.taken = Some(Taken::new(index, turn));
        Ok(())
    }

    /// Waits for this vCPU's turn, and takes it if it is to enter `handler`.
    pub(super) fn turn_enters(&mut self, handler: u64) -> Flow<bool> {
        if self.taken.is_some() {
            return Err(Break::Bad);
        }
        let (index, turn) = self.next_turn()?;
        let enters = (turn.kind, turn.at) == (TURN_HANDLER, handler);
        if enters {
            self.taken = Some(Taken::new(index, turn));
        }
        Ok(enters)
    }

    /// Logs the turn, and makes it the next one's.
    pub(super) fn end_turn(&mut self) -> Flow {
        let log = self.setup.sections.log;
        self.run_section(Section::Log, log)?;
        let taken = self.taken.take().ok_or(Break::Bad)?;
        if taken.first_step_due {
            return Err(Break::Bad);
        }
        area::turn().store(taken.index + 1, Release);
        Ok(())
    }

    /// What is left to do at the end of the body: events, until the schedule's end.
    pub(super) fn remaining_events(&mut self) -> Flow {
        if self.taken.is_some() {
            return Err(Break::Bad);
        }
        match self.next_turn() {
            Err(Break::Over) => Ok(()),
            Err(why) => Err(why),
            Ok(_) => Err(self.diverge()),
        }
    }

    /// The turn is another one than what this vCPU can do.
    pub(super) fn diverge(&self) -> Break {
        area::diverged().store(1 + self.vcpu, SeqCst);
        meeting::give_up()
    }

    /// Waits for this vCPU's turn, and carries out the events that come before.
    fn next_turn(&mut self) -> Flow<(u64, Turn)> {
        self.pauses = 0;
        loop {
            let index = area::turn().load(Acquire);
            if index >= self.setup.control.turns {
                return Err(Break::Over);
            }
            let turn = area::scheduled(index);
            let known = [TURN_STEP, TURN_HANDLER, TURN_EVENT].contains(&turn.kind);
            if !known || turn.vcpu >= self.setup.control.vcpus {
                return Err(Break::Bad);
            }
            match turn {
                _ if turn.vcpu != self.vcpu => self.wait_unless_stopped()?,
                Turn {
                    kind: TURN_EVENT, ..
                } => self.event(index, turn)?,
                _ => return Ok((index, turn)),
            }
        }
    }

    /// Makes an event's turn.
    fn event(&mut self, index: u64, turn: Turn) -> Flow {
        let sections = &self.setup.sections;
        if turn.at >= sections.event_count {
            return Err(Break::Bad);
        }
        let at = sections.events.checked_add(turn.at);
        let code = self.code_word(at.ok_or(Break::Bad)?)?;
        self.taken = Some(Taken::new(index, turn));
        self.run_section(Section::Event, code)?;
        self.end_turn()
    }
}
