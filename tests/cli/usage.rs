//! Command lines that make no sense: exit code 2, a line with the reason, nothing run.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use notifier::secondary::smmu::Knobs;

use crate::runner::stalemate;

#[test]
fn an_unknown_policy_is_refused_with_those_that_there_are() {
    let ended = stalemate(["run", "--upgrade-notify", "sometimes"]);
    ended.verify_bad_usage(&["sometimes"]);
    for policy in ["none", "range", "secondary-tlb"] {
        assert!(ended.stderr.contains(policy), "{ended:#?}");
    }
}

#[test]
fn knobs_that_there_are_not_are_refused_with_those_that_there_are() {
    let ended = stalemate(["run", "--smmu", "denied=walk"]);
    ended.verify_bad_usage(&["denied", "deny, btm, httu, ats, tlbi, latency, sync"]);
    stalemate(["run", "--smmu", "deny=no"]).verify_bad_usage(&["keep, walk, random"]);
    stalemate(["run", "--smmu", "latency=100001"]).verify_bad_usage(&["from 0 to 100000"]);
    stalemate(["run", "--smmu", "deny"]).verify_bad_usage(&["name=value"]);
    stalemate(["run", "--smmu", "ats=on,ats=on"]).verify_bad_usage(&["twice"]);
    let ended = stalemate(["run", "--driver", "nobody"]);
    ended.verify_bad_usage(&["nobody"]);
    assert!(ended.stderr.contains("vmm, guest"), "{ended:#?}");
}

#[test]
fn help_lists_every_knob_with_what_it_can_be() {
    let help = stalemate(["run", "--help"]);
    help.verify_code(0);
    for (name, values) in Knobs::all() {
        let line = format!("{name:<12}  {}", values.join(", "));
        assert!(help.stdout.contains(&line), "no {line} in {}", help.stdout);
    }
}

#[test]
fn an_unknown_tracker_is_refused() {
    stalemate(["--tracker", "guess"]).verify_bad_usage(&["guess"]);
}

#[test]
fn an_unknown_command_is_refused() {
    stalemate(["walk"]).verify_bad_usage(&["walk"]);
    stalemate([""]).verify_bad_usage(&["''"]);
}

#[test]
fn an_unknown_option_is_refused() {
    stalemate(["--fast"]).verify_bad_usage(&["--fast"]);
    // It is the command's, not everybody's.
    stalemate(["--upgrade-notify", "none"]).verify_bad_usage(&["--upgrade-notify"]);
}

#[test]
fn numbers_of_vcpus_that_no_machine_has_are_refused() {
    for count in ["0", "9", "x", "", "-1", "1.5", "18446744073709551616"] {
        let argument = format!("--vcpus={count}");
        stalemate(["run", &argument]).verify_bad_usage(&["--vcpus"]);
    }
}

#[test]
fn limits_that_are_no_time_are_refused() {
    for limit in ["0", "-1", "nan", "inf", "x", "1e9"] {
        let argument = format!("--limit={limit}");
        stalemate([&argument]).verify_bad_usage(&["--limit"]);
    }
}

#[test]
fn an_argument_that_is_not_unicode_is_refused() {
    let garbage = OsString::from_vec(vec![b'r', 0xff, 0xfe]);
    stalemate([&garbage]).verify_code(2);
    stalemate([OsStr::new("run"), OsStr::new("--vcpus"), &garbage]).verify_code(2);
    stalemate([OsStr::new("run"), OsStr::new("--upgrade-notify"), &garbage]).verify_code(2);
}

/// A path need not be Unicode; this one is just not there.
#[test]
fn a_path_that_is_not_unicode_is_a_path() {
    let mut path = OsString::from("/no-such-");
    path.push(OsString::from_vec(vec![0xff]));
    let ended = stalemate([OsStr::new("--payload"), &path]);
    ended.verify_refused(2, &["/no-such-", "can't be read"]);
}

#[test]
fn an_option_without_its_value_is_refused() {
    stalemate(["--mem"]).verify_bad_usage(&["--mem"]);
    stalemate(["run", "--kvm"]).verify_bad_usage(&["--kvm"]);
    stalemate(["run", "--kvm", ""]).verify_bad_usage(&["--kvm"]);
}

#[test]
fn help_and_version_are_what_was_asked_for() {
    let help = stalemate(["--help"]);
    help.verify_code(0);
    for word in [
        "run",
        "--tracker",
        "--vcpus",
        "--mem",
        "--json",
        "Exit codes",
    ] {
        assert!(help.stdout.contains(word), "no {word} in {}", help.stdout);
    }
    assert_eq!(help.stderr, "");
    let version = stalemate(["--version"]);
    assert!(version.verify_code(0).stdout.starts_with("stalemate "));
}

/// A line with the reason, even if what was given is a wall of text.
#[test]
fn a_very_long_argument_is_refused_like_a_short_one() {
    let long = "x".repeat(100_000);
    stalemate(["--mem", &long]).verify_code(2);
}
