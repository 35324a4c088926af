//! Does a pattern match the request? (hosts_access(5), PATTERNS.)
//!
//! The only place where patterns are matched: the one-shot scan, the compiled policy and the trace all
//! come here.

use crate::address::{Ipv6, dotted_quad, reduce_mapped};
use crate::brace::brace_matches;
use crate::fact::Fact;
use crate::request::{Address, Pending, Request, Side, is_known_name, is_unknown};
use crate::syntax::cidr_mask;
use crate::syntax::list::list_matches;
use crate::syntax::pattern::{ClientPattern, DaemonPattern, HostPattern, Service, StringPattern};
use crate::text::atoi;
use crate::work;

/// How deep `/file` patterns may nest.
pub const MAX_FILE_DEPTH: usize = 16;

/// What a pattern, a list or a rule says of a request. The patterns of the classic language always know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Match {
    /// It does not match.
    No,
    /// What it depends on cannot be determined.
    Unknown,
    /// It matches.
    Yes,
}

impl From<bool> for Match {
    #[inline]
    fn from(matches: bool) -> Self {
        if matches { Match::Yes } else { Match::No }
    }
}

impl Match {
    /// Do both match? As in Kleene's logic.
    #[inline]
    pub fn and(self, other: Match) -> Match {
        match (self, other) {
            (Match::No, _) | (_, Match::No) => Match::No,
            (Match::Yes, Match::Yes) => Match::Yes,
            (Match::Unknown, Match::Unknown | Match::Yes) | (Match::Yes, Match::Unknown) => Match::Unknown,
        }
    }

    /// Does one of the two match?
    #[inline]
    pub fn or(self, other: Match) -> Match {
        match (self, other) {
            (Match::Yes, _) | (_, Match::Yes) => Match::Yes,
            (Match::No, Match::No) => Match::No,
            (Match::Unknown, Match::Unknown | Match::No) | (Match::No, Match::Unknown) => Match::Unknown,
        }
    }
}

/// What matching needs beside the request: the files that patterns name, and someone to tell.
pub(crate) trait Matching {
    /// Does a pattern in the file `path` match this end? `depth` counts the files around it.
    fn file_matches(
        &mut self,
        request: &mut Request,
        side: Side,
        path: &[u8],
        depth: usize,
    ) -> Result<Match, Pending>;

    /// Has the request told the answer to a question, where it can be had at once.
    fn ask(&mut self, _fact: &Fact, _request: &mut Request) {}

    /// A token of one of the lists was tried.
    fn tried(&mut self, _token: &[u8], _matched: Match) {}
}

/// Does the daemon list match?
#[inline]
pub(crate) fn daemons_match(
    list: &[u8],
    request: &mut Request,
    with: &mut impl Matching,
) -> Result<Match, Pending> {
    list_matches(list, |token| {
        let matched = daemon_matches(token, request, with)?;
        with.tried(token, matched);
        Ok(matched)
    })
}

/// Does the client list match?
#[inline]
pub(crate) fn clients_match(
    list: &[u8],
    request: &mut Request,
    with: &mut impl Matching,
) -> Result<Match, Pending> {
    list_matches(list, |token| {
        let matched = client_matches(token, request, with)?;
        with.tried(token, matched);
        Ok(matched)
    })
}

#[inline]
fn daemon_matches(token: &[u8], request: &mut Request, with: &mut impl Matching) -> Result<Match, Pending> {
    daemon_pattern_matches(DaemonPattern::parse(token), request, with)
}

#[inline(never)]
fn daemon_pattern_matches(
    pattern: DaemonPattern<'_>,
    request: &mut Request,
    with: &mut impl Matching,
) -> Result<Match, Pending> {
    work::add(1);
    let service = match pattern.service {
        Service::Port(port) => request.port(Side::Server)? == Some(port),
        Service::Name(name) => string_matches(name, request.daemon()),
    };
    match pattern.host {
        Some(host) if service => host_matches(host, Side::Server, request, with, 0),
        _ => Ok(service.into()),
    }
}

/// Does a token of a client list match?
#[inline]
pub(crate) fn client_matches(
    token: &[u8],
    request: &mut Request,
    with: &mut impl Matching,
) -> Result<Match, Pending> {
    client_pattern_matches(ClientPattern::parse(token), request, with)
}

