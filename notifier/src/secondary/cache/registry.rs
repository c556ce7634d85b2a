//! Which spaces there are.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::space::{Space, SpaceKey};

/// Fewer than this are never searched for some that nobody has.
const LEAST: usize = 16;

/// Every space that somebody holds. There is one for each key.
#[derive(Debug, Default)]
pub(super) struct Registry {
    spaces: BTreeMap<SpaceKey, Weak<Space>>,
    /// How many were in use when they were last searched.
    in_use: usize,
}

impl Registry {
    /// The space with this key.
    pub(super) fn space(&mut self, key: SpaceKey) -> Arc<Space> {
        if let Some(space) = self.get(key) {
            return space;
        }
        self.reap();
        let space = Arc::new(Space::new(key));
        self.spaces.insert(key, Arc::downgrade(&space));
        space
    }

    pub(super) fn get(&self, key: SpaceKey) -> Option<Arc<Space>> {
        self.spaces.get(&key)?.upgrade()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Arc<Space>> {
        self.spaces.values().filter_map(Weak::upgrade)
    }

    /// Forgets the keys of spaces that are gone, once there may be as many of them as of others.
    fn reap(&mut self) {
        if self.spaces.len() < (2 * self.in_use).max(LEAST) {
            return;
        }
        self.spaces.retain(|_, space| space.strong_count() > 0);
        self.in_use = self.spaces.len();
    }

    #[cfg(test)]
    #[cfg(not(loom))]
    pub(super) fn len(&self) -> usize {
        self.spaces.len()
    }
}
