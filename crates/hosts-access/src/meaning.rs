//! What a host pattern stands for: which addresses, which strings, which look-ups (hosts_access(5), PATTERNS).
//!
//! Said here once, for all who must know it without a request at hand: the index, which chooses what could match,
//! and the studies of tables. `matching` holds patterns against a request; a test holds the two
//! together. Nothing here has a case for "anything else": a new pattern does not compile until it is said what it
//! stands for.

use crate::address::{Ipv6, canonical_quad};
use crate::matching::Network;
use crate::syntax::brace::Brace;
use crate::syntax::pattern::{HostPattern, StringPattern};

/// What a host pattern stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning<'t> {
    /// No host; and nothing is looked up to find that out.
    Nothing,
    /// Every host.
    Everyone,
    /// The addresses of a network.
    Addresses(Network),
    /// A network whose text names an interface. Interfaces come and go: this is what it holds now.
    Scoped(Option<Network>),
    /// A string that the address is compared with and, where that differs, the name.
    Text {
        /// The string.
        text: Strings<'t>,
        /// Is the name compared, and looked up for that?
        tries_name: bool,
    },
    /// Hosts whose name and address are known. The name is looked up.
    Known,
    /// Hosts whose name is known and has no dot. The name is looked up.
    Local,
    /// Members of a netgroup, by name. Both are looked up.
    Netgroup(&'t [u8]),
    /// What the patterns in a file stand for, which may change and cannot always be read.
    File(&'t [u8]),
    /// Clients of which something else is asked: where they are, what time it is, what is remembered of them.
    Brace(Brace<'t>),
}

/// Which strings a string pattern stands for. Mapped addresses are reduced before they are compared, and the case
/// of ASCII letters does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strings<'t> {
    /// Every string.
    Every,
    /// Every string but `unknown`.
    ButUnknown,
    /// This one.
    This(&'t [u8]),
    /// Those that begin so.
    Beginning(&'t [u8]),
    /// Longer ones that end so.
    Ending(&'t [u8]),
    /// Those that shell-style wildcards match.
    Wildcard(Wildcard<'t>),
    /// The numeric spellings of this IPv6 address.
    Ipv6(u128),
    /// The same, where the address names an interface.
    Scoped(&'t [u8]),
    /// None.
    None,
}

/// What a wildcard pattern says for certain: the text before its first `*` or `?`, after its last, and the longest
/// text between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wildcard<'t> {
    /// The whole pattern.
    pub pattern: &'t [u8],
    /// Every string it matches begins so.
    pub head: &'t [u8],
    /// Every string it matches ends so.
    pub tail: &'t [u8],
    /// Every string it matches holds this.
    pub within: &'t [u8],
}

impl<'t> Meaning<'t> {
    /// What a pattern stands for.
    pub fn of(pattern: HostPattern<'t>) -> Self {
        match pattern {
            HostPattern::Netgroup(group) => Meaning::Netgroup(group),
            HostPattern::File(path) => Meaning::File(path),
            HostPattern::Known => Meaning::Known,
            HostPattern::Local => Meaning::Local,
            HostPattern::Brace(brace) => Meaning::Brace(brace),
            HostPattern::Net { net, mask } if net.contains(&b'%') => {
                Meaning::Scoped(Network::parse(net, mask))
            }
            HostPattern::Net { net, mask } => {
                Network::parse(net, mask).map_or(Meaning::Nothing, Meaning::Addresses)
            }
            HostPattern::Text { pattern, tries_name } => match (Strings::of(pattern), tries_name) {
                (Strings::Every, _) => Meaning::Everyone,
                (Strings::None, false) => Meaning::Nothing,
                (text, tries_name) => Meaning::Text { text, tries_name },
            },
        }
    }

    /// Can holding it against a host start a look-up of the host's name?
    pub fn wants_name(&self) -> bool {
        match self {
            Meaning::Nothing
            | Meaning::Everyone
            | Meaning::Addresses(_)
            | Meaning::Scoped(_)
            | Meaning::Brace(_) => false,
            Meaning::Text { tries_name, .. } => *tries_name,
            Meaning::Known | Meaning::Local | Meaning::Netgroup(_) | Meaning::File(_) => true,
        }
    }
}

impl<'t> Strings<'t> {
    /// Which strings a pattern stands for.
    pub fn of(pattern: StringPattern<'t>) -> Self {
        match pattern {
            StringPattern::All | StringPattern::Wildcard(b"*") => Strings::Every,
            StringPattern::Known => Strings::ButUnknown,
            StringPattern::Exact(text) => Strings::This(text),
            StringPattern::Prefix(text) => Strings::Beginning(text),
            StringPattern::Suffix(text) => Strings::Ending(text),
            StringPattern::Wildcard(pattern) => Strings::Wildcard(Wildcard::new(pattern)),
            StringPattern::Bracketed(inner) if inner.contains(&b'%') => Strings::Scoped(inner),
            StringPattern::Bracketed(inner) => {
                Ipv6::parse(inner).map_or(Strings::None, |v6| Strings::Ipv6(v6.bits))
            }
        }
    }

    /// The network whose addresses, written the one way they are shown in, these strings are. No string besides
    /// is such an address.
    pub fn network(&self) -> Option<Network> {
        match *self {
            Strings::This(text) => canonical_quad(text).map(|net| Network::V4 { net, mask: u32::MAX }),
            Strings::Beginning(text) => octets(text),
            Strings::Ipv6(net) => Some(Network::V6 { net, length: 128 }),
            Strings::Every
            | Strings::ButUnknown
            | Strings::Ending(_)
            | Strings::Wildcard(_)
            | Strings::Scoped(_)
            | Strings::None => None,
        }
    }
}

impl<'t> Wildcard<'t> {
    fn new(pattern: &'t [u8]) -> Self {
        let is_wild = |b: &u8| matches!(b, b'*' | b'?');
        let mut parts = pattern.split(is_wild);
        // A pattern without a wildcard is not one; its head would be its tail.
        let head = parts.next().unwrap_or_default();
        let tail = parts.next_back().unwrap_or_default();
        let within = parts.max_by_key(|part| part.len()).unwrap_or_default();
        Wildcard {
            pattern,
            head,
            tail,
            within,
        }
    }
}

/// The network that a prefix such as `10.1.` stands for.
fn octets(prefix: &[u8]) -> Option<Network> {
    let count = prefix.iter().filter(|b| **b == b'.').count();
    if !(1..=3).contains(&count) {
        return None;
    }
    let zeros = b"0.0.0";
    let whole = [prefix, &zeros[..(4 - count) * 2 - 1]].concat();
    let mask = u32::MAX << (32 - 8 * count);
    canonical_quad(&whole).map(|net| Network::V4 { net, mask })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(token: &str) -> Meaning<'_> {
        Meaning::of(HostPattern::parse(token.as_bytes()))
    }

    /// Addresses as they are shown, and beginnings of them, are networks.
    #[test]
    fn strings_that_are_networks() {
        let network = |token: &str| match meaning(token) {
            Meaning::Text { text, .. } => text.network(),
            other => panic!("{token}: {other:?}"),
        };
        let v4 = |net, mask| Some(Network::V4 { net, mask });
        for (token, wanted) in [
            ("10.1.2.3", v4(0x0a01_0203, 0xffff_ffff)),
            ("10.1.2.", v4(0x0a01_0200, 0xffff_ff00)),
            ("10.1.", v4(0x0a01_0000, 0xffff_0000)),
            ("10.", v4(0x0a00_0000, 0xff00_0000)),
            ("255.255.255.254", v4(!1, !0)),
            ("0.", v4(0, 0xff00_0000)),
            (
                "[2001:db8::1]",
                Some(Network::V6 {
                    net: 0x2001_0db8 << 96 | 1,
                    length: 128,
                }),
            ),
            // No address begins or is shown so, or could be told from an error.
            ("255.255.255.255", None),
            ("10.1.2.3.", None),
            ("010.", None),
            ("256.", None),
            ("10.1", None),
            ("010.1.2.3", None),
            (".1", None),
            ("x.", None),
            ("10.*", None),
        ] {
            assert_eq!(network(token), wanted, "{token}");
        }
    }

    /// What names an interface depends on the host it is read on.
    #[test]
    fn interfaces_are_told_from_addresses() {
        let fe80 = Network::V6 {
            net: 0xfe80 << 112,
            length: 10,
        };
        assert_eq!(meaning("[fe80::]/10"), Meaning::Addresses(fe80));
        assert_eq!(meaning("[fe80::%lo]/10"), Meaning::Scoped(Some(fe80)));
        assert_eq!(meaning("[fe80::%lo]/129"), Meaning::Scoped(None));
        assert_eq!(meaning("[fe80::]/129"), Meaning::Nothing);
        let text = |token: &'static str| match meaning(token) {
            Meaning::Text { text, .. } => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text("[fe80::1%lo]"), Strings::Scoped(b"fe80::1%lo"));
        assert_eq!(text("[::1]"), Strings::Ipv6(1));
        assert_eq!(text("[x]"), Strings::None);
    }

    #[test]
    fn what_wildcards_say_for_certain() {
        let parts = |token: &'static str| match Strings::of(StringPattern::parse(token.as_bytes())) {
            Strings::Wildcard(Wildcard {
                head, within, tail, ..
            }) => [head, within, tail].map(|part| str::from_utf8(part).unwrap()),
            other => panic!("{other:?}"),
        };
        assert_eq!(parts("a*bcd?ef*g"), ["a", "bcd", "g"]);
        assert_eq!(parts("*.example.org"), ["", "", ".example.org"]);
        assert_eq!(parts("host?"), ["host", "", ""]);
        assert_eq!(Strings::of(StringPattern::parse(b"*")), Strings::Every);
    }
}
