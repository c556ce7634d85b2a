//! The memory functions that the compiler calls and that no C library provides here.
//!
//! They must not be written as loops of plain accesses: the compiler would recognise such a loop
//! and replace it with a call to the function itself.

use core::arch::asm;
use core::ffi::c_int;

/// C's `memcpy`.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller vouches for both ranges; the ABI keeps the direction flag clear.
    unsafe {
        asm!("rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") count => _,
            options(nostack, preserves_flags));
    }
    to
}

/// C's `memmove`.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= count {
        // SAFETY: copying upwards never overwrites a source byte before it was read, since `to` is
        // below `from` or behind its end.
        return unsafe { memcpy(to, from, count) };
    }
    // SAFETY: the caller vouches for both ranges, and copying downwards from the last byte (`count`
    // is not 0 here) never overwrites a source byte before it was read.
    unsafe {
        asm!("std", "rep movsb", "cld",
            inout("rdi") to.add(count - 1) => _, inout("rsi") from.add(count - 1) => _,
            inout("rcx") count => _, options(nostack));
    }
    to
}

/// C's `memset`.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: c_int, count: usize) -> *mut u8 {
    // SAFETY: the caller vouches for the range; the ABI keeps the direction flag clear.
    unsafe {
        asm!("rep stosb", inout("rdi") to => _, inout("rcx") count => _, in("eax") value,
            options(nostack, preserves_flags));
    }
    to
}

/// C's `memcmp`.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    for index in 0..count {
        // SAFETY: the caller vouches for both ranges; volatile only keeps the loop a loop.
        let (a, b) = unsafe {
            (
                left.add(index).read_volatile(),
                right.add(index).read_volatile(),
            )
        };
        if a != b {
            return c_int::from(a) - c_int::from(b);
        }
    }
    0
}

/// `memcmp` for equality only, which LLVM prefers on Linux targets.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    // SAFETY: the caller's.
    unsafe { memcmp(left, right, count) }
}
