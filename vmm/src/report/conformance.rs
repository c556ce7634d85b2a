//! What came of the conformance suite: a table for each section, or JSON.

use std::fmt::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use conformance::{Finding, Section, Verdict};
use serde::Serialize;

/// Columns of text, so that a rule takes a line or two.
const WIDTH: u16 = 120;

/// A table for each section that has a case.
pub fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for section in Section::ALL {
        let mine: Vec<_> = findings
            .iter()
            .filter(|finding| finding.case.section == section)
            .collect();
        if !mine.is_empty() {
            let _ = write!(text, "{section}\n{}\n\n", table(&mine));
        }
    }
    let count = |which: fn(&Verdict) -> bool| {
        let verdicts = findings.iter().map(|finding| &finding.verdict);
        verdicts.filter(|verdict| which(verdict)).count()
    };
    let _ = write!(
        text,
        "{} cases: {} pass, {} fail, {} not offered.",
        findings.len(),
        count(|verdict| *verdict == Verdict::Passed),
        count(|verdict| matches!(verdict, Verdict::Failed(_))),
        count(|verdict| *verdict == Verdict::NotOffered)
    );
    text
}

fn table(findings: &[&Finding]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH);
    table.set_header(["case", "rule", "result"]);
    for finding in findings {
        let result = match &finding.verdict {
            Verdict::Failed(reason) => format!("FAIL: {reason}"),
            verdict => word(verdict).into(),
        };
        table.add_row([finding.case.name, finding.case.rule, &result]);
    }
    table
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "pass",
        Verdict::Failed(_) => "fail",
        Verdict::NotOffered => "not offered",
    }
}

#[derive(Serialize)]
struct Document {
    cases: Vec<CaseDocument>,
    passed: usize,
    failed: usize,
    not_offered: usize,
}

#[derive(Serialize)]
struct CaseDocument {
    section: &'static str,
    name: &'static str,
    rule: &'static str,
    source: &'static str,
    result: &'static str,
    /// Null unless it failed.
    reason: Option<String>,
    elapsed_us: u64,
}

/// One document.
pub fn json(findings: &[Finding]) -> String {
    let cases: Vec<_> = findings.iter().map(case).collect();
    let count = |result| cases.iter().filter(|case| case.result == result).count();
    super::json::print(&Document {
        passed: count("pass"),
        failed: count("fail"),
        not_offered: count("not offered"),
        cases,
    })
}

fn case(finding: &Finding) -> CaseDocument {
    let reason = match &finding.verdict {
        Verdict::Failed(reason) => Some(reason.clone()),
        _ => None,
    };
    CaseDocument {
        section: finding.case.section.name(),
        name: finding.case.name,
        rule: finding.case.rule,
        source: finding.case.source,
        result: word(&finding.verdict),
        reason,
        elapsed_us: u64::try_from(finding.elapsed.as_micros()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn findings() -> Vec<Finding> {
        let verdicts = [
            Verdict::Passed,
            Verdict::Failed("because".into()),
            Verdict::NotOffered,
        ];
        let cases = conformance::cases(Some("aging"));
        let findings = cases.into_iter().zip(verdicts);
        findings
            .map(|(case, verdict)| Finding {
                case,
                verdict,
                elapsed: Duration::from_millis(2),
            })
            .collect()
    }

    #[test]
    fn each_result_is_shown_with_its_reason() {
        let text = text(&findings());
        for words in ["FAIL: because", "3 cases: 1 pass, 1 fail, 1 not offered."] {
            assert!(text.contains(words), "no {words} in {text}");
        }
    }

    #[test]
    fn the_document_says_the_same() {
        let document: serde_json::Value = serde_json::from_str(&json(&findings())).unwrap();
        assert_eq!(document["failed"], 1);
        assert_eq!(document["cases"][1]["reason"], "because");
        assert_eq!(document["cases"][2]["result"], "not offered");
        assert_eq!(document["cases"][0]["elapsed_us"], 2000);
    }
}
