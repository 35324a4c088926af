//! What a set of host patterns matches, taken apart by what it depends on: the address alone, the name
//! alone, and what is not known here (hosts_access(5), PATTERNS).

use std::collections::HashMap;

use super::Incomparable;
use super::facts::Asks;
use super::family::{Family, MAPPED};
use super::places::Places;
use super::ranges::{Ranges, normal};
use super::spelling::Spelling;
use super::strings::Atom;
use hosts_access::address::Ipv6;
use hosts_access::files::{self, words};
use hosts_access::request::UNKNOWN;
use hosts_access::source;
use hosts_access::syntax::brace::Brace;
use hosts_access::syntax::pattern::{HostPattern, StringPattern};
use hosts_access::{MAX_FILE_DEPTH, Network, Side, string_matches};

/// A union of host patterns.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts {
    /// The addresses of IPv4 and IPv6 that match by themselves.
    pub(super) ranges: [Ranges; 2],
    /// An unknown address matches by itself.
    pub(super) unknown: bool,
    /// The tag under which names are asked about, where some match by themselves.
    pub(super) name: Option<u32>,
    /// The tag of `KNOWN`, where it is among the patterns.
    pub(super) known: Option<u32>,
    /// Spellings, netgroups and what is asked besides, by number.
    pub(super) spellings: Vec<u32>,
    pub(super) groups: Vec<u32>,
    pub(super) asks: Vec<u32>,
}

/// What all patterns of a comparison share, for one end of connections.
pub(super) struct Shared<'t> {
    side: Side,
    places: &'t Places,
    /// What is asked of clients, and is not in the tables.
    pub(super) asks: Vec<Asks<'t>>,
    ask_numbers: HashMap<Vec<u8>, u32>,
    /// What is asked of names, and the tags.
    pub(super) names: Vec<(Atom<'t>, u32)>,
    tags: u32,
    pub(super) spellings: Vec<Spelling>,
    spelling_numbers: HashMap<Vec<u8>, u32>,
    pub(super) groups: Vec<&'t [u8]>,
    /// Some pattern names a scope id.
    pub(super) has_scope: bool,
}

/// The files that patterns name, read once for all comparisons.
pub(crate) type FileTexts = HashMap<Vec<u8>, Vec<u8>>;

/// Reads the file that a pattern names and the files that those name.
pub(super) fn read_files(path: &[u8], texts: &mut FileTexts) -> Result<(), Incomparable> {
    let mut wanted = vec![path.to_vec()];
    while let Some(path) = wanted.pop() {
        if texts.contains_key(&path) {
            continue;
        }
        if let Some(what) = source::endless(files::path(&path)) {
            return Err(Incomparable::Endless(path, what));
        }
        let text = files::text(&path);
        let named = words(&text).map(|(_, word)| word);
        wanted.extend(named.filter(|w| w.first() == Some(&b'/')).map(<[u8]>::to_vec));
        texts.insert(path, text);
    }
    Ok(())
}

impl<'t> Shared<'t> {
    pub(super) fn new(side: Side, places: &'t Places) -> Self {
        Shared {
            side,
            places,
            asks: Vec::new(),
            ask_numbers: HashMap::new(),
            names: Vec::new(),
            tags: 0,
            spellings: Vec::new(),
            spelling_numbers: HashMap::new(),
            groups: Vec::new(),
            has_scope: false,
        }
    }

    /// The number of something that is asked.
    fn ask(&mut self, asks: Asks<'t>) -> u32 {
        let key = match asks {
            Asks::File(path) => path.to_vec(),
            // What is wrong is never known, whatever it is.
            Asks::Brace(Brace::Wrong(_)) => b"{".to_vec(),
            Asks::Brace(brace) => format!("{brace:?}").to_ascii_lowercase().into_bytes(),
        };
        let next = self.asks.len() as u32;
        *self.ask_numbers.entry(key).or_insert_with(|| {
            self.asks.push(asks);
            next
        })
    }

    /// A new tag.
    pub(super) fn tag(&mut self) -> u32 {
        self.tags += 1;
        self.tags
    }

    /// One more than the highest tag.
    pub(super) fn tag_count(&self) -> usize {
        self.tags as usize + 1
    }

    /// The number of a netgroup.
    fn group(&mut self, group: &'t [u8]) -> u32 {
        let number = self.groups.iter().position(|g| *g == group);
        let number = number.unwrap_or_else(|| {
            self.groups.push(group);
            self.groups.len() - 1
        });
        number as u32
    }

    fn spelling(&mut self, hosts: &mut Hosts, text: &[u8], make: impl FnOnce() -> Spelling) {
        let text = text.to_ascii_lowercase();
        if let Some(number) = self.spelling_numbers.get(&text) {
            hosts.spellings.push(*number);
            return;
        }
        let spelling = make();
        let ranges = spelling.v4_ranges();
        if let Some(ranges) = ranges
            && spelling.never_v6()
        {
            hosts.ranges[0].extend(ranges);
            return;
        }
        let number = self.spellings.len() as u32;
        self.spellings.push(spelling);
        self.spelling_numbers.insert(text, number);
        hosts.spellings.push(number);
    }
}

