//! Who is left when the guard dies: a small process, its parent, that waits for that.
//!
//! Without a guard the program's `accept` fails, at once and for good, and a program that tries again does so as
//! fast as it can. So the watcher keeps the filter's descriptor open as well: calls then wait rather than fail. It
//! ends the program, and says so in the log.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use system::syslog;

use crate::call::{is_readable, owned, wait_for};
use crate::launch::{receive_descriptor, send_descriptor};
use crate::notify::Notifications;
use crate::task::Task;
use crate::{IfGuardDies, Options, log};

/// How long a program has to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// How many processes are known before it is seen which of them are gone; and again at each double.
const MANY: usize = 64;
/// Stands for the filter's descriptor where a process id is expected.
const FILTER: u32 = 0;

/// The guard's end: it tells what is to be done in its place.
#[derive(Debug)]
pub(crate) struct Watcher(Arc<UnixStream>);

impl Watcher {
    /// # Errors
    /// The watcher is gone.
    pub(crate) fn new(socket: UnixStream, notifications: BorrowedFd<'_>) -> io::Result<Self> {
        send_descriptor(&socket, FILTER, notifications)?;
        // Should it not listen, the guard must not wait for it.
        socket.set_nonblocking(true)?;
        Ok(Watcher(Arc::new(socket)))
    }

    /// A process of the program, which must be running.
    pub(crate) fn tell(&self, process: u32) {
        if let Ok(pidfd) = pidfd(process) {
            let _ = send_descriptor(&self.0, process, pidfd.as_fd());
        }
    }

    /// Waits for the end of the watcher.
    pub(crate) fn until_gone(&self) -> impl FnOnce() + Send + use<> {
        let socket = Arc::clone(&self.0);
        // It never says anything.
        move || while wait_for(&[(socket.as_fd(), libc::POLLIN)], None) == [0] {}
    }
}

fn pidfd(process: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only; the descriptor is new.
    unsafe { owned(libc::syscall(libc::SYS_pidfd_open, process, 0)) }
}

/// The processes of the program that are known.
#[derive(Debug, Default)]
struct Processes {
    running: HashMap<u32, OwnedFd>,
    sieved: usize,
}

impl Processes {
    fn add(&mut self, process: u32, pidfd: OwnedFd) {
        if self.running.len() >= self.sieved.max(MANY) {
            self.running.retain(|_, pidfd| !is_readable(pidfd.as_fd()));
            self.sieved = self.running.len() * 2;
        }
        self.running.insert(process, pidfd);
    }

    fn end(&self, signal: libc::c_int) {
        self.running.values().for_each(|pidfd| end(pidfd, signal));
    }
}

/// Sends a process a signal that ends it, and wakes it should it be stopped. It may be gone, or somebody else's.
fn end(pidfd: &OwnedFd, signal: libc::c_int) {
    for signal in [signal, libc::SIGCONT] {
        let nothing = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: numbers, and no further information.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, nothing, 0) };
    }
}

/// The watcher's whole life, until nobody is left to be watched.
pub(crate) fn watch(options: &Options, guard: libc::pid_t, socket: UnixStream) -> io::Result<()> {
    let mut processes = Processes::default();
    let mut filter = None;
    let guard_pidfd = pidfd(guard as u32)?;
    socket.set_nonblocking(true)?;
    loop {
        let ready = wait_for(
            &[
                (guard_pidfd.as_fd(), libc::POLLIN),
                (socket.as_fd(), libc::POLLIN),
            ],
            None,
        );
        loop {
            match receive_descriptor(&socket) {
                Ok((fd, FILTER)) => filter = Some(Notifications::new(fd)),
                Ok((pidfd, process)) => processes.add(process, pidfd),
                Err(_) => break,
            }
        }
        if ready[0] != 0 {
            break;
        }
    }
    let end = end_of(guard);
    drop(socket);
    let Some(filter) = filter else {
        // It never was a guard; why, it has said.
        return Ok(());
    };
    if end.is_empty() || is_over(&filter) {
        return Ok(());
    }
    if options.if_guard_dies == IfGuardDies::End {
        processes.end(libc::SIGTERM);
    }
    let line = format!(
        "error: the guard {end}: {}",
        match options.if_guard_dies {
            IfGuardDies::End => "the program is ended",
            IfGuardDies::Refuse => "the program accepts nothing any more",
        }
    );
    log::at_once(options.log, &options.name, syslog::ERR, line.as_bytes());
    if options.if_guard_dies == IfGuardDies::End {
        end_program(&filter, processes);
    }
    Ok(())
}

/// How the guard ended; nothing where it was done.
fn end_of(guard: libc::pid_t) -> String {
    let mut status = 0;
    // SAFETY: a child of ours that has ended, and room for its status.
    while unsafe { libc::waitpid(guard, &mut status, 0) } == -1
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
    if libc::WIFSIGNALED(status) {
        format!("was killed by signal {}", libc::WTERMSIG(status))
    } else if libc::WEXITSTATUS(status) != 0 {
        "has failed".into()
    } else {
        String::new()
    }
}

/// Has the last process under the filter ended?
fn is_over(filter: &Notifications) -> bool {
    wait_for(&[(filter.as_fd(), 0)], Some(Duration::ZERO)) != [0]
}

/// Waits for the end of the program, and makes it end. Whoever calls `accept` meanwhile, and was not known, is of it
/// too; the call is not answered, so that nobody calls again.
fn end_program(filter: &Notifications, mut processes: Processes) {
    let mut signal = libc::SIGTERM;
    let deadline = Instant::now() + GRACE;
    while !is_over(filter) {
        let left = (signal == libc::SIGTERM).then(|| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            signal = libc::SIGKILL;
            processes.end(signal);
            continue;
        }
        wait_for(&[(filter.as_fd(), libc::POLLIN)], left);
        if is_readable(filter.as_fd())
            && let Ok(Some(call)) = filter.receive()
            && let Ok(task) = Task::open(call.thread)
            && let Ok(pidfd) = pidfd(task.process)
            && filter.is_waiting(call.id)
        {
            end(&pidfd, signal);
            processes.add(task.process, pidfd);
        }
    }
}
