//! Text: matrices, reports of cells, and traces that read like a post to a list.

use std::fmt::Write;

use comfy_table::Table as Grid;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use notifier::explore::{
    Bound, Cell, Ends, Most, PropertyReport, Report, Step, Table, Trace, Verdict,
};

use notifier::scenario::tree::Scope;

use super::Explored;
use super::search::is_not_begun;

pub(super) fn matrices(explored: &[Explored], traces: bool) -> String {
    let all = explored.iter().map(|one| {
        let mut text = matrix(std::slice::from_ref(one));
        if traces {
            let told = |report: &&Report| !report.holds() && !is_not_begun(report);
            for report in one.reports.iter().filter(told) {
                let _ = write!(text, "\n\n{}", cell(report, true));
            }
        }
        text
    });
    all.collect::<Vec<_>>().join("\n\n")
}

/// One line per cell and condition.
pub(super) fn matrix(explored: &[Explored]) -> String {
    let mut text = String::new();
    for one in explored {
        let scenario = &one.checked.scenario;
        let _ = writeln!(text, "{}: {}", scenario.name.text, scenario.about);
        let mut grid = Grid::new();
        grid.load_style(UTF8_FULL_CONDENSED);
        grid.set_header(["os", "hardware", "condition", "verdict", "states", "trace"]);
        for report in &one.reports {
            for property in &report.properties {
                grid.add_row(row(report, property));
            }
        }
        let _ = writeln!(text, "{grid}");
        for table in one.reports.iter().flat_map(titled) {
            let _ = writeln!(text, "{table}");
        }
        if let Some(report) = one.reports.first() {
            let _ = writeln!(text, "within these bounds: {}", report.bounds);
        }
        let begun = one.reports.iter().filter(|report| !is_not_begun(report));
        for note in begun.clone().flat_map(notes) {
            let _ = writeln!(text, "{note}");
        }
        let (begun, all) = (begun.count(), one.reports.len());
        if begun < all {
            let _ = writeln!(
                text,
                "interrupted: {} of {all} cells were not begun",
                all - begun
            );
        }
    }
    text.trim_end().into()
}

fn name(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("-")
}

fn row(report: &Report, property: &PropertyReport) -> [String; 6] {
    let cell = &report.cell;
    let length = property
        .trace
        .as_ref()
        .map_or("-".into(), |trace| trace.steps.len().to_string());
    let verdict = match &property.most {
        Some((counter, most)) => format!("{} ({counter}: {})", property.verdict, times(*most)),
        None => format!("{}{}", property.verdict, of_which(report, property)),
    };
    [
        name(&cell.os).into(),
        name(&cell.hardware).into(),
        property.property.clone(),
        verdict,
        property.states.to_string(),
        length,
    ]
}

/// Of which executions a verdict speaks, if not of all: one that has a trace speaks of that.
fn of_which(report: &Report, property: &PropertyReport) -> &'static str {
    if report.is_asked_of_none(property) {
        return " (no run comes to its end)";
    }
    if property.trace.is_some() {
        return "";
    }
    match (property.scope, report.ends) {
        (Scope::Finally, Some(Ends::Sometimes)) => " (of the executions that end)",
        _ => "",
    }
}

fn times(most: Most) -> String {
    match most {
        Most::Times(times) => format!("at most {times}"),
        Most::Unbounded => "unbounded".into(),
    }
}

fn titled(report: &Report) -> Vec<String> {
    let Cell { os, hardware } = &report.cell;
    let title = |table: &Table| {
        let place = format!("os {}, hardware {}", name(os), name(hardware));
        format!(
            "\n{}, {place}: {}\n{}",
            table.name,
            table.about,
            grid(table)
        )
    };
    report.tables.iter().map(title).collect()
}

fn grid(table: &Table) -> String {
    let mut grid = Grid::new();
    grid.load_style(UTF8_FULL_CONDENSED);
    grid.set_header(&table.columns);
    for row in &table.rows {
        grid.add_row(row);
    }
    grid.to_string()
}

/// What is worth knowing of a search beyond its verdicts.
fn notes(report: &Report) -> Vec<String> {
    let Cell { os, hardware } = &report.cell;
    let place = format!("os {}, hardware {}", name(os), name(hardware));
    let mut notes = Vec::new();
    if let Some(bound) = report.cut {
        notes.push(format!("{place}: {}", cut(bound, report)));
    }
    let finally = report.asks_finally();
    match report.ends {
        Some(Ends::Never) if finally => notes.push(format!(
            "{place}: no run comes to its end; what is asked `finally` is asked of none"
        )),
        Some(Ends::Never) => notes.push(format!("{place}: no run comes to its end")),
        Some(Ends::Sometimes) if finally => notes.push(format!(
            "{place}: not all runs come to their end; what is asked `finally` is asked of those that do"
        )),
        Some(Ends::Sometimes | Ends::Always) | None => {}
    }
    if report.stuck.is_some() {
        notes.push(format!("{place}: an agent can wait for ever"));
    }
    notes
}

