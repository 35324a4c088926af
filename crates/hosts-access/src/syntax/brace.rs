//! Patterns in braces: `{name}` or `{name=value|value|…}` (hosts_access(5), ADDITIONS).
//!
//! They stand where a client's host stands, and nowhere else. A name that is not known and has no value is the text it
//! always was, as in a template that was not filled in.

use std::fmt;
use std::net::Ipv4Addr;

use crate::syntax::time::{Times, times};

/// What a pattern in braces asks of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brace<'t> {
    /// `{country=DE|AT}`: it is located, or registered, in one of these.
    Country(Values<'t>),
    /// `{continent=EU}`
    Continent(Values<'t>),
    /// `{asn=3320|AS680}`: it is in one of these autonomous systems.
    System(Values<'t>),
    /// `{dns=name}`: it is at one of the addresses that name has now.
    Name(&'t [u8]),
    /// `{rbl=zone|127.0.0.2}`: it is on a list in the DNS.
    Listed {
        /// The list.
        zone: &'t [u8],
        /// What the list says of it, if not just anything.
        codes: Values<'t>,
    },
    /// `{samehost}`: it is this host.
    SameHost,
    /// `{samenet}`: it is in a network that this host is directly on.
    SameNet,
    /// `{time=…}`: it is that time.
    Time(&'t [u8]),
    /// `{banned}`: it is on the ban list.
    Banned,
    /// Something is wrong with it.
    Wrong(Mistake<'t>),
}

/// Values separated by `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Values<'t>(&'t [u8]);

impl<'t> Values<'t> {
    /// Each of them, as it is written.
    pub fn iter(&self) -> impl Iterator<Item = &'t [u8]> + use<'t> {
        let text = self.0;
        let count = if text.is_empty() { 0 } else { usize::MAX };
        text.split(|byte| *byte == b'|').take(count)
    }
}

/// What is wrong with a pattern in braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake<'t> {
    /// There is no such pattern.
    Name(&'t [u8]),
    /// It takes no value, and has one.
    NoValue(BraceName),
    /// It needs a value.
    Value(BraceName),
    /// It takes one value, and has several.
    OneValue(BraceName),
    /// The value cannot be what it should.
    Bad(BraceName, &'t [u8]),
}

impl fmt::Display for Mistake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mistake::Name(name) => write!(
                f,
                "there is no pattern \"{{{}=…}}\"",
                String::from_utf8_lossy(name)
            ),
            Mistake::NoValue(known) => write!(f, "\"{{{}}}\" takes no value", known.as_str()),
            Mistake::Value(known) => write!(f, "\"{{{}}}\" needs a value: {}", known.as_str(), known.value()),
            Mistake::OneValue(known) => write!(f, "\"{{{}=…}}\" takes one value", known.as_str()),
            Mistake::Bad(known, value) => write!(
                f,
                "\"{}\" is not {}",
                String::from_utf8_lossy(value),
                known.value()
            ),
        }
    }
}

/// The patterns there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BraceName {
    /// `{country=…}`
    Country,
    /// `{continent=…}`
    Continent,
    /// `{asn=…}`
    System,
    /// `{dns=…}`
    Name,
    /// `{rbl=…}`
    Listed,
    /// `{samehost}`
    SameHost,
    /// `{samenet}`
    SameNet,
    /// `{time=…}`
    Time,
    /// `{banned}`
    Banned,
}

/// What is known of a pattern: its name, what its value should be (nothing, where it takes none), and what it matches.
const KNOWN: [(BraceName, &str, &str, &str); 9] = [
    (
        BraceName::Country,
        "country",
        "a country by its two letters (ISO 3166)",
        "whose address is located or registered there",
    ),
    (
        BraceName::Continent,
        "continent",
        "one of AF, AN, AS, EU, NA, OC, SA",
        "whose address is there",
    ),
    (
        BraceName::System,
        "asn",
        "the number of an autonomous system",
        "in that autonomous system",
    ),
    (
        BraceName::Name,
        "dns",
        "a host name",
        "whose address is one that this name has now",
    ),
    (
        BraceName::Listed,
        "rbl",
        "a zone, then addresses in 127.0.0.0/8",
        "on that list in the DNS",
    ),
    (
        BraceName::SameHost,
        "samehost",
        "",
        "with an address of this host",
    ),
    (
        BraceName::SameNet,
        "samenet",
        "",
        "of a network that this host is directly on",
    ),
    (
        BraceName::Time,
        "time",
        "days, hours (0800-1800) or dates, then a time zone",
        "any, while it is so",
    ),
    (BraceName::Banned, "banned", "", "on the ban list"),
];

/// The continents.
pub const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];

impl BraceName {
    /// Every pattern.
    pub const ALL: [BraceName; KNOWN.len()] = {
        let mut all = [BraceName::Country; KNOWN.len()];
        let mut at = 0;
        while at < KNOWN.len() {
            all[at] = KNOWN[at].0;
            assert!(all[at] as usize == at);
            at += 1;
        }
        all
    };

    /// Its name.
    pub fn as_str(self) -> &'static str {
        KNOWN[self as usize].1
    }

    /// What its value should be; empty where it takes none.
    pub fn value(self) -> &'static str {
        KNOWN[self as usize].2
    }

    /// Which clients it matches, in a few words.
    pub fn help(self) -> &'static str {
        KNOWN[self as usize].3
    }

    fn parse(name: &[u8]) -> Option<Self> {
        let same = |known: &&(BraceName, &str, &str, &str)| known.1.as_bytes().eq_ignore_ascii_case(name);
        KNOWN.iter().find(same).map(|known| known.0)
    }
}

