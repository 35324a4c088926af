//! To whom the tables open a service, in words. What is said is computed for all requests there can be, by holding the
//! tables against tables that let everybody in, and against tables that let nobody in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use analysis::compare::{Addresses, Clients, Comparison, Like, Outcome, Ports, Service, Strings, compare};
use analysis::compare::{ranges, text};
use analysis::document::{Document, Documents};
use hosts_access::Verdict;

use crate::output::utf8;

/// So many things are named.
const MOST_SHOWN: usize = 4;

/// What the tables say, for every daemon.
#[derive(Debug)]
pub struct Opened {
    /// Every request that may be let in.
    open: Vec<(Vec<Service>, Clients, bool)>,
    /// Every request that is not.
    closed: Vec<(Vec<Service>, Clients, bool)>,
    /// Services that are too much to follow.
    left_out: Vec<Service>,
    /// The ports that rules name.
    ports: Vec<u16>,
}

/// See [`Opened::key`].
pub type Key = (Vec<u8>, Option<u16>, Option<IpAddr>);

/// To whom one service is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// In words: `everyone`, `nobody`, `10.0.0.0/8 and names under .example.com`.
    pub text: String,
    /// How far.
    pub extent: Extent,
    /// A command decides for some of them.
    pub is_commanded: bool,
    open: Vec<Ranges>,
    closed: Vec<Ranges>,
}

/// How far a service is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// To everyone.
    Everyone,
    /// To some.
    Some,
    /// To nobody.
    Nobody,
}

impl Opened {
    /// What these tables say.
    ///
    /// # Errors
    /// Where they are too much to follow.
    pub fn new(tables: Documents<'_>) -> Result<Self, String> {
        let nobody = Document::new("hosts.deny", &b"ALL: ALL\n"[..]);
        let held = |deny| {
            let other = Documents { allow: None, deny };
            compare(other, tables).map_err(|problem| problem.to_string())
        };
        let (opens, closes) = (held(Some(&nobody))?, held(None)?);
        let all = |comparison: &Comparison, is_open| -> Vec<_> {
            let differences = comparison
                .differences
                .iter()
                .filter(|d| may_be_let_in(&d.new) == is_open);
            differences
                .map(|d| (d.services.clone(), d.clients.clone(), is_commanded(&d.new)))
                .collect()
        };
        let left_out = opens.left_out.iter().chain(&closes.left_out);
        let (open, closed) = (all(&opens, true), all(&closes, false));
        let services = open.iter().chain(&closed).flat_map(|(services, ..)| services);
        let ports = services.filter_map(|service| service.ports.as_ref());
        let ports = ports.flat_map(|ports| match ports {
            Ports::These(ports) | Ports::AllBut(ports) => ports.iter().copied(),
        });
        Ok(Opened {
            ports: ports.collect(),
            left_out: left_out.flat_map(|left| left.services.clone()).collect(),
            open,
            closed,
        })
    }

    /// What the answer depends on: the daemon, and its port and address as far as rules ask for them.
    pub fn key(&self, daemon: &[u8], address: SocketAddr) -> Key {
        let mut services = self
            .open
            .iter()
            .chain(&self.closed)
            .flat_map(|(services, ..)| services);
        let port = Some(address.port()).filter(|port| self.ports.contains(port));
        let ip = services
            .any(|service| service.addresses.is_some())
            .then(|| address.ip());
        (daemon.to_ascii_lowercase(), port, ip)
    }

