//! `explore --trace-out`: the file with the turns to what does not hold, and whoever reads it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use notifier::explore::{Breach, Mover};
use serde_json::{Value, json};
use vmm::live::trace::{TraceError, TraceFile, TracedVerdict};

use crate::runner::{Ended, file, stalemate};

/// A lost update, which can be forced, a load that has to be interrupted within, a livelock and a
/// deadlock.
const SCENARIO: &str = "scenario x;
os a \"one\";
os b \"another\": waits;
entry { P };
live page pte;
live tlb tlb of one for pte;
shared pte: entry = entry { P };
shared tlb: entry;
shared n: 0..2;
shared gone: flag;
agent one {
    reg walked: entry;
    reg ok: flag;
    reg r: 0..2;
    when waits {
        await n == 2 and gone and not tlb.P;
    }
    r = n;
    n = r + 1;
    live load pte -> ok {
        walked = pte;
        fill tlb from walked;
        ok = tlb.P;
    }
}
agent two {
    reg r: 0..2;
    r = n;
    n = r + 1;
    choose { pte = entry {}; tlbi tlb; gone = 1; } or { loop { n = 0; if gone { break; } } }
}
required counted finally: n == 2;
forbidden stale ever: gone and tlb.P;
allowed never ever: tlb.P and n == 2 and not gone and not pte.P;
progress cleared: gone;
";

fn trace(scenario: &Path, goal: &Path) -> Ended {
    let arguments = ["explore", "--matrix"].map(AsRef::as_ref);
    let option = Path::new("--trace-out");
    stalemate(
        arguments
            .into_iter()
            .chain([scenario, option, goal].map(Path::as_os_str)),
    )
}

/// The file of a scenario.
fn traced(scenario: &Path) -> String {
    let directory = tempfile::tempdir().expect("there is room");
    let goal = directory.path().join("traces.json");
    let ended = trace(scenario, &goal);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(names(directory.path()), ["traces.json"]);
    fs::read_to_string(&goal).expect("it was written")
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is there");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("it is there").file_name())
        .map(|name| name.into_string().expect("it is UTF-8"))
        .collect();
    names.sort();
    names
}

#[test]
fn all_that_does_not_hold_is_in_the_file_with_turns_or_with_the_reason() {
    let scenario = file(SCENARIO.as_bytes());
    let read = TraceFile::read(traced(scenario.path()).as_bytes()).unwrap();
    let [scenario] = &read.scenarios[..] else {
        panic!("one scenario")
    };
    assert_eq!(scenario.text, SCENARIO);
    let cells = scenario.cells.iter().map(|cell| {
        let told = cell.violations.iter().map(|violation| {
            let name = match &violation.breach {
                Breach::Condition(name) => name.as_str(),
                Breach::Deadlock => "deadlock",
            };
            (
                name,
                violation.verdict,
                violation.way.as_ref().ok().map(|way| way.turns.len()),
            )
        });
        (cell.cell.os.as_deref().unwrap(), told.collect::<Vec<_>>())
    });
    use TracedVerdict::{Deadlock, Livelock, Violated};
    let expected = [
        (
            "a",
            vec![
                ("counted", Violated, Some(9)),
                ("stale", Violated, None),
                ("cleared", Livelock, Some(6)),
            ],
        ),
        (
            "b",
            vec![
                ("never", Violated, None),
                ("cleared", Livelock, Some(6)),
                ("deadlock", Deadlock, Some(6)),
            ],
        ),
    ];
    assert_eq!(cells.collect::<Vec<_>>(), expected);
    let violations = scenario.cells.iter().flat_map(|cell| &cell.violations);
    let reasons: Vec<_> = violations
        .filter_map(|one| one.way.as_ref().err())
        .collect();
    assert!(
        reasons[0].contains("into the midst of an operation of one"),
        "{reasons:?}"
    );
    assert!(reasons[1].contains("in no execution"), "{reasons:?}");
    let lost = scenario.cells[0].violations[0].way.as_ref().unwrap();
    let both = [Mover::Agent(0), Mover::Agent(1)];
    assert!(
        lost.turns
            .iter()
            .all(|turn| both.contains(&turn.next.mover))
    );
    assert!(lost.turns.last().unwrap().ends);
    let round = scenario.cells[0].violations[2].way.as_ref().unwrap();
    assert_eq!(round.again, Some(4));
}

