//! The system log, through the C library's syslog(3).
//!
//! What goes into it may come from a rule file, a name server or an ident server, so control characters are
//! escaped and the format is a constant.

use std::borrow::Cow;
use std::ffi::{CString, c_int};

use hosts_access::{Diagnostic, Kind, Severity};

/// Takes one line for the log. A severity without a facility stands for the program's own.
///
/// Whoever writes the line out escapes it, with [`escaped`]; [`write()`] does.
pub type Log<'l> = dyn Fn(Severity, &[u8]) + 'l;

/// `err`
pub const ERR: Severity = Severity(libc::LOG_ERR as u32);
/// `warning`
pub const WARNING: Severity = Severity(libc::LOG_WARNING as u32);
/// `notice`
pub const NOTICE: Severity = Severity(libc::LOG_NOTICE as u32);
/// `info`
pub const INFO: Severity = Severity(libc::LOG_INFO as u32);
/// `debug`
pub const DEBUG: Severity = Severity(libc::LOG_DEBUG as u32);

/// Names this program and its process id in every line, under the facility `daemon`.
///
/// The C library keeps the name, so it is never freed: call this once.
pub fn open(program: &[u8]) {
    let program: Vec<u8> = program.iter().copied().filter(|b| *b != 0).collect();
    let Ok(program) = CString::new(program) else {
        return;
    };
    // SAFETY: a C string that lives as long as the process.
    unsafe { libc::openlog(program.into_raw(), libc::LOG_PID, libc::LOG_DAEMON) };
}

/// Writes a line to the log, escaped.
pub fn write(severity: Severity, line: &[u8]) {
    // Escaped, it holds no NUL.
    let Ok(line) = CString::new(escaped(line)) else {
        return;
    };
    // SAFETY: a constant format that takes one C string.
    unsafe { libc::syslog(severity.0 as c_int, c"%s".as_ptr(), line.as_ptr()) };
}

/// The level at which a diagnostic is logged.
pub fn level(kind: Kind) -> Severity {
    match kind {
        Kind::Error | Kind::Warning => ERR,
        Kind::Info => INFO,
        Kind::Debug => DEBUG,
    }
}

/// Logs a diagnostic at its level.
pub fn diagnostic(diagnostic: &Diagnostic, log: &Log<'_>) {
    log(level(diagnostic.kind), &diagnostic.line());
}

/// Does the character do something to the line, or to what stands around it, rather than being seen? Such are
/// control characters, line and paragraph separators, and what turns the direction of text around.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// The line with each byte of a [hidden](is_hidden) character as `\` and three octal digits. Text in UTF-8 stays as it
/// is, and so does a backslash, as log filters expect rules to be quoted the way they stand in their files.
///
/// ```
/// use system::syslog::escaped;
/// assert_eq!(*escaped("größe".as_bytes()), *"größe".as_bytes());
/// assert_eq!(*escaped(b"a\nb\x1b[2J"), *b"a\\012b\\033[2J");
/// assert_eq!(*escaped(b"\xc2\x9b"), *b"\\302\\233");
/// assert_eq!(*escaped(b"\x9b"), *b"\\233");
/// assert_eq!(*escaped("\u{2028}".as_bytes()), *b"\\342\\200\\250");
/// ```
pub fn escaped(line: &[u8]) -> Cow<'_, [u8]> {
    if line.iter().all(|b| matches!(b, b' '..=b'~')) {
        return Cow::Borrowed(line);
    }
    let mut out = Vec::with_capacity(line.len() + 16);
    let escape = |out: &mut Vec<u8>, byte: u8| {
        out.extend_from_slice(&[
            b'\\',
            b'0' + (byte >> 6),
            b'0' + (byte >> 3 & 7),
            b'0' + (byte & 7),
        ]);
    };
    for chunk in line.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            if is_hidden(character) {
                bytes.iter().for_each(|byte| escape(&mut out, *byte));
            } else {
                out.extend_from_slice(bytes);
            }
        }
        for byte in chunk.invalid() {
            // In an eight-bit character set these are the control characters of the upper half.
            if matches!(byte, 0x80..=0x9f) {
                escape(&mut out, *byte);
            } else {
                out.push(*byte);
            }
        }
    }
    Cow::Owned(out)
}