    /// To whom this daemon is open, at this port and address. Nothing where that is too much to follow.
    pub fn to(&self, daemon: &[u8], address: SocketAddr) -> Option<Open> {
        let is_it = |service: &Service| self.is_asked(service, daemon, address);
        if self.left_out.iter().any(is_it) {
            return None;
        }
        let of = |all: &[(Vec<Service>, Clients, bool)]| -> Vec<(Clients, bool)> {
            let all = all.iter().filter(|(services, ..)| services.iter().any(is_it));
            all.map(|(_, clients, commanded)| (clients.clone(), *commanded))
                .collect()
        };
        let (open, closed) = (of(&self.open), of(&self.closed));
        let is_commanded = open.iter().any(|(_, commanded)| *commanded);
        let bare = |all: Vec<(Clients, bool)>| -> Vec<Clients> {
            all.into_iter().map(|(clients, _)| clients).collect()
        };
        let (open, closed) = (bare(open), bare(closed));
        let extent = match (open.iter().any(has_address), closed.iter().any(has_address)) {
            (_, false) => Extent::Everyone,
            (false, true) => Extent::Nobody,
            (true, true) => Extent::Some,
        };
        let text = match extent {
            Extent::Everyone => "everyone".to_owned(),
            Extent::Nobody => "nobody".to_owned(),
            Extent::Some => {
                let (these, others) = (described(&open, &closed), described(&closed, &open));
                match (these, others) {
                    (Some(these), Some(others)) if these.len() <= others.len() + 16 => these,
                    (_, Some(others)) => format!("everyone but {others}"),
                    (Some(these), None) => these,
                    (None, None) => "some, by name".to_owned(),
                }
            }
        };
        Some(Open {
            text,
            extent,
            is_commanded,
            open: open.iter().map(Ranges::of).collect(),
            closed: closed.iter().map(Ranges::of).collect(),
        })
    }

    /// Is this what they ask for?
    fn is_asked(&self, service: &Service, daemon: &[u8], address: SocketAddr) -> bool {
        let at = address.ip().to_canonical();
        let own = Ranges::block(at, if at.is_ipv4() { 32 } else { 128 });
        service
            .daemons
            .as_ref()
            .is_none_or(|all| all.iter().any(|one| one.holds(daemon)))
            && service
                .ports
                .as_ref()
                .is_none_or(|ports| ports.holds(address.port()))
            && service
                .addresses
                .as_ref()
                .is_none_or(|addresses| at.is_unspecified() || Ranges::of_addresses(addresses).meets(&own))
    }
}

impl Open {
    /// How far it is open to one network.
    pub fn within(&self, network: (IpAddr, u8)) -> Extent {
        let network = Ranges::block(network.0, network.1);
        let meets = |all: &[Ranges]| all.iter().any(|ranges| ranges.meets(&network));
        match (meets(&self.open), meets(&self.closed)) {
            (true, false) => Extent::Everyone,
            (false, _) => Extent::Nobody,
            (true, true) => Extent::Some,
        }
    }
}

fn may_be_let_in(outcome: &Outcome) -> bool {
    outcome.steps.iter().any(|step| step.verdict == Verdict::Granted)
}

fn is_commanded(outcome: &Outcome) -> bool {
    outcome.steps.iter().any(|step| step.may_fail)
}

/// Connections have addresses that are known.
fn has_address(clients: &Clients) -> bool {
    !Ranges::of(clients).is_empty()
}

/// Addresses of both families as ranges that do not touch, in order. IPv4 addresses are those below 2^32 of the first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Ranges([Vec<(u128, u128)>; 2]);

/// The highest address of each family.
const HIGHEST: [u128; 2] = [u32::MAX as u128, u128::MAX];

impl Ranges {
    fn block(address: IpAddr, length: u8) -> Self {
        let (family, first, bits) = match address {
            IpAddr::V4(v4) => (0, u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (1, v6.to_bits(), 128),
        };
        let free = u128::MAX
            .checked_shr(128 - (bits - u32::from(length)))
            .unwrap_or(0);
        let mut ranges = Ranges::default();
        ranges.0[family].push((first & !free, first | free));
        ranges
    }

    /// Those from which connections come: the broadcast address, which networks do not match, is none.
    fn of(clients: &Clients) -> Self {
        Ranges::of_addresses(&clients.addresses).without(&Ranges::block(Ipv4Addr::BROADCAST.into(), 32))
    }

    fn of_addresses(addresses: &Addresses) -> Self {
        let mut ranges = Ranges::default();
        for block in addresses.parts.iter().flat_map(|part| &part.blocks) {
            let one = Ranges::block(block.address, block.length);
            (0..2).for_each(|family: usize| ranges.0[family].extend(&one.0[family]));
        }
        ranges.normal()
    }

    fn union<'r>(all: impl Iterator<Item = &'r Ranges>) -> Self {
        let mut union = Ranges::default();
        for ranges in all {
            (0..2).for_each(|family: usize| union.0[family].extend(&ranges.0[family]));
        }
        union.normal()
    }

    fn normal(self) -> Self {
        Ranges(self.0.map(ranges::normal))
    }

