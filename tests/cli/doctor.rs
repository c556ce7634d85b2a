//! What the command says of the host: `doctor` and `probe`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::Value;
use tests::host::{can_trap, say, with_kvm};
use vmm::tracker::{TrackerKind, dirty_pages};

use crate::runner::{Ended, file, program, stalemate};

fn document(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).expect("standard output is one JSON document")
}

fn finding<'a>(document: &'a Value, area: &str, name: &str) -> &'a Value {
    let findings = document["findings"].as_array().expect("there are findings");
    let mut findings = findings.iter();
    let found = findings.find(|finding| finding["area"] == area && finding["name"] == name);
    found.unwrap_or_else(|| panic!("{area}: {name} in {document:#}"))
}

#[test]
fn a_host_that_can_is_described() {
    with_kvm(|_| {
        let ended = stalemate(["doctor"]);
        let text = &ended.verify_code(0).stdout;
        assert!(text.starts_with("This host can run machines."), "{text}");
        for area in ["needed", "optional", "trackers", "speed", "costs"] {
            assert!(text.lines().any(|line| line == area), "{area} in {text}");
        }
        assert_eq!(ended.stderr, "");
    });
}

#[test]
fn the_document_has_what_was_promised() {
    with_kvm(|kvm| {
        let document = document(stalemate(["doctor", "--json"]).verify_code(0));
        assert_eq!(document["can_run"], true);
        for key in ["kernel", "processor", "kvm", "paging"] {
            assert!(document["host"][key].is_string(), "{key} in {document:#}");
        }
        assert!(document["host"]["processors"].is_u64());
        let needed = finding(&document, "needed", "ioeventfd (KVM_CAP_IOEVENTFD)");
        assert_eq!(needed["state"], "ok");
        for kind in TrackerKind::ALL {
            finding(&document, "trackers", &kind.to_string());
        }
        let works = if can_trap(kvm) { "ok" } else { "missing" };
        assert_eq!(finding(&document, "trackers", "trap")["state"], works);
        assert_eq!(finding(&document, "trackers", "announce")["state"], "ok");
        let scan = finding(&document, "trackers", "scan");
        let by = format!("works: tried, by {}", dirty_pages(kvm));
        assert_eq!((&scan["state"], &scan["what"]), (&"ok".into(), &by.into()));
    });
}

/// Ring 3 is native wherever there is KVM; what an exit costs is more than a clock read.
#[test]
fn speed_and_costs_are_measured() {
    with_kvm(|_| {
        let document = document(stalemate(["doctor", "--json"]).verify_code(0));
        let measured = |area, name| {
            let measured = &finding(&document, area, name)["measured"];
            let value = measured["value"].as_f64();
            value.unwrap_or_else(|| panic!("{name} in {document:#}"))
        };
        let (ring_3, ring_0) = (measured("speed", "ring 3"), measured("speed", "ring 0"));
        // Twice what counts as native: this host may be busy.
        assert!((0.1..6.0).contains(&ring_3), "{ring_3}");
        assert!(ring_0 > 0.1, "{ring_0}");
        let clock = measured("costs", "clock read");
        for name in ["port write", "device write", "doorbell"] {
            let exit = measured("costs", name);
            assert!(exit > clock, "{name} takes {exit} us, a clock read {clock}");
        }
        assert!(measured("costs", "timer") > 0.0);
    });
}

/// Without KVM: exit code 3, what is missing, and what to do.
fn verify_missing(arguments: &[&str], words: &[&str]) {
    let ended = stalemate(arguments);
    ended.verify_code(3);
    let text = &ended.stdout;
    assert!(text.starts_with("This host can't run machines"), "{text}");
    let mut lines = text
        .lines()
        .skip_while(|line| !line.starts_with("  missing"));
    let (what, remedy) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    assert!(remedy.trim_start().starts_with("-> "), "{text}");
    for word in words {
        assert!(
            what.contains(word) || remedy.contains(word),
            "{word} in {text}"
        );
    }
}

#[test]
fn a_host_that_can_not_is_told_what_to_do() {
    verify_missing(
        &["doctor", "--kvm", "/dev/no-such-kvm"],
        &["there is no /dev/no-such-kvm", "enable virtualization"],
    );
    verify_missing(
        &["--kvm", "/dev/null", "doctor"],
        &["/dev/null can't be used as KVM", "name the device"],
    );
    let ended = stalemate(["doctor", "--json", "--kvm", "/dev/null"]);
    let document = document(ended.verify_code(3));
    assert_eq!(document["can_run"], false);
    let missing = finding(&document, "needed", "KVM");
    assert_eq!(missing["state"], "missing");
    assert!(missing["remedy"].is_string());
}

