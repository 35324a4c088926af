//! Says in the log that the guarded program receives UDP, which nobody guards.
//!
//! A thread looks at `/proc` a few times after the start, and now and then later. It reads links and tables there
//! and touches no descriptor of the program. To hear of each `bind` by the filter would be sooner, but could end a
//! `bind` with `EINTR`, which no program is ready for.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use system::syslog;

use crate::decide::Rules;

/// When to look, after the look before.
const LOOKS: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(30),
];
/// How long after that.
const LATER: Duration = Duration::from_secs(600);

/// Begins to look, at the process that is about to become the program and at those that come from it.
///
/// # Errors
/// There is no thread to be had.
pub(crate) fn watch(rules: &Arc<Rules>, program: u32) -> io::Result<()> {
    let rules = Arc::clone(rules);
    let look = move || {
        let mut family = Family::of(program);
        let mut said = BTreeSet::new();
        for pause in LOOKS.into_iter().chain(std::iter::repeat(LATER)) {
            std::thread::sleep(pause);
            family.grow();
            let ports = family.members.iter().flat_map(|process| ports(*process));
            let new: BTreeSet<u16> = ports.filter(|port| !said.contains(port)).collect();
            for port in &new {
                let line = format!("warning: UDP on port {port} is not guarded, only TCP is");
                rules.log.line(syslog::WARNING, line.as_bytes());
            }
            said.extend(new);
        }
    };
    std::thread::Builder::new()
        .name("udp".into())
        .stack_size(128 << 10)
        .spawn(look)?;
    Ok(())
}

/// The processes of the program.
struct Family {
    members: HashSet<u32>,
    /// When the guard began, in the kernel's units.
    since: u64,
    group: Option<String>,
}

impl Family {
    fn of(program: u32) -> Self {
        Family {
            members: HashSet::from([program]),
            since: status("self").map_or(0, |(_, started)| started),
            group: group("self"),
        }
    }

    /// Looks for children, and forgets who is gone.
    fn grow(&mut self) {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let known: HashMap<u32, (u32, u64)> = processes
            .filter_map(|process| Some((process, status(&process.to_string())?)))
            .collect();
        self.members.retain(|member| known.contains_key(member));
        loop {
            let before = self.members.len();
            let found = known.iter().filter(|(process, (parent, started))| {
                self.members.contains(parent)
                    || (*parent == 1 && *started >= self.since && self.has_lost(**process))
            });
            let found: Vec<u32> = found.map(|(process, _)| *process).collect();
            self.members.extend(found);
            if self.members.len() == before {
                return;
            }
        }
    }

    /// Is this, whose parents are gone, a daemon that has put itself into the background? It is under a filter and
    /// where the guard is.
    fn has_lost(&self, process: u32) -> bool {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        status.lines().any(|line| line == "Seccomp:\t2") && group(&process.to_string()) == self.group
    }
}

/// The parent of a process, and when it began.
fn status(process: &str) -> Option<(u32, u64)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let rest = &stat[stat.rfind(')')? + 1..];
    let mut words = rest.split_ascii_whitespace();
    let parent = words.nth(1)?.parse().ok()?;
    Some((parent, words.nth(17)?.parse().ok()?))
}

/// The control group of a process.
fn group(process: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{process}/cgroup")).ok()
}

/// The ports on which a process receives UDP from anyone.
fn ports(process: u32) -> Vec<u16> {
    let read = |file: &str| fs::read_to_string(format!("/proc/{process}/net/{file}")).unwrap_or_default();
    let bound: HashMap<String, u16> = ["udp", "udp6", "udplite", "udplite6"]
        .iter()
        .flat_map(|file| bound(&read(file)))
        .collect();
    if bound.is_empty() {
        return Vec::new();
    }
    let entries = fs::read_dir(format!("/proc/{process}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let sockets = entries.filter_map(|entry| {
        let link = fs::read_link(entry.path()).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        bound.get(inode).copied()
    });
    sockets.collect()
}

/// The sockets, by inode, that are bound to a port of their choice and connected to nobody.
fn bound(table: &str) -> Vec<(String, u16)> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_ascii_whitespace().filter_map(|end| end.parse().ok());
    let ephemeral: (u16, u16) = (ends.next().unwrap_or(32768), ends.next().unwrap_or(60999));
    let lines = table.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let port = u16::from_str_radix(words.get(1)?.rsplit_once(':')?.1, 16).ok()?;
        let peer = words.get(2)?.rsplit_once(':')?.1;
        let is_server = port != 0 && peer == "0000" && !(ephemeral.0..=ephemeral.1).contains(&port);
        is_server.then_some(((*words.get(9)?).to_owned(), port))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_bound_socket_is_found_and_a_connected_one_is_not() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let table = |socket: &UdpSocket| {
            let hex = format!(":{:04X} ", socket.local_addr().unwrap().port());
            let table = fs::read_to_string("/proc/self/net/udp").unwrap();
            let lines: Vec<&str> = table.lines().filter(|line| line.contains(&hex)).collect();
            format!("head\n{}\n", lines.join("\n"))
        };
        // A port of the kernel's choice is none of a service.
        assert!(bound(&table(&socket)).is_empty(), "{port}");
        let named = table(&socket).replacen(&format!(":{port:04X} "), ":0035 ", 1);
        let found = bound(&named);
        assert_eq!(found.first().map(|(_, port)| *port), Some(0x35), "{named}");
        socket.connect("127.0.0.1:9").unwrap();
        let named = table(&socket).replacen(&format!(":{port:04X} "), ":0035 ", 1);
        assert!(bound(&named).is_empty(), "{named}");
    }
}
