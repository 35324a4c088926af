//! Log lines: they leave through `door.c`, where programs may have put their own `syslog`.

use std::ffi::{CString, c_char, c_int};

use hosts_access::{Diagnostic, Kind, Place, Severity};
use system::syslog;

use crate::strings::c_bytes;
use crate::structs::{Context, tcpd_context, wrap_syslog};

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
    // SAFETY: the interface has every program and the library share this structure; a copy is taken.
    let Context { file, line } = unsafe { (&raw const tcpd_context).read() };
    let place = (!file.is_null()).then(|| {
        // SAFETY: whoever sets the file sets it to a C string.
        let file = unsafe { c_bytes(file) };
        Place::new(
            std::path::PathBuf::from(String::from_utf8_lossy(file).into_owned()),
            line.unsigned_abs(),
        )
    });
    syslog::diagnostic(&Diagnostic::new(kind, place, text), &write);
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
