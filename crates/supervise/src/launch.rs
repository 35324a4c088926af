//! From one process to two: the guard in the background, and this process, which becomes the program.
//!
//! The process that was started installs the filter and executes the program, so the program has its
//! process id, parent, descriptors, signals and all else. The guard belongs to its watcher, and that, forked
//! twice, to `init` (or the nearest subreaper): the program never sees a child it did not make. Both have a
//! session of their own and none of the program's descriptors.

use std::ffi::{CString, OsString};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use hosts_access::Tables;
use hosts_access::decide::reason;

use crate::call::{check, is_exhausted};
use crate::decide::Rules;
use crate::guard::Guard;
use crate::log::{Format, Log};
use crate::memory::Memory;
use crate::task::Task;
use crate::udp;
use crate::watch::{self, Watcher};
use crate::{Options, Problem, clean, filter, inherit, label, relay};

/// How many connections may be held, undecided or granted and not yet accepted; and how many commands may have one.
const ROOM: u64 = 1024;
/// Descriptors the guard needs besides: threads of the program, lookups, the log.
const SPARE: u64 = 700;

/// Descriptors without which it can do nothing: the program takes some numbers before it can be guarded, the
/// guard its own, and those of one connection.
const LEAST: u64 = 32;

/// What the guard's process reads from this one's memory to find out whether it may.
static PROBE: [u8; 8] = *b"tcpwrap\0";

/// Starts the guard, then becomes the program. Returns only where that fails.
pub(crate) fn launch(options: Options) -> Problem {
    match prepare(&options) {
        Ok(()) => {}
        Err(problem) => return problem,
    }
    let Options {
        program,
        argv0,
        arguments,
        ..
    } = options;
    let name = program.to_string_lossy().into_owned();
    inherit::restore();
    let error = execute(program, argv0, arguments);
    let found = error.kind() != io::ErrorKind::NotFound;
    Problem {
        text: format!("cannot execute {name}: {}", reason(&error)),
        status: if found { 126 } else { 127 },
    }
}

/// Starts the guard and puts the filter on this process.
fn prepare(options: &Options) -> Result<(), Problem> {
    let problem = |what: &'static str| {
        move |error: io::Error| {
            let hint = if is_exhausted(&error) {
                ": raise this process's limit, ulimit -Sn"
            } else {
                ""
            };
            Problem::new(format!("{what}: {}{hint}", reason(&error)))
        }
    };
    let limit = descriptor_limit();
    if limit.rlim_max < LEAST {
        return Err(Problem::new(format!(
            "a limit of {} open files (ulimit -n) is too low for the guard, which needs {LEAST} or more",
            limit.rlim_max
        )));
    }
    let (mut ours, theirs) = UnixStream::pair().map_err(problem("cannot make a socket"))?;
    let guard = fork_guard(options, theirs, ours.as_raw_fd()).map_err(problem("cannot start the guard"))?;
    if options.user_namespace {
        enter_user_namespace().map_err(problem("cannot make a user namespace"))?;
    }
    // Yama, where it restricts tracing to ancestors, makes an exception for whom the program names. Elsewhere
    // the call fails, and is not needed.
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(PR_SET_PTRACER, guard as libc::c_ulong, 0, 0, 0) };
    let notifications = filter::install(options.io_uring).map_err(|error| {
        let hint = match error.raw_os_error() {
            Some(libc::EBUSY) => ": this process is guarded already, by tcpwrap or a container's manager",
            Some(libc::EINVAL) => ": the kernel does not know seccomp user notification",
            _ => "",
        };
        Problem::new(format!("cannot install the filter: {}{hint}", reason(&error)))
    })?;
    send_descriptor(&ours, std::process::id(), notifications.as_fd())
        .map_err(problem("cannot reach the guard"))?;
    drop(notifications);
    let mut answer = String::new();
    ours.read_to_string(&mut answer)
        .map_err(problem("cannot hear the guard"))?;
    match answer.strip_prefix("ready") {
        Some("") => Ok(()),
        _ if answer.is_empty() => Err(Problem::new("the guard ended at once".into())),
        _ => Err(Problem::new(answer)),
    }
}

