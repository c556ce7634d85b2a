//! Registering and unregistering while two threads dispatch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use criterion::Criterion;
use notifier::contract::{AddressSpace, Event};

use super::dispatch::{Idle, page};

/// Invalidates until it is told to stop; with a subscriber that stays, so that there is work.
fn load(space: &Arc<AddressSpace<()>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        drop(space.mutate().into_window(Event::Clear, page()));
    }
}

pub(super) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("registration");
    for threads in [0, 2] {
        let space = Arc::new(AddressSpace::new(()));
        let _stays = space
            .register_ranges(Arc::new(Idle))
            .expect("the space goes on");
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| load(&space, &stop));
            }
            group.bench_function(
                format!("register-and-unregister/{threads}-busy"),
                |bencher| {
                    bencher.iter(|| {
                        drop(
                            space
                                .register_ranges(Arc::new(Idle))
                                .expect("the space goes on"),
                        )
                    });
                },
            );
            stop.store(true, Ordering::Relaxed);
        });
    }
    group.finish();
}
