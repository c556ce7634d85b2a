//! userfaultfd over the vCPUs' mapping: write protection, and pages that are put back.
#![expect(unsafe_code, reason = "userfaultfd has no safe wrapper here")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use notifier::addr::PageSize;
use vm_memory::GuestMemoryBackend;
use vm_memory::{GuestAddress, GuestMemoryRegion};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::ioctl::ioctl_with_mut_ref;
use vmm_sys_util::{ioctl_io_nr, ioctl_iowr_nr};

use super::PrimaryError;
use super::frames::{BYTES, Frames};
use super::means::Means;

/// Linux `include/uapi/linux/userfaultfd.h`.
const UFFD_API: u64 = 0xaa;
const MODE_MISSING: u64 = 1;
const MODE_WP: u64 = 1 << 1;
const WRITEPROTECT: u64 = 1;
const COPY_PROTECTED: u64 = 1 << 1;
const FEATURE_WP: u64 = 1;
const FEATURE_WP_SHMEM: u64 = 1 << 12;
const EVENT_PAGEFAULT: u8 = 0x12;
/// Bytes of one message.
const MESSAGE: usize = 32;
/// Messages that are read at a time.
const MESSAGES: usize = 16;

#[repr(C)]
#[derive(Default)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
#[derive(Default)]
struct Register {
    start: u64,
    length: u64,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
struct Protect {
    start: u64,
    length: u64,
    mode: u64,
}

#[repr(C)]
struct Copy {
    to: u64,
    from: u64,
    length: u64,
    mode: u64,
    copied: i64,
}

/// The kernel declares UFFDIO_WAKE as one that it writes, which it does not.
#[repr(C)]
struct Woken {
    start: u64,
    length: u64,
}

ioctl_iowr_nr!(UFFDIO_API, 0xaa, 0x3f, Api);
ioctl_iowr_nr!(UFFDIO_REGISTER, 0xaa, 0x00, Register);
ioctl_iowr_nr!(UFFDIO_WRITEPROTECT, 0xaa, 0x06, Protect);
ioctl_iowr_nr!(UFFDIO_COPY, 0xaa, 0x03, Copy);
vmm_sys_util::ioctl_ior_nr!(UFFDIO_WAKE, 0xaa, 0x02, Woken);
ioctl_io_nr!(USERFAULTFD_IOC_NEW, 0xaa, 0x00);

/// What became of a page that was to be put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// It is there.
    Done,
    /// Somebody had used the place meanwhile, so that there is another one.
    Taken,
}

/// The descriptor, and the pages registered with it. Closing it gives everything back and wakes
/// whoever waits.
pub(super) struct Userfault {
    descriptor: File,
    frames: Arc<Frames>,
}

impl Userfault {
    /// Registers the pages.
    ///
    /// # Errors
    /// [`PrimaryError::Host`] if this kernel has none, not for shared memory, or not for us.
    pub(super) fn new(frames: &Arc<Frames>) -> Result<Self, PrimaryError> {
        let descriptor = open().map_err(|error| {
            PrimaryError::Host(format!(
                "no userfaultfd that sees a vCPU's faults: {error} (it takes CAP_SYS_PTRACE, the \
                 right to open /dev/userfaultfd, or vm.unprivileged_userfaultfd=1)"
            ))
        })?;
        let this = Self {
            descriptor,
            frames: Arc::clone(frames),
        };
        this.handshake()?;
        this.register()?;
        Ok(this)
    }

    fn handshake(&self) -> Result<(), PrimaryError> {
        let mut api = Api {
            api: UFFD_API,
            features: FEATURE_WP | FEATURE_WP_SHMEM,
            ..Api::default()
        };
        self.call(UFFDIO_API(), &mut api).map_err(|error| {
            PrimaryError::Host(format!(
                "userfaultfd does not write-protect shared memory (Linux 5.19 on does): {error}"
            ))
        })
    }

    fn register(&self) -> Result<(), PrimaryError> {
        let (start, length) = self.place(&self.frames.all())?;
        let mut range = Register {
            start,
            length,
            mode: MODE_WP | MODE_MISSING,
            ..Register::default()
        };
        let done = self.call(UFFDIO_REGISTER(), &mut range);
        done.map_err(|error| {
            PrimaryError::Host(format!("userfaultfd refuses guest memory: {error}"))
        })
    }

    fn call<T>(&self, request: libc::c_ulong, argument: &mut T) -> io::Result<()> {
        // SAFETY: `argument` is the structure of this request, alive and ours for the call. What it
        // names are pages that `Frames` keeps, or a page of bytes that outlives the call; their
        // contents change only by UFFDIO_COPY, into a place that has none.
        let done = unsafe { ioctl_with_mut_ref(&self.descriptor, request, argument) };
        if done == 0 {
            return Ok(());
        }
        Err(io::Error::last_os_error())
    }

    fn place(&self, pages: &Range<u64>) -> Result<(u64, u64), PrimaryError> {
        let (start, length) = self.frames.host(pages)?;
        Ok((start as u64, length as u64))
    }

    fn protection(&self, pages: &Range<u64>, mode: u64) -> Result<(), PrimaryError> {
        let (start, length) = self.place(pages)?;
        let again = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        loop {
            let mut range = Protect {
                start,
                length,
                mode,
            };
            match self.call(UFFDIO_WRITEPROTECT(), &mut range) {
                // The mapping is being changed by somebody else at this moment.
                Err(error) if again(&error) => std::thread::yield_now(),
                done => return done.map_err(PrimaryError::system("UFFDIO_WRITEPROTECT")),
            }
        }
    }

