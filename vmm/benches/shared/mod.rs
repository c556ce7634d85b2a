//! What the benches have in common.

use std::fmt;

/// Whether this run is to show that the bench works (`cargo test`) and not how fast anything is.
pub(crate) fn is_test() -> bool {
    let mut args = std::env::args();
    args.any(|argument| argument == "--test")
}

/// Whether this run is only to name its benches.
pub(crate) fn is_list() -> bool {
    let mut args = std::env::args();
    args.any(|argument| argument == "--list")
}

/// How often to do what is done `times` when it is measured.
pub(crate) fn rounds(times: usize) -> usize {
    if is_test() { 1 } else { times }
}

/// Median and quartiles of a number of samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    /// Of at least one sample.
    pub(crate) fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut samples: Vec<f64> = samples.into_iter().collect();
        samples.sort_by(f64::total_cmp);
        let quarter = |quarters: usize| samples[(samples.len() - 1) * quarters / 4];
        Self {
            low: quarter(1),
            median: quarter(2),
            high: quarter(3),
        }
    }
}

/// `12.34 [11.00, 13.00]`
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, median, high } = self;
        write!(f, "{median:.2} [{low:.2}, {high:.2}]")
    }
}
