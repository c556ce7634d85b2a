//! What the theory says of the scenario, held against what was seen.

use std::collections::BTreeSet;

use guest::abi::op::{OpResult, STATUS_DONE, STATUS_FAULT};
use guest::abi::{dma, pattern};
use notifier::addr::{Access, AddrRange, Gva, Iova};
use notifier::oracle::{Fact, Judgement, Verdict};
use notifier::paging::ChangeKind;
use notifier::secondary::CacheId;

use super::DeviceWrite;
use super::script::{
    DOWNGRADED, GUEST_DATA, MAPPED_LATE, STORED, Script, UNMAPPED, UPGRADED, WORDS, address,
};
use super::theory::{Theory, Upgraded};
use crate::live::{Check, OpIndex, Transfer, TransferDone};
use crate::machine::{ASID, Run};
use crate::memory::Ram;
use crate::policy::UpgradePolicy;

/// Holds a run that came to its end against the theory.
pub(super) fn checks(script: &Script, ram: &Ram, run: &Run, theory: Theory) -> Vec<Check> {
    let seen = Seen {
        script,
        ram,
        run,
        theory,
    };
    let mut checks = seen.before();
    checks.extend(seen.upgrade());
    checks.extend(seen.after());
    checks.extend(seen.cost());
    checks.extend(seen.verdict());
    checks
}

/// What became of the write to the upgraded page.
pub(super) fn device_write(script: &Script, ram: &Ram, run: &Run) -> DeviceWrite {
    let written = script.write_upgraded.done(ram, &run.results[0]).descriptor;
    DeviceWrite {
        done: written.status == dma::STATUS_DONE,
        faults: written.faults,
    }
}

struct Seen<'a> {
    script: &'a Script,
    ram: &'a Ram,
    run: &'a Run,
    theory: Theory,
}

