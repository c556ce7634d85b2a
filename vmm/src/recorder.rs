//! What takes time outside the guest: exits of vCPUs and turns of the DMA engine, with their times.
//!
//! A machine records only if it is asked to. What happens to page tables and caches is on the
//! [oracle](notifier::oracle::Oracle)'s record, which then has times of the same clock.

use std::fmt;
use std::sync::Mutex;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use kvm_ioctls::VcpuExit;
use notifier::oracle::{Moment, Record};

use crate::lock::lock;

/// How many spans are kept; a guest decides how many there are.
const CAPACITY: usize = 1 << 16;

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A vCPU, by its number, had an exit served.
    Exit(u64, ExitKind),
    /// The DMA engine carried on a transfer of this channel.
    Transfer(usize),
}

/// Why a vCPU left the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// It stored to a guest-physical address without memory, or with read-only memory.
    MmioWrite(u64),
    /// It loaded from one without memory.
    MmioRead(u64),
    /// It wrote to an I/O port.
    PortWrite(u16),
    /// It read from one.
    PortRead(u16),
    /// Something else.
    Other,
}

impl From<&VcpuExit<'_>> for ExitKind {
    fn from(exit: &VcpuExit<'_>) -> Self {
        match exit {
            VcpuExit::MmioWrite(address, _) => Self::MmioWrite(*address),
            VcpuExit::MmioRead(address, _) => Self::MmioRead(*address),
            VcpuExit::IoOut(port, _) => Self::PortWrite(*port),
            VcpuExit::IoIn(port, _) => Self::PortRead(*port),
            _ => Self::Other,
        }
    }
}

impl fmt::Display for ExitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MmioWrite(address) => write!(f, "exit: store to {address:#x}"),
            Self::MmioRead(address) => write!(f, "exit: load from {address:#x}"),
            Self::PortWrite(port) => write!(f, "exit: write to port {port:#x}"),
            Self::PortRead(port) => write!(f, "exit: read from port {port:#x}"),
            Self::Other => f.write_str("exit"),
        }
    }
}

/// Something with its times since the recorder's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// What.
    pub activity: Activity,
    /// When it began.
    pub start: Duration,
    /// When it was over.
    pub end: Duration,
    /// By which thread.
    pub thread: ThreadId,
}

/// Everything that was recorded in a run.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// In the order in which they were over.
    pub spans: Vec<Span>,
    /// What the oracle has on record, oldest first.
    pub facts: Vec<(Record, Moment)>,
    /// How many spans there were beyond what is kept.
    pub spans_left_out: u64,
}

/// Writes down what takes time.
#[derive(Debug)]
pub(crate) struct Recorder {
    since: Instant,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    spans: Vec<Span>,
    left_out: u64,
}

impl Recorder {
    /// One that counts time from `since`.
    pub(crate) fn new(since: Instant) -> Self {
        let kept = Mutex::default();
        Self { since, kept }
    }

    /// The time; what [`add`](Self::add) takes as a beginning.
    pub(crate) fn now(&self) -> Duration {
        self.since.elapsed()
    }

    /// Something that began at `start` is over, on this thread.
    pub(crate) fn add(&self, activity: Activity, start: Duration) {
        let span = Span {
            activity,
            start,
            end: self.now(),
            thread: std::thread::current().id(),
        };
        let mut kept = lock(&self.kept);
        if kept.spans.len() < CAPACITY {
            kept.spans.push(span);
        } else {
            kept.left_out += 1;
        }
    }

    /// What was recorded so far, beside these facts.
    pub(crate) fn recorded(&self, facts: Vec<(Record, Moment)>) -> Recorded {
        let kept = lock(&self.kept);
        Recorded {
            spans: kept.spans.clone(),
            facts,
            spans_left_out: kept.left_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted() {
        let recorder = Recorder::new(Instant::now());
        for _ in 0..CAPACITY + 3 {
            recorder.add(Activity::Transfer(0), recorder.now());
        }
        let recorded = recorder.recorded(Vec::new());
        assert_eq!(
            (recorded.spans.len(), recorded.spans_left_out),
            (CAPACITY, 3)
        );
        assert!(recorded.spans.iter().all(|span| span.start <= span.end));
    }
}
