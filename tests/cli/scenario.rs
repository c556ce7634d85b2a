//! `stalemate run SCENARIO`, `list` and `replay`: what is printed, and the exit codes.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::host::require_kvm;

use crate::runner::{Ended, by_shell, file, program, stalemate};

const HOLDS: &str = "scenario holds \"two count\";
shared n: 0..2;
agent one { n = n + 1; }
agent two { n = n + 1; }
required counted \"both\" finally: n == 2;
";

const LOST: &str = "scenario lost;
os two-steps \"a load and a store\";
shared n: 0..2;
agent one { reg r: 0..2; r = n; n = r + 1; }
agent two { reg r: 0..2; r = n; n = r + 1; }
required counted finally: n == 2;
";

const REFUSED: &str = "scenario refused;
os on \"x\": k;
live never k \"nobody builds it\";
shared n: 0..2;
agent one { when k { n = 1; } }
allowed reached ever: n == 1;
";

fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

/// `stalemate VERB ARGUMENTS... FILE`, of a file with this text.
fn with(verb: &str, text: &str, arguments: &[&str]) -> Ended {
    let scenario = file(text.as_bytes());
    let arguments = [&[verb], arguments].concat();
    let arguments = arguments.into_iter().map(OsStr::new);
    stalemate(arguments.chain([scenario.path().as_os_str()]))
}

