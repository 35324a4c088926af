//! What the name service says of the hosts that rules name.

use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use analysis::check::{Code, host as codes, quoted};
use system::netdb::{self, Family};

use super::Place;

/// So many addresses are looked up; where there are more, none is.
pub(super) const MOST_ADDRESSES: usize = 64;

/// Could this be a host that the name service knows? Not the words that stand for strings of the language.
pub(super) fn is_host_name(name: &[u8]) -> bool {
    let is_name = name
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    is_name
        && name.iter().any(u8::is_ascii_alphabetic)
        && !name.eq_ignore_ascii_case(b"unknown")
        && !name.eq_ignore_ascii_case(b"paranoid")
}

/// Looks the hosts up, a few at a time, since each may take seconds.
pub(super) fn judge(hosts: &[(Vec<u8>, Place)]) -> Vec<(Place, (&'static Code, String))> {
    const AT_ONCE: usize = 16;
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let work = || {
        while let Some((name, place)) = hosts.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(judged) = look_up(name) {
                let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                found.push((place.clone(), judged));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..AT_ONCE.min(hosts.len()) {
            // With fewer threads it takes longer.
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    found
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn look_up(name: &[u8]) -> Option<(&'static Code, String)> {
    let shown = quoted(name);
    if let Some(address) = std::str::from_utf8(name)
        .ok()
        .and_then(|text| text.parse::<IpAddr>().ok())
    {
        let verified = system::names::verified_name(&SocketAddr::new(address, 0), &mut |_| {});
        let is_nameless = verified == hosts_access::UNKNOWN || verified == hosts_access::PARANOID;
        return is_nameless.then(|| {
            (
                &codes::NAMELESS,
                format!("{shown} has no name that leads back to it"),
            )
        });
    }
    let Some(resolved) = netdb::resolve(name, Family::Any) else {
        return Some((&codes::NO_HOST, format!("{shown} has no address")));
    };
    // A client at any of its addresses must be known by this name.
    for address in &resolved.addresses {
        let verified = system::names::verified_name(address, &mut |_| {});
        if verified.eq_ignore_ascii_case(name) {
            return None;
        }
        if verified != hosts_access::UNKNOWN && verified != hosts_access::PARANOID {
            let message = format!(
                "clients at {} are known as {}, not {shown}",
                address.ip(),
                quoted(&verified)
            );
            return Some((&codes::ALIAS_HOST, message));
        }
    }
    let address = resolved.addresses.first()?.ip();
    Some((
        &codes::CONFLICT,
        format!("the address of {shown}, {address}, does not lead back to it"),
    ))
}