fn cut(bound: Bound, report: &Report) -> String {
    let (why, depth) = (reason(bound), report.depth);
    match report.states {
        0 => format!("{why}; nothing was covered"),
        1 => format!("{why}; 1 state was covered"),
        states => format!(
            "{why}; {states} states were covered, all those less than {} away among them",
            count(depth, "step")
        ),
    }
}

/// Why something is undecided, in words.
pub(super) fn reason(bound: Bound) -> String {
    match bound {
        Bound::States(states) => format!("the limit of {} was reached", count(states, "state")),
        Bound::Memory(bytes) => format!("the limit of {} was reached", count(bytes, "byte")),
        Bound::Interrupted => "interrupted".into(),
        Bound::Broken => "something is broken already".into(),
    }
}

/// So many of something.
pub(super) fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

pub(super) fn cells(explored: &[Explored], traces: bool) -> String {
    let count: usize = explored.iter().map(|one| one.reports.len()).sum();
    let reports = explored.iter().flat_map(|one| &one.reports);
    let texts: Vec<_> = reports
        .map(|report| cell(report, traces || count == 1))
        .collect();
    texts.join("\n\n")
}

fn cell(report: &Report, traces: bool) -> String {
    let Cell { os, hardware } = &report.cell;
    let mut text = format!(
        "{}: os {}, hardware {}\n",
        report.scenario,
        name(os),
        name(hardware)
    );
    if !is_not_begun(report) {
        text.push_str(&size(report));
    }
    let _ = writeln!(text, "within these bounds: {}", report.bounds);
    for note in notes(report) {
        let _ = writeln!(text, "{note}");
    }
    for table in titled(report) {
        let _ = writeln!(text, "{table}");
    }
    for property in &report.properties {
        let _ = writeln!(
            text,
            "\n{}: {}",
            property.property,
            row(report, property)[3]
        );
        if !property.about.is_empty() {
            let _ = writeln!(text, "  {}", property.about);
        }
        let shown = traces && property.verdict != Verdict::Holds;
        if let Some(trace) = property.trace.as_ref().filter(|_| shown) {
            let _ = write!(text, "{}", tell(trace));
        }
    }
    if let Some(trace) = report.stuck.as_ref().filter(|_| traces) {
        let _ = write!(text, "\nan agent waits for ever:\n{}", tell(trace));
    }
    if let Some(trace) = report.astray.as_ref().filter(|_| traces) {
        let _ = write!(text, "\na run can't come to its end:\n{}", tell(trace));
    }
    text.trim_end().into()
}

fn size(report: &Report) -> String {
    format!(
        "{} of {}, {} between them, at most {} from the beginning\n",
        count(report.states, "state"),
        count(report.bits, "bit"),
        count(usize::try_from(report.steps).unwrap_or(usize::MAX), "step"),
        report.depth
    )
}

fn tell(trace: &Trace) -> String {
    let mut text = String::from("  at the beginning: ");
    let initial = trace
        .initial
        .iter()
        .map(|(name, value)| format!("{name} {value}"));
    text.push_str(&initial.collect::<Vec<_>>().join("; "));
    text.push('\n');
    let width = trace
        .steps
        .iter()
        .map(|step| step.agent.len())
        .max()
        .unwrap_or(0);
    for (number, step) in trace.steps.iter().enumerate() {
        if trace.again == Some(number) {
            text.push_str("  from here on the same repeats for ever:\n");
        }
        text.push_str(&line(number, width, step));
    }
    if let Some(again) = trace.again {
        let _ = writeln!(text, "  and everything is as before step {}", again + 1);
    }
    if let Some(step) = trace.steps.last() {
        let after = step
            .after
            .iter()
            .map(|(name, value)| format!("{name} {value}"));
        let _ = writeln!(
            text,
            "  in the end: {}",
            after.collect::<Vec<_>>().join("; ")
        );
    }
    text
}

fn line(number: usize, width: usize, step: &Step) -> String {
    let mut text = format!(
        "  {:>3}  {:width$}  {}\n",
        number + 1,
        step.agent,
        step.words
    );
    for change in &step.changes {
        let blank = " ".repeat(width);
        let _ = writeln!(
            text,
            "       {blank}    {}: {} -> {}",
            change.name, change.before, change.after
        );
    }
    text
}