#[inline(never)]
fn client_pattern_matches(
    pattern: ClientPattern<'_>,
    request: &mut Request,
    with: &mut impl Matching,
) -> Result<Match, Pending> {
    let host = host_matches(pattern.host, Side::Client, request, with, 0)?;
    match pattern.user {
        Some(user) if host != Match::No => {
            let user = string_matches(StringPattern::parse(user), request.user()?);
            Ok(host.and(user.into()))
        }
        _ => Ok(host),
    }
}

/// Are lists such that they do not match, and that to find that out asks, says and reads nothing? No daemon list stands
/// for one that matches.
pub(crate) fn certainly_differ(
    daemons: Option<&[u8]>,
    clients: &[u8],
    request: &mut Request,
    with: &mut impl Matching,
) -> bool {
    let daemons = daemons.map(|list| {
        list_matches(list, |token| {
            let pattern = DaemonPattern::parse(token);
            match pattern.host.is_none_or(is_quiet) {
                true => daemon_pattern_matches(pattern, request, with).map_err(|_| ()),
                false => Err(()),
            }
        })
    });
    match daemons {
        Some(Ok(Match::No)) => return true,
        Some(Ok(Match::Unknown) | Err(())) => return false,
        Some(Ok(Match::Yes)) | None => {}
    }
    let clients = list_matches(clients, |token| {
        let pattern = ClientPattern::parse(token);
        match is_quiet(pattern.host) {
            true => client_pattern_matches(pattern, request, with).map_err(|_| ()),
            false => Err(()),
        }
    });
    clients == Ok(Match::No)
}

/// Does matching a pattern nothing but compare, once what it needs is known?
fn is_quiet(pattern: HostPattern<'_>) -> bool {
    match pattern {
        HostPattern::Known | HostPattern::Local | HostPattern::Net { .. } | HostPattern::Text { .. } => true,
        HostPattern::Netgroup(_) | HostPattern::File(_) | HostPattern::Brace(_) => false,
    }
}

/// Does a host pattern match one end of the connection? `depth` counts the `/file` patterns around it.
pub(crate) fn host_matches(
    pattern: HostPattern<'_>,
    side: Side,
    request: &mut Request,
    with: &mut impl Matching,
    depth: usize,
) -> Result<Match, Pending> {
    work::add(1);
    let matches = match pattern {
        HostPattern::Brace(brace) => return brace_matches(brace, request, with),
        HostPattern::Netgroup(group) => request.in_netgroup(side, group)?,
        HostPattern::File(path) => return with.file_matches(request, side, path, depth),
        HostPattern::Known => is_known_name(request.name(side)?) && !is_unknown(request.address(side)?),
        HostPattern::Local => {
            let name = request.name(side)?;
            is_known_name(name) && !name.contains(&b'.')
        }
        HostPattern::Net { net, mask } => match Network::parse(net, mask) {
            Some(network) => network.contains(request.parsed_address(side)?),
            None => false,
        },
        HostPattern::Text { pattern, tries_name } => {
            string_matches(pattern, request.address(side)?)
                || (tries_name && string_matches(pattern, request.name(side)?))
        }
    };
    Ok(matches.into())
}

/// A `net/mask` token that can match something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// IPv4: `address & mask == net`.
    V4 {
        /// What must be left of the address.
        net: u32,
        /// The bits of it that count.
        mask: u32,
    },
    /// IPv6: the first `length` bits agree.
    V6 {
        /// The network's address.
        net: u128,
        /// How many bits must agree.
        length: u32,
    },
}

impl Network {
    /// Reads both sides of the slash; nothing for what can match no address at all.
    pub fn parse(net: &[u8], mask: &[u8]) -> Option<Self> {
        if let [b'[', inner @ .., b']'] = net {
            let length = u32::try_from(atoi(mask)).ok().filter(|n| *n <= 128)?;
            return Some(Network::V6 {
                net: Ipv6::parse(inner)?.bits,
                length,
            });
        }
        let net = dotted_quad(net)?;
        let mask = dotted_quad(mask).or_else(|| cidr_mask(mask))?;
        Some(Network::V4 { net, mask })
    }

