//! Passing quickly over lines that cannot matter, in a table that is scanned once.
//!
//! Deny lists of a million lines are nearly all `daemons: client`. Such a line is passed over where it is
//! certain that it does not match, logs nothing and looks nothing up. Whatever is not certain goes to the
//! evaluator. Where one line after the other goes there, they are matched here first, if that needs nothing but
//! comparing.

use crate::matching::{Match, Matching, certainly_differ, daemons_match};
use crate::request::Request;
use crate::sieve::{Sieve, Window};
use crate::text::find_outside_brackets;
use crate::work;

/// As many bytes of a line are looked at for its daemon list.
const WIDTH: usize = 16;

/// So many daemon lists are remembered at most; how many are, is a power of two.
const MOST_LISTS: usize = 64;

/// What is known of the request and the lines before.
#[derive(Debug)]
pub(crate) struct Skipper {
    sieve: Option<Sieve>,
    /// The daemon lists of the lines before: most lines have one of the same few.
    seen: Box<[Daemons]>,
    /// How often it stopped.
    stops: u32,
}

/// After so many stops, the lines that stop it are read, since there may be many more of their kind. Few are read as
/// soon as they are judged.
const PATIENCE: u32 = 8;

/// What is known of a daemon list: of the text up to the first colon, and a blank after it.
#[derive(Debug, Clone, Copy)]
struct Daemons {
    word: u128,
    mask: u128,
    length: usize,
    state: DaemonState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DaemonState {
    /// Trying it may have effects.
    Unclear,
    Matches,
    Differs,
}

impl Skipper {
    /// Nothing is known yet of a table of so many bytes.
    pub(crate) fn new(size: u64) -> Self {
        // Few daemon lists stand in a short one, and it is not worth the room for many.
        let lists = if size < 2048 { 4 } else { MOST_LISTS };
        Skipper {
            sieve: None,
            // Made where it stays.
            seen: vec![Daemons::NONE; lists].into_boxed_slice(),
            stops: 0,
        }
    }

    /// Passes over lines from `at` on; returns where it stopped and how many lines it passed.
    pub(crate) fn pass(
        &mut self,
        text: &[u8],
        at: usize,
        request: &mut Request,
        with: &mut impl Matching,
    ) -> (usize, u32) {
        Sieve::renew(&mut self.sieve, request);
        let (mut at, mut lines) = self.pass_windows(text, at, request, with);
        let rest = text.get(at..).unwrap_or_default();
        if !rest.is_empty() && rest.len() < size_of::<Window>() {
            // The last lines, with room for a window behind them.
            let mut padded = [0; 2 * size_of::<Window>()];
            padded[..rest.len()].copy_from_slice(rest);
            let (passed, more) = self.pass_windows(&padded, 0, request, with);
            (at, lines) = (at + passed, lines + more);
        }
        // What was not known is asked for by who reads the line, if that is a rule.
        request.take_need();
        self.stops = self.stops.saturating_add(1);
        work::add(lines);
        // And one that stopped it.
        work::add(1);
        (at, lines)
    }

    /// The same, as long as there is a whole window to look at.
    #[inline(never)]
    fn pass_windows(
        &mut self,
        text: &[u8],
        mut at: usize,
        request: &mut Request,
        with: &mut impl Matching,
    ) -> (usize, u32) {
        let mut lines = 0;
        loop {
            let (next, sifted) = self.sift(text, at);
            (at, lines) = (next, lines + sifted);
            let Some(line) = window(text, at) else { break };
            let slot = self.slot(line);
            let daemons = &mut self.seen[slot];
            let is_new = !daemons.begin(line);
            if is_new {
                *daemons = Daemons::of(line, request, with);
            }
            if daemons.state == DaemonState::Differs
                && let Some(end) = end_of_line(text, at + daemons.length)
            {
                at = end;
                lines += 1;
            } else if is_new && daemons.state == DaemonState::Matches {
                // Now that it is known, the clients may exclude the line.
            } else if self.stops >= PATIENCE
                && let Some(end) = end_of_line(text, at)
                && daemons.line_differs(&text[at..end - 1], request, with)
            {
                at = end;
                lines += 1;
            } else {
                break;
            }
        }
        (at, lines)
    }