    /// What is left without these.
    fn without(&self, other: &Ranges) -> Self {
        Ranges([0, 1].map(|family: usize| ranges::difference(&self.0[family], &other.0[family])))
    }

    /// All from which connections come.
    fn all() -> Self {
        Ranges([vec![(0, HIGHEST[0] - 1)], vec![(0, HIGHEST[1])]])
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    fn meets(&self, other: &Ranges) -> bool {
        (0..2).any(|family: usize| !ranges::intersection(&self.0[family], &other.0[family]).is_empty())
    }

    /// As networks, the fewest there are. A whole family is one word.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for family in 0..2 {
            // The broadcast address is nobody's.
            if self.0[family] == [(0, [HIGHEST[0] - 1, HIGHEST[1]][family])] {
                words.push(["every IPv4 address", "every IPv6 address"][family].to_owned());
                continue;
            }
            for (first, length) in ranges::blocks(&self.0[family], [32, 128][family]) {
                let address = match family {
                    // `as`: it is below 2^32.
                    0 => IpAddr::from(Ipv4Addr::from_bits(first as u32)),
                    _ => IpAddr::from(Ipv6Addr::from_bits(first)),
                };
                words.push(match length == [32, 128][family] {
                    true => address.to_string(),
                    false => format!("{address}/{length}"),
                });
            }
        }
        words
    }
}

/// Clients in words, those apart that are said by their address alone, by their name alone, and otherwise. `others` is
/// everybody else. Nothing where words do not do.
fn described(these: &[Clients], others: &[Clients]) -> Option<String> {
    let mut words = Vec::new();
    // Addresses from which nobody else comes.
    let elsewhere: Vec<Ranges> = others.iter().map(Ranges::of).collect();
    let plain = Ranges::all().without(&Ranges::union(elsewhere.iter()));
    let mut blocks = plain.words();
    let more = blocks.len().saturating_sub(MOST_SHOWN);
    if more > 1 {
        blocks.truncate(MOST_SHOWN);
        blocks.push(format!("{more} more networks"));
    }
    words.extend(blocks);
    // Names that nobody else has.
    let has_name = |clients: &Clients, name: &Strings| {
        clients
            .names
            .as_ref()
            .is_none_or(|names| names.iter().any(|one| one.may_meet(name)))
    };
    let is_own = |name: &&Strings| !others.iter().any(|clients| has_name(clients, name));
    let mut names: Vec<&Strings> = these
        .iter()
        .flat_map(|clients| clients.names.iter().flatten())
        .filter(is_own)
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.iter().any(|name| is_rest(name)) {
        return None;
    }
    let groups = |clients: &Clients| clients.netgroups.clone();
    let is_own_group = |group: &(Vec<u8>, bool)| {
        let opposite = (group.0.clone(), !group.1);
        group.1 && others.iter().all(|clients| clients.netgroups.contains(&opposite))
    };
    let mut own_groups: Vec<(Vec<u8>, bool)> = these.iter().flat_map(groups).filter(is_own_group).collect();
    own_groups.sort_unstable();
    own_groups.dedup();
    words.extend(names.iter().map(|name| name_words(name)));
    words.extend(
        own_groups
            .iter()
            .map(|(group, _)| format!("the netgroup @{}", utf8(group))),
    );
    // The rest, each set by all that it takes.
    for clients in these {
        let addresses = Ranges::of(clients).without(&plain);
        let is_told = addresses.is_empty()
            || clients
                .names
                .as_ref()
                .is_some_and(|all| all.iter().all(|name| names.contains(&name)))
            || clients.netgroups.iter().any(|group| own_groups.contains(group));
        if !is_told {
            words.push(set_words(clients, &addresses, &names)?);
        }
    }
    words.dedup();
    let more = words.len().saturating_sub(2 * MOST_SHOWN);
    if more > 1 {
        words.truncate(2 * MOST_SHOWN);
        words.push(format!("{more} more"));
    }
    match &words[..] {
        [] => None,
        [one] => Some(one.clone()),
        [first @ .., last] => Some(format!("{} and {last}", first.join(", "))),
    }
}

