//! Options outside of tables (hosts_access(3)): `process_options`, `percent_x`, `fix_options`.

use std::ffi::{c_char, c_int};
use std::io;

use hosts_access::decide::reason;
use hosts_access::host::{expand, run_options};
use hosts_access::options::{End, Options};
use hosts_access::{Decision, Effect, Severity, Verdict};
use system::connection;
use system::endpoints::Endpoint;

use crate::access::conclude;
use crate::entry::guard;
use crate::host::{self, StructHost};
use crate::log;
use crate::socket;
use crate::strings::c_bytes;
use crate::structs::{RequestInfo, wrap_call_clean_exit};

/// Runs options: 0 when all ran, 1 or -1 for a verdict that `process_options` jumps with.
///
/// # Safety
/// `text` is a C string, `request` points to a request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wrap_process_options(text: *const c_char, request: *mut RequestInfo) -> c_int {
    guard(-1, || {
        // SAFETY: as the caller promises.
        let (text, mut host) = unsafe { (c_bytes(text), StructHost::new(request)) };
        // SAFETY: as the caller promises.
        let mut asked = unsafe { host::request(&host, request) }.at(log::shared_place());
        let mut options = Options::new(text);
        let end = run_options(&mut options, &mut asked, &mut host);
        let ran = options.ran;
        let is_twist = matches!(ran.effects.last(), Some(Effect::Twist(_)));
        let (verdict, answer) = match end {
            End::Through => (Verdict::Granted, 0),
            End::Verdict(Verdict::Granted, _) => (Verdict::Granted, 1),
            End::Verdict(Verdict::Delegated, _) if is_twist => (Verdict::Delegated, 0),
            End::Verdict(..) | End::CommandFailed | End::Passed => (Verdict::Denied, -1),
        };
        let decision = Decision {
            verdict,
            reason: hosts_access::Reason::Rule,
            rule: None,
            effects: ran.effects,
            severity: ran.severity,
            notes: Vec::new(),
        };
        // SAFETY: as the caller promises.
        unsafe { conclude(request, &decision, &mut asked, &mut host) };
        answer
    })
}

/// Expands `%` sequences of `text` into `result`, which has room for `size` bytes, and returns it. What does
/// not fit is logged, and the result is empty.
///
/// # Safety
/// `result` has that room, `text` is a C string, `request` points to a request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn percent_x(
    result: *mut c_char,
    size: c_int,
    text: *mut c_char,
    request: *mut RequestInfo,
) -> *mut c_char {
    guard((), || {
        let Ok(size @ 1..) = usize::try_from(size) else {
            return;
        };
        // SAFETY: there is room for one byte at least.
        unsafe { *result = 0 };
        // SAFETY: as the caller promises; the context is shared with the program.
        let expanded = unsafe {
            let mut host = StructHost::new(request);
            let mut asked = host::request(&host, request);
            expand(c_bytes(text), &mut asked, &mut host)
        };
        if expanded.len() >= size {
            log::warn(b"% expansion does not fit and is left out");
            return;
        }
        // SAFETY: it fits, with its NUL.
        unsafe {
            result
                .cast::<u8>()
                .copy_from_nonoverlapping(expanded.as_ptr(), expanded.len());
            *result.add(expanded.len()) = 0;
        }
    });
    result
}

/// Refuses a client that chose the route of its packets; other IP options are logged and cleared. Ends the
/// process where the descriptor is no connection.
///
/// # Safety
/// `request` points to a request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fix_options(request: *mut RequestInfo) {
    let is_connection = guard(false, || {
        // SAFETY: as the caller promises; the program keeps the connection open.
        let fd = unsafe { (*request).fd };
        // Asked of the descriptor, since the structure may not have been filled in yet.
        let client = match socket::peer(fd) {
            Ok(client) => client,
            // A datagram service: nothing has come by a route that answers could take.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return true,
            Err(error) => {
                log::write(
                    Severity(libc::LOG_ERR.unsigned_abs()),
                    format!("getpeername: {}", reason(&error)).as_bytes(),
                );
                return false;
            }
        };
        // SAFETY: as above.
        if let (Some(client), Some(connection)) = (client, unsafe { socket::borrowed(fd) })
            && !connection::ip_options_allow(connection, &Endpoint::Internet(client), &log::write)
        {
            connection::shut_down(connection);
        }
        true
    });
    if !is_connection {
        // SAFETY: as the caller promises; the function may be the program's own.
        unsafe { wrap_call_clean_exit(request) };
    }
}
