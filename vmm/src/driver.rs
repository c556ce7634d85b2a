//! Who drives the SMMU.

use std::fmt;

/// Whose code invalidates what the SMMU cached of the guest's address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SmmuDriver {
    /// The machine's: it binds the device's first stream by hand, and turns notifications into
    /// commands.
    #[default]
    Vmm,
    /// The guest's: it writes stream table and queues, and commands by itself. No notification
    /// reaches the SMMU, and the machine binds nothing.
    Guest,
}

impl SmmuDriver {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Vmm, Self::Guest];
}

impl fmt::Display for SmmuDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vmm => "vmm",
            Self::Guest => "guest",
        })
    }
}
