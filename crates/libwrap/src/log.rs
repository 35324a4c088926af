//! Log lines: they leave through `door.c`, where programs may have put their own `syslog`.

use std::cell::RefCell;
use std::ffi::{CString, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::Relaxed;

use hosts_access::{Diagnostic, Kind, Place, Severity};
use system::syslog;

use crate::strings::c_bytes;
use crate::structs::{hosts_allow_table, hosts_deny_table, tcpd_context, wrap_syslog};

/// Writes a line, escaped.
pub fn write(severity: Severity, line: &[u8]) {
    // Escaped, it holds no NUL.
    if let Ok(line) = CString::new(syslog::escaped(line)) {
        // SAFETY: a C string.
        unsafe { wrap_syslog(severity.0 as c_int, line.as_ptr()) };
    }
}

/// Logs a warning about the rule that `tcpd_context` names, if it names one.
pub fn warn(text: &[u8]) {
    report(Kind::Warning, text);
}

fn report(kind: Kind, text: &[u8]) {
    let own = PLACE.try_with(|place| place.borrow().clone());
    let place = own.ok().flatten().or_else(shared_place);
    syslog::diagnostic(&Diagnostic::new(kind, place, text), &write);
}

thread_local! {
    /// The rule that this thread looks something up for, whatever `tcpd_context` says meanwhile.
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// The rule that `tcpd_context` names.
pub fn shared_place() -> Option<Place> {
    let file = tcpd_context.file.load(Relaxed);
    // SAFETY: whoever sets the file sets it to a C string.
    let path = (!file.is_null()).then(|| OsStr::from_bytes(unsafe { c_bytes(file) }))?;
    Some(Place::new(
        PathBuf::from(path),
        tcpd_context.line.load(Relaxed).unsigned_abs(),
    ))
}

/// Runs a method of the program or of the library, for log lines of which `tcpd_context` names the rule.
pub fn in_context<R>(at: Option<&Place>, run: impl FnOnce() -> R) -> R {
    let Some(at) = at else { return run() };
    let set = |place: Option<Place>| PLACE.try_with(|own| own.replace(place)).ok().flatten();
    let own = set(Some(at.clone()));
    let result = if shared_place().as_ref() == Some(at) {
        run()
    } else {
        in_shared_context(at, run)
    };
    set(own);
    result
}

fn in_shared_context<R>(at: &Place, run: impl FnOnce() -> R) -> R {
    let tables = [hosts_allow_table.load(Relaxed), hosts_deny_table.load(Relaxed)];
    // SAFETY: a table's path is a C string.
    let is_allow = unsafe { c_bytes(tables[0]) } == at.file.as_os_str().as_encoded_bytes();
    let line = c_int::try_from(at.line).unwrap_or(c_int::MAX);
    let before = tcpd_context.file.swap(tables[usize::from(!is_allow)], Relaxed);
    let before_line = tcpd_context.line.swap(line, Relaxed);
    let result = run();
    // What names a table here was set for another thread, which may be done with it by now.
    let (file, line) = if tables.contains(&before) {
        (null_mut(), 0)
    } else {
        (before, before_line)
    };
    tcpd_context.file.store(file, Relaxed);
    tcpd_context.line.store(line, Relaxed);
    result
}

/// For `tcpd_warn` and `tcpd_jump`.
///
/// # Safety
/// Both are C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wrap_report(kind: *const c_char, text: *const c_char) {
    crate::entry::guard((), || {
        // SAFETY: as the caller promises.
        let (kind, text) = unsafe { (c_bytes(kind), c_bytes(text)) };
        report(
            if kind == b"error" {
                Kind::Error
            } else {
                Kind::Warning
            },
            text,
        );
    });
}
