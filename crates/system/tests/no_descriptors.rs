//! A process that has no descriptors left for what a command or a list needs. The limit holds for the whole process, so
//! one test waits for the other.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Mutex, PoisonError};

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

/// Decides by these tables, with descriptors enough and with one: enough to read a table, too few for anything more.
/// Also what is logged then.
fn decide(tables: [(&str, &str); 2]) -> ([Verdict; 2], String) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in tables {
        let text = text.replace("DIRECTORY", directory.path().to_str().unwrap());
        std::fs::write(directory.path().join(name), text).unwrap();
    }
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
    let with_enough = decide();
    log.lock().unwrap().clear();
    let free = listener.as_fd().try_clone_to_owned().unwrap().as_raw_fd();
    let before = limit_to(None);
    limit_to(Some(libc::rlimit {
        rlim_cur: libc::rlim_t::try_from(free).unwrap() + 1,
        ..before
    }));
    let with_one = decide();
    limit_to(Some(before));
    let said = log.lock().unwrap().join("\n");
    ([with_enough, with_one], said)
}

#[test]
fn deviation_16_a_command_that_cannot_be_started_has_failed() {
    let allow = "sshd: ALL: aclexec true\nsshd: ALL\n";
    let (verdicts, said) = decide([("hosts.allow", allow), ("hosts.deny", "")]);
    assert_eq!(verdicts, [Verdict::Granted, Verdict::Denied]);
    assert!(said.contains("cannot fork: Too many open files"), "{said}");
}

/// Whoever can use up a daemon's descriptors is not let in by that.
#[test]
fn deviation_31_a_list_that_there_is_no_descriptor_for_denies() {
    let list = ("list", "192.0.2.1\n");
    let (verdicts, said) = decide([("hosts.deny", "sshd: DIRECTORY/list\n"), list]);
    assert_eq!(verdicts, [Verdict::Granted, Verdict::Denied], "{said}");
    assert!(said.contains("/list: Too many open files"), "{said}");
    assert!(
        said.contains("denied, since it is not known whether the client matches"),
        "{said}"
    );
    let allow = "sshd: DIRECTORY/list\nsshd: ALL\n";
    let (verdicts, said) = decide([("hosts.allow", allow), list]);
    assert_eq!(verdicts, [Verdict::Granted; 2], "{said}");
    assert!(said.contains("passed over"), "{said}");
}
