//! Host names and addresses as they are written in rules and on command lines, held against the name service.

use std::net::SocketAddr;

use hosts_access::address::dotted_quad;
use system::netdb::{self, Family, NoAnswer};

/// Is this the address of one host, as the tables know addresses?
pub(crate) fn is_address(host: &[u8]) -> bool {
    dotted_quad(host).is_some() || (host.contains(&b':') && netdb::is_numeric(host))
}

/// A host that has been looked up.
#[derive(Debug)]
pub(crate) struct Host {
    /// Its official name.
    pub(crate) official: Vec<u8>,
    /// Its addresses.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// Looks a host up. Says so where it has no address, and where the name is not the official one.
pub(crate) fn find(host: &[u8], warn: &mut dyn FnMut(Vec<u8>)) -> Result<Host, NoAnswer> {
    let Some(found) = netdb::ask(host, Family::Any)? else {
        warn([host, b": no such host: the name service knows no address for it"].concat());
        return Ok(Host {
            official: host.to_vec(),
            addresses: Vec::new(),
        });
    };
    let official = found.canonical.unwrap_or_else(|| host.to_vec());
    if !official.eq_ignore_ascii_case(host) && !netdb::is_numeric(host) {
        let text = b": an alias, which never matches; the official name is ";
        warn([host, &text[..], &official].concat());
    }
    Ok(Host {
        official,
        addresses: found.addresses,
    })
}

/// Says which of a host's addresses have no name, where it is given by address.
pub(crate) fn check_names(
    host: &[u8],
    addresses: &[SocketAddr],
    warn: &mut dyn FnMut(Vec<u8>),
) -> Result<(), NoAnswer> {
    if netdb::is_numeric(host) {
        for address in addresses {
            if netdb::ask_name(address)?.is_none() {
                let number = netdb::numeric(address);
                warn([&number[..], b": this address has no name"].concat());
            }
        }
    }
    Ok(())
}

/// What to say of a host that was asked for in vain.
pub(crate) fn no_answer(host: &[u8]) -> Vec<u8> {
    [host, b": not known: the name service gives no answer"].concat()
}
