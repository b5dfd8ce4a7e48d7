//! How much of what was written to a socket the system still holds. Linux: `SIOCOUTQ`.
//!
//! Of TCP it is what the other end's kernel has not acknowledged (tcp(7)). Of a Unix socket it is what the program at
//! the other end has not read, with what the system needs to hold it: it goes down to nothing when all is read, and
//! when whoever should have read it has ended.

use rustix::ioctl::{Getter, Opcode, ioctl};
use std::ffi::c_int;
use std::io;
use std::os::fd::BorrowedFd;

/// The same number as `TIOCOUTQ`, which some processors have another one for.
#[cfg(not(any(
    target_arch = "mips",
    target_arch = "mips64",
    target_arch = "powerpc",
    target_arch = "powerpc64",
    target_arch = "sparc64"
)))]
const SIOCOUTQ: Opcode = 0x5411;
#[cfg(any(target_arch = "mips", target_arch = "mips64"))]
const SIOCOUTQ: Opcode = 0x7472;
#[cfg(any(target_arch = "powerpc", target_arch = "powerpc64", target_arch = "sparc64"))]
const SIOCOUTQ: Opcode = 0x4004_7473;

#[expect(unsafe_code, reason = "the system says it by ioctl only")]
pub(in crate::sink) fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: SIOCOUTQ stores one int where its argument points, which is what this getter has there.
    let bytes = unsafe { ioctl(socket, Getter::<SIOCOUTQ, c_int>::new()) }?;
    Ok(bytes.max(0).cast_unsigned())
}
