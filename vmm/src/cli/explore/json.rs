//! JSON: one document for what was asked.

use notifier::explore::{
    Bound, Bounds, Limits, Most, PropertyReport, Report, Table, Trace, Verdict,
};
use serde::Serialize;

use super::{Explore, Explored};

#[derive(Serialize)]
struct Matrix<'a> {
    scenario: &'a str,
    cells: Vec<CellDocument<'a>>,
}

#[derive(Serialize)]
struct CellDocument<'a> {
    os: Option<&'a str>,
    hardware: Option<&'a str>,
    property: &'a str,
    verdict: String,
    states: usize,
    trace_length: Option<usize>,
    bounds: BoundsDocument<'a>,
    fault_bound: Option<CountedDocument<'a>>,
    /// Why it is undecided.
    reason: Option<&'static str>,
    /// With `--trace` there is this field, null or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Option<TraceDocument<'a>>>,
    /// `always`, `sometimes`, `never`, or null if it is not known or not asked.
    ends: Option<String>,
}

/// Within which the verdicts are true, and the limits of the search.
#[derive(Serialize)]
struct BoundsDocument<'a> {
    agents: &'a [String],
    entries: &'a [String],
    frames: &'a [String],
    memory_model: &'static str,
    max_states: usize,
    /// Bytes.
    memory: usize,
}

#[derive(Serialize)]
struct Flagship<'a> {
    not_live: &'a str,
    #[serde(flatten)]
    matrix: Option<Matrix<'a>>,
}

#[derive(Serialize)]
struct ScenarioDocument<'a> {
    scenario: &'a str,
    cells: Vec<ReportDocument<'a>>,
}

#[derive(Serialize)]
struct ReportDocument<'a> {
    os: Option<&'a str>,
    hardware: Option<&'a str>,
    bounds: BoundsDocument<'a>,
    states: usize,
    steps: u64,
    depth: usize,
    bits: usize,
    bytes: usize,
    /// Why the search was not carried to its end, or null.
    cut: Option<&'static str>,
    can_wait_for_ever: bool,
    /// `always`, `sometimes`, `never`, or null if it is not known or not asked.
    ends: Option<String>,
    properties: Vec<PropertyDocument<'a>>,
    tables: Vec<TableDocument<'a>>,
}

#[derive(Serialize)]
struct PropertyDocument<'a> {
    property: &'a str,
    verdict: String,
    states: usize,
    /// Why it is undecided.
    reason: Option<&'static str>,
    trace_length: Option<usize>,
    trace: Option<TraceDocument<'a>>,
    counted: Option<CountedDocument<'a>>,
}

#[derive(Serialize)]
struct CountedDocument<'a> {
    counter: &'a str,
    /// Null if there is no bound.
    at_most: Option<u64>,
}

#[derive(Serialize)]
struct TraceDocument<'a> {
    initial: Vec<(&'a str, &'a str)>,
    steps: Vec<StepDocument<'a>>,
    /// The number of the step, from 0, from which on the same repeats for ever.
    repeats_from: Option<usize>,
}

#[derive(Serialize)]
struct StepDocument<'a> {
    agent: &'a str,
    does: &'a str,
    changes: Vec<ChangeDocument<'a>>,
}

#[derive(Serialize)]
struct ChangeDocument<'a> {
    name: &'a str,
    before: &'a str,
    after: &'a str,
}

#[derive(Serialize)]
struct TableDocument<'a> {
    name: &'a str,
    columns: &'a [String],
    rows: &'a [Vec<String>],
}

pub(super) fn matrix(explored: &[Explored], arguments: &Explore) -> String {
    let documents = explored.iter().map(|one| matrix_of(one, arguments));
    one_or_all(documents.collect())
}

pub(super) fn flagship(why: &str, explored: &[Explored], arguments: &Explore) -> String {
    let matrix = explored.first().map(|one| matrix_of(one, arguments));
    text(&Flagship {
        not_live: why,
        matrix,
    })
}

pub(super) fn cells(explored: &[Explored], arguments: &Explore) -> String {
    let limits = arguments.limits();
    let scenarios = explored.iter().map(|one| ScenarioDocument {
        scenario: &one.checked.scenario.name.text,
        cells: one.reports.iter().map(|one| report(one, &limits)).collect(),
    });
    one_or_all(scenarios.collect())
}

