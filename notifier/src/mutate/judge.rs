//! Whether a scenario's conditions see a change.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::OnceLock;

use super::always_ends;
use crate::explore::{
    Bound, Cell, Limits, Most, Observed, Progress, PropertyReport, Reductions, Report, Verdict,
    explore, observe, survey,
};
use crate::scenario::{Checked, Diagnostic};

/// Told how far a search has come; it can stop it.
type Watch<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// One cell of the original, which changes are compared with.
#[derive(Debug)]
pub struct Baseline<'a> {
    checked: &'a Checked,
    report: Report,
    limits: Limits,
    /// Worked out when it is first needed.
    observed: OnceLock<Result<Observed, Unknown>>,
    ends: OnceLock<bool>,
}

/// Why it is not known what can be seen of a scenario's states.
#[derive(Debug)]
enum Unknown {
    Cut(Bound),
    /// A step puts a value where it does not fit.
    Value(String),
}

/// What saw the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// A condition that holds in the original.
    Property(String),
    /// The bound of a progress condition's counter grew: its name, then what it was and is.
    Counter(String, Most, Most),
    /// Somebody waits for ever, which the explorer tells of any scenario.
    Waits,
    /// There are states from which the agents can't all come to their end any more.
    NoEnd,
    /// A step puts a value where it does not fit.
    Value(String),
}

/// One thing that saw the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catch {
    /// What.
    pub by: By,
    /// What it said; for what is no condition, [`Verdict::Violated`].
    pub verdict: Verdict,
    /// Steps of the trace that shows it, if there is one.
    pub length: Option<usize>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Something saw it; conditions first, in the order of the file.
    Caught(Vec<Catch>),
    /// All that held holds, and so many states are reached that look exactly like the original's: no
    /// condition on states can tell the two apart.
    Equivalent(usize),
    /// All that held holds, though other states are reached: a hole.
    Survived,
    /// A limit was hit before that was known.
    Undecided(Bound),
}

impl<'a> Baseline<'a> {
    /// Explores the original.
    ///
    /// # Errors
    /// As [`explore`].
    pub fn new(
        checked: &'a Checked,
        cell: &Cell,
        limits: &Limits,
        watch: Watch<'_>,
    ) -> Result<Self, Diagnostic> {
        let report = explore(checked, cell, limits, Reductions::On, watch)?;
        Ok(Self::of(checked, report, limits))
    }

    /// The original as `report` tells of it.
    pub fn of(checked: &'a Checked, report: Report, limits: &Limits) -> Self {
        Self {
            checked,
            report,
            limits: *limits,
            observed: OnceLock::new(),
            ends: OnceLock::new(),
        }
    }

    /// What the explorer says of the original.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Whether there is anything that a change could break.
    pub fn has_a_condition_that_holds(&self) -> bool {
        let mut properties = self.report.properties.iter();
        properties.any(|property| property.verdict == Verdict::Holds)
    }

    /// Explores a changed scenario in the same cell.
    pub fn judge(&self, changed: &Checked, watch: Watch<'_>) -> Outcome {
        let cell = &self.report.cell;
        // A change that lets no run come to its end is seen below, by what it does.
        let report = match survey(changed, cell, &self.limits, Reductions::On, watch) {
            Ok(report) => report,
            Err(error) => return Outcome::Caught(vec![catch(By::Value(error.message), None)]),
        };
        let caught = self.caught(&report);
        match report.cut {
            _ if !caught.is_empty() => Outcome::Caught(caught),
            Some(bound) => Outcome::Undecided(bound),
            None => self.unseen(changed, watch),
        }
    }

    fn caught(&self, report: &Report) -> Vec<Catch> {
        let pairs = self.report.properties.iter().zip(&report.properties);
        let mut caught: Vec<_> = pairs
            .clone()
            .filter_map(|(before, after)| broken(before, after))
            .collect();
        caught.extend(pairs.filter_map(|(before, after)| weaker(before, after)));
        if let (Some(trace), None) = (&report.stuck, &self.report.stuck) {
            caught.push(catch(By::Waits, Some(trace.steps.len())));
        }
        caught
    }

