//! `stalemate format`: what it prints, what it writes, and what it refuses.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tests::host::say;

use crate::runner::{Ended, program, stalemate};

const UNTIDY: &str = "scenario s;shared n:flag;\nagent a{n=1;}  required q finally:n==1;\n";
const TIDY: &str =
    "scenario s;\nshared n: flag;\nagent a {\n    n = 1;\n}\nrequired q finally: n == 1;\n";

fn format(arguments: &[&str], files: &[&Path]) -> Ended {
    let words = ["format"].iter().chain(arguments).map(OsStr::new);
    stalemate(words.chain(files.iter().map(|file| file.as_os_str())))
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("there is room for a directory")
}

#[test]
fn the_proper_form_is_printed_and_the_file_stays() {
    let directory = directory();
    let path = directory.path().join("s.litmus");
    fs::write(&path, UNTIDY).unwrap();
    let ended = format(&[], &[&path]);
    assert_eq!(ended.verify_code(0).stdout, TIDY);
    assert_eq!(ended.stderr, "");
    assert_eq!(fs::read_to_string(&path).unwrap(), UNTIDY);
}

#[test]
fn what_differs_is_named() {
    let directory = directory();
    let (good, bad) = (directory.path().join("good"), directory.path().join("bad"));
    fs::write(&good, TIDY).unwrap();
    fs::write(&bad, UNTIDY).unwrap();
    let ended = format(&["--check"], &[&good, &bad]);
    assert_eq!(ended.verify_code(1).stdout, format!("{}\n", bad.display()));
    assert_eq!(format(&["--check"], &[&good]).verify_code(0).stdout, "");
}

/// Those that come with the command, and those of the book.
#[test]
fn our_own_scenarios_are_in_their_proper_form() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [package.join("scenarios"), package.join("../docs/protocols")];
    let mut seen = 0;
    for folder in folders {
        let Ok(entries) = fs::read_dir(&folder) else {
            say("skipped: the scenarios are not on this host");
            return;
        };
        let paths = entries.map(|entry| entry.unwrap().path());
        for path in paths.filter(|path| path.extension() == Some(OsStr::new("litmus"))) {
            assert_eq!(format(&["--check"], &[&path]).verify_code(0).stdout, "");
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn a_file_is_rewritten_with_its_permissions_and_a_link_stays_one() {
    let directory = directory();
    let (path, link) = (
        directory.path().join("s.litmus"),
        directory.path().join("link"),
    );
    fs::write(&path, UNTIDY).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    symlink(&path, &link).unwrap();
    let ended = format(&["--write"], &[&link]);
    assert_eq!(ended.verify_code(0).stdout, "");
    assert_eq!(fs::read_to_string(&path).unwrap(), TIDY);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    format(&["--check"], &[&path]).verify_code(0);
}

/// What is wrong with one keeps none of the others from being written.
#[test]
fn what_is_no_scenario_is_refused_and_left_as_it_is() {
    let directory = directory();
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let (latin, wrong) = (
        file("latin", b"scenario \xe9;"),
        file("wrong", b"scenario ;"),
    );
    let large = file("large", &vec![b'x'; 2 << 20]);
    let fine = file("fine", UNTIDY.as_bytes());
    let missing = directory.path().join("missing");
    let all = [&*latin, &wrong, &large, directory.path(), &missing, &fine];
    let ended = format(&["--write"], &all);
    ended.verify_code(2);
    for words in [
        "not UTF-8",
        "wrong:1:10",
        "more than",
        "Is a directory",
        "No such file",
    ] {
        assert!(ended.stderr.contains(words), "no {words:?} in {ended:#?}");
    }
    assert_eq!(fs::read(&latin).unwrap(), b"scenario \xe9;");
    assert_eq!(fs::read(&wrong).unwrap(), b"scenario ;");
    assert_eq!(fs::read_to_string(&fine).unwrap(), TIDY);
}

/// Neither the file nor the folder may be written to by nobody in particular. Needs to begin as root.
#[test]
fn what_may_not_be_written_is_left_as_it_is() {
    let directory = directory();
    let path = directory.path().join("s.litmus");
    fs::write(&path, UNTIDY).unwrap();
    for (folder, mode) in [(0o777, 0o444), (0o555, 0o666)] {
        fs::set_permissions(directory.path(), Permissions::from_mode(folder)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let mut command = Command::new(program());
        command.args(["format", "--write"]).arg(&path);
        let Ok(output) = command.uid(65534).gid(65534).output() else {
            say("skipped: the command can't be run as another user here");
            return;
        };
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.contains("can't be written: Permission denied"),
            "{stderr}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), UNTIDY);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

#[test]
fn devices_are_not_replaced() {
    let ended = stalemate(["format", "--write", "/dev/null"]);
    ended.verify_code(2);
    assert!(ended.stderr.contains("expected `scenario`"), "{ended:#?}");
    stalemate(["format", "/dev/zero"]).verify_code(2);
}

#[test]
fn nonsense_is_refused() {
    let directory = directory();
    let path = directory.path().join("s.litmus");
    fs::write(&path, UNTIDY).unwrap();
    format(&["--write", "--check"], &[&path]).verify_bad_usage(&["cannot be used with"]);
    stalemate(["format"]).verify_bad_usage(&["required"]);
    let several = format(&[], &[&path, &path]);
    several.verify_code(2);
    assert!(several.stderr.contains("several files"), "{several:#?}");
    let path = path.to_str().unwrap();
    let as_json = stalemate(["format", path, "--json"]);
    as_json.verify_code(2);
    assert!(as_json.stdout.contains("\"exit_code\": 2"), "{as_json:#?}");
}
