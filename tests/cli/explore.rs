//! `stalemate explore`: what it prints, and its exit codes.

use serde_json::{Value, json};

use crate::runner::{Ended, by_shell, file, stalemate};

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
    assert_eq!(cells.len(), 63);
    let first = json!({
        "os": "none", "hardware": "smmu", "property": "progress", "verdict": "livelock",
        "states": cells[0]["states"], "trace_length": 12,
        "bounds": {
            "agents": ["CPU0", "CPU1", "device", "exit"], "entries": ["pte", "cpu-tlb[0]", "cpu-tlb[1]", "iotlb", "walk", "atc", "answer"],
            "frames": [], "memory_model": "sequentially consistent",
            "max_states": 100_000_000, "memory": 4_294_967_296_u64,
        },
        "fault_bound": { "counter": "spurious-faults", "at_most": null }, "reason": null,
        "ends": null,
    });
    assert_eq!(cells[0], first);
    assert!(cells[0]["states"].as_u64() > Some(0));
    assert_eq!(cells[1]["verdict"], "holds");
    assert_eq!(cells[1]["trace_length"], Value::Null);
}

#[test]
fn a_matrix_in_json_has_the_traces_that_were_asked_for() {
    let ended = explore(&["upgrade", "--os", "none", "--matrix", "--json", "--trace"]);
    let document = document(ended.verify_code(1));
    let cells = document["cells"].as_array().unwrap();
    assert_eq!(cells[0]["trace"]["steps"].as_array().unwrap().len(), 12);
    assert_eq!(cells[0]["trace"]["repeats_from"], 6);
    assert_eq!(cells[1].get("trace"), Some(&Value::Null), "{}", cells[1]);
    assert_eq!(cells[1]["fault_bound"]["at_most"], 2);
}