/// A set that takes more than an address or a name to be one of.
fn set_words(clients: &Clients, addresses: &Ranges, told: &[&Strings]) -> Option<String> {
    let mut blocks = addresses.words();
    if blocks.len() > MOST_SHOWN {
        blocks.truncate(MOST_SHOWN);
        blocks.push("other networks".to_owned());
    }
    let mut text = blocks.join(", ");
    if clients
        .addresses
        .parts
        .iter()
        .any(|part| !part.spelled.is_empty())
    {
        let patterns = clients.addresses.parts.iter().flat_map(|part| &part.spelled);
        let patterns: Vec<String> = patterns
            .filter(|(_, holds)| *holds)
            .map(|(text, _)| utf8(text))
            .collect();
        text = match patterns.is_empty() {
            true => return None,
            false => format!("addresses like {}", patterns.join(", ")),
        };
    }
    if let Some(users) = &clients.users {
        let users: Vec<String> = users.iter().filter_map(exactly).collect();
        text = match users.is_empty() {
            true => return None,
            false => format!("{} at {text}", users.join(", ")),
        };
    }
    if let Some(names) = &clients.names {
        let names: Vec<&Strings> = names.iter().filter(|name| !told.contains(name)).collect();
        // All names that others do not have besides: no word is needed.
        if !names.iter().any(|name| is_rest(name)) && !names.is_empty() {
            let names: Vec<String> = names.into_iter().map(name_words).collect();
            text = format!("{text} ({})", names.join(", "));
        }
    }
    if !clients.answers.is_empty() {
        let answers: Vec<String> = clients.answers.iter().map(text::answers).collect();
        let answers = answers.join(" and ");
        text = match *addresses == Ranges::all() {
            true => format!("everyone where {answers}"),
            false => format!("{text} where {answers}"),
        };
    }
    Some(text)
}

/// Is it nearly every string?
fn is_rest(strings: &Strings) -> bool {
    matches!(strings, Strings::Like(like) if like.like.is_empty() && like.dot.is_none())
}

fn exactly(strings: &Strings) -> Option<String> {
    match strings {
        Strings::Exactly(text) if text != b"unknown" => Some(utf8(text)),
        Strings::Like(like) if !like.like.is_empty() => Some(pattern_words(like) + &without_words(like)),
        _ => None,
    }
}

fn pattern_words(like: &Like) -> String {
    let patterns: Vec<String> = like.like.iter().map(|text| utf8(text)).collect();
    patterns.join(" and ")
}

/// What is taken away again. That a name is not known, or not to be trusted, goes without saying.
fn without_words(like: &Like) -> String {
    let is_name = |text: &&Vec<u8>| ![hosts_access::UNKNOWN, hosts_access::PARANOID].contains(&&text[..]);
    let without = like.unlike.iter().chain(like.but.iter().filter(is_name));
    let mut without: Vec<String> = without.map(|text| utf8(text)).collect();
    let more = without.len().saturating_sub(MOST_SHOWN);
    if more > 1 {
        without.truncate(MOST_SHOWN);
        without.push(format!("{more} more"));
    }
    match without.is_empty() {
        true => String::new(),
        false => format!(" but {}", without.join(", ")),
    }
}

