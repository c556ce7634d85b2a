//! In words.

use crate::primary::{Ended, PrimaryReport};

pub(super) fn report(report: &PrimaryReport) -> String {
    let mut lines = vec![
        headline(report),
        host(report),
        vcpus(report),
        device(report),
        mirror(report),
    ];
    lines.extend(copy(report));
    if report.replaced > 0 {
        let (replaced, intruded) = (report.replaced, report.intruded);
        lines.push(format!(
            "  pages replaced while they were taken: {replaced}; used by somebody meanwhile: {intruded}"
        ));
    }
    let changed = report.changed_while_taken;
    lines.push(format!("  pages changed while they were taken: {changed}"));
    lines.extend(
        report
            .wrongs()
            .iter()
            .map(|wrong| format!("  wrong: {wrong}")),
    );
    if let Some(missing) = report.missing() {
        lines.push(format!("  missing: {missing}"));
    }
    if report.ended != Ended::Complete {
        lines.push(format!("  partial: {}", report.ended));
    }
    lines.push(format!("verdict: {}", report.verdict()));
    lines.join("\n")
}

fn headline(report: &PrimaryReport) -> String {
    let config = report.config;
    let seconds = report.elapsed.as_secs_f32();
    format!(
        "{}: {} of {} tries, {} pages, {} vCPUs, left out: {}; {seconds:.2} s",
        config.subject, report.tries, config.tries, config.pages, config.vcpus, config.omission
    )
}

fn host(report: &PrimaryReport) -> String {
    let counts = report.counts;
    format!(
        "  host:   {} pages taken, {} given back to who was refused",
        counts.taken, counts.given
    )
}

fn vcpus(report: &PrimaryReport) -> String {
    let (counts, stores) = (report.counts, report.stores());
    let lost: u64 = report.vcpus.iter().map(|vcpu| vcpu.lost).sum();
    format!(
        "  vCPUs:  {stores} stores, {lost} lost; {} refused, {} of them after the page was given back",
        counts.refused_vcpus, counts.late_vcpus
    )
}

fn device(report: &PrimaryReport) -> String {
    let device = &report.device;
    let writes: u64 = device.writes.iter().sum();
    let end = if device.gave_up { "; it gave up" } else { "" };
    format!(
        "  device: {writes} writes, {} lost; {} refused, {} of them after the page was given back{end}",
        report.device_lost, device.refused, device.refused_late
    )
}

fn mirror(report: &PrimaryReport) -> String {
    let (sent, smmu) = (report.notifications, report.smmu);
    format!(
        "  mirror: {} starts, {} ends, {} secondary-TLB invalidations; SMMU: {} commands, {} took nothing",
        sent.range_start,
        sent.range_end,
        sent.secondary_tlb,
        smmu.invalidations,
        smmu.redundant_invalidations
    )
}

fn copy(report: &PrimaryReport) -> Option<String> {
    let copy = report.copy?;
    Some(format!(
        "  log:    {} pages by KVM, {} by the device; {} copied, {} of the copy differ at the end",
        copy.logged_vcpus, copy.logged_device, copy.copied, copy.different
    ))
}