#[test]
fn what_is_undecided_in_json_has_a_reason() {
    for (limit, reason) in [
        (["--max-states", "5"], "max-states"),
        (["--memory", "1"], "memory"),
    ] {
        let ended = explore(&[&["upgrade", "--matrix", "--json"], &limit[..]].concat());
        let document = document(ended.verify_code(1));
        assert_eq!(document["cells"][0]["verdict"], "undecided");
        assert_eq!(document["cells"][0]["reason"], reason);
    }
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
    for bound in [["--max-states", "100"], ["--memory", "1M"]] {
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
    for path in ["upgrade.litmus", "./upgrad", "no-such/upgarde.litmus"] {
        verify_refused(&explore(&[path]), &[path, "did you mean `upgrade`?"]);
    }
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

#[test]
fn what_could_take_for_ever_to_begin_is_refused() {
    explore(&["upgrade", "--threads", "1000000"]).verify_bad_usage(&["--threads", "256"]);
    explore(&["upgrade", "--threads", "0"]).verify_bad_usage(&["--threads"]);
    let axis = |axis| (0..65).map(move |at| format!("{axis} {axis}-{at};"));
    let variants: String = axis("os").chain(axis("hardware")).collect();
    let path = file(
        HOLDS
            .replace("shared", &format!("{variants} shared"))
            .as_bytes(),
    );
    let path = path.path().to_str().unwrap();
    verify_refused(&explore(&[path, "--matrix"]), &["64", "os-64"]);
}

#[test]
fn options_of_a_machine_are_refused() {
    for option in ["--vcpus=1", "--mem=16M", "--kvm=/dev/kvm", "--limit=1"] {
        let name = option.split('=').next().unwrap();
        explore(&["upgrade", option]).verify_bad_usage(&[name]);
        stalemate(["conformance", option]).verify_bad_usage(&[name]);
        let before = stalemate([option, "explore", "upgrade"]);
        before.verify_bad_usage(&[name, "`explore` runs none"]);
    }
    for command in ["explore", "conformance", "format"] {
        let help = stalemate([command, "--help"]);
        let shown = &help.verify_code(0).stdout;
        assert!(
            !shown.contains("--vcpus") && !shown.contains("--mem "),
            "{shown}"
        );
    }
}

/// What a file says reaches a terminal as text, whatever characters it is made of.
#[test]
fn control_characters_of_a_file_are_escaped() {
    let hostile = HOLDS
        .replace("n = 1", "\"\u{1b}[2Jlabel\r\u{9b}\u{202e}\" n = 0")
        .replace("required q", "required q \"\u{7}about\u{7f}\"");
    let path = file(hostile.as_bytes());
    let path = path.path().to_str().unwrap();
    let steers = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    for arguments in [
        &[path][..],
        &[path, "--matrix", "--trace"],
        &[path, "--json"],
        &[path, "--repair"],
    ] {
        let ended = explore(arguments);
        let all = ended.verify_code(1).stdout.clone() + &ended.stderr;
        assert!(!all.contains(steers), "{all:?}");
    }
    assert!(explore(&[path]).stdout.contains("\\u{1b}[2Jlabel\\u{d}"));
    let missing = explore(&["/no\u{1b}[2J\nsuch"]);
    assert!(!missing.stderr.contains(steers), "{missing:?}");
    assert!(
        missing.stderr.contains("no\\u{1b}[2J\\u{a}such"),
        "{missing:?}"
    );
}

#[test]
fn a_plain_name_is_the_scenario_and_the_file_of_that_name_is_noted() {
    let script = |target: &str| {
        format!(
            "echo 'scenario mine; shared n: flag; agent a {{ n = 1; }} required q finally: n == 1;' \
             > upgrade; \"$0\" explore {target} --matrix; code=$?; rm upgrade; exit $code"
        )
    };
    let name = by_shell(&script("upgrade"));
    assert!(
        name.verify_code(1).stdout.starts_with("upgrade:"),
        "{name:#?}"
    );
    assert!(
        name.stderr.starts_with("stalemate: note: `upgrade`"),
        "{name:#?}"
    );
    assert!(name.stderr.contains("`./upgrade`"), "{name:#?}");
    let path = by_shell(&script("./upgrade"));
    assert!(path.verify_code(0).stdout.starts_with("mine:"), "{path:#?}");
    assert_eq!(path.stderr, "");
}

/// A `finally` speaks of executions that end: whoever reads the verdict alone sees that these are not all.
#[test]
fn a_verdict_on_the_end_says_of_which_executions() {
    let text = "scenario s; shared n: flag; shared l: lock; agent a { choose { n = 1; } or { lock l; lock l; } } \
                required q finally: n; forbidden r finally: n; required e always: n < 2;";
    let path = file(text.as_bytes());
    let path = path.path().to_str().unwrap();
    for (words, mode) in [
        ("q: holds (of the executions that end)\n", None),
        ("r: violated\n", None),
        ("e: holds", None),
        ("holds (of the executions that end) ┆", Some("--matrix")),
    ] {
        let ended = explore(&[&[path], mode.as_slice()].concat());
        let stdout = &ended.verify_code(1).stdout;
        assert!(stdout.contains(words), "no {words:?} in {stdout}");
        assert!(!stdout.contains("e: holds ("), "{stdout}");
    }
    let all = text.replace("lock l; lock l;", "n = 1; lock l;");
    let path = file(all.as_bytes());
    let ended = explore(&[path.path().to_str().unwrap()]);
    assert!(ended.stdout.contains("q: holds\n"), "{ended:#?}");
}

/// A `finally` of a cell in which nothing ends holds of nothing, whatever else is broken there.
#[test]
fn nothing_holds_of_no_run() {
    let text = "scenario s; shared x: flag; agent A { await x == 1; } forbidden never ever: x == 0; \
                required f finally: x == 1;";
    let path = file(text.as_bytes());
    let path = path.path().to_str().unwrap();
    for (words, mode) in [
        ("f: undecided (no run comes to its end)\n", None),
        ("no run comes to its end; what is asked", None),
        (
            "f         ┆ undecided (no run comes to its end) ┆",
            Some("--matrix"),
        ),
    ] {
        let ended = explore(&[&[path], mode.as_slice()].concat());
        let stdout = &ended.verify_code(1).stdout;
        assert!(stdout.contains(words), "no {words:?} in {stdout}");
    }
    let matrix = document(&explore(&[path, "--matrix", "--json"]));
    assert_eq!(matrix["cells"][1]["verdict"], "undecided");
    assert_eq!(matrix["cells"][1]["reason"], "no-end");
    let cells = document(&explore(&[path, "--json"]));
    assert_eq!(cells["cells"][0]["properties"][1]["reason"], "no-end");
    let ever = "scenario s; shared x: flag; agent A { await x == 1; } allowed seen ever: x == 1;";
    let path = file(ever.as_bytes());
    let ended = explore(&[path.path().to_str().unwrap()]);
    let note = "hardware -: no run comes to its end\n";
    assert!(ended.verify_code(1).stdout.contains(note), "{ended:#?}");
}

#[test]
fn one_is_not_many() {
    let text = "scenario s; frames f; entry { P }; shared e: entry; agent a { } required q always: not e.P;";
    let path = file(text.as_bytes());
    let ended = explore(&[path.path().to_str().unwrap()]);
    for words in [
        "1 state of ",
        "within these bounds: 1 agent (a), 1 entry (e), 1 page frame (f), sequentially",
    ] {
        assert!(ended.stdout.contains(words), "no {words:?} in {ended:#?}");
    }
    let none = text.replace("agent a { } ", "").replace("frames f; ", "");
    let path = file(none.as_bytes());
    let ended = explore(&[path.path().to_str().unwrap()]);
    assert!(
        ended
            .stdout
            .contains("no agents, 1 entry (e), no page frames"),
        "{ended:#?}"
    );
}
