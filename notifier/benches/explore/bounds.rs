//! The variants and bounds that all contenders explore.

use std::fmt;

/// A variant of the software, on hardware that takes W away when it unprotects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Os {
    None,
    PendingCheckInFault,
    TableGeneration,
}

impl Os {
    pub(crate) const ALL: [Self; 3] =
        [Self::None, Self::PendingCheckInFault, Self::TableGeneration];

    /// As the scenario calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PendingCheckInFault => "pending-check-in-fault",
            Self::TableGeneration => "table-generation",
        }
    }
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) os: Os,
    /// Stores of each of the two CPUs.
    pub(crate) stores: u8,
    /// How often each of the two monitors does what it does.
    pub(crate) rounds: u8,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { os, stores, rounds } = self;
        write!(f, "{}, {stores} stores, {rounds} rounds", os.name())
    }
}

impl Bounds {
    /// The scenario with these bounds instead of its own, which are 2 and 1.
    pub(crate) fn scenario(self) -> String {
        let Self { stores, rounds, .. } = self;
        let text = notifier::explore::embedded("uffd-wp").expect("it comes with the explorer");
        let replace = |text: String, from: &str, to: String| {
            assert!(text.contains(from), "the scenario has no `{from}`");
            text.replace(from, &to)
        };
        // The models by hand ask for lost stores only, and nobody takes the locks in the end.
        let text: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with("forbidden no-stale"))
            .collect();
        let text = text.join("\n");
        let (text, _) = text.split_once("agent exit").expect("somebody comes last");
        let text = replace(text.into(), "repeat 2", format!("repeat {stores}"));
        let text = replace(text, "0..4", format!("0..{}", 2 * stores));
        let text = replace(text, "0..3", format!("0..{}", 3 * rounds));
        let text = replace(
            text,
            "{\n    protect();\n    unprotect();\n}",
            format!("{{ repeat {rounds} {{ protect(); unprotect(); }} }}"),
        );
        let only = "agent monitor1 {\n    unprotect();\n}";
        let again = format!("agent monitor1 {{ repeat {rounds} {{ unprotect(); }} }}");
        replace(text, only, again)
    }
}
