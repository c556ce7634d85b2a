//! What may be the cause of something that comes later, perhaps on another thread.

use std::collections::{BTreeMap, VecDeque};

use notifier::addr::{AddrRange, Gva, Iova, PageSize};
use notifier::contract::Step;
use notifier::paging::Change;
use notifier::secondary::{CacheId, Scope, Tag};

use crate::report::timeline::SliceId;

/// How far back causes are looked for; a guest decides how much there is.
const LAST: usize = 64;

/// What is complete.
#[derive(Clone, Copy, Debug)]
pub(super) enum Completed {
    /// An invalidation of one cache.
    Range(CacheId, AddrRange<Iova>),
    /// An invalidation command.
    Scope(Scope),
}

impl Completed {
    /// Whether it was for an address, as this cache has it. A page of a walk or a configuration
    /// cache is none of an access's own.
    fn covers(&self, cache: CacheId, iova: Iova) -> bool {
        match self {
            Self::Range(of, range) => *of == cache && range.contains(iova),
            Self::Scope(scope) => is_for(&scope.tag, cache) && scope.range.contains(iova),
        }
    }
}

/// Whether a command's tag is one that this cache goes by.
fn is_for(tag: &Tag, cache: CacheId) -> bool {
    match (*tag, cache) {
        (Tag::Device(stream), CacheId::Atc(of)) => stream == of,
        (
            Tag::Address(_, asid) | Tag::Asid(_, asid),
            CacheId::SmmuTlb(of) | CacheId::SmmuNested(_, of),
        ) => asid == of,
        (
            Tag::Stage1(_) | Tag::Both(_) | Tag::All,
            CacheId::SmmuTlb(_) | CacheId::SmmuNested(..) | CacheId::SmmuStage2(_),
        )
        | (Tag::Stage2(_), CacheId::SmmuNested(..) | CacheId::SmmuStage2(_)) => true,
        _ => false,
    }
}

/// The last of each kind.
#[derive(Default)]
pub(super) struct Causes {
    changes: VecDeque<(Change, SliceId)>,
    /// Commands that are submitted and not carried out.
    submitted: VecDeque<(Scope, SliceId)>,
    /// Commands that are carried out and not complete.
    carried_out: VecDeque<(Scope, SliceId)>,
    completed: VecDeque<(Completed, Step, SliceId)>,
    /// When a page was last accessed, by which cache.
    accessed: BTreeMap<(CacheId, u64), Step>,
}

fn keep<T>(last: &mut VecDeque<T>, one: T) {
    if last.len() == LAST {
        last.pop_front();
    }
    last.push_back(one);
}

impl Causes {
    pub(super) fn changed(&mut self, change: Change, id: SliceId) {
        keep(&mut self.changes, (change, id));
    }

    /// The last change of any of these addresses.
    pub(super) fn last_change(&self, range: AddrRange<Gva>) -> Option<SliceId> {
        let mut changes = self.changes.iter().rev();
        let found = changes.find(|(change, _)| change.range.overlaps(range));
        found.map(|(_, id)| *id)
    }

    pub(super) fn submitted(&mut self, scope: Scope, id: SliceId) {
        keep(&mut self.submitted, (scope, id));
    }

    /// The oldest command of this scope that was not carried out before.
    pub(super) fn carried_out(&mut self, scope: &Scope) -> Option<SliceId> {
        let at = self.submitted.iter().position(|(of, _)| of == scope)?;
        let command = self.submitted.remove(at)?;
        keep(&mut self.carried_out, command);
        Some(command.1)
    }

    /// Every command that was carried out and is complete now.
    pub(super) fn synced(&mut self) -> Vec<(Scope, SliceId)> {
        self.carried_out.drain(..).collect()
    }

    pub(super) fn completed(&mut self, what: Completed, step: Step, id: SliceId) {
        keep(&mut self.completed, (what, step, id));
    }

    /// The last completed invalidation of `iova`, if this is the first access to its page since.
    pub(super) fn first_after(&mut self, cache: CacheId, iova: Iova, now: Step) -> Option<SliceId> {
        let page = iova.raw() / PageSize::K4.bytes();
        let before = self.accessed.insert((cache, page), now);
        let since = before.unwrap_or_default();
        let mut completed = self.completed.iter().rev();
        let found = completed.find(|(what, step, _)| *step > since && what.covers(cache, iova));
        found.map(|(.., id)| *id)
    }
}