/// The shipped scenarios have no end of violations; each is made again by the reader.
#[test]
fn what_is_printed_stays_as_it_is_and_several_scenarios_fit_into_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let goal = directory.path().join("all");
    let names = ["upgrade", "downgrade", "write-protect", "async-flush"];
    let plain = stalemate(["explore", "--matrix"].iter().chain(&names));
    let option = ["--trace-out", goal.to_str().unwrap()];
    let told = stalemate(["explore", "--matrix"].iter().chain(&names).chain(&option));
    assert_eq!((told.code, told.stdout), (plain.code, plain.stdout));
    let read = TraceFile::read(&fs::read(&goal).unwrap()).unwrap();
    let read: Vec<_> = read
        .scenarios
        .iter()
        .map(|one| &one.checked.scenario.name.text)
        .collect();
    assert_eq!(read, names);
}

#[test]
fn a_file_is_replaced_where_a_link_leads_to_and_one_without_violations_is_a_file_too() {
    let directory = tempfile::tempdir().unwrap();
    let (goal, link) = (directory.path().join("goal"), directory.path().join("link"));
    fs::write(&goal, "old").unwrap();
    symlink(&goal, &link).unwrap();
    let scenario = file(b"scenario x; shared n: flag; agent a { n = 1; } allowed q ever: n;");
    assert_eq!(trace(scenario.path(), &link).code, Some(0));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let read = TraceFile::read(&fs::read(&goal).unwrap()).unwrap();
    assert!(read.scenarios[0].cells[0].violations.is_empty());
    assert_eq!(names(directory.path()), ["goal", "link"]);
}