/// As `host::a_forbidden_device_is_told_with_what_to_do`.
#[test]
fn a_forbidden_device_is_told_apart_from_one_that_is_not_there() {
    let device = file(b"");
    fs::set_permissions(device.path(), Permissions::from_mode(0o000)).unwrap();
    let mut command = Command::new(program());
    command.args(["doctor", "--kvm"]).arg(device.path());
    let Ok(output) = command.uid(65534).gid(65534).output() else {
        say("skipped: the command can't be run as another user here");
        return;
    };
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stdout}");
    assert!(stdout.contains("may not be opened"), "{stdout}");
    assert!(
        stdout.contains("-> run as a member of the group"),
        "{stdout}"
    );
}

#[test]
fn a_device_with_a_hostile_name_does_not_steer_the_terminal() {
    let ended = stalemate(["doctor", "--kvm", "/\u{1b}[2J"]);
    ended.verify_code(3);
    assert!(ended.stdout.contains("/\\u{1b}[2J"), "{ended:#?}");
}

#[test]
fn options_of_one_machine_are_refused() {
    let words = ["--vcpus", "machines of its own"];
    stalemate(["--vcpus", "2", "doctor"]).verify_bad_usage(&words);
    stalemate(["--vcpus", "2", "probe", "stale-tlb"]).verify_bad_usage(&words);
    stalemate(["doctor", "--vcpus", "2"]).verify_bad_usage(&["--vcpus"]);
    for tries in ["0", "1000000001", "-1", "x"] {
        let tries = format!("--tries={tries}");
        stalemate(["probe", "dirty-race", &tries]).verify_bad_usage(&["--tries"]);
    }
}

#[test]
fn a_probe_without_kvm_says_so() {
    for probe in ["dirty-race", "stale-tlb"] {
        let words = ["can't run the probe", "/dev/null can't be used as KVM"];
        stalemate(["probe", probe, "--kvm", "/dev/null"]).verify_refused(3, &words);
        let ended = stalemate(["--kvm", "/dev/null", "--json", "probe", probe]);
        assert_eq!(document(ended.verify_code(3))["exit_code"], 3);
    }
}

#[test]
fn a_probe_tells_its_verdict_and_of_whom() {
    with_kvm(|_| {
        let ended = stalemate(["probe", "stale-tlb", "--tries", "600", "--json"]);
        let found = document(ended.verify_code(0));
        assert_eq!(found["lines"].as_array().map(Vec::len), Some(9));
        assert_eq!(found["probe"], "stale-tlb");
        let text = stalemate(["probe", "stale-tlb", "--tries", "600"]).stdout;
        let last = text.lines().last().unwrap_or_default();
        let verdict = found["verdict"].as_str().expect("there is a verdict");
        assert!(last.starts_with(verdict), "{text}");
        assert!(
            text.contains("the guest's page tables are walked by"),
            "{text}"
        );
    });
}

#[test]
fn the_race_says_who_sets_the_dirty_bit() {
    with_kvm(|_| {
        let ended = stalemate(["probe", "dirty-race", "--tries", "600", "--json"]);
        let found = document(&ended);
        let lines = found["lines"].as_array().expect("there are lines");
        assert_eq!(lines.len(), 6);
        let after: u64 = lines
            .iter()
            .filter_map(|line| line["dirty_after"].as_u64())
            .sum();
        let verdict = found["verdict"].as_str().unwrap_or_default();
        let code = match verdict {
            "never-seen" => 0,
            "seen" | "no-verdict" => 1,
            other => panic!("the verdict {other:?}"),
        };
        ended.verify_code(code);
        assert_eq!(verdict == "seen", after != 0);
        let text = stalemate(["probe", "dirty-race", "--tries", "6"]).stdout;
        let of_whom = match found["host"]["tables_walked_by"].as_str() {
            Some("kvm") => "This says nothing of the processor",
            Some("emulated-cpu") => "emulated by its own account",
            Some("cpu") => "D is set by the processor here",
            _ => "can't be told",
        };
        assert!(text.contains(of_whom), "{of_whom} in {text}");
    });
}
