//! The decision (hosts_access(3)): `hosts_access` and `hosts_ctl`.
//!
//! A process that decides once scans its tables; from its second decision on it keeps them compiled, by
//! their paths. No lock is held while anything is looked up or run.

use std::ffi::{CString, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use hosts_access::host::ask;
use hosts_access::{Decision, LogLine, Policy, Request, Severity, TableKind, Tables, Then};
use system::commands;

use crate::entry::guard;
use crate::eval::{eval_client, eval_hostaddr};
use crate::host::StructHost;
use crate::log;
use crate::request::{wrap_request_clear, wrap_request_put};
use crate::strings::c_bytes;
use crate::structs::{
    RequestInfo, allow_severity, deny_severity, dry_run, hosts_allow_table, hosts_deny_table, resident,
    wrap_call_clean_exit,
};

/// Decides a request: 1 is granted, 0 is denied.
///
/// # Safety
/// `request` points to a request whose strings end in NUL and whose methods take their arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hosts_access(request: *mut RequestInfo) -> c_int {
    guard(0, || {
        let calls = resident.load(Relaxed);
        if calls <= 0 {
            resident.store(calls + 1, Relaxed);
        }
        let is_resident = calls >= 0;
        // SAFETY: as the caller promises.
        let mut host = unsafe { StructHost::new(request) };
        // SAFETY: as the caller promises.
        let mut asked = unsafe { crate::host::request(&host, request) };
        // SAFETY: the program does not change its tables' paths meanwhile.
        let paths = unsafe { paths() };
        let decision = match is_resident.then(|| policy(paths)).flatten() {
            Some(policy) => policy.decide(&mut asked, &mut host),
            None => tables(paths).decide(&mut asked, &mut host),
        };
        // SAFETY: as the caller promises.
        unsafe { conclude(request, &decision, &mut asked, &mut host) }
    })
}

/// Decides a request that is described in words. Empty strings, or null, stand for what is not known.
///
/// # Safety
/// Each is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hosts_ctl(
    daemon: *mut c_char,
    name: *mut c_char,
    address: *mut c_char,
    user: *mut c_char,
) -> c_int {
    let mut request = std::mem::MaybeUninit::<RequestInfo>::uninit();
    let request = request.as_mut_ptr();
    // SAFETY: there is room for a request, and the keys take strings.
    unsafe {
        wrap_request_clear(request);
        for (key, value) in [(2, daemon), (4, name), (5, address), (3, user)] {
            wrap_request_put(request, key, value.cast());
        }
        hosts_access(request)
    }
}

/// Where the program wants its tables read from, allow before deny.
///
/// # Safety
/// The program does not change the paths while they are used.
unsafe fn paths<'p>() -> [&'p [u8]; 2] {
    [&hosts_allow_table, &hosts_deny_table].map(|text| match text.load(Relaxed) {
        path if path.is_null() => NO_PATH,
        // SAFETY: they point to C strings, as the caller promises.
        path => unsafe { c_bytes(path) },
    })
}

/// For a table that is a null pointer. That is no empty table: nothing can be opened here, which is logged,
/// and in the deny table denies.
const NO_PATH: &[u8] = b"/dev/null/(null)";

/// The tables at these paths.
fn tables(paths: [&[u8]; 2]) -> Tables {
    let [allow, deny] = paths.map(|path| PathBuf::from(OsStr::from_bytes(path)));
    Tables::new(allow, deny)
}

/// The policy for the tables at these paths, which is kept from now on. Nothing where there is no room for
/// more: keeping policies is not for a program that keeps changing its tables' paths.
fn policy(paths: [&[u8]; 2]) -> Option<&'static Policy> {
    const MOST: usize = 8;
    // No lock, which another thread might hold when this process forks.
    static KEPT: [AtomicPtr<Policy>; MOST] = [const { AtomicPtr::new(null_mut()) }; MOST];
    let is_at = |policy: &Policy| {
        [TableKind::Allow, TableKind::Deny].map(|table| policy.tables().path(table).as_os_str().as_bytes())
            == paths
    };
    KEPT.iter().find_map(|place| {
        let mut kept = place.load(Acquire);
        if kept.is_null() {
            let new = Box::into_raw(Box::new(Policy::new(tables(paths))));
            kept = match place.compare_exchange(null_mut(), new, AcqRel, Acquire) {
                Ok(_) => new,
                Err(first) => {
                    // SAFETY: made above, and nobody else has seen it.
                    drop(unsafe { Box::from_raw(new) });
                    first
                }
            };
        }
        // SAFETY: what is in a place stays there as long as the process lives.
        let policy = unsafe { &*kept };
        is_at(policy).then_some(policy)
    })
}

