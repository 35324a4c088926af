//! A process that has no descriptors left for what a command needs. One test: the limit holds for the whole
//! process.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Mutex;

use hosts_access::{Request, Severity, Tables, Verdict};
use system::host::SocketHost;

/// The limit of descriptors as it was; sets it to another where one is given.
fn limit_to(new: Option<libc::rlimit>) -> libc::rlimit {
    let mut before = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: a limit or null, and room for one.
    let done = unsafe { libc::prlimit(0, libc::RLIMIT_NOFILE, new, &raw mut before) };
    assert_eq!(done, 0);
    before
}

#[test]
fn deviation_16_a_command_that_cannot_be_started_has_failed() {
    let directory = tempfile::tempdir().unwrap();
    let allow = "sshd: ALL: aclexec true\nsshd: ALL\n";
    std::fs::write(directory.path().join("hosts.allow"), allow).unwrap();
    let tables = Tables::in_directory(directory.path());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let log = Mutex::new(Vec::new());
    let record = |_: Severity, line: &[u8]| {
        let line = String::from_utf8_lossy(line).into_owned();
        log.lock().unwrap().push(line);
    };
    let decide = || {
        let mut host = SocketHost::new(server.as_fd(), &record);
        tables.decide(&mut Request::new("sshd"), &mut host).verdict
    };
    assert_eq!(decide(), Verdict::Granted);

    // One descriptor is left: enough to read a table, too few to start a command.
    let free = listener.as_fd().try_clone_to_owned().unwrap().as_raw_fd();
    let before = limit_to(None);
    limit_to(Some(libc::rlimit {
        rlim_cur: libc::rlim_t::try_from(free).unwrap() + 1,
        ..before
    }));
    let verdict = decide();
    limit_to(Some(before));
    assert_eq!(verdict, Verdict::Denied);
    let said = log.lock().unwrap().join("\n");
    assert!(said.contains("cannot fork: Too many open files"), "{said}");
}
