//! What the edits of a scenario have in common: where they are, and who explores them.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use notifier::explore::{Cell, Limits, Progress};
use notifier::mutate::Baseline;
use notifier::scenario::{Diagnostic, Span};
use serde::Serialize;

use super::Explore;
use super::search::not_begun;
use super::target::Loaded;
use super::watch::{Watch, progress};

/// Explores many scenarios within the limits that were asked for, on all processors if nothing is
/// said of threads.
pub(super) struct Crew {
    watch: Watch,
    pub(super) limits: Limits,
    threads: NonZeroUsize,
}

impl Crew {
    pub(super) fn new(arguments: &Explore) -> Self {
        let all = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let threads = arguments.threads().unwrap_or_else(all);
        let limits = arguments.limits();
        Self {
            watch: Watch::new(),
            limits: Limits {
                // Each thread has its own search.
                memory: limits.memory / threads,
                threads: NonZeroUsize::MIN,
                ..limits
            },
            threads,
        }
    }

    /// Whether Ctrl-C was pressed.
    pub(super) fn is_stopped(&self) -> bool {
        self.watch.is_stopped()
    }

    /// For a search to ask whether to go on, and to tell how far it has come.
    pub(super) fn watch(&self, what: impl Display) -> impl FnMut(Progress) -> ControlFlow<()> {
        move |come| {
            self.watch.show(|| format!("{what}; {}", progress(&come)));
            self.watch.go_on()
        }
    }

    /// What `work` makes of each item, in the order of the items, whoever was done first.
    pub(super) fn each<T: Sync, R: Send>(
        &self,
        what: impl Display + Sync,
        items: &[T],
        work: impl Fn(&T) -> R + Sync,
    ) -> Vec<R> {
        let next = AtomicUsize::new(0);
        let serve = || {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(number) else {
                    return done;
                };
                self.watch
                    .show(|| format!("{what}: {} of {}", number + 1, items.len()));
                done.push((number, work(item)));
            }
        };
        let mut done = thread::scope(|scope| {
            let helper = |number| {
                let name = format!("explorer-{number}");
                thread::Builder::new().name(name).spawn_scoped(scope, serve)
            };
            // Who can't be started is not needed: this thread alone does it, too.
            let helpers: Vec<_> = (1..self.threads.get().min(items.len()))
                .filter_map(|number| helper(number).ok())
                .collect();
            let mut done = serve();
            for helper in helpers {
                match helper.join() {
                    Ok(more) => done.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            done
        });
        self.watch.clear();
        done.sort_by_key(|(number, _)| *number);
        done.into_iter().map(|(_, result)| result).collect()
    }

    /// The cells that are asked for, explored; an error that a cell has is told with its place.
    pub(super) fn baselines<'a>(&self, loaded: &'a Loaded) -> Result<Vec<Baseline<'a>>, String> {
        let name = &loaded.checked.scenario.name.text;
        let what = format!("{name}, as it is");
        log::info!("{what}");
        let (checked, limits) = (&loaded.checked, &self.limits);
        let explored = self.each(&what, &loaded.cells, |cell| match self.is_stopped() {
            true => Ok(Baseline::of(checked, not_begun(checked, cell), limits)),
            false => Baseline::new(checked, cell, limits, &mut self.watch(&what)),
        });
        let explored: Result<Vec<_>, Diagnostic> = explored.into_iter().collect();
        explored.map_err(|error| error.locate(&loaded.file, &loaded.text).to_string())
    }

    /// The cells that edits of something right are for: those that hold, or those that were chosen
    /// and of which at least one condition holds. `purpose` is what is done to them, in a word or two.
    pub(super) fn right<'a>(
        &self,
        loaded: &'a Loaded,
        arguments: &Explore,
        purpose: &str,
    ) -> Result<Vec<Baseline<'a>>, String> {
        let chosen = arguments.os.is_some() || arguments.hardware.is_some();
        let mut all = self.baselines(loaded)?;
        all.retain(|baseline| {
            let report = baseline.report();
            let decided = report.cut.is_none();
            report.holds() || !decided || chosen && baseline.has_a_condition_that_holds()
        });
        match all.is_empty() {
            false => Ok(all),
            true => Err(format!(
                "{}: no cell that is asked for holds, so there is nothing to {purpose}\n  hint: \
                 --repair looks for what is missing",
                loaded.file
            )),
        }
    }
}

/// A place in the text of a scenario.
#[derive(Clone, Serialize)]
pub(super) struct Spot {
    file: String,
    line: usize,
    column: usize,
}

impl Spot {
    pub(super) fn new(loaded: &Loaded, span: Span) -> Self {
        let located = Diagnostic::new(span, "").locate(&loaded.file, &loaded.text);
        let (line, column) = located.position().unwrap_or((1, 1));
        Self {
            file: loaded.file.clone(),
            line,
            column,
        }
    }
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A cell, as the head of what is printed of it.
pub(super) fn title(scenario: &str, cell: &Cell) -> String {
    let name = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let (os, hardware) = (name(&cell.os), name(&cell.hardware));
    format!("{scenario}: os {os}, hardware {hardware}")
}

/// A document for one scenario, a list of them for several.
pub(super) fn document<T: Serialize>(scenarios: &[T]) -> String {
    super::json::one_or_all(scenarios.iter().collect())
}