    fn contains(self, address: &Address) -> bool {
        match self {
            Network::V4 { net, mask } => address.quad.is_some_and(|a| a & mask == net),
            Network::V6 { net, length } => address
                .ipv6
                .is_some_and(|a| (a ^ net).checked_shr(128 - length).unwrap_or(0) == 0),
        }
    }
}

/// Does a string pattern match a daemon's name, a user, an address or a host name?
pub fn string_matches(pattern: StringPattern<'_>, string: &[u8]) -> bool {
    let string = reduce_mapped(string);
    match pattern {
        StringPattern::Wildcard(pattern) => wildcard_matches(pattern, string),
        StringPattern::Suffix(suffix) => {
            string.len() > suffix.len() && string[string.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
        }
        StringPattern::All => true,
        StringPattern::Known => !is_unknown(string),
        StringPattern::Prefix(prefix) => string
            .get(..prefix.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix)),
        StringPattern::Bracketed(inner) => match (Ipv6::parse(inner), Ipv6::parse(string)) {
            (Some(pattern), Some(address)) => pattern.bits == address.bits,
            _ => false,
        },
        StringPattern::Exact(exact) => string.eq_ignore_ascii_case(exact),
    }
}

/// Shell-style wildcards, `*` and `?` only, over the whole string. Remembering only the last star is
/// enough, which bounds the work to pattern × string.
fn wildcard_matches(pattern: &[u8], string: &[u8]) -> bool {
    let (mut p, mut s) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while s < string.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                last_star = Some((p, s));
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&string[s]) => {
                p += 1;
                s += 1;
            }
            _ => match &mut last_star {
                Some((after_star, from)) => {
                    *from += 1;
                    (p, s) = (*after_star, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// No file names anybody.
    pub(crate) struct NoFiles;

    impl Matching for NoFiles {
        fn file_matches(&mut self, _: &mut Request, _: Side, _: &[u8], _: usize) -> Result<Match, Pending> {
            Ok(Match::No)
        }
    }

    fn matches(pattern: &str, string: &str) -> bool {
        string_matches(StringPattern::parse(pattern.as_bytes()), string.as_bytes())
    }

    #[test]
    fn string_patterns() {
        assert!(matches("*.Example.*", "a.example.org"));
        assert!(!matches("*.example.?", "a.example.org"));
        assert!(matches(".example.org", "a.EXAMPLE.org"));
        assert!(!matches(".example.org", ".example.org"));
        assert!(matches("10.1.", "10.1.2.3"));
        assert!(!matches("10.1.", "10.11.2.3"));
        assert!(matches("10.1.2.3", "::ffff:10.1.2.3"));
        assert!(matches("[2001:DB8::1]", "2001:db8:0::1"));
        assert!(matches("[fe80::1]", "fe80::1%lo"));
        assert!(matches("[fe80::1%77]", "fe80::1%lo"));
        assert!(matches("[fe80::1%lo]", "fe80::1%1"));
        assert!(!matches("[fe80::1%nowhere]", "fe80::1"));
        assert!(!matches("[::ffff:10.1.2.3]", "::ffff:10.1.2.3"));
        assert!(matches("known", "paranoid"));
        assert!(!matches("known", "unknown"));
    }

    #[test]
    fn stars_do_not_backtrack() {
        let pattern = format!("{}b", "*a".repeat(24));
        assert!(!matches(&pattern, &"a".repeat(100_000)));
    }

    #[test]
    fn networks() {
        let net = |n: &str, m: &str| Network::parse(n.as_bytes(), m.as_bytes());
        assert_eq!(
            net("10.0.0.0", "8"),
            Some(Network::V4 {
                net: 0x0a00_0000,
                mask: 0xff00_0000
            })
        );
        assert_eq!(
            net("10.0.0.0", "24x"),
            Some(Network::V4 {
                net: 0x0a00_0000,
                mask: 0xffff_ff00
            })
        );
        assert_eq!(net("10.0.0.0", "0"), None);
        assert_eq!(net("10.0.0.0", "33"), None);
        assert_eq!(net("10.0.0.1", "255.255.255.255"), None);
        assert_eq!(net("[::]", ""), Some(Network::V6 { net: 0, length: 0 }));
        assert_eq!(net("[::]", "129"), None);
    }
}