impl Seen<'_> {
    fn op(&self, index: OpIndex) -> OpResult {
        index.of(&self.run.results[0])
    }

    fn transfer(&self, transfer: &Transfer) -> TransferDone {
        transfer.done(self.ram, &self.run.results[0])
    }

    /// The last fault of the SMMU on this page, as the oracle judges it.
    fn judged(&self, number: u64, access: Access) -> String {
        let iova = Iova::new(address(number));
        let fault = self
            .run
            .findings
            .last_fault(CacheId::SmmuTlb(ASID), iova, access);
        fault.map_or("none".into(), |fault| fault.judgement.to_string())
    }

    fn refused(&self, transfer: &Transfer, number: u64, access: Access) -> String {
        let done = self.transfer(transfer).descriptor;
        format!("{}, {}", outcome(&done), self.judged(number, access))
    }

    fn before(&self) -> Vec<Check> {
        let intact = |transfers: &[Transfer]| {
            let pages = transfers.iter().zip(GUEST_DATA);
            let intact = pages.filter(|(transfer, seed)| {
                self.transfer(transfer).checksum == pattern::checksum(*seed, WORDS)
            });
            format!("{} pages intact", intact.count())
        };
        let expected = "3 pages intact";
        let [smmu, shadow] = &self.script.first_reads;
        let unmapped = self.refused(&self.script.read_unmapped, MAPPED_LATE, Access::Read);
        vec![
            Check::new(
                "the device reads what the guest wrote",
                expected,
                intact(smmu),
            ),
            Check::new(
                "so does the device behind the shadow MMU",
                expected,
                intact(shadow),
            ),
            Check::new(
                "a device read of nothing",
                refusal("translation", Judgement::Genuine),
                unmapped,
            ),
        ]
    }

    fn upgrade(&self) -> Vec<Check> {
        let script = self.script;
        let store = cpu(&self.op(script.upgrading_store));
        let kept = self.op(script.stored).value == STORED;
        let mut checks = vec![Check::new(
            "a CPU store to the read-only page",
            "done, 1 fault, 1 upgrade, reads back: true",
            format!("{store}, reads back: {kept}"),
        )];
        checks.extend(match self.theory.upgraded() {
            Upgraded::AtOnce => self.prompt_write(),
            Upgraded::Never => self.stale_write(),
            Upgraded::ByChance => self.lucky_write(),
        });
        let shadow = self.transfer(&script.shadow_write).descriptor;
        let sight = self.op(script.sees_shadow_data).value;
        checks.push(Check::new(
            "the same behind the shadow MMU",
            "done, 0 faults, 0 words differ",
            format!(
                "{}, {} faults, {sight} words differ",
                outcome(&shadow),
                shadow.faults
            ),
        ));
        checks
    }

    fn prompt_write(&self) -> Vec<Check> {
        let written = self.transfer(&self.script.write_upgraded).descriptor;
        let sight = self.op(self.script.sees_device_data).value;
        vec![Check::new(
            "a device write to the upgraded page",
            "done, 0 faults, 0 words differ",
            format!(
                "{}, {} faults, {sight} words differ",
                outcome(&written),
                written.faults
            ),
        )]
    }

    fn stale_write(&self) -> Vec<Check> {
        let refused = self.refused(&self.script.write_upgraded, UPGRADED, Access::Write);
        vec![
            Check::new(
                "a device write to the upgraded page",
                refusal("permission", Judgement::Stale),
                refused,
            ),
            Check::new(
                "nothing of its write arrives",
                true,
                self.op(self.script.keeps_stored).value == STORED,
            ),
        ]
    }

    /// What chance decides is right either way.
    fn lucky_write(&self) -> Vec<Check> {
        let done = self.transfer(&self.script.write_upgraded).descriptor;
        let seen = self.refused(&self.script.write_upgraded, UPGRADED, Access::Write);
        let stale = refusal("permission", Judgement::Stale);
        let either = "done, or a stale permission fault";
        let is_either = done.status == dma::STATUS_DONE || seen == stale;
        vec![Check::new(
            "a device write to the upgraded page, whose entry may be evicted",
            either,
            if is_either { either.into() } else { seen },
        )]
    }

    fn after(&self) -> Vec<Check> {
        let script = self.script;
        let mapped = self.transfer(&script.write_mapped).descriptor;
        let sights = self.run.results.iter().zip(&script.sees_late_data);
        let differ: u64 = sights.map(|(results, sight)| sight.of(results).value).sum();
        let refused = "faulted, 1 fault, 0 upgrades";
        vec![
            Check::new(
                "a device write to a page just mapped, seen by all vCPUs",
                "done, 0 faults, 0 words differ",
                format!(
                    "{}, {} faults, {differ} words differ",
                    outcome(&mapped),
                    mapped.faults
                ),
            ),
            Check::new(
                "notifications sent while pages were mapped",
                "4 maps, 0 sent",
                self.while_mapping(),
            ),
            Check::new(
                "a CPU store to the downgraded page",
                refused,
                cpu(&self.op(script.store_downgraded)),
            ),
            Check::new(
                "a device write to the downgraded page",
                refusal("permission", Judgement::Genuine),
                self.refused(&script.write_downgraded, DOWNGRADED, Access::Write),
            ),
            Check::new(
                "the downgraded page keeps its data",
                "0 words differ",
                format!("{} words differ", self.op(script.keeps_guest_data).value),
            ),
            Check::new(
                "a CPU load from the unmapped page",
                refused,
                cpu(&self.op(script.load_unmapped)),
            ),
            Check::new(
                "a device read of the unmapped page",
                refusal("translation", Judgement::Genuine),
                self.refused(&script.read_after_unmap, UNMAPPED, Access::Read),
            ),
        ]
    }

    /// Maps, and notifications that covered one while it was made.
    fn while_mapping(&self) -> String {
        let (mut maps, mut sent) = (0, 0);
        let mut mapping = None;
        for record in &self.run.history {
            match record.fact {
                Fact::Changing(change) if change.kind == ChangeKind::Map => {
                    maps += 1;
                    mapping = Some((record.step, change.range));
                }
                Fact::Settled(step) if mapping.is_some_and(|(made, _)| made == step) => {
                    mapping = None;
                }
                Fact::Notified(notice) => {
                    let overlaps = |range: AddrRange<Gva>| range.overlaps(notice.range());
                    sent += usize::from(mapping.is_some_and(|(_, range)| overlaps(range)));
                }
                _ => {}
            }
        }
        format!("{maps} maps, {sent} sent")
    }

    /// What the policy costs those who need not have been told.
    fn cost(&self) -> Vec<Check> {
        let needless = match self.theory.policy {
            UpgradePolicy::Range => 1,
            UpgradePolicy::None | UpgradePolicy::SecondaryTlb => 0,
        };
        vec![
            Check::new(
                "entries that the shadow MMU lost, and for nothing",
                format!("{}, {needless} for nothing", 2 + needless),
                format!(
                    "{}, {} for nothing",
                    self.run.shadow.zapped,
                    self.run.findings.needless_drops_of(CacheId::Shadow)
                ),
            ),
            Check::new(
                "invalidations that found nothing to drop",
                self.theory.redundant(),
                self.run.smmu.redundant_invalidations,
            ),
        ]
    }

    fn verdict(&self) -> Vec<Check> {
        let findings = &self.run.findings;
        let kinds = findings
            .violations
            .iter()
            .map(|found| found.kind.to_string());
        let kinds: BTreeSet<_> = kinds.collect();
        let write = device_write(self.script, self.ram, self.run);
        let (verdict, expected) = self.theory.verdict(&write);
        vec![
            Check::new(
                "the oracle's verdict",
                judgement(verdict, &expected),
                judgement(findings.verdict(), &kinds),
            ),
            Check::new(
                "page-table changes that escaped the tracker",
                0,
                findings.untracked.len(),
            ),
        ]
    }
}

/// How a CPU's load or store ended, and what it took.
fn cpu(result: &OpResult) -> String {
    let end = match result.status {
        STATUS_DONE => "done",
        STATUS_FAULT => "faulted",
        _ => "not carried out",
    };
    let count = |number: u64, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    let (faults, upgrades) = (
        count(result.faults, "fault"),
        count(result.upgrades, "upgrade"),
    );
    format!("{end}, {faults}, {upgrades}")
}

/// How a transfer ended, in a word.
fn outcome(descriptor: &dma::Descriptor) -> &'static str {
    match (descriptor.status, descriptor.fault) {
        (dma::STATUS_DONE, _) => "done",
        (dma::STATUS_FAULTED, dma::FAULT_TRANSLATION) => "translation fault",
        (dma::STATUS_FAULTED, dma::FAULT_PERMISSION) => "permission fault",
        (dma::STATUS_FAULTED, dma::FAULT_ACCESS) => "access-flag fault",
        (dma::STATUS_FAULTED, _) => "other fault",
        (dma::STATUS_REFUSED, _) => "refused",
        _ => "not finished",
    }
}

fn judgement(verdict: Verdict, kinds: &BTreeSet<String>) -> String {
    let kinds = kinds.iter().map(String::as_str);
    let words = [verdict.to_string()];
    words
        .iter()
        .map(String::as_str)
        .chain(kinds)
        .collect::<Vec<_>>()
        .join(", ")
}

fn refusal(kind: &str, judgement: Judgement) -> String {
    format!("{kind} fault, {judgement}")
}
