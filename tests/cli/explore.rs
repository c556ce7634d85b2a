//! `stalemate explore`: what it prints, and its exit codes.

use serde_json::{Value, json};

use crate::runner::{Ended, file, stalemate};

const HOLDS: &str = "scenario good; shared n: flag; agent a { n = 1; } required q finally: n == 1;";

fn explore(arguments: &[&str]) -> Ended {
    stalemate([&["explore"], arguments].concat())
}

fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

/// Nothing on standard output, and all of these words on standard error.
fn verify_refused(ended: &Ended, words: &[&str]) {
    ended.verify_code(2);
    assert_eq!(ended.stdout, "");
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in {ended:#?}");
    }
}

#[test]
fn a_matrix_in_json_has_a_row_for_each_cell_and_condition() {
    let ended = explore(&["upgrade", "--matrix", "--json"]);
    let document = document(ended.verify_code(1));
    assert_eq!(document["scenario"], "upgrade");
    let cells = document["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 21);
    let first = json!({
        "os": "none", "hardware": "smmu", "property": "progress", "verdict": "livelock",
        "states": cells[0]["states"], "trace_length": 10,
    });
    assert_eq!(cells[0], first);
    assert!(cells[0]["states"].as_u64() > Some(0));
    assert_eq!(cells[1]["verdict"], "holds");
    assert_eq!(cells[1]["trace_length"], Value::Null);
}

#[test]
fn the_exit_code_is_the_verdict() {
    let cell = |os: &str| explore(&["upgrade", "--os", os, "--hardware", "smmu"]);
    cell("secondary-tlb").verify_code(0);
    cell("none").verify_code(1);
    explore(&["upgrade", "--os", "secondary-tlb", "--matrix"]).verify_code(1);
    let path = file(HOLDS.as_bytes());
    let matrix = explore(&[path.path().to_str().unwrap(), "--matrix"]);
    assert!(
        matrix
            .verify_code(0)
            .stdout
            .contains("sequentially consistent"),
        "{matrix:#?}"
    );
}

#[test]
fn a_single_cell_is_told_with_its_trace() {
    let ended = explore(&["upgrade", "--os", "none", "--hardware", "smmu"]);
    for words in [
        "livelock",
        "I/O page fault",
        "the same repeats for ever",
        "iotlb P1 W0",
        "within these bounds",
    ] {
        assert!(ended.stdout.contains(words), "no {words:?} in {ended:#?}");
    }
    assert_eq!(ended.stderr, "");
    let all = explore(&["downgrade", "--matrix"]);
    assert!(!all.stdout.contains("in the end:"), "{all:#?}");
    let traces = explore(&["downgrade", "--matrix", "--trace"]);
    assert!(traces.stdout.contains("in the end:"), "{traces:#?}");
}

#[test]
fn a_bound_that_is_hit_is_undecided() {
    for bound in [["--max-states", "100"], ["--memory", "100K"]] {
        let cell = [
            "uffd-wp",
            "--os",
            "pending-check-in-fault",
            "--hardware",
            "clears-w",
        ];
        let ended = explore(&[&cell[..], &bound].concat());
        let stdout = &ended.verify_code(1).stdout;
        assert!(stdout.contains("no-lost-store: undecided"), "{ended:#?}");
        assert!(stdout.contains("states were covered"), "{ended:#?}");
    }
}

#[test]
fn the_same_command_prints_the_same_bytes() {
    let run = || explore(&["write-protect", "async-flush", "--matrix", "--trace"]).stdout;
    assert_eq!(run(), run());
}

#[test]
fn what_is_not_known_is_refused_with_what_is_near() {
    verify_refused(
        &explore(&["upgarde"]),
        &["upgarde", "did you mean `upgrade`?"],
    );
    verify_refused(
        &explore(&["/no-such-file"]),
        &["the scenarios are", "uffd-wp"],
    );
    verify_refused(
        &explore(&["upgrade", "--os", "nine"]),
        &["did you mean `none`?"],
    );
    verify_refused(
        &explore(&["upgrade", "--hardware", "ast"]),
        &["did you mean `ats`?"],
    );
    explore(&[]).verify_code(2);
    explore(&["upgrade", "--max-states", "0"]).verify_code(2);
    verify_refused(&explore(&["/"]), &["can't be read"]);
}

#[test]
fn a_file_with_a_mistake_is_shown_with_the_place() {
    let path = file(HOLDS.replace("n == 1", "m == 1").as_bytes());
    let path = path.path().to_str().unwrap();
    let ended = explore(&[path]);
    let place = format!("{path}:1:71");
    verify_refused(&ended, &["no variable is called `m`", &place, "^"]);
    let as_json = explore(&[path, "--json"]);
    assert!(
        document(as_json.verify_code(2))
            .to_string()
            .contains("no variable"),
        "{as_json:#?}"
    );
}

#[test]
fn files_that_are_no_scenario_are_refused() {
    for (bytes, words) in [
        (vec![b'x'; 10 << 20], "more than"),
        (b"scenario \xff;".to_vec(), "not UTF-8"),
        (Vec::new(), "expected `scenario`"),
    ] {
        let path = file(&bytes);
        verify_refused(&explore(&[path.path().to_str().unwrap()]), &[words]);
    }
    verify_refused(&explore(&["/dev/zero"]), &["more than"]);
}
