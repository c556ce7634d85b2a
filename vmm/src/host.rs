//! What this host offers.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use kvm_bindings::{
    KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_IOEVENTFD, KVM_CAP_IOEVENTFD_ANY_LENGTH, KVM_CAP_SPLIT_IRQCHIP,
    KVM_CAP_USER_MEMORY,
};
use kvm_ioctls::Kvm;

/// The usual device.
pub const DEVICE: &str = "/dev/kvm";

/// Which kind of KVM runs the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvmKind {
    /// Page-table-based virtual machine: shadow paging without hardware support.
    Pvm,
    /// Intel VT-x.
    Vmx,
    /// AMD-V.
    Svm,
    /// Arm's virtualization extensions.
    Arm64,
    /// None of those that are known here.
    Unknown,
}

impl fmt::Display for KvmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pvm => "pvm",
            Self::Vmx => "vmx",
            Self::Svm => "svm",
            Self::Arm64 => "arm64",
            Self::Unknown => "unknown",
        })
    }
}

impl KvmKind {
    /// The kind of this host, by the modules that its kernel shows in `/sys/module`.
    pub fn detect() -> Self {
        Self::from_modules(Path::new("/sys/module"))
    }

    fn from_modules(modules: &Path) -> Self {
        if cfg!(target_arch = "aarch64") {
            return Self::Arm64;
        }
        let known = [
            ("kvm_pvm", Self::Pvm),
            ("kvm_intel", Self::Vmx),
            ("kvm_amd", Self::Svm),
        ];
        let loaded = known.iter().find(|(name, _)| modules.join(name).is_dir());
        loaded.map_or(Self::Unknown, |(_, kind)| *kind)
    }
}

/// Why this host can't run a guest, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is no such device.
    #[error(
        "there is no {}: enable virtualization in the firmware and load the KVM module, \
         or use a machine that has it",
        .0.display()
    )]
    NoDevice(PathBuf),
    /// It may not be opened.
    #[error(
        "{} may not be opened: run as a member of the group that owns it (usually kvm)",
        .0.display()
    )]
    Forbidden(PathBuf),
    /// It can't be opened, or is something else.
    #[error(
        "{} can't be used as KVM ({error}): name the device of the running kernel's KVM, \
         usually /dev/kvm",
        device.display()
    )]
    Unusable {
        /// Which.
        device: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// It lacks something.
    #[error("this host's KVM has no {0}: use a newer kernel")]
    Missing(&'static str),
    /// It has not enough memory.
    #[error("the guest is to have {wanted} MiB, but this host has only {total} MiB")]
    TooLittleMemory {
        /// What was asked for, in MiB.
        wanted: u64,
        /// What there is, in MiB.
        total: u64,
    },
}

/// What every machine needs, whatever its tracker.
pub(crate) const NEEDED: [(u32, &str); 5] = [
    (KVM_CAP_USER_MEMORY, "user memory (KVM_CAP_USER_MEMORY)"),
    (KVM_CAP_IOEVENTFD, "ioeventfd (KVM_CAP_IOEVENTFD)"),
    (
        KVM_CAP_IOEVENTFD_ANY_LENGTH,
        "ioeventfd of any length (KVM_CAP_IOEVENTFD_ANY_LENGTH)",
    ),
    (
        KVM_CAP_IMMEDIATE_EXIT,
        "immediate exit (KVM_CAP_IMMEDIATE_EXIT)",
    ),
    (
        KVM_CAP_SPLIT_IRQCHIP,
        "local APICs without the rest (KVM_CAP_SPLIT_IRQCHIP)",
    ),
];

/// What trapping page-table writes needs besides.
pub(crate) const READ_ONLY_SLOTS: &str = "read-only memory slots (KVM_CAP_READONLY_MEM)";

/// Opens KVM and checks that it has what every machine needs.
///
/// # Errors
/// [`HostError`] with the reason and what to do.
pub fn open(device: &Path) -> Result<Kvm, HostError> {
    let kvm = connect(device)?;
    for (capability, name) in NEEDED {
        if kvm.check_extension_raw(capability.into()) <= 0 {
            return Err(HostError::Missing(name));
        }
    }
    Ok(kvm)
}

/// Opens KVM, whatever it has.
///
/// # Errors
/// [`HostError`] with the reason and what to do.
pub(crate) fn connect(device: &Path) -> Result<Kvm, HostError> {
    let path = std::ffi::CString::new(device.as_os_str().as_encoded_bytes());
    let path = path.map_err(|_| HostError::NoDevice(device.into()))?;
    let kvm = Kvm::new_with_path(path).map_err(|error| unusable(device, error.errno()))?;
    // What is not KVM has no version.
    let version = kvm.get_api_version();
    if version != 12 {
        return Err(unusable(device, libc::ENOTTY));
    }
    Ok(kvm)
}

fn unusable(device: &Path, errno: i32) -> HostError {
    let device = device.to_path_buf();
    match errno {
        libc::ENOENT | libc::ENODEV | libc::ENXIO => HostError::NoDevice(device),
        libc::EACCES | libc::EPERM => HostError::Forbidden(device),
        errno => HostError::Unusable {
            device,
            error: io::Error::from_raw_os_error(errno),
        },
    }
}

/// Checks that the host could give a guest this many bytes.
///
/// # Errors
/// [`HostError::TooLittleMemory`].
pub fn check_memory(bytes: u64) -> Result<(), HostError> {
    let (wanted, total) = (bytes >> 20, total_memory().unwrap_or(u64::MAX) >> 20);
    if wanted > total {
        return Err(HostError::TooLittleMemory { wanted, total });
    }
    Ok(())
}

/// The host's memory in bytes, as `/proc/meminfo` has it.
fn total_memory() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_not_to_have_kvm_has_its_advice() {
        let open = |path: &str| open(Path::new(path)).unwrap_err();
        let missing = open("/dev/no-such-kvm");
        assert!(matches!(missing, HostError::NoDevice(_)));
        assert!(missing.to_string().contains("enable virtualization"));
        assert!(matches!(open("/dev/null"), HostError::Unusable { .. }));
        let forbidden = unusable(Path::new(DEVICE), libc::EACCES);
        assert!(forbidden.to_string().contains("group"));
    }

    #[test]
    fn the_kind_follows_the_loaded_module() {
        let modules = tempfile::tempdir().unwrap();
        assert_eq!(KvmKind::from_modules(modules.path()), KvmKind::Unknown);
        std::fs::create_dir(modules.path().join("kvm_amd")).unwrap();
        assert_eq!(KvmKind::from_modules(modules.path()), KvmKind::Svm);
        std::fs::create_dir(modules.path().join("kvm_pvm")).unwrap();
        assert_eq!(KvmKind::from_modules(modules.path()), KvmKind::Pvm);
    }

    #[test]
    fn more_memory_than_there_is_is_refused() {
        assert!(check_memory(1 << 20).is_ok());
        let refused = check_memory(1 << 60);
        assert!(matches!(refused, Err(HostError::TooLittleMemory { .. })));
    }
}
