//! What can't be done on a machine, and why.

use std::fmt;

/// One step, or one declaration, that no machine here can carry out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Whose step it is; `None` if the whole cell is meant.
    pub agent: Option<String>,
    /// The step as a trace tells it; empty if the agent or the cell is meant.
    pub step: String,
    /// Why.
    pub why: String,
}

impl Refusal {
    pub(super) fn cell(why: impl Into<String>) -> Self {
        Self {
            agent: None,
            step: String::new(),
            why: why.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.agent, self.step.as_str()) {
            (None, _) => {}
            (Some(agent), "") => write!(f, "{agent}: ")?,
            (Some(agent), step) => write!(f, "{agent}, \"{step}\": ")?,
        }
        f.write_str(&self.why)
    }
}