/// A document for one scenario, a list of them for several.
pub(super) fn one_or_all<T: Serialize>(documents: Vec<T>) -> String {
    match &documents[..] {
        [one] => text(one),
        all => text(&all),
    }
}

fn text(document: &impl Serialize) -> String {
    // Strings, numbers and lists of them: there is nothing in it that JSON can't say.
    serde_json::to_string_pretty(document).unwrap_or_default()
}

fn matrix_of<'a>(explored: &'a Explored, arguments: &Explore) -> Matrix<'a> {
    let limits = arguments.limits();
    let cells = explored.reports.iter().flat_map(|report| {
        report.properties.iter().map(move |property| CellDocument {
            os: report.cell.os.as_deref(),
            hardware: report.cell.hardware.as_deref(),
            property: &property.property,
            verdict: property.verdict.to_string(),
            states: property.states,
            trace_length: length(property),
            bounds: bounds(&report.bounds, &limits),
            fault_bound: counted(property),
            reason: why(report, property),
            trace: arguments.trace.then(|| property.trace.as_ref().map(trace)),
            ends: report.ends.map(|ends| ends.to_string()),
        })
    });
    Matrix {
        scenario: &explored.checked.scenario.name.text,
        cells: cells.collect(),
    }
}

fn bounds<'a>(bounds: &'a Bounds, limits: &Limits) -> BoundsDocument<'a> {
    BoundsDocument {
        agents: &bounds.agents,
        entries: &bounds.entries,
        frames: &bounds.frames,
        memory_model: Bounds::MEMORY,
        max_states: limits.states,
        memory: limits.memory,
    }
}

/// The option that would have to be larger, or that Ctrl-C was pressed.
pub(super) fn reason(bound: Bound) -> &'static str {
    match bound {
        Bound::States(_) => "max-states",
        Bound::Memory(_) => "memory",
        Bound::Interrupted => "interrupted",
        Bound::Broken => "broken",
    }
}

/// Why a condition is undecided, if it is.
fn why(report: &Report, property: &PropertyReport) -> Option<&'static str> {
    if report.is_asked_of_none(property) {
        return Some("no-end");
    }
    let cut = report.cut.map(reason);
    cut.filter(|_| property.verdict == Verdict::Undecided)
}

fn length(property: &PropertyReport) -> Option<usize> {
    property.trace.as_ref().map(|trace| trace.steps.len())
}

fn report<'a>(report: &'a Report, limits: &Limits) -> ReportDocument<'a> {
    ReportDocument {
        os: report.cell.os.as_deref(),
        hardware: report.cell.hardware.as_deref(),
        bounds: bounds(&report.bounds, limits),
        states: report.states,
        steps: report.steps,
        depth: report.depth,
        bits: report.bits,
        bytes: report.bytes,
        cut: report.cut.map(reason),
        can_wait_for_ever: report.stuck.is_some(),
        ends: report.ends.map(|ends| ends.to_string()),
        properties: report
            .properties
            .iter()
            .map(|one| property(report, one))
            .collect(),
        tables: report.tables.iter().map(table).collect(),
    }
}

fn property<'a>(report: &Report, property: &'a PropertyReport) -> PropertyDocument<'a> {
    PropertyDocument {
        property: &property.property,
        verdict: property.verdict.to_string(),
        states: property.states,
        reason: why(report, property),
        trace_length: length(property),
        trace: property.trace.as_ref().map(trace),
        counted: counted(property),
    }
}

fn counted(property: &PropertyReport) -> Option<CountedDocument<'_>> {
    let (counter, most) = property.most.as_ref()?;
    Some(CountedDocument {
        counter,
        at_most: match most {
            Most::Times(times) => Some(*times),
            Most::Unbounded => None,
        },
    })
}

fn trace(trace: &Trace) -> TraceDocument<'_> {
    let steps = trace.steps.iter().map(|step| StepDocument {
        agent: &step.agent,
        does: &step.words,
        changes: step
            .changes
            .iter()
            .map(|change| ChangeDocument {
                name: &change.name,
                before: &change.before,
                after: &change.after,
            })
            .collect(),
    });
    TraceDocument {
        initial: trace
            .initial
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect(),
        steps: steps.collect(),
        repeats_from: trace.again,
    }
}

fn table(table: &Table) -> TableDocument<'_> {
    TableDocument {
        name: &table.name,
        columns: &table.columns,
        rows: &table.rows,
    }
}
