//! Which ASIDs are taken.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::addr::Asid;
use crate::sync::lock;

/// No ASID is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all ASIDs are taken")]
pub struct NoAsid;

/// Hands out ASIDs, the lowest free one first, so that one is soon used again and what it left
/// behind in a TLB is soon found (Linux: `xa_alloc` in `arm_smmu_asid_xa`).
#[derive(Debug)]
pub struct Asids {
    last: u16,
    taken: Mutex<BTreeSet<u16>>,
}

impl Asids {
    /// From 1 to `last`. ASID 0 is nobody's.
    pub fn new(last: Asid) -> Self {
        Self {
            last: last.0,
            taken: Mutex::default(),
        }
    }

    /// Takes the lowest free one.
    ///
    /// # Errors
    /// [`NoAsid`] if there is none.
    pub fn allocate(&self) -> Result<Asid, NoAsid> {
        let mut taken = lock(&self.taken);
        let free = (1..=self.last).find(|asid| !taken.contains(asid));
        let asid = free.ok_or(NoAsid)?;
        taken.insert(asid);
        Ok(Asid(asid))
    }

    /// Gives one back. No TLB may hold anything of it.
    pub fn free(&self, asid: Asid) {
        lock(&self.taken).remove(&asid.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_one_comes_first_and_the_last_is_the_last() {
        let asids = Asids::new(Asid(2));
        assert_eq!(asids.allocate(), Ok(Asid(1)));
        assert_eq!(asids.allocate(), Ok(Asid(2)));
        assert_eq!(asids.allocate(), Err(NoAsid));
        asids.free(Asid(1));
        assert_eq!(asids.allocate(), Ok(Asid(1)));
    }
}