/// From `linux/prctl.h`: the four letters `Yama`.
const PR_SET_PTRACER: libc::c_int = 0x5961_6d61;

fn descriptor_limit() -> libc::rlimit {
    // SAFETY: plain data, and a call that only asks.
    unsafe {
        let mut limit: libc::rlimit = zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit
    }
}

/// Forks the watcher's process, which forks the guard's, and returns the guard's id.
fn fork_guard(options: &Options, socket: UnixStream, others: RawFd) -> io::Result<libc::pid_t> {
    let (mut reader, writer) = io::pipe()?;
    // SAFETY: this process has one thread, so a child of it may do whatever it likes.
    match check(unsafe { libc::fork() }.into())? {
        0 => {
            // SAFETY: takes nothing; makes the guard leave the terminal's session.
            unsafe { libc::setsid() };
            // SAFETY: as above.
            match unsafe { libc::fork() } {
                0 => {
                    drop(reader);
                    // SAFETY: the parent's end, which is of no use here.
                    unsafe { libc::close(others) };
                    live(|| be_watcher(options, socket.into(), writer.into()).map_or(1, |()| 0))
                }
                // SAFETY: ends the process without running the parent's clean-up.
                _ => unsafe { libc::_exit(0) },
            }
        }
        child => {
            drop(writer);
            drop(socket);
            // Where SIGCHLD is ignored there is nothing to wait for.
            // SAFETY: a child of ours, whose status does not matter.
            while unsafe { libc::waitpid(child as libc::pid_t, std::ptr::null_mut(), 0) } == -1
                && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
            {}
            let mut id = [0; 4];
            reader.read_exact(&mut id)?;
            Ok(libc::pid_t::from_ne_bytes(id))
        }
    }
}

/// The whole life of a process. It must not return into what its parent does next, not even by a panic.
fn live(life: impl FnOnce() -> i32) -> ! {
    let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(life)).unwrap_or(1);
    // SAFETY: ends the process at once; what it had to say has been said.
    unsafe { libc::_exit(status) }
}

/// Starts the guard, and waits for its end.
fn be_watcher(options: &Options, socket: OwnedFd, id: OwnedFd) -> io::Result<()> {
    clean::begin();
    let [socket, id] = leave_behind(options.log, [socket, id])?;
    let (ours, theirs) = UnixStream::pair()?;
    // Before the guard is there, and with it the program: whoever looks for that must not find this one.
    clean::rename(c"tcpwrap-watch");
    // SAFETY: this process has one thread, so a child of it may do whatever it likes.
    match check(unsafe { libc::fork() }.into())? {
        0 => {
            drop(ours);
            clean::rename(c"tcpwrap-guard");
            live(|| be_guard(options, socket.into(), theirs, id))
        }
        guard => {
            drop((socket, id, theirs));
            watch::watch(options, guard as libc::pid_t, ours)
        }
    }
}

/// Returns the status to exit with.
fn be_guard(options: &Options, socket: UnixStream, watcher: UnixStream, id: OwnedFd) -> i32 {
    // SAFETY: takes nothing and cannot fail.
    let own: libc::pid_t = unsafe { libc::getpid() };
    if std::fs::File::from(id).write_all(&own.to_ne_bytes()).is_err() {
        return 1;
    }
    match guard(options, &socket, watcher) {
        Ok(guard) => {
            // The end of the stream tells the program to go ahead.
            let _ = (&socket).write_all(b"ready");
            drop(socket);
            guard()
        }
        Err(error) => {
            let _ = write!(&socket, "{error}");
            1
        }
    }
}

