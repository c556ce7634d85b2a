//! As one JSON document.

use serde::Serialize;

use crate::primary::{Ended, PrimaryReport};

#[derive(Serialize)]
struct Document {
    probe: String,
    left_out: String,
    vcpus: u64,
    pages: u64,
    tries_wanted: u64,
    tries: u64,
    verdict: String,
    partial: bool,
    ended: String,
    wrong: Vec<String>,
    missing: Option<&'static str>,
    host: Host,
    vcpu_stores: Stores,
    device: Device,
    notifications: Notifications,
    smmu: Smmu,
    log: Option<Log>,
    replaced: u64,
    intruded: u64,
    changed_while_taken: u64,
    elapsed_us: u64,
}

#[derive(Serialize)]
struct Host {
    taken: u64,
    given: u64,
}

#[derive(Serialize)]
struct Stores {
    /// By vCPU; null for one that did not come to its end.
    made: Vec<Option<u64>>,
    lost: u64,
    refused: u64,
    refused_late: u64,
}

#[derive(Serialize)]
struct Device {
    writes: u64,
    lost: u64,
    refused: u64,
    refused_late: u64,
    gave_up: bool,
}

#[derive(Serialize)]
struct Notifications {
    range_start: u64,
    range_end: u64,
    secondary_tlb: u64,
}

#[derive(Serialize)]
struct Smmu {
    invalidations: u64,
    redundant_invalidations: u64,
}

#[derive(Serialize)]
struct Log {
    vcpus: u64,
    device: u64,
    copied: u64,
    different: u64,
}

pub(super) fn document(report: &PrimaryReport) -> String {
    let config = report.config;
    crate::report::json::print(&Document {
        probe: config.subject.to_string(),
        left_out: config.omission.to_string(),
        vcpus: config.vcpus,
        pages: config.pages,
        tries_wanted: config.tries,
        tries: report.tries,
        verdict: report.verdict().to_string(),
        partial: report.ended != Ended::Complete,
        ended: report.ended.to_string(),
        wrong: report.wrongs(),
        missing: report.missing(),
        host: Host {
            taken: report.counts.taken,
            given: report.counts.given,
        },
        vcpu_stores: stores(report),
        device: device(report),
        notifications: Notifications {
            range_start: report.notifications.range_start,
            range_end: report.notifications.range_end,
            secondary_tlb: report.notifications.secondary_tlb,
        },
        smmu: Smmu {
            invalidations: report.smmu.invalidations,
            redundant_invalidations: report.smmu.redundant_invalidations,
        },
        log: log(report),
        replaced: report.replaced,
        intruded: report.intruded,
        changed_while_taken: report.changed_while_taken,
        elapsed_us: u64::try_from(report.elapsed.as_micros()).unwrap_or(u64::MAX),
    })
}

fn stores(report: &PrimaryReport) -> Stores {
    let vcpus = report.vcpus.iter();
    Stores {
        made: vcpus.clone().map(|vcpu| vcpu.made).collect(),
        lost: vcpus.map(|vcpu| vcpu.lost).sum(),
        refused: report.counts.refused_vcpus,
        refused_late: report.counts.late_vcpus,
    }
}

fn device(report: &PrimaryReport) -> Device {
    let device = &report.device;
    Device {
        writes: device.writes.iter().sum(),
        lost: report.device_lost,
        refused: device.refused,
        refused_late: device.refused_late,
        gave_up: device.gave_up,
    }
}

fn log(report: &PrimaryReport) -> Option<Log> {
    report.copy.map(|copy| Log {
        vcpus: copy.logged_vcpus,
        device: copy.logged_device,
        copied: copy.copied,
        different: copy.different,
    })
}
