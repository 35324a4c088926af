//! Which clients a daemon's tables decide by their addresses alone: for a tier in front of the daemon that knows
//! nothing else of them, such as the kernel's.
//!
//! What is *surely granted* is granted and what is *surely denied* is denied whatever the client's name, its user, the
//! server's end of the connection, netgroups, the time and all else that rules ask of; and nothing but that happens.
//! All others must be asked about. Whatever is not certain counts among them, so the sets may be smaller than they could
//! be and are never larger. They belong to the tables and files as they were read: once one of these changes, they say
//! nothing.
//!
//! Addresses are what daemons take them for: one of IPv4 in an IPv6 address is one of IPv4. Those of link-local
//! networks have an interface too, and always must be asked about. Names are names: none is an address in digits.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};

use hosts_access::meaning::{Meaning, Strings};
use hosts_access::options::check;
use hosts_access::source::{self, Contents, Ending, Lines};
use hosts_access::syntax::list::{is_except, list_matches, tokens};
use hosts_access::syntax::option::{Keyword, option_fields};
use hosts_access::syntax::pattern::{ClientPattern, DaemonPattern, HostPattern, Service, StringPattern};
use hosts_access::syntax::{LineKind, fields, line_kind};
use hosts_access::{MAX_FILE_DEPTH, Match, Network, TableKind, Tables, files, string_matches};

use crate::compare::ranges::{Ranges, difference, intersection, normal};

/// What is decided of a client by its address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByAddress {
    /// It is granted.
    Granted,
    /// It is denied.
    Denied,
    /// That depends, or more is to be done than to grant or to deny.
    Asked,
}

/// A daemon's clients, by what is decided of them. See the module.
///
/// ```
/// use analysis::addresses::{AddressSets, ByAddress};
/// use hosts_access::Tables;
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("hosts.allow"), "sshd: 192.0.2.0/255.255.255.0 EXCEPT 192.0.2.7\n")?;
/// std::fs::write(dir.path().join("hosts.deny"), "sshd: .example.org, 192.0.2.7\nALL: 198.51.100.\n")?;
/// let sets = AddressSets::read(b"sshd", &Tables::in_directory(dir.path()));
/// let of = |address: &str| sets.of(address.parse().unwrap());
/// assert_eq!(of("192.0.2.1"), ByAddress::Granted);
/// assert_eq!(of("198.51.100.1"), ByAddress::Denied);
/// // It may be in example.org.
/// assert_eq!(of("203.0.113.1"), ByAddress::Asked);
/// let [(first, last), _] = sets.granted().collect::<Vec<_>>()[..] else { panic!() };
/// assert_eq!((first.to_string(), last.to_string()), ("192.0.2.0".into(), "192.0.2.6".into()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressSets {
    granted: Ranges,
    denied: Ranges,
}

/// All addresses, and those that are mapped: of IPv4.
const ALL: (u128, u128) = (0, u128::MAX);
const MAPPED: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);
/// These are no numbers to the language, or have an interface besides.
const ALWAYS_ASKED: [(u128, u128); 3] = [
    (0xffff_ffff_ffff, 0xffff_ffff_ffff),
    (0xfe80 << 112, (0xfec0 << 112) - 1),
    (0xff00 << 112, u128::MAX),
];

impl AddressSets {
    /// The clients of a daemon, by its name in rules, under these tables; and the files that their patterns name.
    pub fn read(daemon: &[u8], tables: &Tables) -> Self {
        let [allow, deny] = [TableKind::Allow, TableKind::Deny].map(|kind| source::read(tables.path(kind)).0);
        AddressSets::new(daemon, &allow, &deny, &|path| Some(files::text(path)))
    }

