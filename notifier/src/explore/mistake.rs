//! What is wrong with a scenario and shows only when its steps are made.

use crate::scenario::{Diagnostic, Span};

/// A mistake, with its place in the text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mistake {
    /// A value that does not fit where the step puts it.
    Misfit {
        span: Span,
        value: i64,
        /// The greatest value that fits.
        most: u64,
    },
    /// A step with a choice that can be come to in more than so many ways.
    Ways { span: Span, most: usize },
}

impl From<Mistake> for Diagnostic {
    fn from(mistake: Mistake) -> Self {
        match mistake {
            Mistake::Misfit { span, value, most } => {
                let message = format!("a step puts {value} here, and only 0..{most} fits");
                Self::new(span, message)
            }
            Mistake::Ways { span, most } => {
                let message = format!("one step comes to this choice in more than {most} ways");
                Self::new(span, message).hint("let it take several steps: leave out the `atomic`")
            }
        }
    }
}
