//! Whom no ban may concern: networks that the configuration names, this host itself, and, unless somebody insists,
//! the clients of those who are logged in.

use std::fmt;
use std::net::IpAddr;

use crate::network::Network;

/// Why a network is not banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has addresses of a network that is never to be banned.
    Never(Network),
    /// It has addresses this host talks to itself by.
    Loopback,
    /// Somebody is logged in from this address of it.
    Session(IpAddr),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Never(network) => write!(f, "{network} is never banned ([bans] never in tcpwrap.toml)"),
            Refusal::Loopback => f.write_str("this host's own loopback addresses are never banned"),
            Refusal::Session(address) => write!(f, "somebody is logged in from {address}"),
        }
    }
}

/// May the network be banned? `never` are the networks of the configuration, `sessions` the clients of those who are
/// logged in.
pub fn refusal(network: Network, never: &[Network], sessions: &[IpAddr]) -> Option<Refusal> {
    const V4: [u8; 4] = [127, 0, 0, 0];
    let loopback = [
        Network::around(IpAddr::from(V4), 8),
        Network::from(IpAddr::from(std::net::Ipv6Addr::LOCALHOST)),
    ];
    if loopback.iter().any(|own| own.overlaps(network)) {
        return Some(Refusal::Loopback);
    }
    let never = never.iter().find(|never| never.overlaps(network));
    let session = || sessions.iter().find(|client| network.contains(**client));
    match never {
        Some(never) => Some(Refusal::Never(*never)),
        None => session().map(|client| Refusal::Session(*client)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_spared() {
        let never = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let sessions = ["192.0.2.7".parse().unwrap()];
        let refused = |network: &str| refusal(network.parse().unwrap(), &never, &sessions);
        assert_eq!(refused("10.1.2.3"), Some(Refusal::Never(never[0])));
        assert_eq!(refused("8.0.0.0/6"), Some(Refusal::Never(never[0])));
        assert_eq!(refused("2001:db8:1::/48"), Some(Refusal::Never(never[1])));
        assert_eq!(refused("127.0.0.1"), Some(Refusal::Loopback));
        assert_eq!(refused("::/64"), Some(Refusal::Loopback));
        assert_eq!(refused("0.0.0.0/0"), Some(Refusal::Loopback));
        assert_eq!(refused("192.0.2.0/24"), Some(Refusal::Session(sessions[0])));
        assert_eq!(refused("192.0.2.8"), None);
        assert_eq!(refused("2001:db9::1"), None);
    }
}
