//! A vCPU's stack machine.

use core::mem::replace;
use core::sync::atomic::Ordering::Relaxed;

use super::area::{self, Words, index};
use super::setup::Setup;
use super::turn::Taken;
use super::{Break, Flow};
use crate::abi::litmus::{
    CALL, CHOOSE, CONST, DEPTH, DMA, END, ENTERS, ENTRY, GET, INITIAL_VALUE, JUMP, KEY, LITMUS,
    LOAD, LOG, REGISTERS, RETRY, RETURN, Random, SET, SET_CONTENTS, SLOTS, STACK, STEP, UNLESS,
    WORDS,
};
use crate::rt::arch::Memory;

/// Which section is being run: some instructions have a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Setting everything up, on vCPU 0.
    Reset,
    /// Preparing this vCPU.
    Prime,
    /// The scenario.
    Body,
    /// What does not belong to any vCPU's program.
    Event,
    /// What everything is after a turn.
    Log,
    /// The outcome, on vCPU 0.
    Collect,
}

/// What belongs to one run.
pub(super) struct Run {
    /// Its number.
    pub(super) number: u64,
    /// Its initial state.
    pub(super) initial_state: u64,
    /// This vCPU's random numbers.
    pub(super) random: Random,
    /// Where the scenario's words are in it.
    pub(super) words: Words,
    /// The outcome's key, as far as it is known.
    pub(super) key: [u64; 4],
}

/// One instruction.
#[derive(Clone, Copy)]
pub(super) struct Instruction {
    pub(super) operation: u64,
    pub(super) a: u64,
    pub(super) b: u64,
    /// The whole word.
    pub(super) word: u64,
}

/// One vCPU, for one batch.
pub(super) struct Processor<'a> {
    pub(super) memory: &'a Memory,
    pub(super) vcpu: u64,
    pub(super) setup: Setup,
    pub(super) run: Run,
    pub(super) section: Section,
    pub(super) has_lock: bool,
    /// The turn of a replay that it is making.
    pub(super) taken: Option<Taken>,
    /// Runs that it made to their end.
    pub(super) made: u64,
    /// How long it has been waiting, in pauses, since it last gave the host's CPU away.
    pub(super) pauses: u64,
    code: Words,
    /// Index of the instruction behind the one that is carried out.
    next: u64,
    stack: [i64; index(STACK)],
    height: usize,
    /// What is on the stack below this belongs to who has it run this section.
    floor: usize,
    calls: [u64; index(DEPTH)],
    depth: usize,
    registers: [i64; index(REGISTERS)],
}

impl<'a> Processor<'a> {
    pub(super) fn new(memory: &'a Memory, vcpu: u64, setup: Setup) -> Self {
        let run = Run {
            number: 0,
            initial_state: 0,
            random: Random::of_vcpu(0, 0, vcpu),
            words: Words::new(0, 0, 3),
            key: [0; 4],
        };
        Self {
            memory,
            vcpu,
            setup,
            run,
            section: Section::Reset,
            has_lock: false,
            taken: None,
            made: 0,
            pauses: 0,
            code: area::code_words(vcpu),
            next: 0,
            stack: [0; index(STACK)],
            height: 0,
            floor: 0,
            calls: [0; index(DEPTH)],
            depth: 0,
            registers: [0; index(REGISTERS)],
        }
    }

    /// Everything as it is when run `number` begins, but for what sections do.
    pub(super) fn begin(&mut self, number: u64) {
        let control = &self.setup.control;
        let beginning = control.beginning(number);
        self.run = Run {
            number,
            initial_state: beginning.initial_state,
            random: Random::of_vcpu(control.seed, number, self.vcpu),
            words: Words::new(LITMUS + WORDS, SLOTS, 3 + beginning.alignment),
            key: [0; 4],
        };
    }

    /// How many runs were made to their end.
    pub(super) fn runs_made(&self) -> u64 {
        self.made
    }

    /// Index of the instruction that was carried out last.
    pub(super) fn at(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Runs the code from index `from` to its end; 0 is no code. What it leaves on the stack is gone.
    pub(super) fn run_section(&mut self, section: Section, from: u64) -> Flow {
        if from == 0 {
            return Ok(());
        }
        let section = replace(&mut self.section, section);
        let floor = replace(&mut self.floor, self.height);
        let (next, depth) = (self.next, self.depth);
        self.next = from;
        let ended = self.execute(depth);
        let ended = match ended {
            Ok(()) if self.has_lock => Err(Break::Bad),
            ended => ended,
        };
        if ended != Err(Break::Bad) {
            self.next = next;
        }
        self.section = section;
        self.height = self.floor;
        self.floor = floor;
        self.depth = depth;
        ended
    }

    /// Carries out instructions until the section's end. Calls above `depth` are its own.
    fn execute(&mut self, depth: usize) -> Flow {
        loop {
            let instruction = self.fetch()?;
            match instruction.operation {
                END => return Ok(()),
                JUMP => self.next = instruction.b,
                UNLESS => {
                    if self.pop()? == 0 {
                        self.next = instruction.b;
                    }
                }
                CALL => self.call(instruction.b)?,
                RETURN => self.return_above(depth)?,
                RETRY => self.retry(instruction.b)?,
                CONST => self.push(instruction.word.cast_signed() >> 8)?,
                GET..=INITIAL_VALUE => self.expression(instruction)?,
                ENTRY..=SET_CONTENTS => self.entry(instruction)?,
                SET..=CHOOSE => self.statement(instruction)?,
                STEP..=ENTERS => self.step(instruction)?,
                LOAD..=DMA => self.hardware(instruction)?,
                KEY | LOG => self.result(instruction)?,
                _ => return Err(Break::Bad),
            }
        }
    }

    fn fetch(&mut self) -> Flow<Instruction> {
        let word = self.code_word(self.next)?;
        self.next += 1;
        Ok(Instruction {
            operation: word & 0xff,
            a: word >> 8 & 0xff_ffff,
            b: word >> 32,
            word,
        })
    }

    /// The word of this vCPU's code at an index.
    pub(super) fn code_word(&self, at: u64) -> Flow<u64> {
        let word = self.code.at(at).ok_or(Break::Bad)?;
        Ok(word.load(Relaxed))
    }

    /// Goes on at index `to`.
    pub(super) fn jump(&mut self, to: u64) {
        self.next = to;
    }

    fn call(&mut self, to: u64) -> Flow {
        let slot = self.calls.get_mut(self.depth).ok_or(Break::Bad)?;
        *slot = replace(&mut self.next, to);
        self.depth += 1;
        Ok(())
    }

    fn return_above(&mut self, depth: usize) -> Flow {
        if self.depth <= depth {
            return Err(Break::Bad);
        }
        self.depth -= 1;
        self.next = self.calls[self.depth];
        Ok(())
    }

    #[inline]
    pub(super) fn push(&mut self, value: i64) -> Flow {
        let slot = self.stack.get_mut(self.height).ok_or(Break::Bad)?;
        *slot = value;
        self.height += 1;
        Ok(())
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Flow<i64> {
        if self.height <= self.floor {
            return Err(Break::Bad);
        }
        self.height -= 1;
        self.stack.get(self.height).copied().ok_or(Break::Bad)
    }

    pub(super) fn register(&mut self, number: u64) -> Flow<&mut i64> {
        self.registers.get_mut(index(number)).ok_or(Break::Bad)
    }
}