    /// The same of tables and files that were read before. A file for which `file` has no text may hold anything.
    pub fn new(
        daemon: &[u8],
        allow: &Contents,
        deny: &Contents,
        file: &dyn Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Self {
        let mut open = Open {
            none: difference(&[ALL], &ALWAYS_ASKED),
            ..Open::default()
        };
        for (table, contents) in [(TableKind::Allow, allow), (TableKind::Deny, deny)] {
            let is_whole = match contents {
                Contents::Missing => true,
                Contents::Unreadable(_) => false,
                Contents::Text(text) => open.take_table(daemon, table, text, file),
            };
            if !is_whole && table == TableKind::Deny {
                open.take(Says::Denies, vec![ALL], vec![ALL]);
            }
        }
        // Whom no rule decides about is granted.
        open.take(Says::Grants, vec![ALL], vec![ALL]);
        AddressSets {
            granted: open.granted,
            denied: open.denied,
        }
    }

    /// What is decided of a client.
    pub fn of(&self, client: IpAddr) -> ByAddress {
        let number = match client {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        };
        let has = |ranges: &Ranges| {
            let at = ranges.partition_point(|range| range.1 < number);
            ranges.get(at).is_some_and(|range| range.0 <= number)
        };
        match (has(&self.granted), has(&self.denied)) {
            (true, false) => ByAddress::Granted,
            (false, true) => ByAddress::Denied,
            (true, true) | (false, false) => ByAddress::Asked,
        }
    }

    /// Who is surely granted: first and last addresses, of one family, in ascending order with IPv4 in its place
    /// among the mapped.
    pub fn granted(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> {
        addresses(&self.granted)
    }

    /// Who is surely denied, in the same form.
    pub fn denied(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> {
        addresses(&self.denied)
    }
}

fn addresses(ranges: &Ranges) -> impl Iterator<Item = (IpAddr, IpAddr)> {
    let families = [(0, MAPPED.0 - 1), MAPPED, (MAPPED.1 + 1, u128::MAX)];
    let parts = ranges
        .iter()
        .flat_map(move |range| intersection(&[*range], &families));
    parts.map(|(first, last)| {
        let address = |bits| IpAddr::from(Ipv6Addr::from_bits(bits)).to_canonical();
        (address(first), address(last))
    })
}

/// What a rule says of whom it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Grants,
    Denies,
    /// More than that, or it depends.
    More,
}

/// Of whom the rules so far have not surely decided: those that none can match, and those of whom some could decide,
/// all of them alike.
#[derive(Debug, Default)]
struct Open {
    none: Ranges,
    perhaps_granted: Ranges,
    perhaps_denied: Ranges,
    granted: Ranges,
    denied: Ranges,
}

impl Open {
    /// Takes in the rules of a table; false, where it cannot be read to its end.
    fn take_table(
        &mut self,
        daemon: &[u8],
        table: TableKind,
        text: &[u8],
        file: &dyn Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> bool {
        let mut lines = Lines::new(text);
        // Rules that follow each other and say the same are taken in at once.
        let (mut says, mut surely, mut perhaps) = (Says::More, Ranges::new(), Ranges::new());
        let mut is_whole = true;
        while let Some(line) = lines.next() {
            if line.ending != Ending::Newline {
                is_whole = false;
                break;
            }
            let Some(fields) = fields(line.text).filter(|_| line_kind(line.text) == LineKind::Rule) else {
                continue;
            };
            let daemons = daemons(fields.daemons, daemon);
            if daemons == Match::No {
                continue;
            }
            let clients = clients(fields.clients, file);
            let rule = rule(fields.options, table);
            if rule != says {
                self.take(says, std::mem::take(&mut surely), std::mem::take(&mut perhaps));
                says = rule;
            }
            perhaps.extend(clients.perhaps);
            if daemons == Match::Yes {
                surely.extend(clients.surely);
            }
        }
        self.take(says, surely, perhaps);
        is_whole
    }

    /// Takes in rules that all say the same, in whatever order.
    fn take(&mut self, says: Says, surely: Ranges, perhaps: Ranges) {
        let (surely, perhaps) = (normal(surely), normal(perhaps));
        let perhaps = difference(&perhaps, &surely);
        let matched = normal([&surely[..], &perhaps[..]].concat());
        let take = |from: &mut Ranges, what: &Ranges| {
            let taken = intersection(from, what);
            *from = difference(from, what);
            taken
        };
        let (same, other, decided) = match says {
            Says::Grants => (
                &mut self.perhaps_granted,
                &mut self.perhaps_denied,
                &mut self.granted,
            ),
            Says::Denies => (
                &mut self.perhaps_denied,
                &mut self.perhaps_granted,
                &mut self.denied,
            ),
            Says::More => {
                for from in [
                    &mut self.none,
                    &mut self.perhaps_granted,
                    &mut self.perhaps_denied,
                ] {
                    take(from, &matched);
                }
                return;
            }
        };
        // What some could decide otherwise must be asked about.
        take(other, &matched);
        decided.extend(take(same, &surely));
        decided.extend(take(&mut self.none, &surely));
        same.extend(take(&mut self.none, &perhaps));
        *decided = normal(std::mem::take(decided));
        *same = normal(std::mem::take(same));
    }
}

/// What a rule says by its table and options. Options that do more than to decide make it one to ask about.
fn rule(options: Option<&[u8]>, table: TableKind) -> Says {
    let keyword = match options {
        None => None,
        Some(options) => {
            let mut fields = option_fields(options);
            let Some(field) = fields.next() else {
                return Says::More;
            };
            match check(&field, fields.is_at_end()) {
                Ok((keyword, _)) if fields.is_at_end() && !fields.ended_by_colon() => Some(keyword),
                _ => return Says::More,
            }
        }
    };
    match (keyword, table) {
        (Some(Keyword::Allow), _) | (None, TableKind::Allow) => Says::Grants,
        (Some(Keyword::Deny), _) | (None, TableKind::Deny) => Says::Denies,
        (Some(_), _) => Says::More,
    }
}

/// Does a daemon list match, as far as that is certain?
fn daemons(list: &[u8], daemon: &[u8]) -> Match {
    let matched = list_matches(list, |token| {
        let pattern = DaemonPattern::parse(token);
        let service = match pattern.service {
            Service::Port(_) => Match::Unknown,
            Service::Name(name) => string_matches(name, daemon).into(),
        };
        let server = match pattern.host.map(Meaning::of) {
            None | Some(Meaning::Everyone) => Match::Yes,
            Some(Meaning::Nothing) => Match::No,
            Some(_) => Match::Unknown,
        };
        Ok::<_, std::convert::Infallible>(service.and(server))
    });
    let Ok(matched) = matched;
    matched
}

/// Whom a pattern or a list surely matches, and whom perhaps, them among these.
#[derive(Debug, Default)]
struct Clients {
    surely: Ranges,
    perhaps: Ranges,
}

impl Clients {
    /// These and no others.
    fn these(ranges: Ranges) -> Self {
        Clients {
            surely: ranges.clone(),
            perhaps: ranges,
        }
    }

    /// That depends on what is not known here.
    fn perhaps(ranges: Ranges) -> Self {
        Clients {
            surely: Ranges::new(),
            perhaps: ranges,
        }
    }

    fn add(&mut self, other: Clients) {
        self.surely.extend(other.surely);
        self.perhaps.extend(other.perhaps);
    }
}

/// Whom a client list matches.
fn clients(list: &[u8], file: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> Clients {
    let mut parts = vec![Clients::default()];
    let mut last = 0;
    for token in tokens(list) {
        if is_except(token) {
            parts.push(Clients::default());
            last += 1;
            continue;
        }
        let pattern = ClientPattern::parse(token);
        let mut matched = hosts(pattern.host, file, &mut HashSet::new(), 0);
        let is_anybody = |user| Strings::of(StringPattern::parse(user)) == Strings::Every;
        if !pattern.user.is_none_or(is_anybody) {
            matched.surely.clear();
        }
        parts[last].add(matched);
    }
    // `a EXCEPT b EXCEPT c` is `a EXCEPT (b EXCEPT c)`.
    let mut but = Clients::default();
    for part in parts.into_iter().rev() {
        let (surely, perhaps) = (normal(part.surely), normal(part.perhaps));
        but = Clients {
            surely: difference(&surely, &normal(but.perhaps)),
            perhaps: difference(&perhaps, &normal(but.surely)),
        };
    }
    but
}

/// Whom a host pattern matches; `depth` counts the files around it, and `seen` has them.
fn hosts(
    pattern: HostPattern<'_>,
    file: &dyn Fn(&[u8]) -> Option<Vec<u8>>,
    seen: &mut HashSet<Vec<u8>>,
    depth: usize,
) -> Clients {
    match Meaning::of(pattern) {
        Meaning::Nothing => Clients::default(),
        Meaning::Everyone => Clients::these(vec![ALL]),
        Meaning::Addresses(network) => network_clients(network),
        Meaning::Text { text, tries_name } => match (text, text.network()) {
            // No name is an address in digits.
            (Strings::Ipv6(_), Some(network)) => network_clients(network),
            (Strings::This(_) | Strings::Beginning(_), Some(network)) if !tries_name => {
                network_clients(network)
            }
            _ => Clients::perhaps(vec![ALL]),
        },
        Meaning::File(path) => file_clients(path, file, seen, depth),
        Meaning::Scoped(_) | Meaning::Known | Meaning::Local | Meaning::Netgroup(_) | Meaning::Brace(_) => {
            Clients::perhaps(vec![ALL])
        }
    }
}

fn file_clients(
    path: &[u8],
    file: &dyn Fn(&[u8]) -> Option<Vec<u8>>,
    seen: &mut HashSet<Vec<u8>>,
    depth: usize,
) -> Clients {
    // Files that lead far, or to each other, are no lists of addresses.
    if depth >= MAX_FILE_DEPTH || !seen.insert(path.to_vec()) {
        return Clients::perhaps(vec![ALL]);
    }
    let Some(text) = file(path) else {
        return Clients::perhaps(vec![ALL]);
    };
    let mut all = Clients::default();
    for (_, word) in files::words(&text) {
        all.add(hosts(HostPattern::parse(word), file, seen, depth + 1));
    }
    all
}

fn network_clients(network: Network) -> Clients {
    match network {
        // Nothing is left of an address but what is in the mask.
        Network::V4 { net, mask } if net & !mask != 0 => Clients::default(),
        Network::V4 { net, mask } if mask.leading_ones() == mask.count_ones() => {
            let first = MAPPED.0 | u128::from(net);
            Clients::these(vec![(first, first | u128::from(!mask))])
        }
        // One with holes in its mask.
        Network::V4 { .. } => Clients::perhaps(vec![MAPPED]),
        Network::V6 { net, length } => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            let first = net & mask;
            Clients::these(difference(&[(first, first | !mask)], &[MAPPED]))
        }
    }
}
