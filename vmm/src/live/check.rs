//! An expectation and what was seen.

/// Something that a scenario expects, held against what it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is expected of what.
    pub name: &'static str,
    /// What should have been seen.
    pub expected: String,
    /// What was.
    pub observed: String,
}

impl Check {
    /// Holds if both print the same.
    pub(crate) fn new(
        name: &'static str,
        expected: impl ToString,
        observed: impl ToString,
    ) -> Self {
        Self {
            name,
            expected: expected.to_string(),
            observed: observed.to_string(),
        }
    }

    /// Whether what was seen is what was expected.
    pub fn holds(&self) -> bool {
        self.expected == self.observed
    }
}
