//! What the guard does not take over from the program it was started for: signals, limits, priorities, directory,
//! command line. It must outlive what stops a program, or a whole unit.

use std::fs;
use std::mem::{MaybeUninit, zeroed};
use std::ptr;

use libc::c_int;

/// Signals glibc keeps to itself: `signal` refuses them, and their effect is the end of the process.
const GLIBC: [c_int; 2] = [32, 33];
/// How long the kernel's set of signals is, in bytes.
const SIGNAL_SET: usize = 8;

/// The smallest `nice` and the kinds of scheduling that a program may be given to come after others.
const SCHED_BATCH: c_int = 3;
const SCHED_IDLE: c_int = 5;
const IOPRIO_WHO_PROCESS: c_int = 1;

/// Begins anew. Nothing of it is needed for a start: what is not permitted stays.
pub(crate) fn begin() {
    outlive_signals();
    // SAFETY: C strings and numbers only.
    unsafe {
        libc::chdir(c"/".as_ptr());
        libc::umask(0o022);
        // A guarded program of the same user must not trace its guard.
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    lift_limits();
    be_no_less_urgent();
    let score = "/proc/self/oom_score_adj";
    if fs::read_to_string(score).is_ok_and(|text| text.trim().parse().is_ok_and(|n: i32| n > 0)) {
        let _ = fs::write(score, "0");
    }
}

/// Ignores every signal but those that cannot be, and the end of children, of which the status is wanted.
fn outlive_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        let disposition = if signal == libc::SIGCHLD {
            libc::SIG_DFL
        } else {
            libc::SIG_IGN
        };
        // SAFETY: no disposition runs any code; where one cannot be changed nothing happens.
        unsafe { libc::signal(signal, disposition) };
    }
    // The kernel's own form: handler, flags, restorer, mask.
    let ignore = [libc::SIG_IGN as u64, 0, 0, 0];
    for signal in GLIBC {
        // SAFETY: as above; the structure is as long as the kernel's on every architecture there is a filter for.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                &ignore,
                ptr::null_mut::<u64>(),
                SIGNAL_SET,
            )
        };
    }
    // SAFETY: plain data, of which zeroes are the empty set.
    unsafe {
        let none: libc::sigset_t = zeroed();
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}

fn lift_limits() {
    // Of these the kernel makes a signal, or an error where nobody minds one.
    for resource in [
        libc::RLIMIT_FSIZE,
        libc::RLIMIT_CPU,
        libc::RLIMIT_RTTIME,
        libc::RLIMIT_AS,
        libc::RLIMIT_DATA,
    ] {
        let none = libc::rlimit {
            rlim_cur: libc::RLIM_INFINITY,
            rlim_max: libc::RLIM_INFINITY,
        };
        // SAFETY: a structure that lives until the call returns.
        if unsafe { libc::setrlimit(resource, &none) } != 0 {
            raise_limit(resource);
        }
    }
    for resource in [libc::RLIMIT_NOFILE, libc::RLIMIT_NPROC, libc::RLIMIT_SIGPENDING] {
        raise_limit(resource);
    }
}

/// As far as everybody may.
fn raise_limit(resource: libc::__rlimit_resource_t) {
    let mut limit = MaybeUninit::uninit();
    // SAFETY: room for the limit, which is read only where the call has filled it in.
    unsafe {
        if libc::getrlimit(resource, limit.as_mut_ptr()) == 0 {
            let mut limit: libc::rlimit = limit.assume_init();
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(resource, &limit);
        }
    }
}

/// The program waits for the guard; a program that is to be quick may keep the guard as quick as itself.
fn be_no_less_urgent() {
    // SAFETY: numbers, and a structure that lives until the call returns.
    unsafe {
        if libc::getpriority(libc::PRIO_PROCESS, 0) > 0 {
            libc::setpriority(libc::PRIO_PROCESS, 0, 0);
        }
        if matches!(libc::sched_getscheduler(0), SCHED_BATCH | SCHED_IDLE) {
            let usual: libc::sched_param = zeroed();
            libc::sched_setscheduler(0, libc::SCHED_OTHER, &usual);
        }
        libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, 0);
    }
}

/// Takes a name of its own for lists of processes, by which nobody finds it who looks for the program.
pub(crate) fn rename(name: &std::ffi::CStr) {
    // SAFETY: a C string.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
    let Some((start, end)) = arguments() else {
        return;
    };
    let name = name.to_bytes();
    let length = end - start;
    // SAFETY: the strings this process was started with, says the kernel. They are its own to write to, nobody
    // else's in its one thread, and were copied by whoever had a use for them. The last byte ends the list.
    unsafe {
        let arguments = std::slice::from_raw_parts_mut(start as *mut u8, length);
        arguments.fill(0);
        let part = name.len().min(length - 1);
        arguments[..part].copy_from_slice(&name[..part]);
    }
}

/// Where the arguments of this process are.
fn arguments() -> Option<(usize, usize)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program may hold anything; the third field follows it.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest
        .split(' ')
        .skip(48 - 3)
        .map(|field| field.trim().parse().ok());
    let (start, end) = (fields.next()??, fields.next()??);
    (start != 0 && start < end).then_some((start, end))
}
