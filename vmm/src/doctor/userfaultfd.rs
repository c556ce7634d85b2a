//! Whether host memory can be write-protected by this process, faults inside KVM included.
#![expect(unsafe_code, reason = "userfaultfd has no safe wrapper here")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::{Area, Finding, State};

/// `struct uffdio_api` of `linux/userfaultfd.h`.
#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `UFFD_API`, the only version there is.
const API: u64 = 0xaa;
/// `_IOWR(0xaa, 0x3f, struct uffdio_api)`.
const API_REQUEST: u64 = 0xc018_aa3f;
/// Write protection of shared memory (`UFFD_FEATURE_WP_HUGETLBFS_SHMEM`), which guest memory is.
const WRITE_PROTECT_SHARED: u64 = 1 << 12;

pub(super) fn finding() -> Finding {
    judge(features())
}

fn judge(features: io::Result<u64>) -> Finding {
    let (state, what, remedy) = match features {
        Ok(features) if features & WRITE_PROTECT_SHARED != 0 => (
            State::Ok,
            "taking the permission to write from the guest's memory".into(),
            None,
        ),
        Ok(_) => (
            State::Missing,
            "no write protection of shared memory".into(),
            Some("use Linux 5.19 or newer"),
        ),
        Err(error) => (State::Missing, error.to_string(), Some(remedy(&error))),
    };
    Finding {
        area: Area::Optional,
        name: "userfaultfd-wp".into(),
        state,
        what,
        measured: None,
        remedy: remedy.map(Into::into),
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "run as root, or set sysctl vm.unprivileged_userfaultfd to 1"
        }
        _ => "use a kernel that is built with CONFIG_USERFAULTFD",
    }
}

/// What this kernel's userfaultfd can do.
fn features() -> io::Result<u64> {
    // SAFETY: the call takes flags alone.
    let raw = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK) };
    let raw = i32::try_from(raw).map_err(io::Error::other)?;
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    let mut api = Api {
        api: API,
        features: 0,
        ioctls: 0,
    };
    // SAFETY: the request reads and writes one such structure, which is ours.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), API_REQUEST, &raw mut api) };
    match done {
        0 => Ok(api.features),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_not_to_have_it_has_its_advice() {
        let judged = |errno| judge(Err(io::Error::from_raw_os_error(errno)));
        let forbidden = judged(libc::EPERM).remedy.unwrap();
        assert!(forbidden.contains("sysctl"), "{forbidden}");
        let absent = judged(libc::ENOSYS).remedy.unwrap();
        assert!(absent.contains("CONFIG_USERFAULTFD"), "{absent}");
        assert_eq!(judge(Ok(1)).state, State::Missing);
        let there = judge(Ok(WRITE_PROTECT_SHARED));
        assert_eq!((there.state, there.remedy), (State::Ok, None));
    }
}