#[test]
fn what_holds_ends_with_0_and_a_histogram() {
    if require_kvm().is_none() {
        return;
    }
    let ended = with("run", HOLDS, &["--runs", "50", "--seed", "7"]);
    let text = &ended.verify_code(0).stdout;
    for words in [
        "holds: os -, hardware -\n50 runs on 2 vCPUs in ",
        "a second; seed 7",
        "     50  n 2",
        "counted, required in the end: met at the end of 50 of 50 runs; the explorer: holds",
        "sound: every outcome is one that the explorer allows; 1 of its 1 were seen",
        "1 of 1 cell run on KVM (",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_run_in_json_has_every_key() {
    if require_kvm().is_none() {
        return;
    }
    let told = document(with("run", HOLDS, &["--json", "--runs=20"]).verify_code(0));
    assert_eq!((&told["runs"], &told["seed"]), (&json!(20), &json!(1)));
    assert!(told["kvm"].is_string());
    let scenario = &told["scenarios"][0];
    assert_eq!(scenario["scenario"], "holds");
    assert_eq!(scenario["about"], "two count");
    let cell = &scenario["cells"][0];
    assert!(
        cell["seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0)
    );
    for (key, value) in [
        ("os", json!(null)),
        ("hardware", json!(null)),
        ("state", json!("ran")),
        ("refusals", json!([])),
        ("vcpus", json!(2)),
        ("runs", json!(20)),
        ("partial", json!(null)),
        ("sound", json!(true)),
        ("hang_is_allowed", json!(null)),
        ("allowed", json!(1)),
        ("covered", json!(1)),
    ] {
        assert_eq!(cell[key], value, "{key}");
    }
    let outcome =
        json!({"count": 20, "first": 0, "values": [["n", "2"]], "breaks": [], "allowed": true});
    assert_eq!(cell["outcomes"], json!([outcome]));
    let condition = &cell["conditions"][0];
    for (key, value) in [
        ("condition", json!("counted")),
        ("demand", json!("required")),
        ("scope", json!("finally")),
        ("seen", json!("end")),
        ("reason", json!(null)),
        ("met", json!(20)),
        ("explorer", json!("holds")),
    ] {
        assert_eq!(condition[key], value, "{key}");
    }
}

#[test]
fn what_is_not_judged_says_so() {
    if require_kvm().is_none() {
        return;
    }
    let ended = with("run", HOLDS, &["--unjudged", "--runs=5"]);
    assert!(
        ended
            .verify_code(0)
            .stdout
            .contains("not held against the explorer")
    );
    let told = document(with("run", HOLDS, &["--json", "--unjudged", "--runs=5"]).verify_code(0));
    let cell = &told["scenarios"][0]["cells"][0];
    assert_eq!(
        (&cell["sound"], &cell["allowed"]),
        (&json!(null), &json!(null))
    );
}

/// Each run of the scenario breaks it, whatever comes when.
#[test]
fn what_is_broken_ends_with_1() {
    if require_kvm().is_none() {
        return;
    }
    let broken = HOLDS.replace("n == 2", "n == 1");
    let ended = with("run", &broken, &["--runs=5"]);
    let words = "met at the end of 0 of 5 runs; the explorer: violated";
    assert!(ended.verify_code(1).stdout.contains(words), "{ended:#?}");
}

#[test]
fn what_no_machine_can_run_ends_with_3_and_the_reason() {
    if require_kvm().is_none() {
        return;
    }
    let ended = with("run", REFUSED, &[]);
    let text = &ended.verify_code(3).stdout;
    assert!(
        text.contains("no machine here can run this:\n  k: nobody builds it"),
        "{text}"
    );
    assert!(text.contains("0 of 1 cell run on KVM"), "{text}");
    let told = document(with("run", REFUSED, &["--json"]).verify_code(3));
    let cell = &told["scenarios"][0]["cells"][0];
    assert_eq!(cell["state"], "refused");
    let refusal = json!([{"agent": null, "step": "", "why": "k: nobody builds it"}]);
    assert_eq!(cell["refusals"], refusal);
    assert_eq!(cell.get("outcomes"), None);
}

#[test]
fn a_host_without_kvm_ends_with_3() {
    let scenario = file(HOLDS.as_bytes());
    let arguments = ["run", "--kvm", "/nowhere/kvm"].map(Path::new);
    let ended = stalemate(arguments.into_iter().chain([scenario.path()]));
    ended.verify_refused(3, &["this host can't run a guest", "/nowhere/kvm"]);
}

/// It needs no KVM.
#[test]
fn a_list_has_every_cell_with_what_can_run_it() {
    let ended = stalemate(["list"]);
    let text = &ended.verify_code(0).stdout;
    for words in [
        "write-protect: a writable entry becomes read-only",
        "18 cells, all for `explore`, 6 for `run`",
        "write-protect: os cmpxchg, hardware dirty-atomic-guest: explore, run (2 vCPUs)",
        "upgrade: os none, hardware ats: explore; not run:\n      ats: the machine's device has no TLB",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    let cells = text
        .lines()
        .filter(|line| line.starts_with("  ") && line.contains(": explore"));
    let rows = document(stalemate(["list", "--json"]).verify_code(0));
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), cells.count());
    for row in rows {
        assert_eq!(row["explorer"], true);
        let refused = row["refusals"].as_array().unwrap().is_empty();
        assert_eq!(row["live"], refused, "{row}");
        assert_eq!(row["vcpus"].is_u64(), refused, "{row}");
    }
    let one = document(stalemate(["list", "--json", "upgrade", "--os=none"]).verify_code(0));
    assert_eq!(one.as_array().unwrap().len(), 7);
}

#[test]
fn a_name_that_there_is_not_is_refused_with_the_nearest() {
    for verb in ["run", "list"] {
        let ended = stalemate([verb, "upgrad"]);
        ended.verify_code(2);
        assert!(
            ended.stderr.contains("did you mean `upgrade`?"),
            "{ended:#?}"
        );
        let ended = stalemate([verb, "upgrade", "--os", "nonsense"]);
        ended.verify_code(2);
        assert!(
            ended.stderr.contains("none, range-event, secondary-tlb"),
            "{ended:#?}"
        );
        let ended = stalemate([verb, "upgrade", "--hardware", "smmu-btm-locl"]);
        assert!(
            ended.verify_code(2).stderr.contains("`smmu-btm-local`"),
            "{ended:#?}"
        );
    }
}

#[test]
fn options_of_the_flagship_are_refused_beside_a_scenario() {
    for options in [
        &["--upgrade-notify", "none"][..],
        &["--smmu", "deny=walk"],
        &["--vcpus", "2"],
        &["--tracker", "announce"],
    ] {
        let arguments = ["run", "upgrade"].iter().chain(options);
        let ended = stalemate(arguments);
        ended.verify_bad_usage(&[options[0]]);
    }
}

#[test]
fn options_of_scenarios_are_refused_without_one() {
    for option in [
        "--runs=5",
        "--seed=1",
        "--os=none",
        "--stores=plain",
        "--unjudged",
    ] {
        let ended = stalemate(["run", option]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{ended:#?}"
        );
        assert!(ended.stderr.contains("FILE|NAME"), "{ended:#?}");
    }
}

#[test]
fn numbers_that_are_none_are_refused() {
    for runs in ["0", "-1", "1000000001", "x", ""] {
        let option = format!("--runs={runs}");
        stalemate(["run", "upgrade", &option]).verify_bad_usage(&["--runs"]);
    }
    for times in ["0", "1000001", "x"] {
        let option = format!("--times={times}");
        stalemate(["replay", "x", &option]).verify_bad_usage(&["--times"]);
    }
    stalemate(["run", "upgrade", "--seed=-1"]).verify_bad_usage(&["--seed"]);
    stalemate(["run", "upgrade", "--stores=slow"]).verify_bad_usage(&["--stores"]);
}

/// Not UTF-8, too large, empty, a directory, and no scenario.
#[test]
fn files_that_are_no_scenarios_are_refused() {
    let large = vec![b' '; 2 << 20];
    for bytes in [&b"scenario \xff\xfe;"[..], &large, b"", b"{}", b"scenario"] {
        let scenario = file(bytes);
        for verb in ["run", "list"] {
            let ended = stalemate([OsStr::new(verb), scenario.path().as_os_str()]);
            assert_eq!(
                (ended.code, ended.stdout.as_str()),
                (Some(2), ""),
                "{ended:#?}"
            );
            assert!(ended.stderr.starts_with("stalemate: error: "), "{ended:#?}");
            assert!(ended.stderr.len() < 2000, "it is told in short");
        }
    }
    let directory = tempfile::tempdir().expect("there is room for a directory");
    for verb in ["run", "list", "replay"] {
        let ended = stalemate([OsStr::new(verb), directory.path().as_os_str()]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{ended:#?}"
        );
        let ended = stalemate([verb, "/nowhere/at/all"]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{ended:#?}"
        );
    }
}

#[test]
fn files_that_are_no_traces_are_refused() {
    let large = vec![b' '; (16 << 20) + 1];
    for bytes in [
        &b"\xff\xfe"[..],
        &large,
        b"",
        b"[",
        b"null",
        b"{}",
        b"{\"version\": 1e99}",
    ] {
        let trace = file(bytes);
        let ended = stalemate([OsStr::new("replay"), trace.path().as_os_str()]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{ended:#?}"
        );
        assert!(ended.stderr.starts_with("stalemate: error: "), "{ended:#?}");
        let json = ["replay", "--json"].map(OsStr::new);
        let ended = stalemate(json.into_iter().chain([trace.path().as_os_str()]));
        assert!(
            document(ended.verify_code(2))["error"].is_object() || ended.stdout.contains("error")
        );
    }
}

/// The trace file of a scenario, and the directory that it is in.
fn trace(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let goal = directory.path().join("trace.json");
    let scenario = file(text.as_bytes());
    let arguments = [
        OsStr::new("explore"),
        scenario.path().as_os_str(),
        OsStr::new("--trace-out"),
        goal.as_os_str(),
    ];
    stalemate(arguments).verify_code(1);
    (directory, goal)
}

fn replay(trace: &Path, options: &[&str]) -> Ended {
    let options = options.iter().map(OsStr::new);
    let replay = [OsStr::new("replay"), trace.as_os_str()];
    stalemate(replay.into_iter().chain(options))
}

#[test]
fn a_trace_is_replayed_step_by_step() {
    if require_kvm().is_none() {
        return;
    }
    let (_directory, trace) = trace(LOST);
    let ended = replay(&trace, &["--times", "3"]);
    let text = &ended.verify_code(0).stdout;
    for words in [
        "lost: os two-steps, hardware -; counted\n    1  one  r = n",
        "n: 0 -> 1",
        "as the trace says, and counted is seen broken on the machine",
        "replayed 3 times: the same each time",
        "1 of 1 replayed on KVM (",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    let told = document(replay(&trace, &["--json"]).verify_code(0));
    let tried = &told[0];
    for (key, value) in [
        ("condition", json!("counted")),
        ("replayed", json!(true)),
        ("reasons", json!([])),
        ("agrees", json!(true)),
        ("seen", json!(true)),
        ("times", json!(1)),
    ] {
        assert_eq!(tried[key], value, "{key}");
    }
    let turns = tried["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 4);
    assert!(turns.iter().all(|turn| turn["differs"] == json!([])));
    let ended = replay(&trace, &["--condition", "another"]);
    ended.verify_refused(2, &["no violation to replay, or none of that name"]);
}

#[test]
fn a_trace_that_no_machine_can_follow_ends_with_3_and_the_reason() {
    if require_kvm().is_none() {
        return;
    }
    let (_directory, trace) = trace(&REFUSED.replace("allowed reached", "forbidden reached"));
    let text = replay(&trace, &[]);
    let text = &text.verify_code(3).stdout;
    assert!(
        text.contains("not replayed:\n    k: nobody builds it"),
        "{text}"
    );
    assert!(text.contains("0 of 1 replayed on KVM"), "{text}");
    let told = document(replay(&trace, &["--json"]).verify_code(3));
    assert_eq!(told[0]["replayed"], false);
    assert_eq!(told[0]["agrees"], json!(null));
}

/// `run --trace-out` writes what `replay` takes.
#[test]
fn what_was_seen_broken_can_be_replayed() {
    if require_kvm().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let goal = directory.path().join("seen.json");
    let broken = HOLDS.replace("n == 2", "n == 1");
    let option = format!("--trace-out={}", goal.display());
    with("run", &broken, &["--runs=3", &option]).verify_code(1);
    let text = replay(&goal, &[]);
    assert!(
        text.verify_code(0)
            .stdout
            .contains("counted is seen broken"),
        "{text:#?}"
    );
}

/// Starts a run that takes hours, sends it `signal` once it is at work, and sees how it ends.
fn ended_by(signal: &str, arguments: &[&str]) -> Ended {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let scenario = file(HOLDS.as_bytes());
    let mut command = Command::new(program());
    command.args(["run", "--runs=1000000000", "--limit=600"]);
    command.args(arguments).arg(scenario.path());
    command
        .current_dir(&directory)
        .env("TMPDIR", directory.path());
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    wait_for_vcpus(&child);
    by_shell(&format!("kill -{signal} {}", child.id())).verify_code(0);
    let told = Instant::now();
    while child.try_wait().expect("it is a child").is_none() {
        if told.elapsed() > Duration::from_secs(60) {
            child.kill().expect("it is still there");
            panic!("it goes on after {signal}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut ended = Ended {
        code: child.wait().expect("it is over").code(),
        stdout: String::new(),
        stderr: String::new(),
    };
    let stdout = child
        .stdout
        .take()
        .expect("it is piped")
        .read_to_string(&mut ended.stdout);
    let stderr = child
        .stderr
        .take()
        .expect("it is piped")
        .read_to_string(&mut ended.stderr);
    stdout.and(stderr).expect("it prints UTF-8");
    let left = std::fs::read_dir(&directory).expect("it is there").count();
    assert_eq!(left, 0, "files are left behind");
    ended
}

/// Waits until its vCPUs have threads, and a while longer.
fn wait_for_vcpus(child: &Child) {
    let tasks = format!("/proc/{}/task", child.id());
    let has_vcpu = || {
        let tasks = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
        let mut names =
            tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.any(|name| name.starts_with("vcpu"))
    };
    let began = Instant::now();
    while !has_vcpu() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "no vCPU is started"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_secs(1));
}

#[test]
fn an_interrupted_run_tells_what_it_has_seen() {
    if require_kvm().is_none() {
        return;
    }
    for signal in ["INT", "TERM"] {
        let ended = ended_by(signal, &[]);
        let text = &ended.verify_code(1).stdout;
        assert!(text.contains("PARTIAL: interrupted"), "{ended:#?}");
        assert!(text.contains("  n 2"), "{ended:#?}");
        assert!(text.contains("1 of 1 cell run on KVM"), "{ended:#?}");
        assert_eq!(ended.stderr, "");
        let told = document(ended_by(signal, &["--json"]).verify_code(1));
        let cell = &told["scenarios"][0]["cells"][0];
        assert_eq!(cell["partial"], "interrupted");
        let count = cell["outcomes"][0]["count"].as_u64().unwrap();
        assert!(count > 0 && cell["runs"] == count, "{cell}");
    }
}

#[test]
fn a_limit_ends_a_run_with_what_it_has_seen() {
    if require_kvm().is_none() {
        return;
    }
    let ended = with("run", HOLDS, &["--runs=1000000000", "--limit=1"]);
    let text = &ended.verify_code(1).stdout;
    assert!(text.contains("PARTIAL: stopped after "), "{ended:#?}");
    assert!(text.contains("  n 2"), "{ended:#?}");
}
