//! Hosts that can't: exit code 3, with the reason and what to do.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use tests::host::say;

use crate::runner::{Ended, file, program, stalemate};

/// Without a command, the flagship goes through the explorer where nothing can run live, and the
/// first line says why.
fn verify_explored_instead(ended: &Ended, words: &[&str]) {
    ended.verify_code(3);
    let first = ended.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("nothing ran live: "), "{ended:#?}");
    for word in words {
        assert!(first.contains(word), "no {word:?} in {first:?}");
    }
    let rows: Vec<_> = ended
        .stdout
        .lines()
        .filter(|line| line.contains("spurious-faults"))
        .collect();
    assert_eq!(rows.len(), 21, "{ended:#?}");
    assert!(
        rows[0].contains("none") && rows[0].contains("livelock"),
        "{ended:#?}"
    );
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
}

#[test]
fn a_device_that_is_not_there_is_told_with_what_to_do() {
    let words = ["/dev/no-such-kvm", "enable virtualization"];
    verify_explored_instead(&stalemate(["--kvm", "/dev/no-such-kvm"]), &words);
    stalemate(["run", "--kvm", "/dev/no-such-kvm"]).verify_refused(3, &words);
}

#[test]
fn a_device_that_is_not_kvm_is_told() {
    for device in ["/dev/null", "/dev/zero"] {
        let words = [device, "can't be used as KVM"];
        verify_explored_instead(&stalemate(["--kvm", device]), &words);
        stalemate(["run", "--kvm", device]).verify_refused(3, &words);
    }
}

#[test]
fn a_path_that_is_no_device_is_told() {
    let file = file(b"not KVM");
    let path = file.path().to_str().unwrap();
    verify_explored_instead(&stalemate(["--kvm", path]), &[path]);
    let below = format!("{path}/kvm");
    stalemate(["run", "--kvm", &below]).verify_refused(3, &[&below]);
    stalemate(["run", "--kvm", "/"]).verify_refused(3, &["can't be used as KVM"]);
}

/// A device that nobody may open, seen by nobody in particular. Needs to begin as root, as the
/// suites do on the machines that check them.
#[test]
fn a_forbidden_device_is_told_with_what_to_do() {
    let device = file(b"");
    fs::set_permissions(device.path(), Permissions::from_mode(0o000)).unwrap();
    let mut command = Command::new(program());
    command
        .arg("--kvm")
        .arg(device.path())
        .uid(65534)
        .gid(65534);
    let Ok(output) = command.output() else {
        say("skipped: the command can't be run as another user here");
        return;
    };
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("may not be opened"), "{stderr}");
    assert!(stderr.contains("group that owns it"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}