    /// Takes the page out of memory and puts one with the same contents back, still protected: what
    /// migration does to a page that nobody can write meanwhile.
    pub(super) fn replace(&self, page: u64) -> Result<Replaced, PrimaryError> {
        let contents = self.frames.read(page)?;
        self.punch(page)?;
        let (to, length) = self.place(&(page..page + 1))?;
        let mut copy = Copy {
            to,
            from: contents.as_ptr().expose_provenance() as u64,
            length,
            mode: COPY_PROTECTED,
            copied: 0,
        };
        match self.call(UFFDIO_COPY(), &mut copy) {
            Ok(()) => Ok(Replaced::Done),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.protection(&(page..page + 1), WRITEPROTECT)?;
                Ok(Replaced::Taken)
            }
            Err(error) => Err(PrimaryError::system("UFFDIO_COPY")(error)),
        }
    }

    fn punch(&self, page: u64) -> Result<(), PrimaryError> {
        let address = self.frames.address(page).raw();
        let region = self.frames.mapped().backend();
        let region = region.find_region(GuestAddress(address));
        let place = region.and_then(|region| {
            let within = address - region.start_addr().0;
            let file = region.file_offset()?;
            let offset = libc::off_t::try_from(file.start() + within).ok()?;
            Some((file.file().as_raw_fd(), offset))
        });
        let (file, offset) =
            place.ok_or_else(|| PrimaryError::Host("guest memory is no file".into()))?;
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let length = libc::off_t::try_from(PageSize::K4.bytes()).unwrap_or(0);
        // SAFETY: the descriptor is that of memory which `Frames` keeps; a hole reads as zeros, and
        // nobody holds references into guest memory.
        let done = unsafe { libc::fallocate(file, mode, offset, length) };
        if done == 0 {
            return Ok(());
        }
        Err(PrimaryError::system("fallocate")(io::Error::last_os_error()))
    }

    /// Waits for a fault, no longer than some milliseconds, and returns the pages of those there are.
    pub(super) fn faults(&self, epoll: &Epoll, wait: i32) -> Result<Vec<u64>, PrimaryError> {
        let mut ready = [EpollEvent::default()];
        match epoll.wait(wait, &mut ready) {
            Ok(0) => return Ok(Vec::new()),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(PrimaryError::system("epoll_wait")(error));
            }
            Ok(_) | Err(_) => {}
        }
        let mut bytes = [0; MESSAGE * MESSAGES];
        match (&self.descriptor).read(&mut bytes) {
            Ok(read) => self.pages(&bytes[..read.min(MESSAGE * MESSAGES)]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Vec::new()),
            Err(error) => Err(PrimaryError::system("a read of userfaultfd")(error)),
        }
    }

    /// What [`faults`](Self::faults) waits with.
    pub(super) fn epoll(&self) -> Result<Epoll, PrimaryError> {
        let epoll = Epoll::new().map_err(PrimaryError::system("epoll_create"))?;
        let event = EpollEvent::new(EventSet::IN, 0);
        epoll
            .ctl(ControlOperation::Add, self.descriptor.as_raw_fd(), event)
            .map_err(PrimaryError::system("epoll_ctl"))?;
        Ok(epoll)
    }

    fn pages(&self, messages: &[u8]) -> Result<Vec<u64>, PrimaryError> {
        let (start, _) = self.place(&self.frames.all())?;
        let faults = messages
            .chunks_exact(MESSAGE)
            .filter(|message| message[0] == EVENT_PAGEFAULT);
        let page = |message: &[u8]| {
            let address = message.get(16..24)?.try_into().ok()?;
            let offset = u64::from_ne_bytes(address).checked_sub(start)?;
            Some(offset / BYTES as u64).filter(|page| *page < self.frames.count())
        };
        Ok(faults.filter_map(page).collect())
    }
}

impl Means for Userfault {
    fn take(&self, pages: &Range<u64>) -> Result<(), PrimaryError> {
        self.protection(pages, WRITEPROTECT)
    }

    /// The kernel wakes who waits.
    fn give(&self, pages: &Range<u64>) -> Result<(), PrimaryError> {
        self.protection(pages, 0)
    }

    fn wake(&self, page: u64) -> Result<(), PrimaryError> {
        let (start, length) = self.place(&(page..page + 1))?;
        let mut range = Woken { start, length };
        let done = self.call(UFFDIO_WAKE(), &mut range);
        done.map_err(PrimaryError::system("UFFDIO_WAKE"))
    }
}

/// By the system call; where that is for the privileged, by the device, which the administrator can
/// open to others.
fn open() -> io::Result<File> {
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: the call takes flags alone.
    let opened = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
    let refused = io::Error::last_os_error();
    match own(opened) {
        Some(descriptor) => Ok(descriptor),
        None if refused.kind() == io::ErrorKind::PermissionDenied => {
            by_device(flags).map_err(|_| refused)
        }
        None => Err(refused),
    }
}

fn by_device(flags: libc::c_int) -> io::Result<File> {
    let mut device = OpenOptions::new();
    device.read(true).write(true).custom_flags(libc::O_CLOEXEC);
    let device = device.open("/dev/userfaultfd")?;
    let flags = libc::c_ulong::try_from(flags).unwrap_or(0);
    // SAFETY: the request takes flags by value, and the descriptor is open.
    let opened =
        unsafe { vmm_sys_util::ioctl::ioctl_with_val(&device, USERFAULTFD_IOC_NEW(), flags) };
    own(opened.into()).ok_or_else(io::Error::last_os_error)
}

/// The descriptor that a call returned, if it returned one.
fn own(returned: libc::c_long) -> Option<File> {
    let descriptor = libc::c_int::try_from(returned).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel opened it just now, and it is nobody else's.
    Some(File::from(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}
