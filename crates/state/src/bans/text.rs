//! A line of the ban list: network, expiry, origin, reason.
//!
//! ```text
//! 192.0.2.7 2026-12-24T18:00:00Z fail2ban sshd: 5 failures
//! 2001:db8:1::/48 never admin
//! ```
//!
//! A later line for the same network and origin stands in place of an earlier one; a ban is taken back by one that
//! expired in 1970. So the list is only ever appended to, and what is in it stays readable whenever
//! writing ends.

use std::fmt::Write as _;

use crate::network::{BadNetwork, Network};
use crate::stamp;

/// What a list begins with.
pub const HEADING: &str = "# Bans: network, expiry, origin, reason. Written by \"tcpwrap ban\" and \"unban\"; after a change by hand run \"tcpwrap bans --compact\".\n";

/// What the list's own heading begins with.
pub(crate) const MARK: &[u8] = b"# Bans:";

/// When a ban ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expiry {
    /// At this moment, in seconds since 1970.
    At(u64),
    /// When somebody takes it back.
    Never,
}

impl Expiry {
    /// Is it over?
    pub fn is_over(self, now: u64) -> bool {
        match self {
            Expiry::At(end) => end <= now,
            Expiry::Never => false,
        }
    }
}

impl std::fmt::Display for Expiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expiry::At(end) => f.write_str(&stamp::show(*end)),
            Expiry::Never => f.write_str("never"),
        }
    }
}

/// A ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Whom it concerns.
    pub network: Network,
    /// Until when.
    pub expiry: Expiry,
    /// Who put it there, and alone can take it back: one word.
    pub origin: String,
    /// Why, for people to read. May be empty.
    pub reason: String,
}

/// The longest origin.
pub const LONGEST_ORIGIN: usize = 64;
/// The longest reason; what is longer is cut.
const LONGEST_REASON: usize = 300;

/// Stands for an origin that cannot be read.
const NOBODY: &[u8] = b"?";

/// Can this be an origin? One word of letters, digits and `._:/@+-`.
pub fn is_origin(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._:/@+-".contains(&b);
    (1..=LONGEST_ORIGIN).contains(&text.len()) && text.bytes().all(fits)
}

impl Ban {
    /// The ban as a line, with its end.
    pub(crate) fn write(&self, out: &mut String) {
        // Writing to a string cannot fail.
        let _ = write!(out, "{} {} {}", self.network, self.expiry, self.origin);
        let mut blank = true;
        let start = out.len();
        for c in self.reason.chars() {
            if c.is_whitespace() || c.is_control() {
                blank = true;
                continue;
            }
            if out.len() - start > LONGEST_REASON {
                break;
            }
            if std::mem::take(&mut blank) {
                out.push(' ');
            }
            out.push(c);
        }
        out.push('\n');
    }

    pub(crate) fn from_line(line: &Line<'_>) -> Self {
        Ban {
            network: line.network,
            expiry: line.expiry,
            origin: String::from_utf8_lossy(line.origin).into_owned(),
            reason: String::from_utf8_lossy(line.reason).into_owned(),
        }
    }
}

/// A line that concerns a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'t> {
    pub network: Network,
    /// One that cannot be read is `Never`: a damaged ban holds.
    pub expiry: Expiry,
    pub origin: &'t [u8],
    pub reason: &'t [u8],
}

/// What a line, without its end, says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said<'t> {
    /// Nothing: it is empty or a comment, or of no concern.
    Nothing,
    /// A ban.
    Ban(Line<'t>),
    /// Something, but whom it concerns cannot be read.
    Damaged,
}

pub(crate) fn read(line: &[u8]) -> Said<'_> {
    read_about(line, |_| true)
}

