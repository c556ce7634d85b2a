//! `stalemate probe`: the host's mapping as a primary MMU. What it says, and its exit codes.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::Value;
use tests::host::with_kvm;

use crate::runner::{by_shell, program, stalemate};

const SUBJECTS: [&str; 2] = ["mprotect", "dirty-log"];

#[test]
fn a_probe_that_makes_no_sense_is_refused() {
    stalemate(["probe"]).verify_code(2);
    stalemate(["probe", "everything"]).verify_bad_usage(&["everything"]);
    for refused in [["--tries", "0"], ["--vcpus", "9"], ["--pages", "257"]] {
        let ended = stalemate(["probe", "mprotect"].iter().chain(&refused));
        ended.verify_bad_usage(&refused);
    }
    stalemate(["--vcpus", "2", "probe", "mprotect"])
        .verify_bad_usage(&["--vcpus", "machines of its own"]);
}

#[test]
fn a_probe_without_kvm_says_so() {
    let ended = stalemate(["probe", "uffd-wp", "--kvm", "/dev/null"]);
    ended.verify_refused(3, &["can't be used as KVM"]);
    let ended = stalemate(["probe", "mprotect", "--json", "--kvm", "/dev/no-such-kvm"]);
    let document: Value = serde_json::from_str(&ended.verify_code(3).stdout).unwrap();
    assert_eq!(document["exit_code"], 3);
}

#[test]
fn a_probe_that_loses_nothing_holds() {
    with_kvm(|_| {
        for subject in SUBJECTS {
            let ended = stalemate(["probe", subject, "--tries", "20", "--json"]);
            let document: Value = serde_json::from_str(&ended.verify_code(0).stdout).unwrap();
            assert_eq!(document["probe"], subject);
            assert_eq!(document["verdict"], "holds");
            assert_eq!(document["tries"], 20);
            assert_eq!(document["partial"], false);
        }
    });
}

#[test]
fn a_probe_that_leaves_a_notification_out_is_a_violation() {
    with_kvm(|_| {
        let ended = stalemate(["probe", "mprotect", "--tries", "5", "--omit", "upgrade"]);
        let said = &ended.verify_code(1).stdout;
        for words in ["wrong: stale-read-only", "it gave up", "verdict: violated"] {
            assert!(said.contains(words), "{ended:#?}");
        }
    });
}

/// Either signal, once every vCPU is at work.
#[test]
fn a_probe_that_is_stopped_tells_what_it_has_as_partial() {
    with_kvm(|_| {
        for signal in ["INT", "TERM"] {
            let mut command = Command::new(program());
            command.args(["probe", "mprotect", "-v", "--tries", "1000000000"]);
            command.stdin(Stdio::null()).stdout(Stdio::piped());
            let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
            let logged = BufReader::new(child.stderr.take().unwrap());
            let mut lines = logged.lines().map_while(Result::ok);
            assert!(lines.any(|line| line.contains("the host begins")));
            by_shell(&format!("kill -{signal} {}", child.id())).verify_code(0);
            let mut said = String::new();
            let mut stdout = child.stdout.take().unwrap();
            stdout.read_to_string(&mut said).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
            for words in ["partial: interrupted", "verdict: undecided"] {
                assert!(said.contains(words), "{said}");
            }
        }
    });
}
