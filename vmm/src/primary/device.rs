//! A device that counts in its own word of every page, by DMA through the stage 2.

use std::sync::Arc;

use super::PrimaryError;
use super::course::{Course, PAUSE};
use super::space::{Answer, Primary};

/// Refusals in a row of a page that the host says may be written, after which the device gives up.
const PATIENCE: u64 = 8;

/// What the device did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceWork {
    /// Writes that got through, by page.
    pub writes: Vec<u64>,
    /// Writes that were refused.
    pub refused: u64,
    /// Of these, those of a page that the host had given back before.
    pub refused_late: u64,
    /// Whether it gave up.
    pub gave_up: bool,
}

/// The device, at work.
pub(super) struct Device<'a> {
    primary: &'a Arc<Primary>,
    course: &'a Course<'a>,
    work: DeviceWork,
    /// Refusals in a row that the host had nothing to give back for.
    in_vain: u64,
}

/// Writes page after page until the run is over, or until it gives up.
pub(super) fn work(
    primary: &Arc<Primary>,
    course: &Course<'_>,
) -> Result<DeviceWork, PrimaryError> {
    let mut device = Device {
        primary,
        course,
        work: DeviceWork {
            writes: primary.frames().all().map(|_| 0).collect(),
            ..DeviceWork::default()
        },
        in_vain: 0,
    };
    while !course.is_over() && !device.work.gave_up {
        for page in primary.frames().all() {
            device.write(page)?;
        }
        // The vCPUs need a processor, too.
        std::thread::yield_now();
    }
    Ok(device.work)
}

impl Device<'_> {
    /// One write, with as many tries as it takes.
    fn write(&mut self, page: u64) -> Result<(), PrimaryError> {
        self.in_vain = 0;
        while !self.course.is_over() && !self.work.gave_up {
            let frames = self.primary.frames();
            let count = |at| frames.count_one(at);
            let fault = match self.primary.stage2().write(page, count) {
                Ok(counted) => {
                    counted?;
                    let mut writes = self.work.writes.iter_mut();
                    let page = usize::try_from(page).unwrap_or(usize::MAX);
                    *writes.nth(page).unwrap_or(&mut 0) += 1;
                    return Ok(());
                }
                Err(fault) => fault,
            };
            self.refused(page)?;
            if self.in_vain == PATIENCE {
                self.primary.stage2().gave_up(&fault, PATIENCE);
                self.work.gave_up = true;
            }
        }
        Ok(())
    }

    /// The host answers for the device as it does for a vCPU.
    fn refused(&mut self, page: u64) -> Result<(), PrimaryError> {
        self.work.refused += 1;
        match self.primary.answer(page)? {
            Answer::Given => self.in_vain = 0,
            Answer::Already => {
                self.work.refused_late += 1;
                self.in_vain += 1;
            }
            Answer::None => std::thread::sleep(PAUSE),
        }
        Ok(())
    }
}
