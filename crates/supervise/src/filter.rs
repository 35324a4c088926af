//! The system call filter of a guarded program, see seccomp(2).
//!
//! It sends `accept` and `accept4` to the guard, and closes every other way by which a program could come
//! to an accepted connection: io_uring, system calls of foreign architectures, and a listener of the
//! program's own, which could let calls through once the guard is gone. All else is untouched. Children
//! and threads inherit the filter, and no later filter can be more lenient.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use libc::{c_long, c_ulong, sock_filter, sock_fprog};

use crate::call::check;

/// How the kernel names the architecture that this program is built for, where the guard knows it. On
/// others `accept` has a second name (`socketcall`), or nobody has tried.
const ARCHITECTURE: Option<u32> = if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
    Some(0xc000_003e)
} else if cfg!(all(target_arch = "aarch64", target_endian = "little")) {
    Some(0xc000_00b7)
} else if cfg!(target_arch = "riscv64") {
    Some(0xc000_00f3)
} else {
    None
};

/// x86-64 kernels take calls with this bit as those of the x32 ABI; a negative number has it as well.
const X32: u32 = 0x4000_0000;

/// Where `struct seccomp_data` has the number, the architecture and the low half of argument 1.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENT_1: u32 = 24;

const fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

const fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

pub(crate) const fn answer(action: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, action)
}

pub(crate) const fn fail(errno: i32) -> sock_filter {
    answer(libc::SECCOMP_RET_ERRNO | errno as u32)
}

/// Goes on with the next statement where the comparison holds, and skips `over` statements where not.
pub(crate) const fn if_it(comparison: u32, k: u32, over: u8) -> sock_filter {
    sock_filter {
        code: (libc::BPF_JMP | comparison | libc::BPF_K) as u16,
        jt: 0,
        jf: over,
        k,
    }
}

/// How a filter begins: calls of other architectures fail like this, and the number of the call is loaded.
///
/// # Errors
/// [`Unsupported`](io::ErrorKind::Unsupported) on an architecture not known here.
pub(crate) fn of_architecture(errno: i32) -> io::Result<Vec<sock_filter>> {
    let Some(architecture) = ARCHITECTURE else {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "not supported on this architecture",
        ));
    };
    Ok(vec![
        load(ARCH),
        sock_filter {
            jt: 1,
            jf: 0,
            ..if_it(libc::BPF_JEQ, architecture, 0)
        },
        fail(errno),
        load(NUMBER),
    ])
}

/// Puts a filter on this thread. Its system calls are watched, not its speculation, so that does not slow it down.
///
/// # Errors
/// The kernel's.
pub(crate) fn apply(program: &mut [sock_filter], flags: c_ulong) -> io::Result<c_long> {
    let program = sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    let operation = libc::SECCOMP_SET_MODE_FILTER;
    let flags = flags | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: `program` describes statements that live until the call returns.
    check(unsafe { libc::syscall(libc::SYS_seccomp, operation, flags, &raw const program) })
}

/// The filter's program.
fn program(io_uring: bool) -> io::Result<Vec<sock_filter>> {
    let mut program = of_architecture(libc::ENOSYS)?;
    if cfg!(target_arch = "x86_64") {
        program.extend([if_it(libc::BPF_JSET, X32, 1), fail(libc::ENOSYS)]);
    }
    let mut when = |call: c_long, action| {
        program.extend([if_it(libc::BPF_JEQ, call as u32, 1), action]);
    };
    when(libc::SYS_accept, answer(libc::SECCOMP_RET_USER_NOTIF));
    when(libc::SYS_accept4, answer(libc::SECCOMP_RET_USER_NOTIF));
    if !io_uring {
        for call in [
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
        ] {
            when(call, fail(libc::ENOSYS));
        }
    }
    program.extend([
        if_it(libc::BPF_JEQ, libc::SYS_seccomp as u32, 3),
        load(ARGUMENT_1),
        if_it(libc::BPF_JSET, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32, 1),
        // As the kernel answers while the guard lives.
        fail(libc::EBUSY),
        answer(libc::SECCOMP_RET_ALLOW),
    ]);
    Ok(program)
}

/// Puts the filter on this process, for good, and returns the descriptor its guard listens on.
///
/// Without `CAP_SYS_ADMIN` the kernel wants `no_new_privs` first, which is then set.
///
/// # Errors
/// The kernel's, and [`Unsupported`](io::ErrorKind::Unsupported) on an architecture not known here.
pub fn install(io_uring: bool) -> io::Result<OwnedFd> {
    let mut program = program(io_uring)?;
    let mut set = || apply(&mut program, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    let fd = match set() {
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            // SAFETY: takes numbers only.
            check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
            set()?
        }
        result => result?,
    };
    // SAFETY: the call made this descriptor for us, close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