/// Reads a line, and no more of it than whom it concerns where that is not `wanted`.
pub(crate) fn read_about(line: &[u8], wanted: impl Fn(Network) -> bool) -> Said<'_> {
    if line.is_empty() || line[0] == b'#' {
        return Said::Nothing;
    }
    let (network, rest) = word(line);
    let network = match Network::read(network) {
        Ok(network) | Err(BadNetwork::HostBits(network)) => network,
        Err(BadNetwork::Malformed) => return Said::Damaged,
    };
    match wanted(network) {
        true => Said::Ban(read_rest(network, rest)),
        false => Said::Nothing,
    }
}

fn read_rest(network: Network, rest: &[u8]) -> Line<'_> {
    let (expiry, rest) = word(rest);
    let (origin, reason) = word(rest);
    let is_sound = std::str::from_utf8(origin).is_ok_and(is_origin);
    let origin = if is_sound { origin } else { NOBODY };
    Line {
        network,
        expiry: stamp::read(expiry).map_or(Expiry::Never, Expiry::At),
        origin,
        reason,
    }
}

/// The text up to a blank, and that behind it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

/// The lines that have an end, each with where it begins.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', text).map(move |end| {
        let from = std::mem::replace(&mut start, end + 1);
        (from, &text[from..end])
    })
}

/// How much of a text has its lines' ends.
pub(crate) fn whole(text: &[u8]) -> usize {
    memchr::memrchr(b'\n', text).map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(network: &str, expiry: Expiry, reason: &str) -> Ban {
        Ban {
            network: network.parse().unwrap(),
            expiry,
            origin: "admin".into(),
            reason: reason.into(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bans = [
            ban("192.0.2.7", Expiry::At(1_000_000_000), "sshd: 5 failures"),
            ban("2001:db8::/48", Expiry::Never, ""),
        ];
        let mut text = String::new();
        bans.iter().for_each(|ban| ban.write(&mut text));
        assert_eq!(
            text,
            "192.0.2.7 2001-09-09T01:46:40Z admin sshd: 5 failures\n2001:db8::/48 never admin\n"
        );
        let read: Vec<Ban> = lines(text.as_bytes())
            .map(|(_, line)| match read(line) {
                Said::Ban(line) => Ban::from_line(&line),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(read, bans);
    }

    #[test]
    fn a_reason_stays_on_its_line() {
        let mut text = String::new();
        let long = "é".repeat(1000);
        ban(
            "192.0.2.7",
            Expiry::Never,
            &format!(" a\n10.0.0.0/8 never x\x1b[2J\u{85} {long}"),
        )
        .write(&mut text);
        assert!(
            text.starts_with("192.0.2.7 never admin a 10.0.0.0/8 never x [2J é"),
            "{text}"
        );
        assert_eq!(text.find('\n'), Some(text.len() - 1));
        assert!(text.len() < 400);
    }

    #[test]
    fn damage_never_lifts_a_ban() {
        let now = stamp::LAST;
        for line in [
            "192.0.2.7",
            "192.0.2.7 ",
            "192.0.2.7  x",
            "192.0.2.7 2026-13-01T00:00:00Z x",
        ] {
            let Said::Ban(line) = read(line.as_bytes()) else {
                panic!("{line}")
            };
            assert!(!line.expiry.is_over(now));
        }
        // What has no origin can be taken back all the same, and is the same when it is written anew.
        let Said::Ban(line) = read(b"192.0.2.7 never \xff x") else {
            panic!("it is a ban");
        };
        let mut text = String::new();
        Ban::from_line(&line).write(&mut text);
        assert_eq!(read(text.trim_end().as_bytes()), Said::Ban(line));
        assert_eq!(read(b"192.0.2 never x"), Said::Damaged);
        assert_eq!(read(b" 192.0.2.1 never x"), Said::Damaged);
        assert_eq!(read(b"\xff"), Said::Damaged);
        assert_eq!(read(b"# 192.0.2.1"), Said::Nothing);
    }

    #[test]
    fn origins() {
        for good in ["admin", "fail2ban:sshd", "crowdsec/lists@x"] {
            assert!(is_origin(good));
        }
        for bad in ["", "a b", "é", "a\n", &"x".repeat(65)] {
            assert!(!is_origin(bad));
        }
    }
}