    /// Passes over lines whose client list alone excludes them, whether or not the daemon list matches.
    #[inline(never)]
    fn sift(&self, text: &[u8], mut at: usize) -> (usize, u32) {
        /// So many lines are taken as they come before their being alike is tried again.
        const MIXED: usize = 32;
        let mut lines = 0;
        let Some(sieve) = &self.sieve else {
            return (at, lines);
        };
        while let Some(daemons) = self.known(text, at) {
            // In many tables all lines name the same daemons and an address. Taking that for granted lets the
            // processor look at several lines at once.
            while let Some(line) = window(text, at)
                && daemons.begin(line)
                && let Some(end) = sieve.after_address(line, daemons.length)
                && line.get(end) == Some(&b'\n')
            {
                at += end + 1;
                lines += 1;
            }
            for _ in 0..MIXED {
                let Some(length) = self.excluded(sieve, text, at) else {
                    return (at, lines);
                };
                at += length + 1;
                lines += 1;
            }
        }
        (at, lines)
    }

    /// The length of the line at `at`, if it is excluded.
    #[inline(always)]
    fn excluded(&self, sieve: &Sieve, text: &[u8], at: usize) -> Option<usize> {
        let line = window(text, at)?;
        let clients = self.known(text, at)?.length;
        let end = memchr::memchr(b'\n', &text[at..])?;
        let excluded =
            sieve.after_network(line, clients) == Some(end) || sieve.excludes_name(line, clients, end);
        excluded.then_some(end)
    }

    /// The daemon list of the line at `at`, if it is one that was seen before and has no effects.
    #[inline(always)]
    fn known(&self, text: &[u8], at: usize) -> Option<&Daemons> {
        let line = window(text, at)?;
        let daemons = &self.seen[self.slot(line)];
        (daemons.begin(line) && daemons.state != DaemonState::Unclear).then_some(daemons)
    }

    /// Where what is known of a list that begins so is kept.
    #[inline(always)]
    fn slot(&self, line: &Window) -> usize {
        // `as`: five bytes tell most lists apart, and more may belong to the clients.
        let start = (beginning(line) as u64) << 24;
        let slot = start.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        slot as usize & (self.seen.len() - 1)
    }
}

/// The beginning of the line at `at`, if that is not near the end of the text.
#[inline(always)]
fn window(text: &[u8], at: usize) -> Option<&Window> {
    text.get(at..)?.first_chunk()
}

impl Daemons {
    /// No line begins like this.
    const NONE: Self = Daemons {
        word: 1,
        mask: 0,
        length: 0,
        state: DaemonState::Unclear,
    };

    /// Does the line begin with this list?
    #[inline(always)]
    fn begin(&self, line: &Window) -> bool {
        beginning(line) & self.mask == self.word
    }

    /// Does a line that begins so certainly not match, as far as its lists tell?
    #[inline(never)]
    fn line_differs(&self, line: &[u8], request: &mut Request, with: &mut impl Matching) -> bool {
        work::add(1);
        let (daemons, rest) = match self.state {
            DaemonState::Matches => (None, line.get(self.length..)),
            DaemonState::Unclear | DaemonState::Differs => match find_outside_brackets(line, b':') {
                Some(colon) => (Some(&line[..colon]), line.get(colon + 1..)),
                None => return false,
            },
        };
        let rest = rest.unwrap_or_default();
        let clients = &rest[..find_outside_brackets(rest, b':').unwrap_or(rest.len())];
        certainly_differ(daemons, clients, request, with)
    }

