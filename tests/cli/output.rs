//! Standard output that does not take what it is given.

use tests::host::with_kvm;

use crate::runner::by_shell;

#[test]
fn a_full_device_is_an_error_with_a_line() {
    with_kvm(|_| {
        for arguments in ["", "--json", "run", "run --json"] {
            let ended = by_shell(&format!("\"$0\" {arguments} > /dev/full"));
            ended.verify_refused(1, &["the result could not be written", "No space left"]);
        }
    });
}

/// A closed standard output is opened again as `/dev/null` by Rust's runtime, so it takes everything.
#[test]
fn a_closed_standard_output_is_no_crash() {
    with_kvm(|_| {
        let ended = by_shell("\"$0\" run >&-");
        assert_eq!(ended.stdout, "");
        assert!(matches!(ended.code, Some(0 | 1)), "{ended:#?}");
    });
}

#[test]
fn a_closed_standard_error_takes_nothing_from_the_result() {
    with_kvm(|_| {
        let ended = by_shell("\"$0\" -vv run 2>&-");
        assert!(
            ended.verify_code(0).stdout.contains("coherent"),
            "{ended:#?}"
        );
    });
}

/// KVM rings the doorbells itself; an exit would be logged.
#[test]
fn no_doorbell_takes_an_exit() {
    with_kvm(|_| {
        let ended = crate::runner::stalemate(["-vv", "run"]);
        assert!(ended.stderr.contains("vCPU 0"), "{ended:#?}");
        assert!(!ended.stderr.contains("by an exit"), "{ended:#?}");
    });
}

/// Whoever stops reading wants no more: the verdict stays what it is.
#[test]
fn a_reader_that_went_away_is_no_error() {
    with_kvm(|_| {
        let script = "{ \"$0\" --json; echo \"code $?\" >&2; } | true";
        let ended = by_shell(script);
        assert_eq!(ended.stderr, "code 0\n");
    });
}

#[test]
fn help_on_a_full_device_is_no_crash() {
    let ended = by_shell("\"$0\" --help > /dev/full");
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:#?}");
}