/// The files around a pattern, outermost first, and the least depth at which each was added: from there, all it names
/// is added too.
#[derive(Default)]
pub(super) struct Within<'t> {
    open: Vec<&'t [u8]>,
    least: HashMap<&'t [u8], usize>,
}

impl Hosts {
    /// Adds a pattern. `files` holds the files that patterns name.
    pub(super) fn add<'t>(
        &mut self,
        pattern: HostPattern<'t>,
        shared: &mut Shared<'t>,
        files: &'t FileTexts,
        within: &mut Within<'t>,
    ) {
        match pattern {
            HostPattern::Netgroup(group) => self.groups.push(shared.group(group)),
            HostPattern::File(path) if !files.contains_key(path) => match shared.side {
                Side::Client => self.asks.push(shared.ask(Asks::File(path))),
                // What it holds is known as little as who is in a netgroup. No name of a netgroup begins with a slash.
                Side::Server => self.groups.push(shared.group(path)),
            },
            HostPattern::File(path) => {
                let depth = within.open.len();
                let least = within.least.get(path).copied().unwrap_or(MAX_FILE_DEPTH);
                let is_read = depth < least && !within.open.contains(&path);
                if let Some(text) = files.get(path).filter(|_| is_read) {
                    within.least.insert(path, depth);
                    within.open.push(path);
                    for (_, word) in words(text) {
                        let pattern = match shared.side {
                            Side::Client => HostPattern::parse(word),
                            Side::Server => HostPattern::parse_server(word),
                        };
                        self.add(pattern, shared, files, within);
                    }
                    within.open.pop();
                }
            }
            HostPattern::Known => {
                let tag = *self.known.get_or_insert_with(|| shared.tag());
                shared.names.push((Atom::Known, tag));
            }
            HostPattern::Local => {
                let tag = *self.name.get_or_insert_with(|| shared.tag());
                shared.names.push((Atom::Local, tag));
            }
            HostPattern::Brace(brace) => match shared.places.of(brace) {
                Some(sets) => {
                    for (ranges, more) in self.ranges.iter_mut().zip(sets) {
                        ranges.extend(more);
                    }
                }
                None => self.asks.push(shared.ask(Asks::Brace(brace))),
            },
            HostPattern::Net { net, mask } => self.add_net(net, mask, shared),
            HostPattern::Text { pattern, tries_name } => {
                self.add_text(pattern, shared);
                if tries_name && pattern != StringPattern::All {
                    let tag = *self.name.get_or_insert_with(|| shared.tag());
                    shared.names.push((Atom::Matches(pattern), tag));
                }
            }
        }
    }

    fn add_net(&mut self, net: &[u8], mask: &[u8], shared: &mut Shared<'_>) {
        shared.has_scope |= net.contains(&b'%');
        match Network::parse(net, mask) {
            None => {}
            Some(Network::V6 { net, length }) => {
                let free = u128::MAX.checked_shr(length).unwrap_or(0);
                self.ranges[1].push((net & !free, net | free));
            }
            Some(Network::V4 { net, mask }) if net & !mask != 0 => {}
            Some(Network::V4 {
                net: address,
                mask: bits,
            }) => {
                let free = !bits;
                if free.checked_add(1).is_none_or(|n| n.is_power_of_two()) {
                    // The broadcast address does not read as an address here.
                    let high = (address | free).min(u32::MAX - 1);
                    self.ranges[0].push((u128::from(address), u128::from(high)));
                } else {
                    let text = [net, b"/", mask].concat();
                    shared.spelling(self, &text, || Spelling::mask(&text, address, bits));
                }
            }
        }
    }

    /// Adds what a string pattern matches among the texts of addresses.
    fn add_text(&mut self, pattern: StringPattern<'_>, shared: &mut Shared<'_>) {
        self.unknown |= string_matches(pattern, UNKNOWN);
        let (text, wildcard) = match pattern {
            StringPattern::All | StringPattern::Known => {
                self.ranges = [Family::V4.all(), Family::V6.all()];
                return;
            }
            StringPattern::Exact(text) => {
                self.add_exact(text);
                return;
            }
            StringPattern::Bracketed(inner) => {
                shared.has_scope |= inner.contains(&b'%');
                if let Some(address) = Ipv6::parse(inner).map(|a| a.bits)
                    && !(MAPPED.0..=MAPPED.1).contains(&address)
                {
                    self.ranges[1].push((address, address));
                }
                return;
            }
            StringPattern::Wildcard(text) => (text, text.to_vec()),
            StringPattern::Prefix(text) => (text, [text, b"*"].concat()),
            StringPattern::Suffix(text) => (text, [b"?*", text].concat()),
        };
        shared.has_scope |= text.contains(&b'%');
        // Most patterns are names, and no address is written with other letters than these.
        let is_address =
            |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b':' | b'.' | b'*' | b'?');
        // Nor does any hold both a dot and a letter or, but for `::` in front, a colon.
        let is_dotted = wildcard.contains(&b'.') && wildcard.iter().any(u8::is_ascii_alphabetic);
        if is_dotted || !wildcard.iter().all(is_address) {
            return;
        }
        if wildcard.iter().all(|b| *b == b'*') {
            self.ranges = [Family::V4.all(), Family::V6.all()];
            return;
        }
        if let Some(v6) = v6_beginning(&wildcard)
            && let Some(v4) = Spelling::wildcard(text, &wildcard).v4_ranges()
        {
            self.ranges[0].extend(v4);
            self.ranges[1].extend(v6);
            return;
        }
        shared.spelling(self, text, || Spelling::wildcard(text, &wildcard));
    }

    /// Adds the address whose text this is, if there is one.
    fn add_exact(&mut self, text: &[u8]) {
        let Ok(text) = std::str::from_utf8(text) else {
            return;
        };
        let lower = text.to_ascii_lowercase();
        let lower = lower
            .strip_prefix("::ffff:")
            .filter(|t| t.contains('.'))
            .map_or(&lower[..], |_| "");
        match lower.parse() {
            Ok(std::net::IpAddr::V4(v4)) if v4.to_string() == lower => {
                let address = u128::from(v4.to_bits());
                self.ranges[0].push((address, address));
            }
            Ok(std::net::IpAddr::V6(v6)) if Family::V6.text(v6.to_bits()) == lower.as_bytes() => {
                self.ranges[1].push((v6.to_bits(), v6.to_bits()));
            }
            _ => {}
        }
    }

    /// Puts the ranges in order, once all patterns are added.
    pub(super) fn finish(&mut self) {
        for ranges in &mut self.ranges {
            *ranges = normal(std::mem::take(ranges));
        }
        for numbers in [&mut self.spellings, &mut self.groups, &mut self.asks] {
            numbers.sort_unstable();
            numbers.dedup();
        }
    }
}

