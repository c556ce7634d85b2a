//! What is said when a rule is broken, and when nothing moves any more.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::THREADS;

/// Longer than any machine takes for one operation, however busy it is.
const STUCK: Duration = Duration::from_secs(30);

static SEED: OnceLock<u64> = OnceLock::new();
static OPERATIONS: AtomicU64 = AtomicU64::new(0);
static FINISHED: AtomicBool = AtomicBool::new(false);
static DOING: [Mutex<&'static str>; THREADS] = [const { Mutex::new("nothing") }; THREADS];

/// Fails the whole process unless the condition holds: other threads may wait for this one.
#[macro_export]
macro_rules! check {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            $crate::report::fail(&format!($($why)+));
        }
    };
}

/// Chooses the seed and starts to watch.
pub(crate) fn begin() {
    let seed = || RandomState::new().build_hasher().finish();
    SEED.get_or_init(|| from_environment("STALEMATE_SEED").unwrap_or_else(seed));
    std::panic::set_hook(Box::new(|panic| fail(&panic.to_string())));
    std::thread::spawn(watch);
}

pub(crate) fn finish() {
    FINISHED.store(true, Ordering::Relaxed);
    let _usual = std::panic::take_hook();
}

/// A number of the environment.
pub(crate) fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
    )
}

pub(crate) fn seed() -> u64 {
    *SEED.get().expect("the test has begun")
}

/// How many were made so far.
pub(crate) fn operations() -> u64 {
    OPERATIONS.load(Ordering::Relaxed)
}

/// Thread `thread` begins an operation.
pub(crate) fn doing(thread: usize, what: &'static str) {
    *DOING[thread].lock().unwrap_or_else(PoisonError::into_inner) = what;
    OPERATIONS.fetch_add(1, Ordering::Relaxed);
}

fn watch() {
    let mut last = (operations(), Instant::now());
    while !FINISHED.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(200));
        if operations() != last.0 {
            last = (operations(), Instant::now());
        }
        check!(
            last.1.elapsed() < STUCK,
            "a deadlock: no operation for {STUCK:?}"
        );
    }
}

/// Says what is wrong, the seed and what every thread was doing, and ends the process.
pub(crate) fn fail(why: &str) -> ! {
    static FIRST: Mutex<()> = Mutex::new(());
    let _only_one = FIRST.lock();
    let mut text = format!(
        "\n{why}\n  after {} operations; STALEMATE_SEED={} repeats them\n",
        operations(),
        seed()
    );
    for (thread, doing) in DOING.iter().enumerate() {
        let doing = doing.lock().unwrap_or_else(PoisonError::into_inner);
        text += &format!("  thread {thread}: {doing}\n");
    }
    // Not `eprint`: what a test prints is kept until it ends, and this one ends here.
    let _nobody_reads = std::io::stderr().write_all(text.as_bytes());
    std::process::exit(101)
}
