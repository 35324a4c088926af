//! Addresses out of what others keep bans in: a hosts.deny that DenyHosts, fail2ban, sshguard or BlockHosts wrote, or a
//! list with an address or network at the beginning of each line.
//!
//! Only whom somebody banned is taken: from rules, those clients that are addresses and networks, where a rule does
//! nothing but deny them; in an allow table, as BlockHosts writes it, that is one that says `deny`. What is a name, a
//! wildcard or has exceptions is a rule, and stays one.

use std::collections::HashSet;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use hosts_access::source::Lines;
use state::network::{BadNetwork, Network};

use crate::output::{self, NOTE};

/// The networks of a file, each once, in its order.
pub fn networks(path: &Path) -> Result<Vec<Network>, String> {
    let mut text = Vec::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().lock().read_to_end(&mut text),
        false => std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut text)),
    };
    read.map_err(|error| output::at(path, &error))?;
    let is_allow_table = path.file_name() == Path::new(hosts_access::ALLOW_TABLE).file_name();
    let (networks, left) = text_networks(&text, is_allow_table);
    if left > 0 {
        output::note(&format!(
            "{NOTE}note:{NOTE:#} {left} lines of {} say more than whom to deny, and were left alone\n",
            path.display()
        ));
    }
    Ok(networks)
}

/// The networks of a text, and how many of its lines say more.
fn text_networks(text: &[u8], is_allow_table: bool) -> (Vec<Network>, usize) {
    let mut seen = HashSet::new();
    let (mut networks, mut left) = (Vec::new(), 0usize);
    // Joined where they go on: the rest of a rule may be whom it excepts.
    let mut lines = Lines::new(text);
    while let Some(line) = lines.next() {
        match line_networks(&String::from_utf8_lossy(line.text), is_allow_table) {
            Some(found) => networks.extend(found.into_iter().filter(|network| seen.insert(*network))),
            None => left += 1,
        }
    }
    (networks, left)
}

/// The networks a line bans; `None` if it says anything else.
fn line_networks(line: &str, is_allow_table: bool) -> Option<Vec<Network>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', ';']) {
        return Some(Vec::new());
    }
    // A list: the address stands first, and what follows is somebody's remark.
    let first = line.split([' ', '\t', ',', ';', '#']).next()?;
    if let Some(network) = list_network(first).filter(|_| !is_allow_table) {
        return Some(vec![network]);
    }
    // A rule: daemons, clients, at most a `deny`. Colons in brackets are part of an address.
    let fields = fields(line);
    let clients = match fields.as_slice() {
        [_, clients] if !is_allow_table => clients,
        [_, clients, option] if option.trim().eq_ignore_ascii_case("deny") => clients,
        _ => return None,
    };
    let mut clients = clients
        .split([' ', '\t', ','])
        .filter(|client| !client.is_empty());
    clients.by_ref().map(rule_network).collect()
}

fn fields(line: &str) -> Vec<&str> {
    let (mut fields, mut start, mut depth) = (Vec::new(), 0, 0u32);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => {
                fields.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    fields.push(&line[start..]);
    fields
}

fn list_network(text: &str) -> Option<Network> {
    match text.parse() {
        Ok(network) => Some(network),
        Err(BadNetwork::HostBits(network)) => Some(network),
        Err(BadNetwork::Malformed) => None,
    }
}

/// A client of a rule: an address, `[IPv6]`, `[IPv6]/length`, `a.b.c.`, address/length or address/mask.
fn rule_network(client: &str) -> Option<Network> {
    if let Some(rest) = client.strip_prefix('[') {
        let (address, length) = rest.split_once(']')?;
        let text = match length {
            "" => address.to_owned(),
            length => format!("{address}{length}"),
        };
        // A pattern with bits outside its length matches nobody.
        return text.parse().ok().filter(|network: &Network| !network.is_v4());
    }
    if let Some(prefix) = client.strip_suffix('.') {
        let parts = prefix
            .split('.')
            .map(|part| part.parse::<u8>().ok().filter(|n| n.to_string() == part));
        let parts: Vec<u8> = parts.collect::<Option<_>>()?;
        if !(1..=3).contains(&parts.len()) {
            return None;
        }
        let mut bytes = [0; 4];
        bytes[..parts.len()].copy_from_slice(&parts);
        return Some(Network::around(IpAddr::from(bytes), 8 * parts.len() as u8));
    }
    if let Some((address, mask)) = client.split_once('/')
        && let (Ok(address), Ok(mask)) = (address.parse::<Ipv4Addr>(), mask.parse::<Ipv4Addr>())
    {
        let ones = mask.to_bits().leading_ones() as u8;
        let is_prefix = mask.to_bits().count_ones() == u32::from(ones);
        let network = Network::around(address.into(), ones);
        return (is_prefix && network.address() == IpAddr::from(address)).then_some(network);
    }
    client.parse().ok().filter(|network: &Network| network.is_v4())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Vec<String>> {
        line_networks(line, false).map(|all| all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn lines_that_only_ban() {
        for (line, networks) in [
            ("", ""),
            ("# DenyHosts: Tue Jan 1 00:00:00 2019 | sshd: 192.0.2.7", ""),
            ("sshd: 192.0.2.7", "192.0.2.7"),
            ("ALL: 192.0.2.7 : deny", "192.0.2.7"),
            ("ALL:192.0.2.7,192.0.2.8", "192.0.2.7 192.0.2.8"),
            (
                "sshd: [2001:db8::1] [2001:db8:1::]/48",
                "2001:db8::1 2001:db8:1::/48",
            ),
            ("sshd: 192.0.2.", "192.0.2.0/24"),
            ("ALL: 10.0.0.0/255.0.0.0", "10.0.0.0/8"),
            ("ALL: 10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("192.0.2.0/24 ; SBL1234", "192.0.2.0/24"),
            ("192.0.2.7,2020-01-01", "192.0.2.7"),
        ] {
            assert_eq!(
                read(line).map(|all| all.join(" ")),
                Some(networks.to_owned()),
                "{line}"
            );
        }
    }

    #[test]
    fn whom_a_rule_excepts_on_its_next_line_is_not_banned() {
        let text =
            b"ALL: ALL EXCEPT \\\n192.0.2.1\n# no \\\n192.0.2.2\nsshd: 192.0.2.3 \\\n 192.0.2.4\n192.0.2.5";
        let (networks, left) = text_networks(text, false);
        let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
        assert_eq!(
            (networks.join(" "), left),
            ("192.0.2.3 192.0.2.4 192.0.2.5".to_owned(), 1)
        );
    }

    #[test]
    fn whom_an_allow_table_lets_in_is_not_banned() {
        assert_eq!(line_networks("sshd: 192.0.2.7", true), None);
        assert_eq!(line_networks("192.0.2.7", true), None);
        assert_eq!(line_networks("sshd: 192.0.2.7 : allow", true), None);
        let denied = "192.0.2.7".parse().unwrap();
        assert_eq!(line_networks("ALL: 192.0.2.7 : deny", true), Some(vec![denied]));
    }

    #[test]
    fn lines_that_say_more() {
        for line in [
            "ALL: ALL",
            "ALL: ALL EXCEPT 192.0.2.7",
            "sshd: .example.com",
            "sshd: 192.0.2.7 : allow",
            "sshd: 192.0.2.7 : spawn /bin/true",
            "sshd: 192.0.2.7 EXCEPT 192.0.2.8",
            "sshd: user@192.0.2.7",
            "ALL: 192.0.2.7/24",
            "ALL: 10.0.0.1/255.0.0.0",
            "ALL: 1.2.3",
            "ALL: 256.",
            "nonsense",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
