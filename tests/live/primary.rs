//! The host takes guest memory from running vCPUs and a device, and gives it back.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use notifier::oracle::ViolationKind;
use tests::host::{rounds, say, with_kvm};
use vmm::primary::{
    Ended, Omission, PrimaryConfig, PrimaryError, PrimaryReport, PrimaryVerdict, Subject, run,
};

const PAGES: u64 = 16;

/// So many tries of all pages; with userfaultfd a try is of one page.
fn config(subject: Subject, tries: u64) -> PrimaryConfig {
    let pages_a_try = match subject {
        Subject::Mprotect | Subject::DirtyLog => 1,
        Subject::UffdWp => PAGES,
    };
    PrimaryConfig {
        subject,
        vcpus: 2,
        tries: rounds(tries) * pages_a_try,
        pages: PAGES,
        limit: Duration::from_secs(60),
        omission: Omission::Nothing,
    }
}

fn without(omission: Omission, subject: Subject, tries: u64) -> PrimaryConfig {
    PrimaryConfig {
        omission,
        ..config(subject, tries)
    }
}

/// Where the kernel is known to have what a run takes, which is wherever it is not too old, nobody
/// may say that it hasn't.
fn ran(config: &PrimaryConfig, check: impl Fn(&PrimaryReport)) {
    with_kvm(|kvm| match run(kvm, config, &AtomicBool::new(false)) {
        Ok(report) => check(&report),
        Err(PrimaryError::Host(reason)) => {
            let required = std::env::var_os("STALEMATE_REQUIRE_KVM").is_some_and(|is| is == "1");
            assert!(!required, "this host should be able to: {reason}");
            say(&format!("skipped: {reason}"));
        }
        Err(error) => panic!("{error}"),
    });
}

fn verify_holds(report: &PrimaryReport) {
    assert_eq!(report.wrongs(), [] as [String; 0]);
    assert_eq!(report.missing(), None);
    assert_eq!(report.ended, Ended::Complete);
    assert_eq!(report.verdict(), PrimaryVerdict::Holds);
    assert_eq!(report.tries, report.config.tries);
    let sent = report.notifications;
    assert_eq!(sent.range_start, sent.range_end);
}

fn verify_violated(report: &PrimaryReport, kinds: &[ViolationKind]) {
    let found = report.findings.violations.iter();
    let found: Vec<_> = found.map(|violation| violation.kind).collect();
    for kind in kinds {
        assert!(found.contains(kind), "{kind} is not in {found:?}");
    }
    assert_eq!(report.verdict(), PrimaryVerdict::Violated);
}

/// The vCPUs wait for an answer that nobody gives, and the run ends all the same.
fn verify_ended_by_the_limit(report: &PrimaryReport) {
    assert_eq!(report.ended, Ended::Limit);
    assert_eq!(report.verdict(), PrimaryVerdict::Undecided);
    assert_eq!(report.counts.given, 0);
    assert_eq!(report.wrongs(), [] as [String; 0]);
}

#[test]
fn a_vcpu_that_mprotect_refuses_is_answered_and_loses_no_store() {
    ran(&config(Subject::Mprotect, 200), |report| {
        verify_holds(report);
        let counts = report.counts;
        assert_eq!(counts.taken, report.tries * report.config.pages);
        assert_eq!(counts.given, counts.taken);
        assert_eq!(report.notifications.range_start, report.tries);
        // One for each time that all pages were taken, one for each page that was given.
        let told = report.tries + counts.given;
        assert_eq!(report.notifications.secondary_tlb, told);
    });
}

#[test]
fn a_device_that_is_not_told_of_an_upgrade_by_mprotect_is_refused_for_ever() {
    ran(
        &without(Omission::Upgrade, Subject::Mprotect, 20),
        |report| {
            verify_violated(
                report,
                &[ViolationKind::StaleReadOnly, ViolationKind::LostProgress],
            );
            assert!(report.device.gave_up);
            assert_eq!(report.device_lost, 0);
        },
    );
}

#[test]
fn a_device_that_is_not_told_of_a_downgrade_writes_on() {
    for subject in [Subject::Mprotect, Subject::UffdWp] {
        ran(&without(Omission::Downgrade, subject, 20), |report| {
            verify_violated(report, &[ViolationKind::StaleWritable]);
        });
    }
}

#[test]
fn a_vcpu_that_nobody_answers_is_stopped_by_the_limit() {
    for subject in [Subject::Mprotect, Subject::UffdWp] {
        let config = PrimaryConfig {
            limit: Duration::from_secs(1),
            ..without(Omission::Answer, subject, 200)
        };
        ran(&config, verify_ended_by_the_limit);
    }
}

#[test]
fn the_dirty_log_names_every_page_that_vcpus_or_the_device_wrote() {
    ran(&config(Subject::DirtyLog, 100), |report| {
        verify_holds(report);
        let copy = report.copy.unwrap();
        assert!(copy.logged_device > 0);
        assert_eq!(copy.different, 0);
    });
}

#[test]
fn the_device_is_missing_in_the_log_where_its_stage_2_is_not_told() {
    ran(
        &without(Omission::Downgrade, Subject::DirtyLog, 20),
        |report| {
            verify_violated(report, &[ViolationKind::StaleWritable]);
            assert_ne!(report.copy.unwrap().different, 0);
        },
    );
}

#[test]
fn no_store_is_lost_to_userfaultfd_write_protection() {
    ran(&config(Subject::UffdWp, 125), |report| {
        verify_holds(report);
        assert!(report.replaced > 0);
        // A page is given back before it is taken again.
        assert!(report.counts.given >= report.tries - PAGES);
    });
}

#[test]
fn an_interrupted_run_says_so_and_has_lost_nothing() {
    with_kvm(|kvm| {
        let config = config(Subject::Mprotect, 1 << 40);
        let report = run(kvm, &config, &AtomicBool::new(true)).unwrap();
        assert_eq!(report.ended, Ended::Interrupted);
        assert_eq!(report.verdict(), PrimaryVerdict::Undecided);
        assert_eq!(report.wrongs(), [] as [String; 0]);
    });
}
