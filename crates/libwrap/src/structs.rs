//! The structures that programs and the library share, laid out as `tcpd.h` has them.

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicPtr};

/// Bytes of a string in the structures, the final NUL included.
pub const STRING_LENGTH: usize = 128;

/// A string of a structure.
pub type Text = [c_char; STRING_LENGTH];

/// `struct host_info`
#[repr(C)]
pub struct HostInfo {
    /// Host name, empty while not looked up.
    pub name: Text,
    /// Numeric address, empty while not looked up.
    pub addr: Text,
    /// Socket address or null.
    pub sin: *mut libc::sockaddr,
    unit: *mut c_void,
    /// The request this is an end of.
    pub request: *mut RequestInfo,
}

/// A lookup of one end.
pub type HostMethod = unsafe extern "C" fn(*mut HostInfo);

/// `struct request_info`
#[repr(C)]
pub struct RequestInfo {
    /// The connection, or -1.
    pub fd: c_int,
    /// User at the client, empty while not looked up.
    pub user: Text,
    /// The service.
    pub daemon: Text,
    /// Process id, as text.
    pub pid: [c_char; 10],
    /// The remote end.
    pub client: [HostInfo; 1],
    /// This end.
    pub server: [HostInfo; 1],
    /// Throws a waiting datagram away.
    pub sink: Option<unsafe extern "C" fn(c_int)>,
    /// Finds a name.
    pub hostname: Option<HostMethod>,
    /// Finds an address.
    pub hostaddr: Option<HostMethod>,
    cleanup: Option<unsafe extern "C" fn(*mut RequestInfo)>,
    config: *mut c_void,
}

/// `struct tcpd_context`
#[repr(C)]
pub struct Context {
    /// The table being read, or null.
    pub file: AtomicPtr<c_char>,
    /// The rule's line.
    pub line: AtomicI32,
}

/// Where C's rules put the fields: after the bytes before, at a multiple of their alignment.
const _: () = {
    use std::mem::{align_of, offset_of, size_of};
    const WORD: usize = size_of::<usize>();
    assert!(align_of::<HostInfo>() == WORD && align_of::<RequestInfo>() == WORD);
    assert!(offset_of!(HostInfo, addr) == 128 && offset_of!(HostInfo, sin) == 256);
    assert!(offset_of!(HostInfo, request) == 256 + 2 * WORD && size_of::<HostInfo>() == 256 + 3 * WORD);
    assert!(offset_of!(RequestInfo, user) == 4 && offset_of!(RequestInfo, daemon) == 132);
    assert!(offset_of!(RequestInfo, pid) == 260);
    let client = 270usize.next_multiple_of(WORD);
    assert!(offset_of!(RequestInfo, client) == client);
    assert!(offset_of!(RequestInfo, server) == client + size_of::<HostInfo>());
    assert!(offset_of!(RequestInfo, sink) == client + 2 * size_of::<HostInfo>());
    assert!(size_of::<RequestInfo>() == client + 2 * size_of::<HostInfo>() + 5 * WORD);
};

// What the program and the library share: the interface makes them plain variables of the process. The library
// reads and writes them as atomics, so that its own threads do not tear them.
#[allow(non_upper_case_globals)]
unsafe extern "C" {
    pub safe static hosts_allow_table: AtomicPtr<c_char>;
    pub safe static hosts_deny_table: AtomicPtr<c_char>;
    pub safe static hosts_access_verbose: AtomicI32;
    pub safe static rfc931_timeout: AtomicI32;
    pub safe static resident: AtomicI32;
    pub safe static dry_run: AtomicI32;
    pub safe static allow_severity: AtomicI32;
    pub safe static deny_severity: AtomicI32;
    pub safe static tcpd_context: Context;
}

unsafe extern "C" {
    pub fn wrap_syslog(level: c_int, text: *const c_char);
    pub fn wrap_call_shell_cmd(command: *mut c_char);
    pub fn wrap_call_clean_exit(request: *mut RequestInfo);
    pub fn wrap_call_rfc931(client: *mut libc::sockaddr, server: *mut libc::sockaddr, user: *mut c_char);
}
