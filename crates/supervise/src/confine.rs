//! What the guard's main thread may do: the system calls in this list, and no other. A fault in it is then no way to
//! start a program, trace one or mount something. The other threads wait for names and start commands, and cannot be
//! confined like this.
//!
//! Beside each call stands whom it may wait for; `docs/run.md` has the same list, and a test traces a guard at work.

use std::io;

use libc::c_long;

use crate::call::check;
use crate::filter::{answer, apply, fail, if_it, of_architecture};

macro_rules! calls {
    ($($name:ident)*) => {
        &[$((stringify!($name), libc::$name)),*]
    };
}

/// The calls, by what they are for.
pub(crate) const ALLOWED: &[(&str, c_long)] = calls! {
    // Events: epoll_wait is where the thread waits, for whatever comes next.
    SYS_epoll_pwait SYS_epoll_ctl SYS_read SYS_write SYS_ppoll
    // Calls of the program, and what it is: seccomp, pidfds, `/proc`.
    SYS_ioctl SYS_pidfd_open SYS_pidfd_getfd SYS_openat SYS_statx SYS_newfstatat SYS_fstat SYS_readlinkat
    SYS_getdents64 SYS_pread64 SYS_pwrite64 SYS_prlimit64 SYS_setfsuid SYS_lseek SYS_sendmsg
    // Listeners and connections.
    SYS_accept4 SYS_getsockname SYS_getpeername SYS_getsockopt SYS_setsockopt SYS_shutdown SYS_fcntl SYS_close
    // Wake-ups.
    SYS_socket SYS_bind SYS_connect SYS_sendto
    // Commands that have ended.
    SYS_wait4
    // The thread itself: memory, time, locks held by other threads for a moment, signals, its end.
    SYS_mmap SYS_munmap SYS_mremap SYS_mprotect SYS_madvise SYS_brk SYS_futex SYS_clock_gettime SYS_getrandom
    SYS_sched_yield SYS_rt_sigreturn SYS_rt_sigprocmask SYS_rt_sigaction SYS_sigaltstack SYS_restart_syscall
    SYS_getpid SYS_gettid SYS_tgkill SYS_exit SYS_exit_group
};

/// Names of x86-64 alone, for the same things.
#[cfg(target_arch = "x86_64")]
const OLDER: &[(&str, c_long)] = calls! { SYS_epoll_wait SYS_poll SYS_readlink SYS_stat SYS_lstat SYS_open };
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[(&str, c_long)] = &[];

/// Takes all other system calls from this thread, and from the threads it starts, for good: they fail with `EPERM`.
///
/// # Errors
/// The kernel's; where the architecture is not known, which is said before a program is started.
pub(crate) fn confine() -> io::Result<()> {
    let mut program = of_architecture(libc::EPERM)?;
    program.extend(ALLOWED.iter().chain(OLDER).flat_map(|(_, call)| {
        [
            if_it(libc::BPF_JEQ, *call as u32, 1),
            answer(libc::SECCOMP_RET_ALLOW),
        ]
    }));
    program.push(fail(libc::EPERM));
    // It starts no program, so this takes nothing from it, and the filter needs no privilege.
    // SAFETY: takes numbers only, and concerns this thread.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
    apply(&mut program, 0)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The table in docs/run.md has a line for each call, and no other.
    #[test]
    fn the_documentation_lists_them() {
        let text = include_str!("../../../docs/run.md");
        let (_, table) = text.split_once("| system call |").expect("the table");
        let listed: BTreeSet<&str> = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .flat_map(|line| {
                line.split('|')
                    .nth(1)
                    .unwrap_or_default()
                    .split('`')
                    .skip(1)
                    .step_by(2)
            })
            .collect();
        let allowed: BTreeSet<&str> = ALLOWED
            .iter()
            .chain(OLDER)
            .map(|(name, _)| name.trim_start_matches("SYS_"))
            .collect();
        assert_eq!(listed, allowed);
    }

    #[test]
    fn a_thread_that_is_confined() {
        std::thread::spawn(|| {
            confine().unwrap();
            let error = std::process::Command::new("true").status().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            // SAFETY: takes numbers only.
            let error = check(unsafe { libc::unshare(libc::CLONE_NEWNS) }.into()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            assert!(std::fs::read("/proc/self/status").is_ok());
        })
        .join()
        .unwrap();
    }
}
