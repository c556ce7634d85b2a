//! Running the conformance suite on the built-in implementation of the contract.

use std::sync::Arc;

use conformance::subject::Implementation;
use conformance::{Builtin, Finding, LIMIT, Verdict};

use super::exit::Exit;
use super::run::print;
use crate::report;

/// The exit code is whether every rule holds.
pub(super) fn run(filter: Option<&str>, as_json: bool) -> Exit {
    let cases = conformance::cases(filter);
    if cases.is_empty() {
        return nothing_selected(filter.unwrap_or_default(), as_json);
    }
    let implementation: Arc<dyn Implementation> = Arc::new(Builtin);
    let findings: Vec<_> = cases
        .into_iter()
        .map(|case| {
            log::info!("{case:?}");
            conformance::run(case, &implementation, LIMIT)
        })
        .collect();
    let text = if as_json {
        report::conformance::json(&findings)
    } else {
        report::conformance::text(&findings)
    };
    let failed = |finding: &Finding| matches!(finding.verdict, Verdict::Failed(_));
    let exit = if findings.iter().any(failed) {
        Exit::Bad
    } else {
        Exit::Good
    };
    print(&text, exit)
}

fn nothing_selected(filter: &str, as_json: bool) -> Exit {
    let message = format!("no case has `{filter}` in its name");
    log::error!("{message}");
    let exit = Exit::Usage;
    if as_json {
        return print(&report::json::error(&message, exit.code()), exit);
    }
    exit
}
