//! Exit codes.

use std::process::ExitCode;

use crate::arch::ArchError;
use crate::machine::MachineError;

/// How the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Coherent, or all as expected.
    Good,
    /// A violation, or something unexpected.
    Bad,
    /// Bad usage or bad input.
    Usage,
    /// This host can't.
    Host,
}

impl Exit {
    /// The number.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Bad => 1,
            Self::Usage => 2,
            Self::Host => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Whose fault it is that there is no machine.
impl From<&MachineError> for Exit {
    fn from(error: &MachineError) -> Self {
        match error {
            MachineError::Vcpus(_)
            | MachineError::Layout(_)
            | MachineError::Image(_)
            | MachineError::Program { .. }
            | MachineError::Arch(ArchError::OutsideImage { .. }) => Self::Usage,
            MachineError::Host(_)
            | MachineError::Memory(_)
            | MachineError::Kvm { .. }
            | MachineError::Arch(_)
            | MachineError::Resource { .. } => Self::Host,
            MachineError::Register(_) | MachineError::EventLoop(_) | MachineError::Assembly(_) => {
                Self::Bad
            }
        }
    }
}