    /// The daemon list at the start of a line.
    #[cold]
    fn of(line: &Window, request: &mut Request, with: &mut impl Matching) -> Self {
        let bytes = &line[..WIDTH];
        let Some(colon) = bytes.iter().position(|b| *b == b':') else {
            return Daemons::NONE;
        };
        let length = colon + 1 + usize::from(bytes.get(colon + 1) == Some(&b' '));
        let mask = u128::MAX >> (8 * (WIDTH - length));
        Daemons {
            word: beginning(line) & mask,
            mask,
            length,
            state: DaemonState::of(&bytes[..colon], request, with),
        }
    }
}

impl DaemonState {
    /// Tries a daemon list, if that is sure to look nothing up.
    fn of(list: &[u8], request: &mut Request, with: &mut impl Matching) -> Self {
        let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b" ,\t.-_+*?".contains(b);
        if !list.iter().all(is_plain) || list.is_empty() {
            DaemonState::Unclear
        } else {
            match daemons_match(list, request, with) {
                Ok(Match::Yes) => DaemonState::Matches,
                Ok(Match::No) => DaemonState::Differs,
                Ok(Match::Unknown) | Err(_) => DaemonState::Unclear,
            }
        }
    }
}

/// Where the line ends, if it is a plain one.
#[inline]
fn end_of_line(text: &[u8], at: usize) -> Option<usize> {
    let end = at + memchr::memchr2(b'\n', 0, text.get(at..)?)?;
    (text[end] == b'\n' && text[..end].last() != Some(&b'\\')).then_some(end + 1)
}

/// The bytes that are looked at for the daemon list, the first of them lowest.
#[inline(always)]
fn beginning(line: &Window) -> u128 {
    let mut bytes = [0; WIDTH];
    bytes.copy_from_slice(&line[..WIDTH]);
    u128::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::tests::NoFiles;
    use crate::request::Side;
    use crate::work::counter;

    /// The numbers of the lines at which it stops, for a client whose name is known.
    fn stops(lines: &[String]) -> Vec<usize> {
        stops_for(request("sshd", "10.1.2.3", "gate.example.org"), lines)
    }

    fn request(daemon: &str, address: &str, name: &str) -> Request {
        Request::new(daemon)
            .known_address(Side::Client, address)
            .known_name(Side::Client, name)
            .known_address(Side::Server, "10.0.0.9")
    }

    fn stops_for(mut request: Request, lines: &[String]) -> Vec<usize> {
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>() + &"#".repeat(80);
        let mut skipper = Skipper::new(text.len() as u64);
        let (mut at, mut line) = (0, 0);
        let mut stops = Vec::new();
        loop {
            let (end, passed) = skipper.pass(text.as_bytes(), at, &mut request, &mut NoFiles);
            let passed_text = &text[at..end];
            assert_eq!(
                passed_text.matches('\n').count(),
                passed as usize,
                "{passed_text}"
            );
            assert!(passed == 0 || passed_text.ends_with('\n'));
            line += passed as usize;
            if line >= lines.len() {
                return stops;
            }
            stops.push(line);
            at = end + lines[line].len() + 1;
            line += 1;
        }
    }

    /// Lines that exclude the client, by the number of each.
    const OTHERS: [fn(usize) -> String; 15] = [
        |n| format!("sshd: 192.0.2.{n}"),
        |n| format!("sshd:{n}.1.2.3", n = 20 + n),
        |n| format!("ALL: 192.0.{n}.0/24"),
        |n| format!("sshd: 19{}.0.0.0/8", n % 10),
        |n| format!("sshd: 19{}.0.0.0/9", n % 10),
        |n| format!("sshd: 172.{n}.0.0/16"),
        |n| format!("sshd: 192.0.2.{n}/32"),
        |n| format!("sshd: 198.51.{n}."),
        |n| format!("sshd: host-{n}.example.net"),
        |n| format!("sshd: h{:07}", n),
        |n| format!("sshd: .sub{n}.example.net"),
        |n| format!("sshd: a-name-of-just-so-many-l{:03}.net", n),
        |n| format!("vsftpd: 10.1.2.3 {n} [::1] *"),
        |n| format!("in.ftpd, vsftpd: ALL, {n}"),
        |n| match n % 3 {
            0 => format!("ALL: host-{n}.example.net"),
            1 => format!("sshd: 192.0.{n}.0/24"),
            _ => format!("vsftpd: ALL {n}"),
        },
    ];

    #[test]
    fn lines_that_exclude_the_client_are_passed_over() {
        for (shape, other) in OTHERS.iter().enumerate() {
            let lines: Vec<_> = (0..200).map(other).collect();
            // What is near the end, and each daemon list once, is not.
            let mut found = Vec::new();
            let steps = counter::steps(|| found = stops(&lines));
            let most = 3 + 80 / lines[0].len();
            assert!(found.len() <= most, "{shape}: {found:?}");
            // A list that was tried is not tried again.
            assert!(steps <= lines.len() as u64 + 40, "{shape}: {steps} steps");
        }
    }

    #[test]
    fn lines_that_could_matter_stop_it() {
        for client in [
            "10.1.2.3",
            "10.",
            "10.1.2.",
            "10.1.2.0/24",
            "10.0.0.0/8",
            "10.1.2.3/32",
            "012.1.2.0/24",
            "8.0.0.0/5",
            "12.0.0.0/255.0.0.0",
            "192.0.2.1/1x",
            "gate.example.org",
            "GATE.Example.Org",
            "gate.exa.",
            ".example.org",
            ".Org",
            "ALL",
            "KNOWN",
            "LOCAL",
            "UNKNOWN",
            "*.example.net",
            "10.1.2.*",
            "host_1.example.net",
            "a-name-of-more-than-32-letters.example.net",
            "/etc/a-list-of-hosts",
            "@a-group-of-hosts",
            "u1@host.example.net",
            "{country=DE|AT}",
            "192.0.2.1 10.1.2.3",
            "192.0.2.1, x",
            "192.0.2.1: deny",
            "host.example.net\\",
            "[2001:db8::1]",
        ] {
            for (shape, other) in OTHERS.iter().enumerate() {
                let mut lines: Vec<_> = (0..100).map(other).collect();
                lines[60] = format!("sshd: {client}");
                assert!(stops(&lines).contains(&60), "{client} among {shape}");
            }
        }
    }

    /// A name may begin or end as the address does, and a pattern as both.
    #[test]
    fn names_may_look_like_addresses() {
        for (address, name) in [
            ("10.1.2.3", "10.1.example.org"),
            ("10.1.2.3", "10.1.2.3.example.org"),
            ("10.1.2.3", "host-1.2.3"),
            ("2001:db8::dead:beef", "gate.dead:beef"),
        ] {
            let dot = name.find('.').unwrap();
            for client in [
                address,
                &address[..3],
                name,
                &name[..=dot],
                &name[dot..],
                &name[name.len() - 4..],
            ] {
                for other in OTHERS {
                    let mut lines: Vec<_> = (0..100).map(other).collect();
                    lines[60] = format!("sshd: {client}");
                    let matches = crate::matching::clients_match(
                        client.as_bytes(),
                        &mut request("sshd", address, name),
                        &mut NoFiles,
                    );
                    if matches != Ok(Match::No) {
                        let stops = stops_for(request("sshd", address, name), &lines);
                        assert!(stops.contains(&60), "{client}, {address} {name}");
                    }
                }
            }
        }
    }

    /// Lines that exclude the client, which shows only when they are read.
    const READ: [fn(usize) -> String; 8] = [
        |n| format!("sshd: *.sub{n}.example.net"),
        |n| format!("sshd: *evil{n}* 10.2.{n}.?"),
        |n| format!("sshd: user{n}@host{n}.example.net"),
        |n| format!("sshd: ALL EXCEPT 10.1. host{n}.example.net"),
        |n| format!("ALL: [2001:db8::{n:x}] 192.0.2.{n} LOCAL: spawn a:b"),
        |n| format!("sshd@10.0.1.{n}: ALL"),
        |n| format!("vsftpd@10.0.0.{n} in.ftpd@10.1., x{n}: /etc/hosts{n}"),
        |n| format!("# sshd: {n}"),
    ];

    #[test]
    fn where_many_lines_must_be_read_it_reads_them() {
        for (shape, line) in READ.iter().enumerate() {
            let lines: Vec<_> = (0..200).map(line).collect();
            let stops = stops(&lines);
            assert!(stops.len() <= PATIENCE as usize + 1, "{shape}: {stops:?}");
        }
        for (daemons, client) in [
            ("sshd", "10.1.2.3"),
            ("sshd", "gate.*"),
            ("sshd", "ALL EXCEPT 10.2."),
            ("sshd", "/etc/a-list-of-hosts"),
            ("sshd", "@group"),
            ("sshd", "{country=DE|AT}"),
            ("sshd", "user@.example.org"),
            ("sshd@10.0.0.9", "10.1.2.3"),
            ("sshd@a-server.example.org", "192.0.2.1"),
            ("sshd@@group", "192.0.2.1"),
            ("22", "192.0.2.1"),
        ] {
            for (shape, line) in READ.iter().enumerate() {
                let mut lines: Vec<_> = (0..100).map(line).collect();
                lines[60] = format!("{daemons}: {client}");
                assert!(stops(&lines).contains(&60), "{daemons}: {client} among {shape}");
            }
        }
    }

    /// What is known of daemon lists is kept by their first letters.
    #[test]
    fn lists_that_begin_alike_are_told_apart() {
        for (known, line) in [
            ("in.tftpd", "in.tf:10.91.2.3"),
            ("in.tftpd", "in.tf:10.91.2."),
            ("in.tf", "in.tftpd: 10.91.2.3"),
            ("in.tftp", "in.tftpd: 10.91.2.3"),
            ("vsftpd,sshd", "vsftpd:10.91.2.3"),
        ] {
            let mut lines: Vec<_> = (0..100).map(|n| format!("{known}: 192.0.2.{n}")).collect();
            lines[60] = line.to_owned();
            let (daemon, _) = line.split_once(':').unwrap();
            let stops = stops_for(request(daemon, "10.91.2.3", "gate.example.org"), &lines);
            assert!(stops.contains(&60), "{line} after {known}");
        }
    }

    #[test]
    fn what_is_no_plain_line_stops_it() {
        for line in [
            "",
            "# a comment",
            "sshd 10.1.2.3",
            "vsftpd, sshd: 10.1.2.3",
            "s*: 10.1.2.3",
            "sshd@10.0.0.1: 10.1.2.3",
            "vsftpd: 10.1.2.3 \\",
            "vsftpd: 10.1.2.3\0",
            "a-list-of-daemons-that-is-long: 10.1.2.3",
        ] {
            let mut lines: Vec<_> = (0..100).map(|n| format!("vsftpd: 192.0.2.{n}")).collect();
            lines[60] = line.to_owned();
            assert!(stops(&lines).contains(&60), "{line}");
        }
    }
}
