//! Who walks the guest's page tables here, as far as the host says.

use std::fmt;
use std::path::Path;

use crate::host::KvmKind;

/// How KVM gives the guest its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// KVM's own page tables, made from the guest's by a walker in software.
    Shadow,
    /// Two stages, both walked by the processor.
    Nested,
    /// The host does not say.
    Unknown,
}

impl fmt::Display for Paging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shadow => "shadow",
            Self::Nested => "nested",
            Self::Unknown => "unknown",
        })
    }
}

impl Paging {
    /// As the modules' parameters in `/sys/module` say.
    pub fn detect(kind: KvmKind) -> Self {
        Self::from_modules(Path::new("/sys/module"), kind)
    }

    fn from_modules(modules: &Path, kind: KvmKind) -> Self {
        let parameter = match kind {
            KvmKind::Pvm => return Self::Shadow,
            KvmKind::Arm64 => return Self::Nested,
            KvmKind::Unknown => return Self::Unknown,
            KvmKind::Vmx => "kvm_intel/parameters/ept",
            KvmKind::Svm => "kvm_amd/parameters/npt",
        };
        let text = std::fs::read_to_string(modules.join(parameter));
        match text.as_deref().map(str::trim) {
            Ok("1" | "Y") => Self::Nested,
            Ok("0" | "N") => Self::Shadow,
            _ => Self::Unknown,
        }
    }
}

/// Whose behaviour a probe of walks sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// KVM's software walker: the processor never sees the guest's entries.
    Kvm,
    /// A processor that says itself that it is emulated.
    EmulatedCpu,
    /// The processor, itself perhaps a virtual machine's.
    Cpu,
    /// It can't be told.
    Unknown,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::EmulatedCpu => "emulated-cpu",
            Self::Cpu => "cpu",
            Self::Unknown => "unknown",
        })
    }
}

impl Who {
    /// As the paging and the processor's name say.
    pub fn detect(paging: Paging) -> Self {
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self::from_name(paging, &processor)
    }

    fn from_name(paging: Paging, processor: &str) -> Self {
        match paging {
            Paging::Shadow => Self::Kvm,
            Paging::Unknown => Self::Unknown,
            Paging::Nested if processor.contains("QEMU TCG CPU") => Self::EmulatedCpu,
            Paging::Nested => Self::Cpu,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paging_is_what_the_modules_parameter_says() {
        let modules = tempfile::tempdir().unwrap();
        let parameters = modules.path().join("kvm_amd/parameters");
        std::fs::create_dir_all(&parameters).unwrap();
        let detect = |kind| Paging::from_modules(modules.path(), kind);
        assert_eq!(detect(KvmKind::Svm), Paging::Unknown);
        for (text, paging) in [("Y\n", Paging::Nested), ("0\n", Paging::Shadow)] {
            std::fs::write(parameters.join("npt"), text).unwrap();
            assert_eq!(detect(KvmKind::Svm), paging);
        }
        assert_eq!(detect(KvmKind::Pvm), Paging::Shadow);
        assert_eq!(detect(KvmKind::Vmx), Paging::Unknown);
    }

    #[test]
    fn the_hardware_is_not_blamed_for_software() {
        let named = |paging| Who::from_name(paging, "model name : QEMU TCG CPU version 2.5+");
        assert_eq!(named(Paging::Shadow), Who::Kvm);
        assert_eq!(named(Paging::Nested), Who::EmulatedCpu);
        assert_eq!(named(Paging::Unknown), Who::Unknown);
        assert_eq!(Who::from_name(Paging::Nested, "Xeon"), Who::Cpu);
    }
}