impl<'t> Brace<'t> {
    /// Reads a token. Nothing, where it is a text like any other.
    pub fn parse(token: &'t [u8]) -> Option<Self> {
        let [b'{', inner @ .., b'}'] = token else {
            return None;
        };
        let (name, value) = match inner.iter().position(|byte| *byte == b'=') {
            Some(at) => (&inner[..at], Some(&inner[at + 1..])),
            None => (inner, None),
        };
        let Some(known) = BraceName::parse(name) else {
            return value.map(|_| Brace::Wrong(Mistake::Name(name)));
        };
        Some(match (value.filter(|value| !value.is_empty()), known.value()) {
            (Some(_), "") => Brace::Wrong(Mistake::NoValue(known)),
            (None, "") if value.is_some() => Brace::Wrong(Mistake::NoValue(known)),
            (None, value) if !value.is_empty() => Brace::Wrong(Mistake::Value(known)),
            (value, _) => Brace::read(known, value.unwrap_or_default()).unwrap_or_else(Brace::Wrong),
        })
    }

    /// Which of the patterns it is.
    ///
    /// # Errors
    /// It is none, since something is wrong with it.
    pub fn name(self) -> Result<BraceName, Mistake<'t>> {
        Ok(match self {
            Brace::Country(_) => BraceName::Country,
            Brace::Continent(_) => BraceName::Continent,
            Brace::System(_) => BraceName::System,
            Brace::Name(_) => BraceName::Name,
            Brace::Listed { .. } => BraceName::Listed,
            Brace::SameHost => BraceName::SameHost,
            Brace::SameNet => BraceName::SameNet,
            Brace::Time(_) => BraceName::Time,
            Brace::Banned => BraceName::Banned,
            Brace::Wrong(mistake) => return Err(mistake),
        })
    }

    fn read(known: BraceName, value: &'t [u8]) -> Result<Self, Mistake<'t>> {
        let bad = |value| Mistake::Bad(known, value);
        if let Some(at) = value
            .iter()
            .position(|byte| matches!(byte, b'{' | b'}' | b'[' | b']' | b'@' | b':' | b'*' | b'?' | b'='))
        {
            return Err(bad(&value[at..]));
        }
        let all = |is: fn(&[u8]) -> bool| match Values(value).iter().find(|value| !is(value)) {
            Some(value) => Err(bad(value)),
            None => Ok(Values(value)),
        };
        Ok(match known {
            BraceName::Country => Brace::Country(all(|value| code(value).is_some())?),
            BraceName::Continent => Brace::Continent(all(|value| {
                CONTINENTS
                    .iter()
                    .any(|code| code.as_bytes().eq_ignore_ascii_case(value))
            })?),
            BraceName::System => Brace::System(all(|value| system(value).is_some())?),
            BraceName::Name if value.contains(&b'|') => return Err(Mistake::OneValue(known)),
            BraceName::Name if is_host_name(value) => Brace::Name(value),
            BraceName::Name => return Err(bad(value)),
            BraceName::Listed => {
                let end = memchr::memchr(b'|', value);
                let (zone, codes) = match end {
                    Some(at) => (&value[..at], &value[at + 1..]),
                    None => (value, &b""[..]),
                };
                let codes = Values(codes);
                let code = |value: &&[u8]| list_code(value).is_none();
                match codes.iter().find(code) {
                    Some(value) => return Err(bad(value)),
                    None if end.is_some() && codes.0.is_empty() => return Err(bad(codes.0)),
                    None if !is_host_name(zone) => return Err(bad(zone)),
                    None => Brace::Listed { zone, codes },
                }
            }
            BraceName::SameHost => Brace::SameHost,
            BraceName::SameNet => Brace::SameNet,
            BraceName::Time => {
                times(value).map_err(bad)?;
                Brace::Time(value)
            }
            BraceName::Banned => Brace::Banned,
        })
    }
}