/// The IPv6 addresses whose text matches `LITERAL*`, where that leaves nothing to how zero words are
/// written: whole words that are not zero, and the beginning of one more.
fn v6_beginning(wildcard: &[u8]) -> Option<Ranges> {
    let (b'*', literal) = wildcard.split_last()? else {
        return None;
    };
    if literal.contains(&b'.') && !literal.contains(&b':') {
        // Such a text is that of an IPv4 address.
        return (!literal.contains(&b'*') && !literal.contains(&b'?')).then(Vec::new);
    }
    let literal = std::str::from_utf8(literal).ok()?.to_ascii_lowercase();
    let words: Vec<&str> = literal.split(':').collect();
    let (last, whole) = words.split_last()?;
    if whole.len() > 7 || words.iter().any(|w| w.len() > 4 || w.starts_with('0')) {
        return None;
    }
    let mut net = 0u128;
    for (at, word) in whole.iter().enumerate() {
        net |= u128::from(u16::from_str_radix(word, 16).ok()?) << (112 - 16 * at);
    }
    let shift = 112 - 16 * whole.len() as u32;
    if last.is_empty() {
        // The word that ends in this colon may be the last before zeros, but not the last of all.
        let free = u128::MAX.checked_shr(16 * whole.len() as u32).unwrap_or(0);
        return (!whole.is_empty()).then(|| vec![(net, net | free)]);
    }
    let value = u128::from(u16::from_str_radix(last, 16).ok()?);
    let below = (1u128 << shift) - 1;
    let ranges = (0..=4 - last.len() as u32).map(|digits| {
        let low = value << (4 * digits);
        let high = low | ((1 << (4 * digits)) - 1);
        (net | low << shift, net | high << shift | below)
    });
    Some(ranges.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_ipv6_texts() {
        let v6 = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().to_bits();
        let ranges = |text: &str| v6_beginning(text.as_bytes()).map(normal);
        assert_eq!(ranges("2001*"), Some(vec![(v6("2001::"), v6("2002::") - 1)]));
        assert_eq!(
            ranges("2001:db8:*"),
            Some(vec![(v6("2001:db8::"), v6("2001:db9::") - 1)])
        );
        let fe8 = vec![(v6("fe8::"), v6("fe9::") - 1), (v6("fe80::"), v6("fe90::") - 1)];
        assert_eq!(ranges("fe8*"), Some(fe8));
        assert_eq!(ranges("10.1.*"), Some(vec![]));
        assert_eq!(ranges("0*"), None);
        assert_eq!(ranges("::*"), None);
        assert_eq!(ranges("*1"), None);
    }
}
