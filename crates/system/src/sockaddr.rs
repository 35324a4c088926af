//! Socket addresses between Rust and the kernel or the C library.

use std::mem::zeroed;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;

use libc::{c_int, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};

/// An IPv4 or IPv6 socket address; nothing where it is of another family, or cut short.
///
/// # Safety
/// `address` is null or points to `length` readable bytes.
pub unsafe fn read(address: *const sockaddr, length: socklen_t) -> Option<SocketAddr> {
    let length = usize::try_from(length).ok()?;
    // SAFETY: as the caller promises.
    match unsafe { family(address, length) }? {
        libc::AF_INET if length >= size_of::<sockaddr_in>() => {
            // SAFETY: the family and the length say that this is a sockaddr_in.
            let v4 = unsafe { ptr::read_unaligned(address.cast::<sockaddr_in>()) };
            let ip = Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 if length >= size_of::<sockaddr_in6>() => {
            // SAFETY: the family and the length say that this is a sockaddr_in6.
            let v6 = unsafe { ptr::read_unaligned(address.cast::<sockaddr_in6>()) };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// The family of a socket address; nothing where it is empty.
///
/// # Safety
/// As [`read`].
unsafe fn family(address: *const sockaddr, length: usize) -> Option<c_int> {
    if address.is_null() || length < size_of::<libc::sa_family_t>() {
        return None;
    }
    // SAFETY: the family comes first in every socket address, and the length covers it.
    let family = unsafe { ptr::read_unaligned(&raw const (*address).sa_family) };
    Some(c_int::from(family))
}

/// A socket address as the kernel takes it.
pub struct Raw {
    storage: sockaddr_storage,
    length: socklen_t,
}

impl Raw {
    /// Room for an address of any family, for the kernel to fill.
    pub(crate) fn room() -> Self {
        Raw {
            // SAFETY: sockaddr_storage is plain data.
            storage: unsafe { zeroed() },
            length: size_of::<sockaddr_storage>() as socklen_t,
        }
    }

    /// Where it is.
    pub fn as_ptr(&self) -> *const sockaddr {
        (&raw const self.storage).cast()
    }

    /// How long it is, in bytes.
    pub fn length(&self) -> socklen_t {
        self.length
    }

    /// Where the kernel writes the address, and its length.
    pub(crate) fn places(&mut self) -> (*mut sockaddr, &mut socklen_t) {
        ((&raw mut self.storage).cast(), &mut self.length)
    }

    /// The address, if it is an IPv4 or IPv6 one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        // SAFETY: `storage` is readable as a whole, and the length is no more than that.
        unsafe { read(self.as_ptr(), self.bounded()) }
    }

    /// The address's family, if there is one.
    pub(crate) fn family(&self) -> Option<c_int> {
        // SAFETY: as above.
        unsafe { family(self.as_ptr(), self.bounded() as usize) }
    }

    /// The kernel says how long the address was, even where it had less room.
    fn bounded(&self) -> socklen_t {
        self.length.min(size_of::<sockaddr_storage>() as socklen_t)
    }
}

impl From<&SocketAddr> for Raw {
    fn from(address: &SocketAddr) -> Self {
        let mut raw = Raw::room();
        raw.length = match address {
            SocketAddr::V4(v4) => {
                let to = (&raw mut raw.storage).cast::<sockaddr_in>();
                // SAFETY: sockaddr_storage is large enough and aligned for every socket address.
                unsafe {
                    (*to).sin_family = libc::AF_INET as libc::sa_family_t;
                    (*to).sin_port = v4.port().to_be();
                    (*to).sin_addr.s_addr = v4.ip().to_bits().to_be();
                }
                size_of::<sockaddr_in>()
            }
            SocketAddr::V6(v6) => {
                let to = (&raw mut raw.storage).cast::<sockaddr_in6>();
                // SAFETY: as above.
                unsafe {
                    (*to).sin6_family = libc::AF_INET6 as libc::sa_family_t;
                    (*to).sin6_port = v6.port().to_be();
                    (*to).sin6_addr.s6_addr = v6.ip().octets();
                    (*to).sin6_scope_id = v6.scope_id();
                }
                size_of::<sockaddr_in6>()
            }
        } as socklen_t;
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["192.0.2.1:7", "[2001:db8::1]:65535", "[fe80::1%3]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Raw::from(&address).address(), Some(address));
        }
    }

    #[test]
    fn what_is_cut_short_is_no_address() {
        let mut raw = Raw::from(&"192.0.2.1:7".parse().unwrap());
        raw.length = 15;
        assert_eq!(raw.address(), None);
        raw.length = 0;
        assert_eq!((raw.address(), raw.family()), (None, None));
    }
}
