//! The primary MMU: what the host lets vCPUs and device do with each page.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use notifier::addr::{Gpa, Permissions};

use super::course::{Failures, PAUSE};
use super::frames::Frames;
use super::means::Means;
use super::stage2::{Stage2, Told};
use super::{Omission, PrimaryError};
use crate::bus::Flow;
use crate::lock::lock;
use crate::vcpu::{Refusals, VcpuEnd};

/// What the host lets be done with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowed {
    Read,
    ReadWrite,
}

/// What became of a page that somebody wants to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was read-only, and was given back.
    Given,
    /// It had been given back already.
    Already,
    /// Nobody gives it back.
    None,
}

/// What the host did, counted where it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrimaryCounts {
    /// Pages that were taken.
    pub taken: u64,
    /// Pages that were given back because somebody wanted to write them.
    pub given: u64,
    /// Accesses of vCPUs that were refused: the host's answer to KVM_RUN, or a userfaultfd message.
    pub refused_vcpus: u64,
    /// Of these, those of which the page had been given back meanwhile.
    pub late_vcpus: u64,
}

#[derive(Default)]
struct Counters {
    taken: AtomicU64,
    given: AtomicU64,
    refused_vcpus: AtomicU64,
    late_vcpus: AtomicU64,
}

/// The pages, each behind a lock of its own (Linux: the lock of a mapping), and the stage 2 that
/// mirrors them. Locks: pages in ascending order, then what the stage 2 has.
pub(super) struct Primary {
    pages: Vec<Mutex<Allowed>>,
    means: Arc<dyn Means>,
    stage2: Stage2,
    frames: Arc<Frames>,
    omission: Omission,
    counters: Counters,
}

impl Primary {
    /// Everything may be read and written.
    pub(super) fn new(
        frames: &Arc<Frames>,
        means: Arc<dyn Means>,
        omission: Omission,
    ) -> Result<Self, PrimaryError> {
        let all = frames.all();
        Ok(Self {
            pages: all.map(|_| Mutex::new(Allowed::ReadWrite)).collect(),
            means,
            stage2: Stage2::new(frames)?,
            frames: Arc::clone(frames),
            omission,
            counters: Counters::default(),
        })
    }

    /// The stage 2.
    pub(super) fn stage2(&self) -> &Stage2 {
        &self.stage2
    }

    /// The pages.
    pub(super) fn frames(&self) -> &Arc<Frames> {
        &self.frames
    }

    /// What was done so far.
    pub(super) fn counts(&self) -> PrimaryCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PrimaryCounts {
            taken: of(&self.counters.taken),
            given: of(&self.counters.given),
            refused_vcpus: of(&self.counters.refused_vcpus),
            late_vcpus: of(&self.counters.late_vcpus),
        }
    }

    /// Takes writes of these pages away, first from the device and then from the vCPUs, and calls
    /// `meanwhile` before anybody can be given one back.
    pub(super) fn take(
        &self,
        pages: Range<u64>,
        meanwhile: impl FnOnce() -> Result<(), PrimaryError>,
    ) -> Result<(), PrimaryError> {
        let mut held = self.hold(&pages);
        let told = self.told_unless(Omission::Downgrade);
        let made = self.stage2.allow(&pages, Permissions::READ_ONLY, told)?;
        self.means.take(&pages)?;
        self.stage2.settled(made);
        for page in &mut held {
            **page = Allowed::Read;
        }
        add(&self.counters.taken, pages.end - pages.start);
        meanwhile()
    }

    /// Somebody was refused a write to `page`, and is to try again.
    pub(super) fn answer(&self, page: u64) -> Result<Answer, PrimaryError> {
        if self.omission == Omission::Answer {
            return Ok(Answer::None);
        }
        let mut held = self.hold(&(page..page + 1));
        let Some(allowed) = held.first_mut() else {
            return Ok(Answer::None);
        };
        if **allowed == Allowed::ReadWrite {
            self.means.wake(page)?;
            return Ok(Answer::Already);
        }
        self.give(page, self.told_unless(Omission::Upgrade))?;
        **allowed = Allowed::ReadWrite;
        add(&self.counters.given, 1);
        Ok(Answer::Given)
    }

    /// The same for a vCPU.
    pub(super) fn answer_vcpu(&self, page: u64) -> Result<Answer, PrimaryError> {
        add(&self.counters.refused_vcpus, 1);
        let answer = self.answer(page)?;
        if answer == Answer::Already {
            add(&self.counters.late_vcpus, 1);
        }
        Ok(answer)
    }

    /// Gives back what is taken, at the end.
    pub(super) fn give_all(&self) -> Result<(), PrimaryError> {
        for page in self.frames.all() {
            for mut allowed in self.hold(&(page..page + 1)) {
                if *allowed == Allowed::Read {
                    self.give(page, Told::Yes)?;
                    *allowed = Allowed::ReadWrite;
                }
            }
        }
        Ok(())
    }

    /// Whether nothing of these pages is taken.
    pub(super) fn has_given(&self, pages: &Range<u64>) -> bool {
        let held = self.hold(pages);
        held.iter().all(|page| **page == Allowed::ReadWrite)
    }

    fn give(&self, page: u64, told: Told) -> Result<(), PrimaryError> {
        let pages = page..page + 1;
        self.means.give(&pages)?;
        let made = self.stage2.allow(&pages, Permissions::READ_WRITE, told)?;
        self.stage2.settled(made);
        Ok(())
    }

    fn hold(&self, pages: &Range<u64>) -> Vec<MutexGuard<'_, Allowed>> {
        let number = |page: u64| usize::try_from(page).unwrap_or(usize::MAX);
        let held = self.pages.get(number(pages.start)..number(pages.end));
        held.unwrap_or_default().iter().map(lock).collect()
    }

    fn told_unless(&self, omission: Omission) -> Told {
        if self.omission == omission {
            Told::No
        } else {
            Told::Yes
        }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// Answers for vCPUs that KVM_RUN comes back from with an error.
pub(super) struct Answers {
    primary: Arc<Primary>,
    failures: Arc<Failures>,
}

impl Answers {
    /// Answers by `primary`; what goes wrong is written down.
    pub(super) fn new(primary: &Arc<Primary>, failures: &Arc<Failures>) -> Self {
        Self {
            primary: Arc::clone(primary),
            failures: Arc::clone(failures),
        }
    }

    /// A KVM that does not tell the page has all of them given back.
    fn answer(&self, address: Option<Gpa>) -> Result<Answer, PrimaryError> {
        let frames = self.primary.frames();
        let known = address.map(|address| frames.at(address));
        match known {
            Some(Some(page)) => self.primary.answer_vcpu(page),
            Some(None) => Err(PrimaryError::Host(format!(
                "KVM was refused {}, which nobody took",
                address.unwrap_or(Gpa::new(0))
            ))),
            None => {
                let mut pages = frames.all();
                pages.try_fold(Answer::None, |_, page| self.primary.answer_vcpu(page))
            }
        }
    }
}

impl Refusals for Answers {
    fn refused(&self, page: Option<Gpa>) -> Flow {
        match self.answer(page) {
            Ok(Answer::Given | Answer::Already) => {}
            Ok(Answer::None) => std::thread::sleep(PAUSE),
            Err(error) => {
                let end = VcpuEnd::Kvm(error.to_string());
                self.failures.add(error);
                return Flow::Break(end);
            }
        }
        Flow::Continue(())
    }
}
