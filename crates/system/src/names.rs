//! The name of an address, believed only where the name leads back to the address
//! (hosts_access(5), PARANOID).

use std::net::{IpAddr, SocketAddr};

use hosts_access::{PARANOID, UNKNOWN};

use crate::netdb::{self, Family, NoAnswer};

/// The verified name of an address: [`UNKNOWN`] where it has none, [`PARANOID`] where name and address
/// disagree, which `warn` is told in the words of the log.
pub fn verified_name(address: &SocketAddr, warn: &mut dyn FnMut(Vec<u8>)) -> Vec<u8> {
    verify(address, warn).0
}

/// The same, for those to whom a name that could not be asked for is not the same as none.
pub fn ask(address: &SocketAddr, warn: &mut dyn FnMut(Vec<u8>)) -> Result<Vec<u8>, NoAnswer> {
    let (name, is_answered) = verify(address, warn);
    if is_answered { Ok(name) } else { Err(NoAnswer) }
}

/// The verified name, and whether the name service has answered.
fn verify(address: &SocketAddr, warn: &mut dyn FnMut(Vec<u8>)) -> (Vec<u8>, bool) {
    let address = unmapped(address);
    let name = match netdb::ask_name(&address) {
        Ok(Some(name)) => name,
        none => return (UNKNOWN.to_vec(), none.is_ok()),
    };
    let mut is_answered = true;
    match doubt(&name, &address, &mut is_answered) {
        None => (name, true),
        Some(doubt) => {
            warn(doubt);
            (PARANOID.to_vec(), is_answered)
        }
    }
}

/// An IPv4 address mapped into IPv6 as the IPv4 address it is.
fn unmapped(address: &SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => *address,
    }
}

/// Why the name is not to be believed.
fn doubt(name: &[u8], address: &SocketAddr, is_answered: &mut bool) -> Option<Vec<u8>> {
    // Whoever runs the reverse zone could make a number of his choice match an address pattern.
    if netdb::is_numeric(name) {
        let text = b"host name/name mismatch: reverse lookup results in non-FQDN ";
        return Some([&text[..], name].concat());
    }
    let (family, word) = match address {
        SocketAddr::V4(_) => (Family::V4, "AF_INET"),
        SocketAddr::V6(_) => (Family::V6, "AF_INET6"),
    };
    let forward = netdb::ask(name, family);
    *is_answered = forward.is_ok();
    let Ok(Some(forward)) = forward else {
        let text = [
            b"can't verify hostname: getaddrinfo(",
            name,
            b", ",
            word.as_bytes(),
        ];
        return Some([&text.concat()[..], b") failed"].concat());
    };
    let canonical = forward.canonical.as_deref().unwrap_or(name);
    if !canonical.eq_ignore_ascii_case(name) && !name.eq_ignore_ascii_case(b"localhost") {
        return Some([b"host name/name mismatch: ", name, b" != ", canonical].concat());
    }
    if forward.addresses.iter().any(|found| found.ip() == address.ip()) {
        return None;
    }
    let number = netdb::numeric(address);
    Some([b"host name/address mismatch: ", &number[..], b" != ", canonical].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_ipv4() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:7".parse().unwrap();
        assert_eq!(unmapped(&mapped), "192.0.2.1:7".parse().unwrap());
    }
}
