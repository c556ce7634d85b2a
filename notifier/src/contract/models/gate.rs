//! The gate: nobody inside after the wait, the end said once, and always.

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use loom::thread;

use super::super::gate::{Gate, Left};

/// A gate and what it guards.
struct Guarded {
    gate: Gate,
    gone: AtomicBool,
    ends: AtomicU64,
    /// What each caller did inside.
    done: [AtomicBool; 2],
}

impl Guarded {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Gate::new(),
            gone: AtomicBool::new(false),
            ends: AtomicU64::new(0),
            done: [AtomicBool::new(false), AtomicBool::new(false)],
        })
    }

    /// What a dispatch does, as this caller; whether it was let in.
    fn call(&self, caller: usize) -> bool {
        let entered = self.gate.enter();
        if entered {
            // Relaxed on purpose: the order has to come from the gate.
            assert!(!self.gone.load(Relaxed), "a callback runs after the end");
            self.done[caller].store(true, Relaxed);
            self.after(self.gate.leave());
        }
        entered
    }

    fn after(&self, left: Left) {
        if left == Left::Empty {
            self.ends.fetch_add(1, Relaxed);
            self.gate.tell_empty();
        }
    }

    /// What unregistering does; which callers' work it sees.
    fn end(&self) -> [bool; 2] {
        self.after(self.gate.shut());
        self.gate.wait_empty();
        self.gone.store(true, Relaxed);
        assert_eq!(self.ends.load(Relaxed), 1);
        self.done.each_ref().map(|done| done.load(Relaxed))
    }
}

#[test]
fn after_the_wait_nobody_is_inside_and_the_end_was_said_once() {
    loom::model(|| {
        let guarded = Guarded::new();
        let callers = [0, 1].map(|caller| {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || guarded.call(caller))
        });
        let seen = guarded.end();
        let entered = callers.map(|caller| caller.join().unwrap());
        assert_eq!(seen, entered, "a callback's work is not seen at the end");
        assert_eq!(guarded.ends.load(Relaxed), 1);
    });
}

/// As when the address space and a subscription end at the same time.
#[test]
fn two_who_shut_it_both_find_it_empty() {
    loom::model(|| {
        let guarded = Guarded::new();
        let other = {
            let guarded = Arc::clone(&guarded);
            thread::spawn(move || guarded.end())
        };
        guarded.call(0);
        guarded.end();
        other.join().unwrap();
    });
}
