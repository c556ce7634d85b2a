//! `stalemate explore` with `--mutate`, `--repair` and `--elide`: what it prints, its exit codes, and
//! what it refuses.

use serde_json::Value;

use crate::runner::{Ended, file, stalemate};

fn explore(arguments: &[&str]) -> Ended {
    stalemate([&["explore"], arguments].concat())
}

fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

#[test]
fn mutants_have_places_and_the_exit_code_tells_of_survivors() {
    let ended = explore(&["downgrade", "--mutate", "--json"]);
    let document = document(ended.verify_code(0));
    let cells = document["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 3, "the three that hold");
    let mutants = cells[0]["mutants"].as_array().unwrap();
    let first = &mutants[0];
    assert_eq!(first["class"], "missing");
    assert_eq!(first["place"]["file"], "downgrade.litmus");
    assert_eq!(first["outcome"], "caught");
    assert!(first["caught_by"][0]["trace_length"].as_u64() > Some(0));
    let survives = [
        "upgrade",
        "--mutate",
        "--os",
        "secondary-tlb",
        "--hardware",
        "smmu",
    ];
    explore(&survives).verify_code(1);
}

#[test]
fn a_limit_leaves_mutants_undecided() {
    let ended = explore(&["upgrade", "--mutate", "--max-states", "5"]);
    assert!(
        ended.verify_code(1).stdout.contains("undecided"),
        "{ended:#?}"
    );
}

/// Whatever is not known of a cell is no failure of the cell, and no success either.
#[test]
fn a_limit_leaves_repairs_and_elisions_undecided() {
    for (limit, words) in [
        ("5", "undecided itself (the limit of 5 states was reached)"),
        ("1", "undecided itself (the limit of 1 state was reached)"),
    ] {
        for mode in ["--mutate", "--repair", "--elide"] {
            let ended = explore(&["upgrade", mode, "--max-states", limit]);
            assert!(ended.verify_code(1).stdout.contains(words), "{ended:#?}");
        }
    }
    // The cell itself is decided with so many, and what comes of leaving the wait out is not.
    let text = "scenario s; shared n: 0..3; shared m: 0..4; agent a { n = 1; n = 2; n = 3; } \
                agent b { await n == 3; m = 1; m = 2; m = 3; } forbidden q ever: m == 4;";
    let path = file(text.as_bytes());
    let path = path.path().to_str().unwrap();
    let original = explore(&[path, "--json"]);
    let states = document(&original)["cells"][0]["states"].to_string();
    let limit = (states.parse::<u64>().unwrap() + 1).to_string();
    let ended = explore(&[path, "--elide", "--max-states", &limit]);
    let stdout = &ended.verify_code(1).stdout;
    assert!(stdout.contains("undecided (the limit of"), "{ended:#?}");
}

/// The conditions are answered before the limit, and what can be seen of all states is not.
#[test]
fn a_limit_is_told_as_what_it_is() {
    let text = "scenario s; shared n: 0..6; agent a { n = 1; n = 2; n = 3; n = 4; n = 5; n = 6; } \
                agent b { await n == 1; } allowed q ever: n == 1;";
    let path = file(text.as_bytes());
    let path = path.path().to_str().unwrap();
    let ended = explore(&[path, "--mutate", "--max-states", "4"]);
    let stdout = &ended.verify_code(1).stdout;
    assert!(
        stdout.contains("the limit of 4 states was reached"),
        "{ended:#?}"
    );
    assert!(!stdout.contains("interrupted"), "{ended:#?}");
}

#[test]
fn the_same_question_has_the_same_answer() {
    for mode in ["--mutate", "--elide"] {
        let arguments = ["downgrade", mode];
        assert_eq!(explore(&arguments).stdout, explore(&arguments).stdout);
    }
}

#[test]
fn a_repair_is_a_diff() {
    let (os, hardware) = ("clear-inval-free", "ats-atc-first");
    let cell = ["downgrade", "--os", os, "--hardware", hardware, "--repair"];
    let ended = explore(&cell);
    let stdout = &ended.verify_code(0).stdout;
    for line in ["--- downgrade.litmus\n", "+    tlb-invalidate();\n"] {
        assert!(stdout.contains(line), "no {line:?} in {stdout}");
    }
    let none = [
        "write-protect",
        "--os",
        "lock-clear-w",
        "--repair",
        "--edits",
        "1",
    ];
    let ended = explore(&none);
    assert!(
        ended
            .verify_code(1)
            .stdout
            .contains("no repair of at most 1 edit ")
    );
}

#[test]
fn what_can_be_left_out_is_no_failure() {
    let cell = ["--os", "secondary-tlb", "--hardware", "smmu", "--json"];
    let ended = explore(&[&["upgrade", "--elide"], &cell[..]].concat());
    let document = document(ended.verify_code(0));
    let steps = document["cells"][0]["steps"].as_array().unwrap();
    let outcomes: Vec<_> = steps
        .iter()
        .map(|step| step["outcome"].as_str().unwrap())
        .collect();
    let (first, rest) = outcomes.split_at(4);
    assert_eq!(first, ["needed"; 4]);
    let (removable, needed) = ("removable", "needed");
    assert_eq!(
        rest,
        [removable, removable, needed, needed, removable, needed]
    );
}

/// What can be left out of something broken leaves it broken, which is no success.
#[test]
fn a_broken_cell_that_was_chosen_is_told_as_broken() {
    let cell = ["--os", "none", "--hardware", "smmu"];
    let elide = [&["upgrade", "--elide"], &cell[..]].concat();
    let ended = explore(&elide);
    let note = "does not hold itself (progress: livelock); `removable` is what the conditions that hold can do without";
    assert!(ended.verify_code(1).stdout.contains(note), "{ended:#?}");
    let document = document(&explore(&[&elide[..], &["--json"]].concat()));
    let cell = &document["cells"][0];
    assert_eq!(cell["broken"], serde_json::json!(["progress"]));
    assert_eq!(cell["decided"], true);
    let chosen = ["--os", "start-only", "--hardware", "smmu"];
    let ended = explore(&[&["downgrade", "--elide"], &chosen[..]].concat());
    let stderr = &ended.verify_code(2).stderr;
    assert!(stderr.contains("nothing to leave out"), "{ended:#?}");
}

#[test]
fn nonsense_is_refused() {
    let broken = ["--os", "start-only", "--hardware", "smmu"];
    let cases: [(&[&str], &str); 8] = [
        (&["upgrade", "--mutate", "--repair"], "cannot be used with"),
        (&["upgrade", "--mutate", "--matrix"], "cannot be used with"),
        (&["upgrade", "--elide", "--repair"], "cannot be used with"),
        (&["upgrade", "--elide", "--trace"], "cannot be used with"),
        (&["upgrade", "--edits", "1"], "--repair"),
        (&["upgrade", "--repair", "--edits", "3"], "1..=2"),
        (
            &[
                "downgrade",
                "--mutate",
                broken[0],
                broken[1],
                broken[2],
                broken[3],
            ],
            "--repair looks",
        ),
        (
            &[
                "upgrade",
                "--repair",
                "--os",
                "none",
                "--hardware",
                "kvm-shadow",
            ],
            "--elide",
        ),
    ];
    for (arguments, word) in cases {
        let ended = explore(arguments);
        ended.verify_code(2);
        assert!(ended.stderr.contains(word), "no {word:?} in {ended:#?}");
    }
    let path = file(b"scenario s; shared n: flag; agent a { n = 1; } required q finally: n == 1;");
    let ended = explore(&[path.path().to_str().unwrap(), "--mutate"]);
    ended.verify_code(0);
}
