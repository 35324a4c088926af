//! What a single token means (hosts_access(5), PATTERNS and WILDCARDS).

use crate::syntax::brace::Brace;
use crate::syntax::list::EXCEPT;
use crate::text::{class, find_outside_brackets, whole_unsigned};

const ALL: &[u8] = b"ALL";
const KNOWN: &[u8] = b"KNOWN";
const LOCAL: &[u8] = b"LOCAL";

/// The words that look like names and are none.
pub(crate) const KEYWORDS: [&[u8]; 4] = [ALL, KNOWN, LOCAL, EXCEPT];

/// A pattern for a string: a daemon's name, a user's, an address or a host's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StringPattern<'t> {
    /// Holds `*` or `?`: shell-style wildcards over the whole string.
    Wildcard(&'t [u8]),
    /// Begins with a dot: the string ends with the pattern and is longer. The dot is included.
    Suffix(&'t [u8]),
    /// `ALL`: every string.
    All,
    /// `KNOWN`: every string but `unknown`.
    Known,
    /// Ends with a dot: the string begins with the pattern. The dot is included.
    Prefix(&'t [u8]),
    /// `[v6]`: the string is the same numeric IPv6 address. What stands between the brackets.
    Bracketed(&'t [u8]),
    /// Anything else: the same string, ASCII case apart.
    Exact(&'t [u8]),
}

impl<'t> StringPattern<'t> {
    /// Reads a token.
    #[inline]
    pub fn parse(token: &'t [u8]) -> Self {
        StringPattern::read(token, class::seen(token))
    }

    /// The same, where it is known what there is in it.
    #[inline]
    fn read(token: &'t [u8], seen: u8) -> Self {
        if seen & class::WILDCARD != 0 {
            StringPattern::Wildcard(token)
        } else if token.first() == Some(&b'.') {
            StringPattern::Suffix(token)
        } else if token.eq_ignore_ascii_case(ALL) {
            StringPattern::All
        } else if token.eq_ignore_ascii_case(KNOWN) {
            StringPattern::Known
        } else if token.last() == Some(&b'.') {
            StringPattern::Prefix(token)
        } else if let [b'[', inner @ .., b']'] = token {
            StringPattern::Bracketed(inner)
        } else {
            StringPattern::Exact(token)
        }
    }
}

/// A pattern for a host: a client, or the server endpoint after `daemon@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPattern<'t> {
    /// `@group`: the host's name is a member of the netgroup.
    Netgroup(&'t [u8]),
    /// `/path`: a pattern in that file matches.
    File(&'t [u8]),
    /// `KNOWN`: name and address are both known.
    Known,
    /// `LOCAL`: the name is known and has no dot.
    Local,
    /// `net/mask`: the address lies in that network.
    Net {
        /// What stands before the slash.
        net: &'t [u8],
        /// What stands after it.
        mask: &'t [u8],
    },
    /// A string pattern for the address and, unless it is all digits, dots and slashes, for the name.
    Text {
        /// The pattern.
        pattern: StringPattern<'t>,
        /// Is it tried against the host's name too?
        tries_name: bool,
    },
    /// `{…}`: something else is asked of the client.
    Brace(Brace<'t>),
}

impl<'t> HostPattern<'t> {
    /// Reads a token of a client list or a file, user part already taken off.
    #[inline]
    pub fn parse(token: &'t [u8]) -> Self {
        HostPattern::read(token, class::seen(token))
    }

    #[inline]
    fn read(token: &'t [u8], seen: u8) -> Self {
        if token.first() == Some(&b'{')
            && let Some(brace) = Brace::parse(token)
        {
            return HostPattern::Brace(brace);
        }
        HostPattern::read_server(token, seen)
    }

    /// The same for this host's end, where what stands in braces is a text like any other.
    #[inline]
    pub fn parse_server(token: &'t [u8]) -> Self {
        HostPattern::read_server(token, class::seen(token))
    }

    #[inline]
    fn read_server(token: &'t [u8], seen: u8) -> Self {
        match token {
            [b'@', group @ ..] => return HostPattern::Netgroup(group),
            [b'/', ..] => return HostPattern::File(token),
            _ => {}
        }
        if token.eq_ignore_ascii_case(KNOWN) {
            return HostPattern::Known;
        }
        if token.eq_ignore_ascii_case(LOCAL) {
            return HostPattern::Local;
        }
        if seen & class::SLASH != 0
            && let Some(slash) = find_outside_brackets(token, b'/')
        {
            return HostPattern::Net {
                net: &token[..slash],
                mask: &token[slash + 1..],
            };
        }
        HostPattern::Text {
            pattern: StringPattern::read(token, seen),
            tries_name: seen & class::NAME != 0,
        }
    }
}

/// A token of a client list: `[user@]host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientPattern<'t> {
    /// The pattern for the user, if one is given.
    pub user: Option<&'t [u8]>,
    /// The pattern for the host.
    pub host: HostPattern<'t>,
}

impl<'t> ClientPattern<'t> {
    /// Reads a token of a client list.
    #[inline]
    pub fn parse(token: &'t [u8]) -> Self {
        let seen = class::seen(token);
        match split_at_sign(token, seen) {
            Some((user, host)) => ClientPattern {
                user: Some(user),
                host: HostPattern::parse(host),
            },
            None => ClientPattern {
                user: None,
                host: HostPattern::read(token, seen),
            },
        }
    }
}

/// What a daemon token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service<'t> {
    /// A number up to 65535: the server's port.
    Port(u16),
    /// Anything else: the daemon's name.
    Name(StringPattern<'t>),
}

/// A token of a daemon list: `service[@server host]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaemonPattern<'t> {
    /// The service.
    pub service: Service<'t>,
    /// The pattern for the server endpoint, if one is given.
    pub host: Option<HostPattern<'t>>,
}

impl<'t> DaemonPattern<'t> {
    /// Reads a token of a daemon list.
    #[inline]
    pub fn parse(token: &'t [u8]) -> Self {
        let seen = class::seen(token);
        let (name, host) = match split_at_sign(token, seen) {
            Some((name, host)) => (name, Some(HostPattern::parse_server(host))),
            None => (token, None),
        };
        let service = match whole_unsigned(name, 10).and_then(|n| u16::try_from(n).ok()) {
            Some(port) => Service::Port(port),
            None if host.is_none() => Service::Name(StringPattern::read(name, seen)),
            None => Service::Name(StringPattern::parse(name)),
        };
        DaemonPattern { service, host }
    }
}

/// Splits at the first `@` after the first character that stands outside square brackets.
#[inline]
fn split_at_sign(token: &[u8], seen: u8) -> Option<(&[u8], &[u8])> {
    if seen & class::AT == 0 {
        return None;
    }
    let at = 1 + find_outside_brackets(&token[1..], b'@')?;
    Some((&token[..at], &token[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_stands_before_the_first_at_sign_but_for_the_first_character() {
        let user = |token: &'static str| ClientPattern::parse(token.as_bytes()).user;
        for (token, wanted) in [
            ("u@host", Some(&b"u"[..])),
            ("u@", Some(b"u")),
            ("u@@group", Some(b"u")),
            ("@@", Some(b"@")),
            ("@group", None),
            ("@", None),
            ("x[u@host]", None),
            ("host", None),
        ] {
            assert_eq!(user(token), wanted, "{token}");
        }
    }
}
