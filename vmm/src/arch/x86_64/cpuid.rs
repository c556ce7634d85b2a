//! Processor features.

use std::sync::Arc;

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::Kvm;
use notifier::paging::Format;
use notifier::paging::x86_64::X86_64;

use crate::arch::{Result, Step};

/// Local APIC id in EBX[31:24].
const LEAF_FEATURES: u32 = 0x1;
/// Local x2APIC id in EDX.
const LEAF_TOPOLOGY: u32 = 0xb;
/// As [`LEAF_TOPOLOGY`], on newer processors.
const LEAF_TOPOLOGY_V2: u32 = 0x1f;
/// Physical-address bits in EAX[7:0].
const LEAF_ADDRESS_BITS: u32 = 0x8000_0008;
/// Local APIC id in EAX, on AMD processors.
const LEAF_AMD_TOPOLOGY: u32 = 0x8000_001e;

/// Physical-address bits of a processor that does not say (Intel SDM vol. 3, §4.1.4).
const DEFAULT_PHYSICAL_BITS: u8 = 36;

/// Everything that this host's KVM can offer a vCPU.
///
/// # Errors
///
/// If KVM does not tell.
pub(super) fn supported_cpuid(kvm: &Kvm) -> Result<CpuId> {
    kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(Step::ListFeatures.failed())
}

/// The format of the page tables that a vCPU of this host walks.
///
/// # Errors
///
/// If KVM does not tell its features.
pub fn page_table_format(kvm: &Kvm) -> Result<Arc<dyn Format>> {
    let bits = physical_bits(&supported_cpuid(kvm)?);
    Ok(Arc::new(X86_64::four_level(bits)))
}

/// MAXPHYADDR: bits from this one on are reserved in a page-table entry's address.
fn physical_bits(cpuid: &CpuId) -> u8 {
    let leaf = cpuid
        .as_slice()
        .iter()
        .find(|entry| entry.function == LEAF_ADDRESS_BITS);
    leaf.map(|entry| entry.eax.to_le_bytes()[0])
        .filter(|bits| *bits != 0)
        .unwrap_or(DEFAULT_PHYSICAL_BITS)
}

/// Who made the processor, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vendor {
    /// AMD, or Hygon, who build to AMD's manual.
    Amd,
    /// Anybody else.
    Other,
}

/// The vendor that a vCPU with these features names.
pub(super) fn vendor(cpuid: &CpuId) -> Vendor {
    let leaf = cpuid.as_slice().iter().find(|entry| entry.function == 0);
    let amd = [*b"Auth", *b"Hygo"].map(u32::from_le_bytes);
    match leaf {
        Some(leaf) if amd.contains(&leaf.ebx) => Vendor::Amd,
        _ => Vendor::Other,
    }
}

/// Makes the features those of the vCPU with this APIC id: what KVM lists has the id of whichever
/// host processor it was asked on.
pub(super) fn personalize(cpuid: &mut CpuId, apic_id: u8) {
    for entry in cpuid.as_mut_slice() {
        match entry.function {
            LEAF_FEATURES => entry.ebx = entry.ebx & 0x00ff_ffff | u32::from(apic_id) << 24,
            LEAF_TOPOLOGY | LEAF_TOPOLOGY_V2 => entry.edx = u32::from(apic_id),
            LEAF_AMD_TOPOLOGY => entry.eax = u32::from(apic_id),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use kvm_bindings::kvm_cpuid_entry2;

    use super::*;

    fn cpuid(entries: &[kvm_cpuid_entry2]) -> CpuId {
        CpuId::from_entries(entries).unwrap()
    }

    #[test]
    fn physical_bits_are_the_low_byte_of_their_leaf() {
        let leaf = kvm_cpuid_entry2 {
            function: 0x8000_0008,
            eax: 0x3930,
            ..Default::default()
        };
        assert_eq!(physical_bits(&cpuid(&[leaf])), 48);
    }

    #[test]
    fn physical_bits_default_where_the_leaf_is_missing_or_empty() {
        let leaf = kvm_cpuid_entry2 {
            function: 0x8000_0008,
            ..Default::default()
        };
        assert_eq!(physical_bits(&cpuid(&[])), 36);
        assert_eq!(physical_bits(&cpuid(&[leaf])), 36);
    }

    #[test]
    fn the_vendor_is_known_by_its_first_word() {
        let named = |name: &[u8; 4]| {
            let leaf = kvm_cpuid_entry2 {
                ebx: u32::from_le_bytes(*name),
                ..Default::default()
            };
            vendor(&cpuid(&[leaf]))
        };
        let vendors = [b"Auth", b"Hygo", b"Genu"].map(named);
        assert_eq!(vendors, [Vendor::Amd, Vendor::Amd, Vendor::Other]);
        assert_eq!(vendor(&cpuid(&[])), Vendor::Other);
    }

    #[test]
    fn the_apic_id_replaces_only_the_id() {
        let features = kvm_cpuid_entry2 {
            function: 1,
            ebx: 0xaa12_3456,
            ..Default::default()
        };
        let topology = kvm_cpuid_entry2 {
            function: 0xb,
            edx: 9,
            ebx: 2,
            ..Default::default()
        };
        let mut cpuid = cpuid(&[features, topology]);
        personalize(&mut cpuid, 3);
        assert_eq!(cpuid.as_slice()[0].ebx, 0x0312_3456);
        assert_eq!((cpuid.as_slice()[1].edx, cpuid.as_slice()[1].ebx), (3, 2));
    }
}
