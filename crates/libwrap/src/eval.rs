//! What is known of a request (hosts_access(3)): the `eval_…` functions, which look up what is missing and
//! keep it in the structure.

use std::cell::UnsafeCell;
use std::ffi::c_char;

use hosts_access::UNKNOWN;
use hosts_access::request::{is_known_name, is_unknown};

use crate::entry::guard;
use crate::strings::{bytes, c_bytes, put};
use crate::structs::{HostInfo, RequestInfo, STRING_LENGTH, wrap_call_rfc931};

/// The user at the client's end.
///
/// # Safety
/// `request` points to a request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eval_user(request: *mut RequestInfo) -> *mut c_char {
    // SAFETY: as the caller promises. No reference is kept over the call, which may come back to the request.
    unsafe {
        if (*request).user[0] == 0 {
            put(&mut (*request).user, UNKNOWN);
            let (client, server) = ((*request).client[0].sin, (*request).server[0].sin);
            if (*request).sink.is_none() && !client.is_null() && !server.is_null() {
                wrap_call_rfc931(client, server, (&raw mut (*request).user).cast());
            }
        }
        (&raw mut (*request).user).cast()
    }
}

/// The numeric address of one end.
///
/// # Safety
/// `host` points to one end of a request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eval_hostaddr(host: *mut HostInfo) -> *mut c_char {
    // SAFETY: as the caller promises; see eval_user.
    unsafe {
        if (*host).addr[0] == 0 {
            put(&mut (*host).addr, UNKNOWN);
            if let Some(method) = (*(*host).request).hostaddr {
                method(host);
            }
        }
        (&raw mut (*host).addr).cast()
    }
}

/// The name of one end.
///
/// # Safety
/// As [`eval_hostaddr`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eval_hostname(host: *mut HostInfo) -> *mut c_char {
    // SAFETY: as the caller promises; see eval_user.
    unsafe {
        if (*host).name[0] == 0 {
            put(&mut (*host).name, UNKNOWN);
            if let Some(method) = (*(*host).request).hostname {
                method(host);
            }
        }
        (&raw mut (*host).name).cast()
    }
}

/// The name of one end if it was looked up and is known, or else its address.
///
/// # Safety
/// As [`eval_hostaddr`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eval_hostinfo(host: *mut HostInfo) -> *mut c_char {
    // SAFETY: as the caller promises.
    unsafe {
        let name = bytes(&(*host).name);
        if name.is_empty() || !is_known_name(name) {
            eval_hostaddr(host)
        } else {
            (&raw mut (*host).name).cast()
        }
    }
}

/// The client, as log lines name it.
///
/// # Safety
/// `request` points to a request. The result lives until this thread calls the function again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eval_client(request: *mut RequestInfo) -> *mut c_char {
    // SAFETY: as the caller promises.
    unsafe {
        let host = eval_hostinfo(&raw mut (*request).client[0]);
        let user = bytes(&(*request).user);
        if user.is_empty() || is_unknown(user) {
            host
        } else {
            keep(Kept::Client, &[user, b"@", c_bytes(host)])
        }
    }
}

/// The service and the end it was reached at, as far as known.
///
/// # Safety
/// As [`eval_client`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eval_server(request: *mut RequestInfo) -> *mut c_char {
    // SAFETY: as the caller promises.
    unsafe {
        let host = c_bytes(eval_hostinfo(&raw mut (*request).server[0]));
        if is_unknown(host) {
            (&raw mut (*request).daemon).cast()
        } else {
            keep(Kept::Server, &[bytes(&(*request).daemon), b"@", host])
        }
    }
}

/// The port of a socket address as text, `0` where there is none.
///
/// # Safety
/// `address` is null or points to a socket address as long as its family says. The result lives until this
/// thread calls the function again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn eval_port(address: *mut libc::sockaddr) -> *mut c_char {
    // SAFETY: as the caller promises.
    let port = unsafe { crate::socket::address(address) }.map_or(0, |address| address.port());
    keep(Kept::Port, &[port.to_string().as_bytes()])
}

/// Whose text is kept. A log line may name the client, the server and a port at once.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Client,
    Server,
    Port,
}

/// Room for a user or service, `@`, a host and the final NUL.
const ROOM: usize = 2 * STRING_LENGTH;

/// Keeps a text for the caller of this thread, always in the same place, so that what was handed out earlier
/// changes and is never gone.
fn keep(place: Kept, text: &[&[u8]]) -> *mut c_char {
    thread_local! {
        static KEPT: UnsafeCell<[[c_char; ROOM]; 3]> = const { UnsafeCell::new([[0; ROOM]; 3]) };
    }
    guard(std::ptr::null_mut(), || {
        let text = text.concat();
        KEPT.with(|kept| {
            // SAFETY: this thread's own, and no reference to it outlives this function.
            let kept = unsafe { &mut (*kept.get())[place as usize] };
            put(kept, &text);
            kept.as_mut_ptr()
        })
    })
}