/// The moments of a time pattern that was read before.
pub(crate) fn read_times(value: &[u8]) -> Option<Times<'_>> {
    times(value).ok()
}

/// Two letters, in capitals.
pub fn code(value: &[u8]) -> Option<[u8; 2]> {
    match value {
        [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
            Some([a.to_ascii_uppercase(), b.to_ascii_uppercase()])
        }
        _ => None,
    }
}

/// The number of an autonomous system, `AS` before it or not.
pub fn system(value: &[u8]) -> Option<u32> {
    let digits = match value {
        [b'a' | b'A', b's' | b'S', digits @ ..] => digits,
        digits => digits,
    };
    let is_number = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}

/// What a list in the DNS may answer.
pub fn list_code(value: &[u8]) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = std::str::from_utf8(value).ok()?.parse().ok()?;
    address.is_loopback().then_some(address)
}

fn is_host_name(name: &[u8]) -> bool {
    let is_label = |label: &[u8]| {
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.iter().all(fits)
    };
    name.len() <= 253 && name.split(|byte| *byte == b'.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Brace<'_>> {
        Brace::parse(text.as_bytes())
    }

    #[test]
    fn names_are_read_as_they_are_shown() {
        for (at, name) in BraceName::ALL.into_iter().enumerate() {
            assert_eq!(name as usize, at);
            assert_eq!(BraceName::parse(name.as_str().as_bytes()), Some(name));
            assert!(name.help().len() > 10, "{}", name.help());
        }
    }

    #[test]
    fn what_stands_in_braces() {
        for good in [
            "{country=DE}",
            "{Country=de|AT}",
            "{continent=eu|OC}",
            "{asn=3320|AS680|as1}",
            "{dns=home.example.net}",
            "{rbl=zen.example.net}",
            "{rbl=zen.example.net|127.0.0.2|127.0.1.4}",
            "{samehost}",
            "{SAMENET}",
            "{banned}",
            "{time=Mon-Fri/0800-1800/Europe/Berlin}",
        ] {
            assert!(!matches!(parse(good), None | Some(Brace::Wrong(_))), "{good}");
        }
        for wrong in [
            "{country}",
            "{country=}",
            "{country=DEU}",
            "{country=DE|}",
            "{country=|DE}",
            "{country=D1}",
            "{continent=XX}",
            "{asn=AS}",
            "{asn=99999999999}",
            "{asn=+1}",
            "{dns=a|b}",
            "{dns=a..b}",
            "{dns=a.}",
            "{rbl=zone|10.0.0.1}",
            "{rbl=a..b}",
            "{rbl=a_zone.|127.0.0.2}",
            "{rbl=zone|}",
            "{samehost=1}",
            "{banned=}",
            "{time=Noday}",
            "{nothing=DE}",
            "{=DE}",
            "{country=D*}",
            "{country=DE}}",
        ] {
            assert!(
                matches!(parse(wrong), Some(Brace::Wrong(_))),
                "{wrong}: {:?}",
                parse(wrong)
            );
        }
        // A text like any other.
        for text in [
            "{ip}",
            "{}",
            "{",
            "}",
            "{client",
            "country=DE",
            "{ip}.example.net",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        let said = |text| match parse(text) {
            Some(Brace::Wrong(mistake)) => mistake.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            said("{country=DEU}"),
            "\"DEU\" is not a country by its two letters (ISO 3166)"
        );
        assert_eq!(said("{dns=a|b}"), "\"{dns=…}\" takes one value");
        assert_eq!(said("{banned=1}"), "\"{banned}\" takes no value");
        assert_eq!(said("{dns}"), "\"{dns}\" needs a value: a host name");
        assert_eq!(said("{land=DE}"), "there is no pattern \"{land=…}\"");
    }
}
