//! Operation [`op::LITMUS`](crate::abi::op::LITMUS): runs a scenario's bytecode, as
//! [`abi::litmus`](crate::abi::litmus) describes it.
//!
//! | module | what |
//! |---|---|
//! | [`setup`] | the control words, checked |
//! | [`runs`] | a batch: run after run, section after section |
//! | [`processor`] | a vCPU's stack machine: code, stack, registers |
//! | [`expression`], [`statement`], [`entry`], [`hardware`] | its instructions |
//! | [`step`], [`turn`] | where steps begin and end, in a batch and in a replay |
//! | [`meeting`] | barriers, the step lock, giving up |
//! | [`histogram`] | outcomes |
//! | [`area`] | memory |

mod area;
mod entry;
mod expression;
mod hardware;
mod histogram;
mod meeting;
mod processor;
mod runs;
mod setup;
mod statement;
mod step;
mod turn;

use processor::Processor;
use setup::Setup;

use super::{Interpreter, Stop};

/// Why a section ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    /// The code, or what it was given, makes no sense.
    Bad,
    /// Nothing more is to be done in this batch.
    GivenUp,
    /// The schedule of a replay is over, and with it the body.
    Over,
}

/// What an instruction comes to.
type Flow<T = ()> = Result<T, Break>;

impl Interpreter {
    /// Takes part in a batch, and says how many runs it made. What makes no sense ends the batch on
    /// all vCPUs; the result's `instruction` is then where in the code this one was.
    pub(super) fn litmus(&mut self) -> Result<u64, Stop> {
        let Some(setup) = Setup::read(&self.memory, self.vcpu) else {
            meeting::give_up();
            return Err(Stop::Bad);
        };
        let mut processor = Processor::new(&self.memory, self.vcpu, setup);
        match processor.batch() {
            Err(Break::Bad) => {
                meeting::give_up();
                self.result.instruction = processor.at();
                Err(Stop::Bad)
            }
            Ok(()) | Err(Break::GivenUp | Break::Over) => Ok(processor.runs_made()),
        }
    }
}
