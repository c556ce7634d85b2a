//! Ctrl-C: what was covered is told, the rest is `undecided`, and the exit code is 1.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::runner::{Ended, by_shell, program};

/// Runs `stalemate explore -v` with these arguments and presses Ctrl-C when a line with `words` has
/// been logged, so that it is at work.
fn interrupted(arguments: &[&str], words: &str) -> Ended {
    let mut command = Command::new(program());
    command.args(["explore", "-v"]).args(arguments);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let mut logged = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut stderr = String::new();
    while !stderr.contains(words) {
        let read = logged.read_line(&mut stderr).expect("it logs UTF-8");
        assert!(read > 0, "it ended before {words:?}: {stderr}");
    }
    press(&child);
    // Both are read at once, so that it never waits for room in one of them.
    let rest = thread::spawn(move || {
        let mut rest = String::new();
        logged.read_to_string(&mut rest).map(|_| rest)
    });
    let output = child.wait_with_output().expect("it ends");
    stderr += &rest.join().expect("it reads").expect("it logs UTF-8");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("it prints UTF-8"),
        stderr,
    }
}

fn press(child: &Child) {
    by_shell(&format!("kill -INT {}", child.id())).verify_code(0);
}

fn verify_told(ended: &Ended) -> &str {
    let stdout = &ended.verify_code(1).stdout;
    assert!(stdout.contains("undecided"), "{ended:#?}");
    assert!(stdout.contains("interrupted"), "{ended:#?}");
    stdout
}

/// A cell that takes a while.
const LONG: [&str; 5] = [
    "uffd-wp",
    "--os",
    "pending-check-under-ptl",
    "--hardware",
    "leaves-w",
];

#[test]
fn a_cell_tells_what_was_covered() {
    let ended = interrupted(&LONG, "cell 1 of 1");
    let stdout = verify_told(&ended);
    assert!(stdout.contains("no-lost-store: undecided"), "{ended:#?}");
    assert!(stdout.contains("covered"), "{ended:#?}");
}

#[test]
fn no_other_cell_of_a_matrix_is_begun() {
    let ended = interrupted(&["uffd-wp", "upgrade", "--matrix"], "cell 1 of 12");
    let stdout = verify_told(&ended);
    assert!(
        stdout.contains("interrupted: 21 of 21 cells were not begun"),
        "{ended:#?}"
    );
    assert!(!ended.stderr.contains("cell 12 of 12"), "{ended:#?}");
    let rows = stdout.lines().filter(|line| line.contains("undecided"));
    assert!(rows.count() > 21, "a row for each cell: {ended:#?}");
}

#[test]
fn a_matrix_in_json_has_the_reason() {
    let ended = interrupted(&["uffd-wp", "--matrix", "--json"], "cell 1 of 12");
    let document: Value = serde_json::from_str(&ended.verify_code(1).stdout).unwrap();
    let cells = document["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 4 * 12, "a row for each condition of each cell");
    assert_eq!(cells[47]["verdict"], "undecided");
    assert_eq!(cells[47]["reason"], "interrupted");
    assert_eq!(cells[47]["states"], 0);
}

/// Before the originals are known, and in the middle of their edits.
#[test]
fn edits_are_undecided() {
    for mode in ["--mutate", "--repair", "--elide"] {
        let ended = interrupted(&["uffd-wp", mode], "as it is");
        let stdout = verify_told(&ended);
        assert!(
            stdout.contains("undecided itself (interrupted)"),
            "{ended:#?}"
        );
        verify_told(&interrupted(&["uffd-wp", mode], "cell 1 of"));
    }
}
