//! A violation as JSON.

use notifier::contract::{Notice, Step};
use notifier::oracle::{Chain, Detail, Violation};
use notifier::paging::{Leaf, TableChange};
use notifier::secondary::{Cached, CachedTable};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct ViolationDocument {
    kind: String,
    /// Null for a change that is wrong whatever any cache does.
    cache: Option<String>,
    iova: String,
    /// Null for a walk, and for a change.
    access: Option<String>,
    step: u64,
    occurrences: u64,
    stale_entry: Option<CachedDocument>,
    stale_table: Option<TableDocument>,
    stale_structure: Option<StructureDocument>,
    break_reason: Option<String>,
    current_entry: Option<LeafDocument>,
    chain: ChainDocument,
    words: String,
}

#[derive(Serialize)]
struct ChainDocument {
    cached_at_step: Option<u64>,
    change: Option<ChangeDocument>,
    table_change: Option<TableChangeDocument>,
    notifications: Vec<NoticeDocument>,
    invalidation: String,
    invalidation_step: Option<u64>,
}

#[derive(Serialize)]
struct ChangeDocument {
    step: u64,
    kind: String,
    range: String,
    old: Option<LeafDocument>,
    new: Option<LeafDocument>,
}

#[derive(Serialize)]
struct TableChangeDocument {
    step: u64,
    range: String,
    level: u8,
    old: Option<String>,
    new: Option<String>,
}

#[derive(Serialize)]
struct TableDocument {
    step: u64,
    range: String,
    level: u8,
    next: String,
}

#[derive(Serialize)]
struct StructureDocument {
    structure: String,
    substream: Option<u32>,
}

#[derive(Serialize)]
struct NoticeDocument {
    step: u64,
    notice: String,
}

#[derive(Serialize)]
struct CachedDocument {
    step: u64,
    page: String,
    #[serde(flatten)]
    leaf: LeafDocument,
}

#[derive(Serialize)]
pub(super) struct LeafDocument {
    output: String,
    size: u64,
    permissions: String,
}

/// A violation, with its chain.
pub(super) fn violation(found: &Violation) -> ViolationDocument {
    let (stale_table, stale_structure, break_reason) = match found.detail {
        Some(Detail::Table(table)) => (Some(stale(&table)), None, None),
        Some(Detail::Structure(structure, substream)) => {
            let document = StructureDocument {
                structure: structure.to_string(),
                substream: substream.map(|substream| substream.0),
            };
            (None, Some(document), None)
        }
        Some(Detail::Break(reason)) => (None, None, Some(reason.to_string())),
        None => (None, None, None),
    };
    ViolationDocument {
        kind: found.kind.to_string(),
        cache: found.cache.as_ref().map(ToString::to_string),
        iova: found.iova.to_string(),
        access: found.access.as_ref().map(ToString::to_string),
        step: found.step.0,
        occurrences: found.occurrences,
        stale_entry: found.stale_entry.as_ref().map(cached),
        stale_table,
        stale_structure,
        break_reason,
        current_entry: found.current_entry.as_ref().map(leaf),
        chain: chain(found, &found.chain),
        words: found.to_string(),
    }
}

fn stale(table: &CachedTable) -> TableDocument {
    TableDocument {
        step: table.filled.0,
        range: table.range.to_string(),
        level: table.level.0,
        next: table.next.to_string(),
    }
}

fn chain(found: &Violation, chain: &Chain) -> ChainDocument {
    let notice = |(step, notice): &(Step, Notice)| NoticeDocument {
        step: step.0,
        notice: notice.to_string(),
    };
    ChainDocument {
        cached_at_step: found.stale_entry.map(|entry| entry.filled.0),
        change: chain.change.map(|(step, change)| ChangeDocument {
            step: step.0,
            kind: change.kind.to_string(),
            range: change.range.to_string(),
            old: change.old.as_ref().map(leaf),
            new: change.new.as_ref().map(leaf),
        }),
        table_change: chain.relinked.map(table_change),
        notifications: chain.notices.iter().map(notice).collect(),
        invalidation: chain.invalidation.to_string(),
        invalidation_step: chain.invalidation.step().map(|step| step.0),
    }
}

fn table_change((step, change): (Step, TableChange)) -> TableChangeDocument {
    TableChangeDocument {
        step: step.0,
        range: change.range.to_string(),
        level: change.level.0,
        old: change.old.as_ref().map(ToString::to_string),
        new: change.new.as_ref().map(ToString::to_string),
    }
}

fn cached(entry: &Cached) -> CachedDocument {
    CachedDocument {
        step: entry.filled.0,
        page: entry.page.to_string(),
        leaf: leaf(&entry.leaf),
    }
}

/// A page.
pub(super) fn leaf(leaf: &Leaf) -> LeafDocument {
    LeafDocument {
        output: leaf.output.to_string(),
        size: leaf.size.bytes(),
        permissions: leaf.permissions.to_string(),
    }
}
