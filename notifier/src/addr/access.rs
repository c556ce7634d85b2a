//! What somebody wants to do to a page, and what a page allows.

use std::fmt;

/// What a device or CPU wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Load.
    Read,
    /// Store.
    Write,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

bitflags::bitflags! {
    /// What a translation allows, along the whole walk that led to it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Permissions: u8 {
        /// Loads.
        const READ = 1 << 0;
        /// Stores.
        const WRITE = 1 << 1;
        /// Instruction fetches.
        const EXECUTE = 1 << 2;
        /// Unprivileged access, which is what devices make.
        const USER = 1 << 3;
    }
}

impl Permissions {
    /// Unprivileged loads.
    pub const READ_ONLY: Self = Self::READ.union(Self::USER);
    /// Unprivileged loads and stores.
    pub const READ_WRITE: Self = Self::READ_ONLY.union(Self::WRITE);

    /// Whether a device may do this. A device's accesses are unprivileged (PnU = 0), so a
    /// privileged page allows it nothing.
    pub fn allow(self, access: Access) -> bool {
        self.contains(match access {
            Access::Read => Self::READ_ONLY,
            Access::Write => Self::READ_WRITE,
        })
    }
}

/// Four letters, `-` for what is missing: `rwxu`.
impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (flag, letter) in [
            (Self::READ, 'r'),
            (Self::WRITE, 'w'),
            (Self::EXECUTE, 'x'),
            (Self::USER, 'u'),
        ] {
            write!(f, "{}", if self.contains(flag) { letter } else { '-' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privileged_page_allows_a_device_nothing() {
        let privileged = Permissions::READ | Permissions::WRITE;
        assert!(!privileged.allow(Access::Read));
        assert!(!privileged.allow(Access::Write));
    }

    #[test]
    fn read_only_allows_reads_alone() {
        assert!(Permissions::READ_ONLY.allow(Access::Read));
        assert!(!Permissions::READ_ONLY.allow(Access::Write));
        assert!(Permissions::READ_WRITE.allow(Access::Write));
    }

    #[test]
    fn letters_stand_at_fixed_places() {
        assert_eq!(Permissions::READ_WRITE.to_string(), "rw-u");
    }
}