#[test]
fn what_can_not_be_written_is_told_and_leaves_nothing() {
    let scenario = file(SCENARIO.as_bytes());
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing/file");
    for (goal, words) in [
        (directory.path(), "is a directory"),
        (Path::new("/dev/full"), "No space left"),
        (&missing, "No such file"),
    ] {
        let ended = trace(scenario.path(), goal);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let message = format!("{} can't be written: ", goal.display());
        assert!(ended.stderr.contains(&message), "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
        assert_eq!(ended.stdout, "");
    }
    assert!(names(directory.path()).is_empty());
    // A mistake in the scenario leaves what was there.
    let goal = directory.path().join("goal");
    fs::write(&goal, "old").unwrap();
    assert_eq!(trace(file(b"scenario").path(), &goal).code, Some(2));
    assert_eq!(fs::read_to_string(&goal).unwrap(), "old");
    assert_eq!(names(directory.path()), ["goal"]);
}

fn refused(document: &Value) -> String {
    let bytes = serde_json::to_vec(document).expect("it is JSON");
    let error = TraceFile::read(&bytes).expect_err("it is no trace file");
    error.to_string()
}

#[test]
fn whatever_is_wrong_with_a_file_is_told() {
    let scenario = file(SCENARIO.as_bytes());
    let good: Value = serde_json::from_str(&traced(scenario.path())).unwrap();
    let violation = "/scenarios/0/cells/0/violations/0";
    let turn = &format!("{violation}/schedule/turns/1");
    let at = |place: &str| place.to_owned();
    let table = [
        (at("/version"), json!(2), "version 2"),
        (at("/version"), json!("1"), "line 1 column"),
        (at("/scenarios"), json!({}), "line 1 column"),
        (
            at("/scenarios/0/text"),
            json!("scenario x; agent"),
            "x.litmus:1:",
        ),
        (
            at("/scenarios/0/text"),
            json!("scenario x; \u{1b}"),
            "x.litmus:1:",
        ),
        (
            at("/scenarios/0/scenario"),
            json!("y"),
            "`y`, and `x` in its text",
        ),
        (at("/scenarios/0/cells/0/os"), json!("c"), "none such"),
        (at("/scenarios/0/cells/0/hardware"), json!("c"), "none such"),
        (at("/scenarios/0/cells/0/os"), json!("b"), "`counted`"),
        (
            format!("{violation}/property"),
            json!("x"),
            "no such condition",
        ),
        (
            format!("{violation}/property"),
            json!("stale"),
            "does not show",
        ),
        (
            format!("{violation}/property"),
            json!(null),
            "only a deadlock",
        ),
        (
            format!("{violation}/verdict"),
            json!("livelock"),
            "`verdict`",
        ),
        (
            format!("{violation}/verdict"),
            json!("holds"),
            "line 1 column",
        ),
        (format!("{violation}/reason"), json!("both"), "either"),
        (format!("{violation}/schedule"), json!(null), "either"),
        (
            format!("{violation}/schedule/initial/2/value"),
            json!(1),
            "does not begin",
        ),
        (
            format!("{violation}/schedule/initial/2/name"),
            json!("m"),
            "there is no `n`",
        ),
        (
            format!("{violation}/schedule/repeats_from"),
            json!(0),
            "does not lead back",
        ),
        (
            format!("{violation}/schedule/turns"),
            json!([]),
            "does not show",
        ),
        (
            format!("{turn}/agent"),
            json!(2),
            "turn 1: there is no agent 2",
        ),
        (format!("{turn}/agent"), json!(-1), "line 1 column"),
        (format!("{turn}/agent"), json!(null), "an `agent`"),
        (format!("{turn}/stop"), json!(7777), "not at 7777"),
        (format!("{turn}/choices"), json!([9]), "can't move so"),
        (
            format!("{turn}/hardware_choices"),
            json!([0]),
            "can't move so",
        ),
        (format!("{turn}/after"), json!([]), "a value for each"),
        (format!("{turn}/after/2"), json!(2), "`n` is not 2"),
    ];
    for (place, value, words) in table {
        let mut bad = good.clone();
        *bad.pointer_mut(&place).expect(&place) = value;
        let error = refused(&bad);
        assert!(error.contains(words), "{place}: {error}");
    }
    let mut bad = good.clone();
    bad["more"] = json!(1);
    assert!(refused(&bad).contains("unknown field `more`"));
    let mut bad = good.clone();
    let cell = bad["scenarios"][0]["cells"][0].clone();
    bad["scenarios"][0]["cells"] = Value::Array(vec![cell; 1025]);
    assert_eq!(refused(&bad), "more than 1024 cells");
    let mut bad = good.clone();
    let turns = bad
        .pointer_mut(&format!("{violation}/schedule/turns"))
        .unwrap();
    let one = turns[0].clone();
    *turns = Value::Array(vec![one; 4097]);
    assert_eq!(refused(&bad), "more than 4096 turns");
}

#[test]
fn nonsense_is_refused_with_its_place() {
    let scenario = file(SCENARIO.as_bytes());
    let good = traced(scenario.path());
    for end in (0..good.len() - 2).step_by(61) {
        let error = TraceFile::read(&good.as_bytes()[..end]).unwrap_err();
        assert!(matches!(error, TraceError::Json(_)), "{error}");
        assert!(error.to_string().contains("line "), "{error}");
    }
    for bytes in [&b""[..], b"\xff\xfe", b"[", b"null", b"{\"version\": 1e99}"] {
        TraceFile::read(bytes).unwrap_err();
    }
    let deep = vec![b'['; 1 << 20];
    TraceFile::read(&deep).unwrap_err();
    let large = vec![b' '; (16 << 20) + 1];
    assert_eq!(TraceFile::read(&large).unwrap_err(), TraceError::TooLarge);
}
