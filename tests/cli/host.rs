//! Hosts that can't: exit code 3, with the reason and what to do.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use tests::host::say;

use crate::runner::{file, program, stalemate};

#[test]
fn a_device_that_is_not_there_is_told_with_what_to_do() {
    let words = ["/dev/no-such-kvm", "enable virtualization"];
    stalemate(["--kvm", "/dev/no-such-kvm"]).verify_refused(3, &words);
    stalemate(["run", "--kvm", "/dev/no-such-kvm"]).verify_refused(3, &words);
}

#[test]
fn a_device_that_is_not_kvm_is_told() {
    for device in ["/dev/null", "/dev/zero"] {
        stalemate(["--kvm", device]).verify_refused(3, &[device, "can't be used as KVM"]);
    }
}

#[test]
fn a_path_that_is_no_device_is_told() {
    let file = file(b"not KVM");
    let path = file.path().to_str().unwrap();
    stalemate(["--kvm", path]).verify_refused(3, &[path]);
    let below = format!("{path}/kvm");
    stalemate(["--kvm", &below]).verify_refused(3, &[&below]);
    stalemate(["--kvm", "/"]).verify_refused(3, &["can't be used as KVM"]);
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
