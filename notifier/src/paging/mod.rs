//! Page tables: what an entry means, how to walk and build them, and what a change amounts to.
//!
//! [`Format`] is the one interface to an architecture's bit layout; everything else here works on
//! the [`Meaning`] it decodes. [`x86_64`] and [`vmsa`] are the formats.

mod build;
mod change;
mod format;
mod leaf;
mod memory;
mod tree;
pub mod vmsa;
mod walk;
pub mod x86_64;

pub use build::{BuildError, Builder};
pub use change::{Change, ChangeKind};
pub use format::{Format, Level, Malformed, Meaning};
pub(crate) use format::{index, slot};
pub use leaf::{Leaf, LeafHints};
pub use memory::{FlatMemory, NoMemory, SystemMemory, TableMemory, TableMemoryMut};
pub use tree::{TableChange, Tree, TreeError};
pub(crate) use walk::limited;
pub use walk::{WalkFault, WalkFaultKind, walk};
