//! Shell commands: the `spawn`, `aclexec` and `twist` options (hosts_options(5)), run by `/bin/sh -c`.
//!
//! A command gets no descriptor but its standard three. Waiting works whatever the program does about
//! `SIGCHLD`. Between `fork` and `exec` only async-signal-safe calls are made, so any thread may ask.

use std::ffi::{CStr, CString, c_int};
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::{fs, ptr};

const SHELL: &CStr = c"/bin/sh";

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Its process id.
    pub process: libc::pid_t,
    /// Its status.
    pub status: ExitStatus,
}

/// Runs a command with its stdio on `/dev/null` and waits until it is done. How it ended does not matter.
///
/// # Errors
/// It cannot be started for want of descriptors or processes, or holds a NUL byte.
pub fn spawn(command: &[u8]) -> io::Result<()> {
    let null = null()?;
    let child = fork_shell(command, [null.as_raw_fd(); 3])?;
    reap(child);
    Ok(())
}

/// Runs a command as [`spawn`] does, and tells how it ended. A shell that cannot be started ends with
/// status 127.
///
/// A process of its own waits for the command and reports, since the program's handling of `SIGCHLD`, or
/// one of its threads, could take the status away.
///
/// # Errors
/// As [`spawn`]; also when the status got lost, for instance because that process was killed.
pub fn run(command: &[u8]) -> io::Result<Finished> {
    let shell = Shell::new(command)?;
    let null = null()?;
    let (reader, writer) = io::pipe()?;
    let child = fork(|| {
        reset_signals();
        let Ok(command) = fork(|| shell.exec([null.as_raw_fd(); 3])) else {
            return;
        };
        if let Some(status) = wait_for(command) {
            let report = [command, status];
            // SAFETY: the report, with its size.
            unsafe { libc::write(writer.as_raw_fd(), report.as_ptr().cast(), size_of_val(&report)) };
        }
    })?;
    drop(writer);
    let mut report = [0; 8];
    let read = io::Read::read_exact(&mut &reader, &mut report);
    reap(child);
    read?;
    let [process, status] = [&report[..4], &report[4..]]
        .map(|bytes| c_int::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    Ok(Finished {
        process,
        status: ExitStatus::from_raw(status),
    })
}

/// Replaces this process by a command, with the connection as its stdio. Returns only where that fails.
pub fn twist(command: &[u8], connection: BorrowedFd<'_>) -> io::Error {
    match Shell::new(command) {
        Ok(shell) => shell.become_it([connection.as_raw_fd(); 3]),
        Err(error) => error,
    }
}

/// Starts a command with the connection as its stdio, in a process of its own, for a program that stays.
/// The caller waits for that process.
///
/// # Errors
/// As [`spawn`].
pub fn twist_in_child(command: &[u8], connection: BorrowedFd<'_>) -> io::Result<libc::pid_t> {
    fork_shell(command, [connection.as_raw_fd(); 3])
}

/// Replaces this process by another program, its environment and open descriptors kept. Returns only where
/// that fails.
pub fn exec(program: &[u8], arguments: &[Vec<u8>]) -> io::Error {
    let c_string = |text: &[u8]| CString::new(text).map_err(io::Error::from);
    let arguments = arguments
        .iter()
        .map(|text| c_string(text))
        .collect::<io::Result<Vec<_>>>();
    match (c_string(program), arguments) {
        (Ok(program), Ok(arguments)) => {
            let list = null_terminated(&arguments);
            // SAFETY: a C string, and an array of C strings that a null pointer ends.
            unsafe { libc::execv(program.as_ptr(), list.as_ptr()) };
            io::Error::last_os_error()
        }
        (Err(error), _) | (_, Err(error)) => error,
    }
}

fn null_terminated(strings: &[CString]) -> Vec<*const libc::c_char> {
    let pointers = strings.iter().map(|string| string.as_ptr());
    pointers.chain([ptr::null()]).collect()
}

fn null() -> io::Result<fs::File> {
    fs::OpenOptions::new().read(true).write(true).open("/dev/null")
}

fn fork_shell(command: &[u8], stdio: [RawFd; 3]) -> io::Result<libc::pid_t> {
    let shell = Shell::new(command)?;
    fork(|| {
        reset_signals();
        shell.exec(stdio);
    })
}

/// A shell command made ready to run before a fork, since there must be no allocation after it.
struct Shell {
    command: CString,
}

impl Shell {
    fn new(command: &[u8]) -> io::Result<Self> {
        let command = CString::new(command)?;
        Ok(Shell { command })
    }

    /// Becomes the shell, or ends with 127 as shells do for what they cannot run. Commands outlive the
    /// session of the daemon that ran them, so they ignore its hangup.
    fn exec(&self, stdio: [RawFd; 3]) {
        set_disposition(libc::SIGHUP, libc::SIG_IGN);
        let _ = self.become_it(stdio);
        // SAFETY: ends the process at once, running none of the program's own clean-up.
        unsafe { libc::_exit(127) }
    }

    /// Becomes the shell. Returns only where that fails.
    fn become_it(&self, stdio: [RawFd; 3]) -> io::Error {
        let arguments = [c"sh".as_ptr(), c"-c".as_ptr(), self.command.as_ptr(), ptr::null()];
        if let Err(error) = set_stdio(stdio) {
            return error;
        }
        // SAFETY: a C string, and an array of C strings that a null pointer ends.
        unsafe { libc::execv(SHELL.as_ptr(), arguments.as_ptr()) };
        io::Error::last_os_error()
    }
}

/// Makes these descriptors the standard three, and has all others closed by `exec`.
fn set_stdio(stdio: [RawFd; 3]) -> io::Result<()> {
    // Out of the way first, or one target could be the source of another.
    let mut away = [0; 3];
    for (away, from) in away.iter_mut().zip(stdio) {
        // SAFETY: takes numbers only.
        *away = unsafe { libc::fcntl(from, libc::F_DUPFD_CLOEXEC, 3) };
        if *away == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    for (to, away) in (0..).zip(away) {
        // SAFETY: takes numbers only.
        if unsafe { libc::dup2(away, to) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    // A kernel too old for this call leaves descriptors open that were not marked; that does no harm
    // beyond what the reference did.
    // SAFETY: takes numbers only.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Ok(())
}

/// Runs `child` in a new process, which ends with it. Gives the new process's id.
fn fork(child: impl FnOnce()) -> io::Result<libc::pid_t> {
    // SAFETY: the child makes only async-signal-safe calls until it execs or ends: every closure handed in
    // here allocates nothing and takes no lock. Where it forks again, glibc has left its own locks free.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            child();
            // SAFETY: as above.
            unsafe { libc::_exit(127) }
        }
        process => Ok(process),
    }
}

/// Gives every signal its default effect and blocks none.
fn reset_signals() {
    // Handlers of the program must not run here: first no handlers, then no mask.
    for signal in 1..=libc::SIGRTMAX() {
        set_disposition(signal, libc::SIG_DFL);
    }
    let mut none = MaybeUninit::uninit();
    // SAFETY: `none` is filled in before it is used.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

fn set_disposition(signal: c_int, disposition: libc::sighandler_t) {
    // SAFETY: sigaction is plain data, and all zeroes is no flags and an empty mask.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = disposition;
    // SAFETY: a filled structure; where the signal cannot be changed, the call does nothing.
    unsafe { libc::sigaction(signal, &action, ptr::null_mut()) };
}

/// Waits until a child of this process is gone. Somebody else may have taken its status.
fn reap(child: libc::pid_t) {
    wait_for(child);
}

fn wait_for(child: libc::pid_t) -> Option<c_int> {
    let mut status = 0;
    loop {
        // SAFETY: a place for the status.
        if unsafe { libc::waitpid(child, &mut status, 0) } == child {
            return Some(status);
        }
        // Async-signal-safe: it only reads errno.
        if io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn status(command: &str) -> ExitStatus {
        run(command.as_bytes()).unwrap().status
    }

    #[test]
    fn a_command_tells_how_it_ended() {
        assert!(status("true").success());
        assert_eq!(status("exit 3").code(), Some(3));
        assert_eq!(status("no-such-command 2>/dev/null").code(), Some(127));
        let killed = run(b"kill -9 $$").unwrap();
        assert_eq!(killed.status.signal(), Some(9));
        assert!(killed.process > 1);
        assert!(run(b"a\0b").is_err());
    }

    #[test]
    fn spawn_waits() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("done");
        spawn(format!("sleep 0.2; echo yes >{}", file.display()).as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(file).unwrap(), "yes\n");
    }

    #[test]
    fn a_command_has_null_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("fds");
        let (one, two) = UnixStream::pair().unwrap();
        // As a C program has them: not marked to be closed.
        // SAFETY: takes numbers only.
        unsafe { libc::fcntl(one.as_raw_fd(), libc::F_SETFD, 0) };
        spawn(format!("for f in /proc/$$/fd/*; do readlink $f; done >{}", file.display()).as_bytes())
            .unwrap();
        let found = fs::read_to_string(&file).unwrap();
        let others: Vec<_> = found
            .lines()
            .filter(|l| *l != "/dev/null" && !l.ends_with("/fds"))
            .collect();
        assert_eq!(others, Vec::<&str>::new());
        drop((one, two));
    }

    #[test]
    fn a_twisted_child_talks_to_the_client() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let child = twist_in_child(b"read a; echo got $a; echo error >&2", theirs.as_fd()).unwrap();
        drop(theirs);
        let mut ours = ours;
        io::Write::write_all(&mut ours, b"this\n").unwrap();
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(text, "got this\nerror\n");
        assert!(wait_for(child).is_some());
    }
}
