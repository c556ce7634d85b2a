//! The conformance suite from the command line; it needs no KVM.

use serde_json::Value;

use crate::runner::stalemate;

#[test]
fn every_rule_holds_on_the_built_in_implementation() {
    let ended = stalemate(["conformance", "--json"]);
    let document: Value = serde_json::from_str(&ended.verify_code(0).stdout).unwrap();
    assert_eq!(document["failed"], 0, "{document:#}");
    let all = conformance::cases(None).len();
    assert_eq!(document["cases"].as_array().unwrap().len(), all);
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_filter_selects_cases_of_which_a_table_is_shown() {
    let ended = stalemate(["conformance", "--filter", "aging/testing"]);
    ended.verify_code(0);
    for words in ["testing-stops-at-first-yes", "pass", "2 cases: 2 pass"] {
        assert!(ended.stdout.contains(words), "{ended:#?}");
    }
    assert!(!ended.stdout.contains("clearing-asks-all"), "{ended:#?}");
}

#[test]
fn a_filter_that_selects_nothing_is_bad_usage() {
    let ended = stalemate(["conformance", "--filter", "no-such-case"]);
    ended.verify_refused(2, &["no-such-case"]);
    let ended = stalemate(["conformance", "--json", "--filter", "no-such-case"]);
    let document: Value = serde_json::from_str(&ended.verify_code(2).stdout).unwrap();
    assert_eq!(document["exit_code"], 2);
}
