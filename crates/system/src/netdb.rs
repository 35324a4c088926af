//! The C library's name service: hosts, netgroups, users and groups, through NSS as the host has it.
//!
//! Thin wrappers that own what C allocates. What a name means to a rule is in [`names`](crate::names).

use std::ffi::{CStr, CString, c_char, c_int};
use std::mem::{MaybeUninit, zeroed};
use std::net::SocketAddr;
use std::ptr;

use crate::sockaddr::{self, Raw};

/// An address family to look a name up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Both.
    Any,
    /// IPv4
    V4,
    /// IPv6
    V6,
}

/// What a name resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The official name.
    pub canonical: Option<Vec<u8>>,
    /// The addresses, in the order the resolver gives; ports are 0.
    pub addresses: Vec<SocketAddr>,
}

/// The name service has not answered, or not in a way that says whether there is such a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAnswer;

/// The addresses of a host name or numeric address, and its official name. Nothing where there are none, or no answer.
pub fn resolve(name: &[u8], family: Family) -> Option<Resolved> {
    ask(name, family).ok().flatten()
}

/// The same, for those to whom no answer is not the same as no host.
pub fn ask(name: &[u8], family: Family) -> Result<Option<Resolved>, NoAnswer> {
    get_addr_info(name, family, libc::AI_CANONNAME)
}

/// Does the text read as a numeric address?
pub fn is_numeric(text: &[u8]) -> bool {
    matches!(
        get_addr_info(text, Family::Any, libc::AI_NUMERICHOST),
        Ok(Some(_))
    )
}

fn get_addr_info(name: &[u8], family: Family, flags: c_int) -> Result<Option<Resolved>, NoAnswer> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    // SAFETY: addrinfo is plain data, for which all zeroes is the documented "no hints".
    let mut hints: libc::addrinfo = unsafe { zeroed() };
    hints.ai_family = match family {
        Family::Any => libc::AF_UNSPEC,
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    hints.ai_socktype = libc::SOCK_STREAM;
    hints.ai_flags = flags;
    let mut list = ptr::null_mut();
    // SAFETY: `name` is a C string, `hints` a filled structure, `list` a place for the result.
    match unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &hints, &mut list) } {
        0 => {}
        libc::EAI_AGAIN => return Err(NoAnswer),
        _ => return Ok(None),
    }
    let mut resolved = Resolved {
        canonical: None,
        addresses: Vec::new(),
    };
    let mut next = list;
    // SAFETY: `next` is null or an element of the list that getaddrinfo returned and nobody has freed.
    while let Some(entry) = unsafe { next.as_ref() } {
        if !entry.ai_canonname.is_null() {
            // SAFETY: a canonical name that is set is a C string that lives as long as the list.
            let name = unsafe { CStr::from_ptr(entry.ai_canonname) };
            resolved.canonical.get_or_insert_with(|| name.to_bytes().to_vec());
        }
        // SAFETY: `ai_addr` holds an address of `ai_addrlen` bytes of the family it says.
        let address = unsafe { sockaddr::read(entry.ai_addr, entry.ai_addrlen) };
        resolved.addresses.extend(address);
        next = entry.ai_next;
    }
    // SAFETY: `list` came from getaddrinfo, is freed once, and nothing borrowed from it is left.
    unsafe { libc::freeaddrinfo(list) };
    Ok((!resolved.addresses.is_empty()).then_some(resolved))
}

/// The host name of an address. Nothing where there is none.
pub fn ask_name(address: &SocketAddr) -> Result<Option<Vec<u8>>, NoAnswer> {
    get_name_info(address, libc::NI_NAMEREQD)
}

/// An address as text, the scope id by interface name where there is one.
pub fn numeric(address: &SocketAddr) -> Vec<u8> {
    if let SocketAddr::V4(v4) = address {
        return dotted_quad(v4.ip().octets());
    }
    let number = get_name_info(address, libc::NI_NUMERICHOST);
    (number.ok().flatten()).unwrap_or_else(|| address.ip().to_string().into_bytes())
}

