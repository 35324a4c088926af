//! Making up a request (hosts_access(3)): what `request_init` and `request_set` do with each key.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use hosts_access::UNKNOWN;

use crate::strings::{c_bytes, put};
use crate::structs::RequestInfo;

/// Makes a request about which nothing is known.
///
/// # Safety
/// `request` points to room for a request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wrap_request_clear(request: *mut RequestInfo) {
    // SAFETY: all-zero bytes are a valid request: numbers, bytes, null pointers and absent functions.
    let cleared = unsafe {
        request.write_bytes(0, 1);
        &mut *request
    };
    cleared.fd = -1;
    put(&mut cleared.daemon, UNKNOWN);
    put(&mut cleared.pid, std::process::id().to_string().as_bytes());
    cleared.client[0].request = request;
    cleared.server[0].request = request;
}

/// Sets one thing; 0 where there is no such key.
///
/// # Safety
/// `request` points to a request; `value` is what `tcpd.h` says that the key takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wrap_request_put(
    request: *mut RequestInfo,
    key: c_int,
    value: *const c_void,
) -> c_int {
    // SAFETY: as the caller promises.
    let request = unsafe { &mut *request };
    // SAFETY: read only for keys that take a string.
    let text = || unsafe { c_bytes(value.cast::<c_char>()) };
    let address = if value.is_null() {
        null_mut()
    } else {
        value.cast_mut().cast()
    };
    match key {
        2 => put(&mut request.daemon, text()),
        3 => put(&mut request.user, text()),
        4 => put(&mut request.client[0].name, text()),
        5 => put(&mut request.client[0].addr, text()),
        6 => request.client[0].sin = address,
        7 => put(&mut request.server[0].name, text()),
        8 => put(&mut request.server[0].addr, text()),
        9 => request.server[0].sin = address,
        _ => return 0,
    }
    1
}
