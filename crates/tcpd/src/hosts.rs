//! Host names and addresses as they are written in rules and on command lines, held against the name service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use hosts_access::address::dotted_quad;
use system::names;
use system::netdb::{self, Family};

use crate::report::Report;

/// Is this the address of one host, as the tables know addresses?
pub(crate) fn is_address(host: &[u8]) -> bool {
    dotted_quad(host).is_some() || (host.contains(&b':') && netdb::is_numeric(host))
}

/// The official name and the addresses of a host. Says so where there are none, where the name is not the official one, and where
/// an address has no name.
pub(crate) fn find(host: &[u8], report: &mut Report) -> (Vec<u8>, Vec<SocketAddr>) {
    let Some(found) = netdb::resolve(host, Family::Any) else {
        report.warn([host, b": no such host: the name service knows no address for it"].concat());
        return (host.to_vec(), Vec::new());
    };
    let numeric = netdb::is_numeric(host);
    let official = found.canonical.unwrap_or_else(|| host.to_vec());
    if !numeric && !official.eq_ignore_ascii_case(host) {
        let text = b": an alias, which never matches; the official name is ";
        report.warn([host, &text[..], &official].concat());
    }
    if numeric {
        for address in &found.addresses {
            if !has_name(address) {
                let number = netdb::numeric(address);
                report.warn([&number[..], b": this address has no name"].concat());
            }
        }
    }
    (official, found.addresses)
}

/// Does the address have a name? Looked up once, as tables hold the same addresses for many daemons.
fn has_name(address: &SocketAddr) -> bool {
    static ASKED: Mutex<BTreeMap<SocketAddr, bool>> = Mutex::new(BTreeMap::new());
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    *asked
        .entry(*address)
        .or_insert_with(|| netdb::name_of(address).is_some())
}

/// The name by which the tables know an address. Says why where it is not to be believed.
pub(crate) fn verified_name(address: &SocketAddr, report: &mut Report) -> Vec<u8> {
    names::verified_name(address, &mut |doubt| report.warn(doubt))
}
