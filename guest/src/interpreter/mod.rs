//! Carries out the operations of a program block, as [`abi::op`](crate::abi::op) describes them.

mod block;
mod driver;
mod entry;
mod litmus;
mod probe;
mod upgrade;

use block::Block;
use entry::Protocol;
use upgrade::Upgrades;

use crate::abi::op::{self, Op, OpResult};
use crate::abi::{layout, pattern, port, smmu};
use crate::rt::arch::{self, Memory};
use crate::rt::{Fault, Spin, Vcpu, VcpuSet, Width, exit, shoot_down};

/// Why an operation ended early.
enum Stop {
    /// A fault, which is in the result already.
    Faulted,
    /// An operand makes no sense.
    Bad,
}

/// Runs this vCPU's program to its end.
pub fn run(vcpu: Vcpu) -> ! {
    let mut interpreter = Interpreter::new(vcpu);
    for index in 0..interpreter.block.count() {
        interpreter.block.set_current(index);
        let op = interpreter.block.op(index);
        let result = interpreter.step(op);
        interpreter.block.set_result(index, result);
        if op.code == op::END {
            break;
        }
    }
    exit(port::EXIT_DONE)
}

struct Interpreter {
    vcpu: u64,
    memory: Memory,
    block: Block,
    protocol: Protocol,
    upgrades: Upgrades,
    /// Of the operation that is being carried out.
    result: OpResult,
}

impl Interpreter {
    fn new(vcpu: Vcpu) -> Self {
        let block = Block::of_vcpu(vcpu.index);
        Self {
            vcpu: vcpu.index,
            memory: vcpu.memory,
            protocol: Protocol::from_abi(block.protocol()),
            block,
            upgrades: Upgrades::default(),
            result: OpResult::default(),
        }
    }

    fn step(&mut self, op: Op) -> OpResult {
        self.result = OpResult::default();
        let (status, value) = match self.execute(op) {
            Ok(value) => (op::STATUS_DONE, value),
            Err(Stop::Faulted) => (op::STATUS_FAULT, 0),
            Err(Stop::Bad) => (op::STATUS_BAD, 0),
        };
        OpResult {
            status,
            value,
            ..self.result
        }
    }

    fn execute(&mut self, Op { code, a, b, c }: Op) -> Result<u64, Stop> {
        match code {
            op::END => Ok(0),
            op::SET_ENTRY => self.set_entry(a, b, c).map(|()| 0),
            op::INVALIDATE => {
                arch::invalidate(a);
                Ok(0)
            }
            op::LOAD => self.load(a, width(b)?),
            op::STORE => self.store(a, b, width(c)?).map(|()| 0),
            op::ON_WRITE_FAULT => self.upgrades.arm(a, b, c).ok_or(Stop::Bad).map(|()| 0),
            op::RING => self.ring(a, b),
            op::WAIT_WHILE => self.wait(a, |word| word != b),
            op::WAIT_UNTIL => self.wait(a, |word| word == b),
            op::REPORT => {
                arch::port::write_u32(port::REPORT, half(a)?);
                Ok(0)
            }
            op::FILL => self.fill(a, b, c),
            op::CHECK => self.check(a, b, c),
            op::SMMU_CONFIGURE => self.configure(a, b, c),
            op::SMMU_COMMAND => self.command([a, b]),
            op::SMMU_INVALIDATE_PAGE => self.command(smmu::tlbi_va(a, b)),
            op::SMMU_INVALIDATE_ASID => self.command(smmu::tlbi_asid(a)),
            op::SMMU_SYNC => self.sync(a, b),
            op::SMMU_EVENT => self.event(a, b),
            op::SHOOT_DOWN => Ok(shoot_down(VcpuSet::of_bits(b), a).count()),
            op::LITMUS => self.litmus(),
            op::PROBE => self.probe(a, b, c),
            op::COUNT => self.count(a, b, c),
            _ => Err(Stop::Bad),
        }
    }

    fn load(&mut self, address: u64, width: Width) -> Result<u64, Stop> {
        self.memory
            .load(address, width)
            .map_err(|fault| self.stop(fault))
    }

    /// A store of the program's own data: it upgrades what it is armed to upgrade on its way.
    fn store(&mut self, address: u64, value: u64, width: Width) -> Result<(), Stop> {
        loop {
            let Err(fault) = self.memory.store(address, value, width) else {
                return Ok(());
            };
            let stop = self.stop(fault);
            let upgrade = self.upgrades.take(&fault).ok_or(stop)?;
            self.upgrade(upgrade)?;
        }
    }

    fn ring(&mut self, register: u64, value: u64) -> Result<u64, Stop> {
        let value = u64::from(half(value)?);
        self.memory
            .store(register, value, Width::Four)
            .map_err(|fault| self.stop(fault))?;
        Ok(0)
    }

    /// Waits for ever if need be: the machine has a watchdog, and knows the operation's index.
    fn wait(&mut self, address: u64, done: impl Fn(u64) -> bool) -> Result<u64, Stop> {
        let mut spin = Spin::default();
        loop {
            let word = self.load(address, Width::Eight)?;
            if done(word) {
                return Ok(word);
            }
            spin.wait();
        }
    }

    fn fill(&mut self, address: u64, bytes: u64, seed: u64) -> Result<u64, Stop> {
        for index in 0..words(bytes)? {
            let word = pattern::word(seed, index);
            self.store(address.wrapping_add(8 * index), word, Width::Eight)?;
        }
        Ok(0)
    }

    fn check(&mut self, address: u64, bytes: u64, seed: u64) -> Result<u64, Stop> {
        let mut differing = 0;
        for index in 0..words(bytes)? {
            let word = self.load(address.wrapping_add(8 * index), Width::Eight)?;
            differing += u64::from(word != pattern::word(seed, index));
        }
        Ok(differing)
    }

    /// Counts in one word of each page in turn. It has no limit of its own, like waiting.
    fn count(&mut self, address: u64, pages: u64, stop: u64) -> Result<u64, Stop> {
        let mut counted = 0_u64;
        while self.load(stop, Width::Eight)? == 0 {
            let page = counted.checked_rem(pages).ok_or(Stop::Bad)?;
            let at = address.wrapping_add(layout::PAGE.wrapping_mul(page));
            let word = self.load(at, Width::Eight)?;
            self.store(at, word.wrapping_add(1), Width::Eight)?;
            counted = counted.wrapping_add(1);
        }
        Ok(counted)
    }

    /// Puts a fault into the result.
    fn stop(&mut self, fault: Fault) -> Stop {
        self.result.faults += 1;
        self.result.vector = fault.vector;
        self.result.error = fault.error;
        self.result.address = fault.address;
        self.result.instruction = fault.instruction;
        Stop::Faulted
    }
}

/// The access width of a `LOAD` or `STORE`.
fn width(bytes: u64) -> Result<Width, Stop> {
    Width::of_bytes(bytes).ok_or(Stop::Bad)
}

/// The 32-bit value of a `RING` or `REPORT`.
fn half(value: u64) -> Result<u32, Stop> {
    u32::try_from(value).map_err(|_| Stop::Bad)
}

/// The number of words of a `FILL` or `CHECK`.
fn words(bytes: u64) -> Result<u64, Stop> {
    if bytes.is_multiple_of(8) {
        Ok(bytes / 8)
    } else {
        Err(Stop::Bad)
    }
}
