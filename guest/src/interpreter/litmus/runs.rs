//! A batch: run after run.

use core::sync::atomic::Ordering::{Relaxed, Release};

use super::histogram::Histogram;
use super::processor::{Processor, Section};
use super::setup::Mode;
use super::{Break, Flow, area, meeting};

/// What vCPU 0 keeps of a batch.
struct Books {
    histogram: Histogram,
    is_full: bool,
}

impl Processor<'_> {
    /// Makes the runs of the batch, together with the other vCPUs.
    pub(super) fn batch(&mut self) -> Flow {
        let mut books = match self.vcpu {
            0 => Some(open_books()?),
            _ => None,
        };
        loop {
            let number = self.setup.control.first.wrapping_add(self.made);
            self.begin(number);
            if let Some(books) = &books {
                self.prepare(books)?;
            }
            self.meet()?;
            if meeting::is_ending() {
                // Nobody begins another batch before all know that this one is over.
                return self.meet();
            }
            self.make_run()?;
            if let Some(books) = &mut books {
                self.record(books)?;
            }
            self.made += 1;
        }
    }

    /// vCPU 0: sets everything up, or says that there are no more runs.
    fn prepare(&mut self, books: &Books) -> Flow {
        let over = self.made >= self.setup.runs() || books.is_full || meeting::is_stopped();
        meeting::set_ending(over);
        if over {
            return Ok(());
        }
        self.run_section(Section::Reset, self.setup.sections.reset)
    }

    /// From the first barrier to the last.
    fn make_run(&mut self) -> Flow {
        area::standing_run(self.vcpu).store(self.run.number, Relaxed);
        if self.setup.primes {
            self.run_section(Section::Prime, self.setup.sections.prime)?;
            self.meet()?;
        }
        self.delay();
        let ended = self.run_section(Section::Body, self.setup.sections.body);
        match (ended, self.setup.mode) {
            (Err(Break::Over), _) => self.taken = None,
            (Ok(()), Mode::Replay) => self.remaining_events()?,
            (ended, _) => ended?,
        }
        self.meet()
    }

    /// vCPU 0: counts the outcome.
    fn record(&mut self, books: &mut Books) -> Flow {
        self.run_section(Section::Collect, self.setup.sections.collect)?;
        let recorded = books.histogram.record(self.run.key, self.run.number);
        if recorded.is_err() {
            books.is_full = true;
            area::full().store(1, Release);
        } else {
            area::done().store(self.made + 1, Release);
        }
        Ok(())
    }
}

fn open_books() -> Flow<Books> {
    for word in [area::done(), area::full(), area::turn(), area::diverged()] {
        word.store(0, Relaxed);
    }
    Ok(Books {
        histogram: Histogram::open().ok_or(Break::Bad)?,
        is_full: false,
    })
}
