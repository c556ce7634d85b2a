//! When a scan looks, at what, and what it makes of a guest that writes meanwhile.

use std::collections::VecDeque;
use std::io;

use kvm_ioctls::VcpuFd;
use notifier::paging::TreeError;

use super::fixture::{Fixture, fixture, mapped, table};
use super::*;
use crate::memory::Ram;

/// What the guest writes before the log is asked once more, all of it in pages that it then names.
type Writes = Vec<(Gpa, u64)>;

/// A log of a guest that is known in advance.
struct Scripted {
    ram: Ram,
    turns: Mutex<VecDeque<Writes>>,
}

impl Log for Scripted {
    fn add(&self, _: &VcpuFd) -> io::Result<()> {
        Ok(())
    }

    fn take(&self) -> io::Result<Vec<Gpa>> {
        let writes = lock(&self.turns).pop_front().unwrap_or_default();
        let pages = writes.iter().map(|(slot, entry)| {
            self.ram.publish(*slot, *entry).unwrap();
            Gpa::new(slot.raw() & !0xfff)
        });
        Ok(pages.collect())
    }
}

/// A scan of a guest that writes this before each time that the log is asked.
fn scan(turns: impl FnOnce(&Fixture) -> Vec<Writes>) -> (Scan, Fixture) {
    let fixture = fixture();
    let turns = Mutex::new(turns(&fixture).into());
    let ram = fixture.ram.clone();
    let log = Box::new(Scripted { ram, turns });
    let (copy, mirror) = (Arc::clone(&fixture.copy), Arc::clone(&fixture.mirror));
    (Scan::new(log, copy, mirror), fixture)
}

/// Both entries lead to the table, or the second alone.
fn twice(fixture: &Fixture) -> Writes {
    vec![(fixture.parents[1], table(fixture.slots[0]))]
}

fn moved(fixture: &Fixture) -> Writes {
    vec![(fixture.parents[0], 0)]
}

#[test]
fn only_pages_that_were_written_are_compared() {
    let (scan, fixture) = scan(|fixture| {
        let [first, second] = fixture.slots;
        let both = vec![(first, mapped(7)), (second, mapped(8))];
        vec![both, vec![], vec![(first, mapped(7))]]
    });
    let counted: Vec<_> = (0..3)
        .map(|_| {
            scan.now().unwrap();
            let counts = scan.counts();
            (counts.scans, counts.pages, counts.entries)
        })
        .collect();
    assert_eq!(counted, [(1, 2, 2), (2, 2, 2), (3, 3, 2)]);
    fixture.verify();
}

/// What a scan can't see: it was something else in between.
#[test]
fn an_entry_that_is_again_what_it_was_did_not_change() {
    let (scan, fixture) = scan(|fixture| {
        let [slot, _] = fixture.slots;
        vec![vec![(slot, 0), (slot, mapped(9)), (slot, mapped(0))]]
    });
    scan.now().unwrap();
    assert_eq!(fixture.kinds(), []);
}

/// Neither what it named is lost, nor does anybody scan on its account.
#[test]
fn what_a_full_ring_named_is_for_the_next_scan() {
    let (scan, fixture) = scan(|fixture| {
        let [first, second] = fixture.slots;
        vec![vec![(first, mapped(7))], vec![(second, mapped(8))]]
    });
    scan.make_room().unwrap();
    assert_eq!((scan.counts().scans, scan.counts().full), (0, 1));
    assert_eq!(fixture.kinds(), []);
    scan.now().unwrap();
    let counts = scan.counts();
    assert_eq!((counts.scans, counts.named, counts.entries), (1, 2, 2));
    fixture.verify();
}

#[test]
fn a_table_with_two_places_fails_now_and_ever_after() {
    let (scan, fixture) = scan(|fixture| {
        // Hardware that only reads a table puts it into the log.
        let read = vec![(fixture.parents[0], table(fixture.slots[0]))];
        vec![twice(fixture), read, moved(fixture)]
    });
    let shared = Gpa::new(fixture.slots[0].raw() & !0xfff);
    let shared = MirrorError::Tree(TreeError::Shared(shared));
    assert_eq!(scan.now(), Err(shared));
    assert_eq!(scan.now(), Err(shared));
    assert_eq!(scan.failure(), Some(shared));
}

/// The guest moved it while the entries were read, so that the new place was read after the move
/// and the old one before. What else was found is not forgotten.
#[test]
fn a_table_that_moves_during_a_scan_has_not_two_places() {
    let (scan, fixture) = scan(|fixture| {
        let mut half = twice(fixture);
        half.push((Gpa::new(fixture.slots[0].raw() + 8), mapped(7)));
        vec![half, moved(fixture), vec![]]
    });
    assert_eq!((scan.now(), scan.failure()), (Ok(()), None));
    assert_eq!(scan.now(), Ok(()));
    fixture.verify();
}