/// Clients by their name.
fn name_words(name: &Strings) -> String {
    match name {
        Strings::Exactly(text) if text == hosts_access::UNKNOWN => "clients without a name".to_owned(),
        Strings::Exactly(text) if text == hosts_access::PARANOID => {
            "clients whose name and address disagree".to_owned()
        }
        Strings::Exactly(text) => utf8(text),
        Strings::Like(like) => {
            let mut words = match &like.like[..] {
                [] => "names".to_owned(),
                [one] if one.starts_with(b".") => format!("names under {}", utf8(one)),
                _ => format!("names like {}", pattern_words(like)),
            };
            words.push_str(match like.dot {
                None => "",
                Some(true) => " with a dot",
                Some(false) => " without a dot",
            });
            words + &without_words(like)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(allow: &str, deny: &str, daemon: &str) -> Open {
        let [allow, deny] = [allow, deny].map(|text| Document::new("hosts", text.as_bytes()));
        let tables = Documents {
            allow: Some(&allow),
            deny: Some(&deny),
        };
        let opened = Opened::new(tables).unwrap();
        opened
            .to(daemon.as_bytes(), "0.0.0.0:22".parse().unwrap())
            .unwrap()
    }

    fn text(allow: &str, deny: &str) -> String {
        open(allow, deny, "sshd").text
    }

    #[test]
    fn in_words() {
        let all = "ALL: ALL
";
        assert_eq!(text("", ""), "everyone");
        assert_eq!(text("", all), "nobody");
        assert_eq!(
            text(
                "sshd: ALL
",
                all
            ),
            "everyone"
        );
        assert_eq!(
            text(
                "other: ALL
",
                all
            ),
            "nobody"
        );
        assert_eq!(
            text(
                "sshd: 10.
",
                all
            ),
            "10.0.0.0/8"
        );
        assert_eq!(
            text(
                "sshd: 10. .example.com
",
                all
            ),
            "10.0.0.0/8 and names under .example.com"
        );
        assert_eq!(
            text(
                "sshd: 10. host.example.com
",
                all
            ),
            "10.0.0.0/8 and host.example.com"
        );
        assert_eq!(
            text(
                "",
                "sshd: 192.0.2.1
"
            ),
            "everyone but 192.0.2.1"
        );
        assert_eq!(
            text(
                "sshd: ALL EXCEPT PARANOID
",
                all
            ),
            "everyone but clients whose name and address disagree"
        );
        assert_eq!(
            text(
                "",
                "sshd: .example.com
"
            ),
            "everyone but names under .example.com"
        );
        assert_eq!(
            text(
                "sshd: LOCAL
",
                all
            ),
            "names without a dot"
        );
        assert_eq!(
            text(
                "sshd: [2001:db8::]/32 192.0.2.0/24
",
                all
            ),
            "192.0.2.0/24 and 2001:db8::/32"
        );
        assert_eq!(
            text(
                "sshd: 0.0.0.0/0.0.0.0
",
                all
            ),
            "every IPv4 address"
        );
        assert_eq!(
            text(
                "sshd: bob@192.0.2.1 10.
",
                all
            ),
            "10.0.0.0/8 and bob at 192.0.2.1"
        );
        // Who gets a command's answer has not reached the service.
        assert_eq!(
            text(
                "",
                "ALL: ALL: twist /bin/echo no
"
            ),
            "nobody"
        );
        assert_eq!(
            text(
                "22: 10.
", all
            ),
            "10.0.0.0/8"
        );
        assert_eq!(
            text(
                "80: 10.
", all
            ),
            "nobody"
        );
    }

    #[test]
    fn what_rules_ask_besides_is_said() {
        let all = "ALL: ALL\n";
        assert_eq!(
            text("sshd: {country=DE|AT}\n", all),
            "everyone where {country=AT|DE}"
        );
        assert_eq!(
            text("sshd: 10. EXCEPT {banned}\n", all),
            "10.0.0.0/8 where not {banned}"
        );
        assert_eq!(text("sshd: 10. : limit 5/minute\n", all), "10.0.0.0/8");
        assert_eq!(text("sshd: 10. : trial\n", all), "nobody");
        let open = open("sshd: 10. : if {time=Mon-Fri}\n", all, "sshd");
        assert_eq!(open.extent, Extent::Some);
        assert_eq!(open.within(("10.0.0.0".parse().unwrap(), 8)), Extent::Some);
    }

    #[test]
    fn many_words_are_cut_short() {
        let many: String = (1..100)
            .map(|n| {
                format!(
                    "sshd: 10.{n}.7.
"
                )
            })
            .collect();
        let text = text(
            &many,
            "ALL: ALL
",
        );
        assert_eq!(
            text,
            "10.1.7.0/24, 10.2.7.0/24, 10.3.7.0/24, 10.4.7.0/24 and 95 more networks"
        );
    }

    #[test]
    fn a_command_that_decides_is_told() {
        let open = open(
            "sshd: 10.: aclexec /bin/true
",
            "ALL: ALL
",
            "sshd",
        );
        assert!(open.is_commanded);
        assert_eq!(open.text, "10.0.0.0/8");
    }

    #[test]
    fn networks() {
        let open = open(
            "sshd: 10. 192.0.2.0/25
",
            "ALL: ALL
",
            "sshd",
        );
        let within = |network: &str, length| open.within((network.parse().unwrap(), length));
        assert_eq!(within("10.1.0.0", 16), Extent::Everyone);
        assert_eq!(within("192.0.2.0", 24), Extent::Some);
        assert_eq!(within("198.51.100.0", 24), Extent::Nobody);
        assert_eq!(within("2001:db8::", 64), Extent::Nobody);
    }
}
