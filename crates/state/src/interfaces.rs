//! This host's own addresses, and the networks it is directly on (`{samehost}`, `{samenet}`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::network::Network;
use crate::{Answer, Unknown};

/// How long what was seen is used.
const FRESH: Duration = Duration::from_secs(1);

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// The address.
    pub address: IpAddr,
    /// The network it is in, as its mask says.
    pub network: Network,
}

/// The interfaces, for one process.
#[derive(Debug, Default)]
pub struct Interfaces {
    seen: Mutex<Option<(Instant, Arc<[Own]>)>>,
}

impl Interfaces {
    /// Nothing is seen yet.
    pub const fn new() -> Self {
        Interfaces {
            seen: Mutex::new(None),
        }
    }

    /// All addresses of this host.
    pub fn own(&self) -> Answer<Arc<[Own]>> {
        let mut seen = self.seen.try_lock().ok();
        if let Some((at, own)) = seen.as_deref().and_then(Option::as_ref)
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(own));
        }
        let own: Arc<[Own]> = list()
            .map_err(|error| Unknown::new(format!("this host's interfaces: {}", crate::reason(&error))))?
            .into();
        if let Some(seen) = seen.as_deref_mut() {
            *seen = Some((Instant::now(), Arc::clone(&own)));
        }
        Ok(own)
    }

    /// Is it an address of this host?
    pub fn is_own(&self, address: IpAddr) -> Answer<bool> {
        let address = address.to_canonical();
        Ok(self.own()?.iter().any(|own| own.address == address))
    }

    /// Is it in a network that an interface is directly on?
    pub fn is_near(&self, address: IpAddr) -> Answer<bool> {
        Ok(self.own()?.iter().any(|own| own.network.contains(address)))
    }
}

fn list() -> io::Result<Vec<Own>> {
    let mut first = ptr::null_mut();
    // SAFETY: `first` is a place for the result.
    if unsafe { libc::getifaddrs(&mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut own = Vec::new();
    let mut next = first;
    // SAFETY: `next` is null or an element of the list, which nobody has freed.
    while let Some(entry) = unsafe { next.as_ref() } {
        // SAFETY: both are null or addresses of the family they say, as long as the list.
        let (address, mask) = unsafe { (read(entry.ifa_addr), read(entry.ifa_netmask)) };
        if let (Some(address), Some(mask)) = (address, mask) {
            let length = match mask {
                IpAddr::V4(mask) => mask.to_bits().leading_ones(),
                IpAddr::V6(mask) => mask.to_bits().leading_ones(),
            };
            own.push(Own {
                address,
                network: Network::around(address, length as u8),
            });
        }
        next = entry.ifa_next;
    }
    // SAFETY: the list came from getifaddrs, is freed once, and nothing borrowed from it is left.
    unsafe { libc::freeifaddrs(first) };
    Ok(own)
}

/// # Safety
/// `address` is null or an address of the family it says.
unsafe fn read(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: by this function's condition.
    let family = i32::from(unsafe { address.as_ref() }?.sa_family);
    match family {
        libc::AF_INET => {
            // SAFETY: an address of this family is a sockaddr_in.
            let address = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_in>()) };
            Some(Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes()).into())
        }
        libc::AF_INET6 => {
            // SAFETY: an address of this family is a sockaddr_in6.
            let address = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_in6>()) };
            Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_host_and_near() {
        let interfaces = Interfaces::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(interfaces.is_own(address("127.0.0.1")), Ok(true));
        assert_eq!(interfaces.is_own(address("::ffff:127.0.0.1")), Ok(true));
        assert_eq!(interfaces.is_own(address("203.0.113.254")), Ok(false));
        assert_eq!(interfaces.is_near(address("127.9.9.9")), Ok(true));
        assert_eq!(interfaces.is_near(address("203.0.113.254")), Ok(false));
        assert_eq!(interfaces.is_near(address("2001:db8::9")), Ok(false));
    }
}
