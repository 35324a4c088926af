//! Who sits at the other end of the session this command runs in.
//!
//! ssh says so in the environment. sudo and su take that away, so the environments of the processes
//! above are asked too, and last the system's list of logins. Nothing of this is evidence: it serves to
//! warn.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;

use hosts_access::dry::DryHost;
use hosts_access::{Decision, Request, Tables};

use crate::answering::Answering;

/// The two ends of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Where the user sits.
    pub client: IpAddr,
    /// This host's end, where it is known.
    pub server: Option<SocketAddr>,
}

/// The present session, if it comes over the network.
pub fn present() -> Option<Session> {
    from_environment(|name| std::env::var_os(name))
        .or_else(from_parents)
        .or_else(from_logins)
}

fn from_environment(get: impl Fn(&str) -> Option<OsString>) -> Option<Session> {
    let connection = get("SSH_CONNECTION")
        .and_then(|v| parse(&v.to_string_lossy()))
        .or_else(|| get("SSH_CLIENT").and_then(|v| parse(&v.to_string_lossy())));
    connection.filter(|session| !session.client.is_unspecified())
}

/// `client port server port`, or as SSH_CLIENT has it `client port port`.
fn parse(text: &str) -> Option<Session> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let client = address(words.first()?)?;
    let server = match words.as_slice() {
        [_, _, server, port] => Some(SocketAddr::new(address(server)?, port.parse().ok()?)),
        _ => None,
    };
    Some(Session { client, server })
}

fn address(text: &str) -> Option<IpAddr> {
    // A link-local address carries its interface.
    text.split('%').next()?.parse().ok()
}

fn from_parents() -> Option<Session> {
    const MOST: usize = 32;
    let mut pid = std::process::id();
    for _ in 0..MOST {
        pid = parent_of(pid)?;
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let get = |name: &str| {
            environment
                .split(|b| *b == 0)
                .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
                .map(|value| std::ffi::OsStr::from_bytes(value).to_owned())
        };
        if let Some(session) = from_environment(get) {
            return Some(session);
        }
    }
    None
}

/// Is this program among those above this process, as the daemon of a session is?
pub fn comes_through(program: &std::path::Path) -> bool {
    let program = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let parents = std::iter::successors(parent_of(std::process::id()), |pid| parent_of(*pid));
    let mut programs = parents.filter_map(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok());
    programs.any(|above| above == program)
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name, in parentheses, may hold anything.
    let rest = &stat[stat.rfind(')')? + 1..];
    rest.split_whitespace()
        .nth(1)?
        .parse()
        .ok()
        .filter(|pid| *pid > 0)
}

/// The login on this terminal, from utmp(5): records of 384 bytes on every Linux that has them.
fn from_logins() -> Option<Session> {
    let terminal = ["/proc/self/fd/0", "/proc/self/fd/2"].iter().find_map(|fd| {
        std::fs::read_link(fd)
            .ok()
            .filter(|path| path.starts_with("/dev/"))
    })?;
    let line = terminal
        .strip_prefix("/dev/")
        .ok()?
        .as_os_str()
        .as_bytes()
        .to_vec();
    login(&std::fs::read("/run/utmp").ok()?, &line)
}

/// Where all who are logged in come from, as far as the system knows: this session, the system's list of logins, and
/// the sessions systemd keeps.
pub fn clients() -> Vec<IpAddr> {
    let utmp = std::fs::read("/run/utmp").unwrap_or_default();
    let kept = std::fs::read_dir("/run/systemd/sessions")
        .into_iter()
        .flatten()
        .flatten();
    let kept = kept.filter_map(|entry| kept_session(&std::fs::read_to_string(entry.path()).ok()?));
    let mut clients: Vec<IpAddr> = present().map(|session| session.client).into_iter().collect();
    clients.extend(logins(&utmp).map(|(_, client)| client));
    clients.extend(kept);
    clients.sort_unstable();
    clients.dedup();
    clients
}

/// The client of a session as systemd writes it down.
fn kept_session(text: &str) -> Option<IpAddr> {
    let host = text.lines().find_map(|line| line.strip_prefix("REMOTE_HOST="))?;
    Some(address(host)?.to_canonical())
}

fn login(utmp: &[u8], line: &[u8]) -> Option<Session> {
    let (_, client) = logins(utmp).find(|(name, _)| *name == line)?;
    Some(Session { client, server: None })
}

/// The lines of all users' logins over the network, and their clients.
fn logins(utmp: &[u8]) -> impl Iterator<Item = (&[u8], IpAddr)> {
    const RECORD: usize = 384;
    const USER_PROCESS: i16 = 7;
    utmp.as_chunks::<RECORD>().0.iter().filter_map(|record| {
        let kind = i16::from_ne_bytes([record[0], record[1]]);
        let name = record[8..40].split(|b| *b == 0).next().unwrap_or_default();
        let bytes: [u8; 16] = record[348..364].try_into().ok()?;
        let client = if bytes[4..] == [0; 12] {
            IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])
        } else {
            IpAddr::from(Ipv6Addr::from(bytes)).to_canonical()
        };
        (kind == USER_PROCESS && !client.is_unspecified()).then_some((name, client))
    })
}

/// What the tables decide for the session's client when it comes to `daemon` again.
pub fn decide(session: &Session, daemon: &str, tables: &Tables) -> Decision {
    let name = system::names::verified_name(&SocketAddr::new(session.client, 0), &mut |_| {});
    let mut host = DryHost::new(session.client.to_canonical().to_string()).named(name);
    if let Some(server) = session.server {
        let address = server.ip().to_canonical().to_string();
        host = host.with_server(address, "unknown", Some(server.port()));
    }
    let port = session.server.map(|server| server.port());
    tables.decide(&mut Request::new(daemon), &mut Answering::new(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says() {
        let session = parse("192.0.2.7 50000 198.51.100.1 22").unwrap();
        assert_eq!(session.client, "192.0.2.7".parse::<IpAddr>().unwrap());
        assert_eq!(session.server, Some("198.51.100.1:22".parse().unwrap()));
        assert_eq!(parse("fe80::1%eth0 50000 22").unwrap().server, None);
        assert_eq!(parse("UNKNOWN 65535 22"), None);
    }

    #[test]
    fn a_login_record() {
        let mut record = [0u8; 384];
        record[..2].copy_from_slice(&7i16.to_ne_bytes());
        record[8..13].copy_from_slice(b"pts/3");
        record[348..352].copy_from_slice(&[192, 0, 2, 9]);
        let session = login(&record, b"pts/3").unwrap();
        assert_eq!(session.client, "192.0.2.9".parse::<IpAddr>().unwrap());
        assert_eq!(login(&record, b"pts/4"), None);
        assert_eq!(logins(&[record, record].concat()).count(), 2);
        record[0] = 8;
        assert_eq!(logins(&record).count(), 0, "logged out");
    }

    #[test]
    fn a_session_that_systemd_keeps() {
        let text = "UID=0\nREMOTE=1\nREMOTE_HOST=::ffff:192.0.2.9\nSERVICE=sshd\n";
        assert_eq!(kept_session(text), Some("192.0.2.9".parse().unwrap()));
        assert_eq!(kept_session("UID=0\nREMOTE=0\n"), None);
    }
}