    /// Nothing saw the change: is there anything to be seen?
    fn unseen(&self, changed: &Checked, watch: Watch<'_>) -> Outcome {
        if self.ends(watch) && self.changed_ends(changed, watch) == Some(false) {
            return Outcome::Caught(vec![catch(By::NoEnd, None)]);
        }
        let before = self
            .observed
            .get_or_init(|| self.observe(self.checked, watch));
        match (before, self.observe(changed, watch)) {
            (Ok(before), Ok(after)) if *before == after => Outcome::Equivalent(before.count()),
            (Ok(_), Ok(_)) => Outcome::Survived,
            (Err(Unknown::Cut(bound)), _) => Outcome::Undecided(*bound),
            (_, Err(Unknown::Cut(bound))) => Outcome::Undecided(bound),
            // Where the original fails too, nothing is there to tell the two apart.
            (Err(Unknown::Value(_)), _) => Outcome::Survived,
            (_, Err(Unknown::Value(message))) => {
                Outcome::Caught(vec![catch(By::Value(message), None)])
            }
        }
    }

    /// Whether the original always comes to its end.
    fn ends(&self, watch: Watch<'_>) -> bool {
        *self
            .ends
            .get_or_init(|| self.changed_ends(self.checked, watch) == Some(true))
    }

    fn changed_ends(&self, checked: &Checked, watch: Watch<'_>) -> Option<bool> {
        always_ends(checked, &self.report.cell, &self.limits, watch)
    }

    fn observe(&self, checked: &Checked, watch: Watch<'_>) -> Result<Observed, Unknown> {
        let variables = &self.checked.symbols.variables;
        let names: Vec<_> = variables
            .iter()
            .map(|variable| variable.name.text.as_str())
            .collect();
        match observe(checked, &self.report.cell, &names, &self.limits, watch) {
            Ok(observed) => observed.map_err(Unknown::Cut),
            Err(error) => Err(Unknown::Value(error.message)),
        }
    }
}

fn catch(by: By, length: Option<usize>) -> Catch {
    Catch {
        by,
        verdict: Verdict::Violated,
        length,
    }
}

/// What held holds no more.
fn broken(before: &PropertyReport, after: &PropertyReport) -> Option<Catch> {
    let broken = matches!(after.verdict, Verdict::Violated | Verdict::Livelock);
    (before.verdict == Verdict::Holds && broken).then(|| Catch {
        by: By::Property(after.property.clone()),
        verdict: after.verdict,
        length: after.trace.as_ref().map(|trace| trace.steps.len()),
    })
}

/// What is counted on the way can come more often.
fn weaker(before: &PropertyReport, after: &PropertyReport) -> Option<Catch> {
    let holds = |one: &PropertyReport| one.verdict == Verdict::Holds;
    let (Some((name, was)), Some((_, is))) = (&before.most, &after.most) else {
        return None;
    };
    let grown = match (was, is) {
        (Most::Times(was), Most::Times(is)) => is > was,
        (Most::Times(_), Most::Unbounded) => true,
        (Most::Unbounded, _) => false,
    };
    (grown && holds(before) && holds(after)).then(|| Catch {
        by: By::Counter(name.clone(), *was, *is),
        verdict: Verdict::Holds,
        length: None,
    })
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = |most: &Most| match most {
            Most::Times(times) => format!("at most {times}"),
            Most::Unbounded => "unbounded".into(),
        };
        match self {
            Self::Property(name) => f.write_str(name),
            Self::Counter(name, was, is) => {
                write!(f, "{name}: {}, not {}", times(is), times(was))
            }
            Self::Waits => f.write_str("(waits for ever)"),
            Self::NoEnd => f.write_str("(no end in reach)"),
            Self::Value(message) => write!(f, "({message})"),
        }
    }
}