/// Gives up all descriptors but these, which get the numbers from 3 on, and standard error where the log goes there.
fn leave_behind<const N: usize>(log: Format, keep: [OwnedFd; N]) -> io::Result<[OwnedFd; N]> {
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    let stdio = if log == Format::Syslog { 0..3 } else { 0..2 };
    // SAFETY: numbers only; all descriptors below are new or replaced, and all above are closed, whose owners have
    // given them up.
    unsafe {
        let null = null.into_raw_fd();
        for fd in stdio {
            check(libc::dup2(null, fd).into())?;
        }
        let mut high = [0; N];
        for (high, fd) in high.iter_mut().zip(keep) {
            *high = check(libc::fcntl(fd.into_raw_fd(), libc::F_DUPFD_CLOEXEC, 10).into())? as RawFd;
        }
        for (fd, high) in (3..).zip(high) {
            check(libc::dup3(high, fd, libc::O_CLOEXEC).into())?;
        }
        check(libc::syscall(libc::SYS_close_range, 3 + N, u32::MAX, 0))?;
        Ok(std::array::from_fn(|n| OwnedFd::from_raw_fd(3 + n as RawFd)))
    }
}

/// Receives the filter's descriptor, and finds out whether everything is permitted that will be needed. What
/// it returns guards until the last guarded process has ended.
fn guard(
    options: &Options,
    socket: &UnixStream,
    watcher: UnixStream,
) -> Result<impl FnOnce() -> i32 + use<>, String> {
    let say = |what: &'static str| move |error: io::Error| format!("{what}: {}", reason(&error));
    let (notifications, process) = receive_descriptor(socket).map_err(say("the guard got no filter"))?;
    if !has_proc() {
        return Err(
            "the guard cannot reach the program: /proc is not mounted, or shows another PID namespace; \
                    mount it: mount -t proc proc /proc"
                .into(),
        );
    }
    may_reach(process, notifications.as_fd()).map_err(|error| {
        let mut text = format!("the guard cannot reach the program: {}", reason(&error));
        if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)) {
            // Every process may reach itself, unless a filter has the last word.
            let own = Task::open(std::process::id());
            text.push_str(
                match own.and_then(|own| may_take_from(&own, notifications.as_fd())) {
                    Ok(()) => ": tracing is not permitted",
                    Err(_) => ": a filter of this container or unit forbids pidfd_getfd",
                },
            );
            text.push_str("; see tcpwrap-run(1)");
        }
        text
    })?;
    let watcher = Watcher::new(watcher, notifications.as_fd()).map_err(say("cannot reach the watcher"))?;
    watcher.tell(process);
    let (log, writer) = Log::start(options.log, &options.name).map_err(say("cannot start the log"))?;
    if options.io_uring {
        let line = "warning: io_uring is allowed: connections accepted through it are not guarded";
        log.line(system::syslog::WARNING, line.as_bytes());
    }
    for warning in &options.warnings {
        log.line(system::syslog::WARNING, format!("warning: {warning}").as_bytes());
    }
    let descriptors = descriptor_limit().rlim_cur;
    let commands = (descriptors / 8).min(ROOM) as usize;
    let rules = Arc::new(Rules::new(
        options.tables.clone(),
        options.required.clone(),
        options.name.clone(),
        log,
        commands,
    ));
    let room = descriptors.saturating_sub(SPARE).max(descriptors / 4).min(ROOM) as usize;
    // It guards as well without.
    let label = label::make(options, process).ok();
    let until_gone = watcher.until_gone();
    let guard = Guard::new(notifications, Arc::clone(&rules), watcher, room)
        .map_err(say("cannot start the guard"))?;
    let watched = Arc::clone(&rules);
    let log_end = move || {
        until_gone();
        let line =
            "error: the guard's watcher is gone: should the guard die too, accept fails and nobody says why";
        watched.log.line(system::syslog::ERR, line.as_bytes());
    };
    std::thread::Builder::new()
        .name("watcher".into())
        .stack_size(64 << 10)
        .spawn(log_end)
        .map_err(say("cannot start the guard"))?;
    udp::watch(&rules, process).map_err(say("cannot start the guard"))?;
    let finish = move |guard: Box<Guard>, end: io::Result<()>| {
        if let Err(error) = &end {
            let line = format!("error: the guard ends: {}", reason(error));
            rules.log.line(system::syslog::ERR, line.as_bytes());
        }
        rules.log.close();
        let _ = writer.join();
        // Not before it has said why: with it the calls end that wait.
        drop(guard);
        drop(label);
        i32::from(end.is_err())
    };
    Ok(move || relay::run(Box::new(guard), Box::new(finish)))
}

