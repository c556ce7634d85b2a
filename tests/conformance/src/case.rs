//! A case: a rule, where it comes from, and how it is checked.

use std::fmt;

use crate::check::Outcome;
use crate::faulty::Fault;
use crate::subject::Implementation;

/// A group of rules; the table is divided by it, and the documentation has a page for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Who is told what, and when.
    Ranges,
    /// Starts that must not sleep.
    Refusals,
    /// Coming and going.
    Lifetime,
    /// Interval notifiers.
    Intervals,
    /// Was it used?
    Aging,
    /// What must not be done where.
    Context,
    /// Which change of a page table is followed by which notification.
    Primary,
    /// What drivers make of notifications.
    Consumers,
}

impl Section {
    /// All, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Ranges,
        Self::Refusals,
        Self::Lifetime,
        Self::Intervals,
        Self::Aging,
        Self::Context,
        Self::Primary,
        Self::Consumers,
    ];

    /// Its name in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ranges => "ranges",
            Self::Refusals => "refusals",
            Self::Lifetime => "lifetime",
            Self::Intervals => "intervals",
            Self::Aging => "aging",
            Self::Context => "context",
            Self::Primary => "primary",
            Self::Consumers => "consumers",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One rule of the contract, with its check.
#[derive(Clone, Copy)]
pub struct Case {
    /// The group that it belongs to.
    pub section: Section,
    /// Its name, which stays the same.
    pub name: &'static str,
    /// The rule, in a sentence.
    pub rule: &'static str,
    /// Where it comes from: a function of Linux, a commit, a message, or the project's own document.
    pub source: &'static str,
    /// The fault of the model with which this case fails.
    pub twin: Fault,
    pub(crate) check: fn(&dyn Implementation) -> Outcome,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.section, self.name)
    }
}

/// Makes the list `CASES` of a module: `"name" = check, unless Fault: "rule"; "source";`
macro_rules! cases {
    ($section:ident, $fault:ident: $(
        $name:literal = $check:path, unless $twin:ident: $rule:literal; $source:literal;
    )+) => {
        pub(super) const CASES: &[$crate::case::Case] = &[$(
            $crate::case::Case {
                section: $crate::case::Section::$section,
                name: $name,
                rule: $rule,
                source: $source,
                twin: $crate::faulty::Fault::$section($crate::faulty::$fault::$twin),
                check: $check,
            },
        )+];
    };
}
pub(crate) use cases;
