//! The small concurrent parts under every schedule: `RUSTFLAGS="--cfg loom" cargo test -p notifier --lib models`.

mod intervals;
