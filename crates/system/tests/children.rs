//! Commands of a program that has its own ideas about its children. One test: what it changes, it changes for
//! the whole process.

use std::thread;
use std::time::{Duration, Instant};

use system::commands;

extern "C" fn take_all_children(_signal: libc::c_int) {
    // SAFETY: async-signal-safe, and wants no status.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
}

fn on_child(disposition: libc::sighandler_t) {
    // SAFETY: a handler that is async-signal-safe, or one of the constants.
    unsafe { libc::signal(libc::SIGCHLD, disposition) };
}

fn commands_tell_how_they_ended() {
    assert!(commands::run(b"true").unwrap().status.success());
    assert_eq!(
        commands::run(b"sleep 0.05; exit 3").unwrap().status.code(),
        Some(3)
    );
    assert_eq!(
        commands::run(b"trap '' CHLD; sleep 0.01; (exit 4); exit $?")
            .unwrap()
            .status
            .code(),
        Some(4)
    );
    let start = Instant::now();
    commands::spawn(b"sleep 0.2").unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_programs_own_way_with_its_children_does_not_matter() {
    let handler = take_all_children as extern "C" fn(libc::c_int);
    for disposition in [libc::SIG_DFL, libc::SIG_IGN, handler as libc::sighandler_t] {
        on_child(disposition);
        commands_tell_how_they_ended();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(commands_tell_how_they_ended);
            }
        });
    }
    on_child(libc::SIG_DFL);

    // Nothing is left behind.
    // SAFETY: wants no status.
    let left = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
    assert_eq!(left, -1);

    // Blocked and ignored signals are not passed on; a hangup is to be ignored.
    // SAFETY: the set is filled in before it is used.
    unsafe {
        let mut all = std::mem::MaybeUninit::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::sigprocmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut());
        libc::signal(libc::SIGTERM, libc::SIG_IGN);
    }
    let look = b"while read name value; do case $name in
            SigBlk:) test $value = 0000000000000000 || exit 1;;
            SigIgn:) test $((0x$value & 0x4001)) = 1 || exit 2;;
        esac; done </proc/self/status";
    assert_eq!(commands::run(look).unwrap().status.code(), Some(0));
}