/// What the program sees of a decision: the severities and the answer. A twist does not return.
///
/// # Safety
/// As [`hosts_access`].
pub unsafe fn conclude(
    request: *mut RequestInfo,
    decision: &Decision,
    asked: &mut Request,
    host: &mut StructHost,
) -> c_int {
    if let Some(Severity(severity)) = decision.severity {
        allow_severity.store(severity as c_int, Relaxed);
        deny_severity.store(severity as c_int, Relaxed);
    }
    match decision.then() {
        Then::Serve => 1,
        Then::Refuse => 0,
        Then::Twist(command) => {
            let usual = [&allow_severity, &deny_severity]
                .map(|severity| Severity(severity.load(Relaxed).unsigned_abs()));
            let line = ask(asked, host, |asked| decision.log_line(asked, usual));
            let at = decision.rule.as_ref().map(|rule| &rule.place);
            // SAFETY: as the caller promises.
            log::in_context(at, || unsafe { twist(request, command, &line) });
            // Only a dry run comes here: then the table gives the answer.
            c_int::from(
                decision
                    .rule
                    .as_ref()
                    .is_some_and(|rule| rule.table == TableKind::Allow),
            )
        }
    }
}

/// Becomes a shell command that talks to the client. In a dry run: says so by clearing `dry_run`.
///
/// # Safety
/// As [`hosts_access`].
unsafe fn twist(request: *mut RequestInfo, command: &[u8], line: &LogLine) {
    if dry_run.load(Relaxed) != 0 {
        dry_run.store(0, Relaxed);
        return;
    }
    // SAFETY: as the caller promises.
    let fd = unsafe { (*request).fd };
    log::write(line.severity, &line.text);
    // SAFETY: the program keeps the connection open.
    let error = match unsafe { crate::socket::borrowed(fd) } {
        Some(connection) => commands::twist(command, connection),
        None => std::io::Error::from_raw_os_error(libc::EBADF),
    };
    let what = match error.raw_os_error() {
        Some(libc::EBADF | libc::EMFILE) => "dup",
        _ => "/bin/sh",
    };
    log::warn(format!("twist_option: {what}: {}", hosts_access::decide::reason(&error)).as_bytes());
    // SAFETY: as the caller promises; the function may be the program's own.
    unsafe { wrap_call_clean_exit(request) };
}

/// Logs that the client is refused, and ends the process.
///
/// # Safety
/// `request` points to a request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn refuse(request: *mut RequestInfo) {
    guard((), || {
        // SAFETY: as the caller promises.
        let (client, address) = unsafe {
            (
                c_bytes(eval_client(request)),
                c_bytes(eval_hostaddr(&raw mut (*request).client[0])),
            )
        };
        let severity = deny_severity.load(Relaxed);
        log::write(
            Severity(severity.unsigned_abs()),
            &[b"refused connect from ", client, b" (", address, b")"].concat(),
        );
    });
    // SAFETY: as the caller promises; the function may be the program's own.
    unsafe { wrap_call_clean_exit(request) };
}

/// Throws away a waiting datagram, which inetd would start the service for again, and ends the process.
///
/// # Safety
/// `request` points to a request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clean_exit(request: *mut RequestInfo) {
    // SAFETY: as the caller promises.
    unsafe {
        if let Some(sink) = (*request).sink {
            sink((*request).fd);
        }
        libc::exit(0);
    }
}

/// Runs a shell command with its stdio on `/dev/null`, and waits for it.
///
/// # Safety
/// `command` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shell_cmd(command: *mut c_char) {
    guard((), || {
        // SAFETY: as the caller promises.
        if let Err(error) = commands::spawn(unsafe { c_bytes(command) }) {
            log::warn(format!("cannot fork: {}", hosts_access::decide::reason(&error)).as_bytes());
        }
    });
}

/// A C string of bytes that hold no NUL.
pub fn c_string(text: &[u8]) -> CString {
    CString::new(text).unwrap_or_default()
}