/// As the standard library writes it, which takes several times as long; this is done for each connection.
fn dotted_quad(octets: [u8; 4]) -> Vec<u8> {
    let mut text = Vec::with_capacity("255.255.255.255".len());
    for (n, octet) in octets.into_iter().enumerate() {
        if n > 0 {
            text.push(b'.');
        }
        if octet >= 100 {
            text.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.push(b'0' + octet % 10);
    }
    text
}

fn get_name_info(address: &SocketAddr, flags: c_int) -> Result<Option<Vec<u8>>, NoAnswer> {
    let raw = Raw::from(address);
    let mut name = [0 as c_char; libc::NI_MAXHOST as usize];
    // SAFETY: `raw` holds an address with its length, `name` has room for NI_MAXHOST.
    let status = unsafe {
        libc::getnameinfo(
            raw.as_ptr(),
            raw.length(),
            name.as_mut_ptr(),
            name.len() as libc::socklen_t,
            ptr::null_mut(),
            0,
            flags,
        )
    };
    match status {
        0 => {}
        libc::EAI_AGAIN => return Err(NoAnswer),
        _ => return Ok(None),
    }
    // SAFETY: on success getnameinfo has written a C string into `name`.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    Ok(Some(name.to_bytes().to_vec()))
}

unsafe extern "C" {
    fn innetgr(
        group: *const c_char,
        host: *const c_char,
        user: *const c_char,
        domain: *const c_char,
    ) -> c_int;
    fn setnetgrent(group: *const c_char) -> c_int;
    fn endnetgrent();
    fn getnetgrent(host: *mut *mut c_char, user: *mut *mut c_char, domain: *mut *mut c_char) -> c_int;
}

/// Is `host` a member of the netgroup, in the NIS domain this host is in? A host in none is in any.
pub fn in_netgroup(group: &[u8], host: &[u8]) -> bool {
    let (Ok(group), Ok(host)) = (CString::new(group), CString::new(host)) else {
        return false;
    };
    let domain = nis_domain();
    let domain = domain.as_ref().map_or(ptr::null(), |domain| domain.as_ptr());
    // SAFETY: C strings, or null for "any user" and "any domain".
    unsafe { innetgr(group.as_ptr(), host.as_ptr(), ptr::null(), domain) == 1 }
}

/// The NIS domain of this host, if it has been given one.
fn nis_domain() -> Option<CString> {
    let mut name = [0 as c_char; 65];
    // SAFETY: room for the longest name the kernel keeps, 64 bytes, and its NUL.
    if unsafe { libc::getdomainname(name.as_mut_ptr(), name.len()) } != 0 {
        return None;
    }
    // SAFETY: on success there is a C string in `name`.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    (name != c"(none)").then(|| name.to_owned())
}

/// Has the netgroup any member at all?
///
/// The C library walks netgroups with one cursor for the whole process: not for threads.
pub fn netgroup_exists(group: &[u8]) -> bool {
    let Ok(group) = CString::new(group) else {
        return false;
    };
    let (mut host, mut user, mut domain) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: the group is a C string; the three places receive pointers that are not used.
    unsafe {
        let found = setnetgrent(group.as_ptr()) == 1 && getnetgrent(&mut host, &mut user, &mut domain) == 1;
        endnetgrent();
        found
    }
}

/// A user as the user database has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The user id.
    pub uid: libc::uid_t,
    /// The user's own group.
    pub gid: libc::gid_t,
}

/// Looks a user up by name.
pub fn user(name: &[u8]) -> Option<User> {
    let name = CString::new(name).ok()?;
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let found = with_buffer(|buffer, found| {
        // SAFETY: a C string, room for one entry, and a buffer with its true length.
        unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                entry.as_mut_ptr(),
                buffer.as_mut_ptr(),
                buffer.len(),
                found,
            )
        }
    });
    // SAFETY: on success the entry has been filled in; only its numbers are read.
    found.then(|| unsafe { entry.assume_init() }).map(|entry| User {
        uid: entry.pw_uid,
        gid: entry.pw_gid,
    })
}

/// Looks a group's id up by name.
pub fn group(name: &[u8]) -> Option<libc::gid_t> {
    let name = CString::new(name).ok()?;
    let mut entry = MaybeUninit::<libc::group>::uninit();
    let found = with_buffer(|buffer, found| {
        // SAFETY: a C string, room for one entry, and a buffer with its true length.
        unsafe {
            libc::getgrnam_r(
                name.as_ptr(),
                entry.as_mut_ptr(),
                buffer.as_mut_ptr(),
                buffer.len(),
                found,
            )
        }
    });
    // SAFETY: on success the entry has been filled in; only its number is read.
    found
        .then(|| unsafe { entry.assume_init() })
        .map(|entry| entry.gr_gid)
}

/// Calls a reentrant look-up with a buffer large enough. True where an entry was found.
fn with_buffer<T>(mut look_up: impl FnMut(&mut [c_char], &mut *mut T) -> c_int) -> bool {
    let mut buffer = vec![0 as c_char; 1024];
    loop {
        let mut found = ptr::null_mut();
        match look_up(&mut buffer, &mut found) {
            0 => return !found.is_null(),
            libc::EINTR => {}
            libc::ERANGE if buffer.len() < 1 << 24 => buffer.resize(buffer.len() * 2, 0),
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_resolve_to_themselves() {
        let found = resolve(b"192.0.2.1", Family::Any).unwrap();
        assert_eq!(found.addresses, ["192.0.2.1:0".parse().unwrap()]);
        assert_eq!(numeric(&found.addresses[0]), b"192.0.2.1");
        let v6 = resolve(b"2001:db8::1", Family::V6).unwrap();
        assert_eq!(numeric(&v6.addresses[0]), b"2001:db8::1");
        assert!(is_numeric(b"0x7f.1") && !is_numeric(b"localhost"));
        assert!(resolve(b"a\0b", Family::Any).is_none());
        for octet in 0..=255 {
            let octets = [octet, 0, 255 - octet, octet];
            let text = std::net::Ipv4Addr::from(octets).to_string();
            assert_eq!(dotted_quad(octets), text.as_bytes());
        }
    }

    #[test]
    fn scope_ids_are_shown_by_interface() {
        let found = resolve(b"fe80::1%lo", Family::V6).unwrap();
        assert_eq!(numeric(&found.addresses[0]), b"fe80::1%lo");
    }

    #[test]
    fn users_and_groups() {
        assert_eq!(user(b"root"), Some(User { uid: 0, gid: 0 }));
        assert_eq!(group(b"root"), Some(0));
        assert_eq!(user(b"no such user"), None);
        assert_eq!(group(b"no such group"), None);
    }

    #[test]
    fn unknown_netgroups() {
        assert!(!netgroup_exists(b"no-such-netgroup"));
        assert!(!in_netgroup(b"no-such-netgroup", b"localhost"));
    }
}
