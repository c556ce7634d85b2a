//! What a scenario binds to real things for a live run.

use super::{Name, Place};

/// `live ...;`: what something of the file is where the scenario runs on real vCPUs. The explorer
/// takes no notice of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// `live page NAME, ...;`: an entry is a real page-table entry; each element of an array is a
    /// page of its own.
    Page(Vec<Name>),
    /// `live tlb NAME of AGENT, ... for PAGE;`
    Tlb {
        /// An entry, or an array with an element for each agent.
        name: Name,
        /// Whose vCPUs' TLBs the elements are.
        agents: Vec<Name>,
        /// The page that they are about.
        page: Place,
    },
    /// `live smmu NAME, ... for PAGE;`: what the SMMU keeps of a page.
    Smmu {
        /// Entries.
        names: Vec<Name>,
        /// The page that they are about.
        page: Place,
    },
    /// `live contents NAME, ...;`: one number for each frame, which is a word in the frame itself.
    Contents(Vec<Name>),
    /// `live knob KNOB "TEXT";`: machines have this knob; the text says how it is turned on.
    Knob(Name, String),
    /// `live never KNOB "WHY";`: no machine has it.
    Never(Name, String),
}

impl Binding {
    /// What may stand behind `live` where a declaration begins.
    pub const WORDS: [&str; 6] = ["page", "tlb", "smmu", "contents", "knob", "never"];

    /// The variables that are bound, and the knobs.
    pub fn names(&self) -> &[Name] {
        match self {
            Self::Page(names) | Self::Contents(names) | Self::Smmu { names, .. } => names,
            Self::Tlb { name, .. } | Self::Knob(name, _) | Self::Never(name, _) => {
                std::slice::from_ref(name)
            }
        }
    }
}

/// What hardware does as one operation, which a `live` block is the model of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HardwareOperation {
    /// `load`: a CPU loads through the page.
    Load,
    /// `store`: a CPU stores.
    Store,
    /// `increment`: a CPU adds 1 to the word of the page by a locked instruction.
    Increment,
    /// `dma-read`: the device reads through the SMMU.
    DmaRead,
    /// `dma-write`: the device writes.
    DmaWrite,
    /// `invalidate`: the SMMU is told to drop what it has of the page, by the call from the page-table
    /// code, and has completed it.
    Invalidate,
    /// `event`: invalidations of the SMMU go through a notifier's start and end rather than through
    /// the call from the page-table code.
    Event,
}

impl HardwareOperation {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Load,
        Self::Store,
        Self::Increment,
        Self::DmaRead,
        Self::DmaWrite,
        Self::Invalidate,
        Self::Event,
    ];

    /// The word behind `live`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Store => "store",
            Self::Increment => "increment",
            Self::DmaRead => "dma-read",
            Self::DmaWrite => "dma-write",
            Self::Invalidate => "invalidate",
            Self::Event => "event",
        }
    }
}
