//! What `doctor` found, for people and for programs.

use std::fmt::Write;

use serde::Serialize;

use super::json;
use crate::doctor::{Area, Examination, Facts, Finding, Measured};

/// For people.
pub fn text(examined: &Examination) -> String {
    let Facts {
        kernel,
        processor,
        cores,
        kvm,
        paging,
    } = &examined.facts;
    let mut text = format!(
        "{}\n\nLinux {kernel}; {processor}, {cores} processors; KVM: {kvm}, {paging} paging\n",
        summary(examined)
    );
    for area in Area::ALL {
        let findings = examined.findings.iter();
        let findings: Vec<_> = findings.filter(|finding| finding.area == area).collect();
        if findings.is_empty() {
            continue;
        }
        // Writing to a string can't fail.
        let _ = writeln!(text, "\n{area}");
        findings.iter().for_each(|finding| line(&mut text, finding));
    }
    text.truncate(text.trim_end().len());
    text
}

fn summary(examined: &Examination) -> &'static str {
    match examined.can_run() {
        true => "This host can run machines.",
        false => "This host can't run machines: see what is missing under `needed`.",
    }
}

fn line(text: &mut String, finding: &Finding) {
    let Finding {
        name,
        state,
        what,
        remedy,
        ..
    } = finding;
    let _ = writeln!(text, "  {state:8} {name}: {what}");
    if let Some(remedy) = remedy {
        let _ = writeln!(text, "           -> {remedy}");
    }
}

#[derive(Serialize)]
struct Document<'a> {
    can_run: bool,
    host: HostDocument<'a>,
    findings: Vec<FindingDocument<'a>>,
}

#[derive(Serialize)]
struct HostDocument<'a> {
    kernel: &'a str,
    processor: &'a str,
    processors: usize,
    kvm: String,
    paging: String,
}

#[derive(Serialize)]
struct FindingDocument<'a> {
    area: String,
    name: &'a str,
    state: String,
    what: &'a str,
    measured: Option<MeasuredDocument>,
    remedy: Option<&'a str>,
}

#[derive(Serialize)]
struct MeasuredDocument {
    value: f64,
    unit: &'static str,
}

/// For programs.
pub fn json(examined: &Examination) -> String {
    let facts = &examined.facts;
    json::print(&Document {
        can_run: examined.can_run(),
        host: HostDocument {
            kernel: &facts.kernel,
            processor: &facts.processor,
            processors: facts.cores,
            kvm: facts.kvm.to_string(),
            paging: facts.paging.to_string(),
        },
        findings: examined.findings.iter().map(finding).collect(),
    })
}

fn finding(finding: &Finding) -> FindingDocument<'_> {
    let measured = |Measured { value, unit }: Measured| MeasuredDocument { value, unit };
    FindingDocument {
        area: finding.area.to_string(),
        name: &finding.name,
        state: finding.state.to_string(),
        what: &finding.what,
        measured: finding.measured.map(measured),
        remedy: finding.remedy.as_deref(),
    }
}
