//! `--payload` with whatever a user may have: what is none is bad input, and what misbehaves is
//! stopped, in time, with one line that says why.

use guest::images::{HOSTILE, PAYLOAD, hostile};
use tests::host::with_kvm;

use crate::runner::{Ended, file, stalemate};

/// Runs one policy with these bytes as payload.
fn run(bytes: &[u8], arguments: &[&str]) -> Ended {
    let image = file(bytes);
    let path = image
        .path()
        .to_str()
        .expect("temporary files have plain names");
    let fixed = ["run", "--payload", path];
    stalemate(fixed.iter().chain(arguments))
}

fn run_hostile(name: &str) -> Ended {
    let image = hostile(name).expect("there is such an image");
    run(image, &["--limit", "1"])
}

#[test]
fn the_built_in_payload_works_from_a_file() {
    with_kvm(|_| {
        run(PAYLOAD, &[]).verify_code(0);
    });
}

#[test]
fn a_file_that_is_no_payload_is_bad_input() {
    with_kvm(|_| {
        let mut cut = PAYLOAD.to_vec();
        cut.truncate(100);
        for bytes in [
            &b""[..],
            b"x",
            b"#!/bin/sh\n",
            &[0; 1 << 16],
            &[0xff; 4096],
            &cut,
        ] {
            run(bytes, &[]).verify_refused(2, &["payload"]);
        }
    });
}

/// Any byte of the file's head may be any other: a payload that runs, or a clear end; no crash.
#[test]
fn a_payload_with_a_damaged_head_never_crashes() {
    with_kvm(|_| {
        for at in (0..64).step_by(5) {
            let mut damaged = PAYLOAD.to_vec();
            damaged[at] ^= 0xff;
            let ended = run(&damaged, &["--limit", "1"]);
            assert!(matches!(ended.code, Some(0..=2)), "byte {at}: {ended:#?}");
        }
    });
}

#[test]
fn a_file_that_can_t_be_read_is_bad_input() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    for path in [directory.path(), &missing, "/".as_ref(), "".as_ref()] {
        let ended = stalemate(["run".as_ref(), "--payload".as_ref(), path.as_os_str()]);
        ended.verify_code(2);
    }
    let ended = stalemate(["run".as_ref(), "--payload".as_ref(), missing.as_os_str()]);
    ended.verify_refused(2, &["missing", "can't be read"]);
}

#[test]
fn a_guest_that_spins_is_stopped_when_time_is_up() {
    with_kvm(|_| {
        run_hostile("spin").verify_stopped(&["did not finish within 1 s", "vCPU 0 was at"]);
    });
}

#[test]
fn a_triple_fault_is_told() {
    with_kvm(|_| {
        run_hostile("triple-fault").verify_stopped(&["triple fault"]);
    });
}

#[test]
fn a_guest_that_panics_is_told_with_its_words() {
    with_kvm(|_| {
        let ended = run_hostile("panic");
        ended.verify_stopped(&["the guest panicked"]);
        assert!(ended.stdout.contains("vCPU 0 was told to"), "{ended:#?}");
    });
}

#[test]
fn a_store_where_nothing_is_is_told_with_its_address() {
    with_kvm(|_| {
        run_hostile("write-outside").verify_stopped(&["write to", "0x7000100000"]);
    });
}

#[test]
fn a_fault_that_nobody_asked_for_is_told() {
    with_kvm(|_| {
        run_hostile("fatal-fault").verify_stopped(&["exception 14", "0x40000000"]);
    });
}

/// On some hosts the guest takes the fault, on others KVM gives up.
#[test]
fn a_jump_into_device_registers_is_told() {
    with_kvm(|_| {
        run_hostile("jump-mmio").verify_stopped(&["vCPU 0"]);
    });
}

/// It comes to its end, but it is no flagship.
#[test]
fn nonsense_for_the_dma_engine_is_logged_and_fails_the_scenario() {
    with_kvm(|_| {
        let ended = run_hostile("dma");
        ended.verify_code(1);
        assert!(
            ended
                .stderr
                .lines()
                .all(|line| line.contains("DMA descriptor")),
            "{ended:#?}"
        );
        assert!(ended.stdout.contains("unexpected"), "{ended:#?}");
    });
}

#[test]
fn every_hostile_image_ends_with_exit_code_1_in_json_too() {
    with_kvm(|_| {
        for (name, image) in HOSTILE {
            let ended = run(image, &["--limit", "1", "--json", "--vcpus", "2"]);
            ended.verify_code(1);
            let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
            assert_eq!(document["as_expected"], false, "{name}");
        }
    });
}