/// Tries what will be needed, on the process that is about to become the program or is a copy of it.
fn may_reach(process: u32, own: BorrowedFd<'_>) -> io::Result<()> {
    let task = Arc::new(Task::open(process)?);
    may_take_from(&task, own)?;
    // The same place here and there, since one is a copy of the other.
    Memory::open(&task)?
        .read((&raw const PROBE) as u64)
        .map(|_: [u8; PROBE.len()]| ())
}

fn may_take_from(task: &Task, own: BorrowedFd<'_>) -> io::Result<()> {
    // Any descriptor will do; that it is not open there is as good an answer.
    match task.take(own.as_raw_fd()) {
        Err(error) if error.raw_os_error() != Some(libc::EBADF) => Err(error),
        _ => Ok(()),
    }
}

/// Does `/proc` show the processes as this one sees them?
fn has_proc() -> bool {
    let own = std::fs::read_link("/proc/self").unwrap_or_default();
    own.as_os_str() == std::process::id().to_string().as_str()
}

/// Makes this process the only inhabitant, under its own ids, of a user namespace that its user owns. The
/// guard stays outside, and thereby has every right over the processes inside.
fn enter_user_namespace() -> io::Result<()> {
    // SAFETY: these take nothing and cannot fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    // SAFETY: takes a number only.
    check(unsafe { libc::unshare(libc::CLONE_NEWUSER) }.into())?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

/// Room for one descriptor, or the sender's credentials, and the header, suitably aligned.
#[repr(C, align(8))]
struct Control([MaybeUninit<u8>; 128]);

/// Sends a descriptor, and the process it is about.
pub(crate) fn send_descriptor(socket: &UnixStream, process: u32, fd: BorrowedFd<'_>) -> io::Result<()> {
    let process = process.to_ne_bytes();
    let mut control = Control([MaybeUninit::zeroed(); 128]);
    let mut part = IoSlice::new(&process);
    // SAFETY: plain data.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = (&raw mut part).cast();
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: the control buffer is large enough for the header and one descriptor, and aligned for it.
    unsafe {
        message.msg_controllen = libc::CMSG_SPACE(4) as _;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(header)
            .cast::<RawFd>()
            .write_unaligned(fd.as_raw_fd());
        check(libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL) as libc::c_long)?;
    }
    Ok(())
}

/// The descriptor, and the process.
pub(crate) fn receive_descriptor(socket: &UnixStream) -> io::Result<(OwnedFd, u32)> {
    let mut process = [0; 4];
    let mut control = Control([MaybeUninit::zeroed(); 128]);
    let mut part = IoSliceMut::new(&mut process);
    // SAFETY: plain data.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = (&raw mut part).cast();
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: all buffers live until the call returns; the kernel filled what the macros look at, and a
    // descriptor it passed is ours.
    let fd = unsafe {
        check(libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) as libc::c_long)?;
        let header = libc::CMSG_FIRSTHDR(&message);
        if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned())
    };
    Ok((fd, u32::from_ne_bytes(process)))
}

/// Becomes the program, which is looked for as a shell does. Returns only where that fails.
fn execute(program: OsString, argv0: Option<OsString>, arguments: Vec<OsString>) -> io::Error {
    let argv0 = argv0.unwrap_or_else(|| program.clone());
    let strings: Result<Vec<CString>, _> = [program, argv0]
        .into_iter()
        .chain(arguments)
        .map(|text| CString::new(text.into_vec()))
        .collect();
    let strings = match strings {
        Ok(strings) => strings,
        Err(error) => return error.into(),
    };
    let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: a C string, and an array of C strings that a null pointer ends.
    unsafe { libc::execvp(pointers[0], pointers[1..].as_ptr()) };
    io::Error::last_os_error()
}

/// The tables with absolute paths, as the guard has a directory of its own.
pub(crate) fn absolute(tables: &Tables) -> io::Result<Tables> {
    use hosts_access::TableKind::{Allow, Deny};
    Ok(Tables::new(
        std::path::absolute(tables.path(Allow))?,
        std::path::absolute(tables.path(Deny))?,
    ))
}
