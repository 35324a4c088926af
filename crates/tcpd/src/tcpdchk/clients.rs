//! Client lists: hosts that exist, under their official names, and users that can be users.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use analysis::document::List;
use hosts_access::address::{Ipv6, dotted_quad};
use hosts_access::decide::reason;
use hosts_access::syntax::brace::Brace;
use hosts_access::syntax::list::tokens;
use hosts_access::syntax::pattern::{ClientPattern, HostPattern, StringPattern};
use hosts_access::{MAX_FILE_DEPTH, Network, PARANOID, Place, UNKNOWN, source};
use system::netdb;

use super::check_parts;
use crate::hosts;
use crate::report::Report;

/// A word that old tables knew.
pub(super) const FAIL: &str = "means nothing any more; EXCEPT or a deny rule does what it did";

/// Is this one of the words that stand for hosts or users by what is known of them?
pub(super) fn is_host_word(name: &[u8]) -> bool {
    [&b"KNOWN"[..], b"LOCAL", UNKNOWN, PARANOID]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(name))
}

/// Looks at a client list.
pub(super) fn check(list: &List<'_, ClientPattern<'_>>, report: &mut Report) {
    check_parts("client", list, report);
    for token in list.tokens() {
        if let Some(user) = token.pattern.user {
            check_user(user, report);
        }
        check_host(token.pattern.host, report);
    }
}

fn check_user(user: &[u8], report: &mut Report) {
    let problem = match user {
        [b'@', ..] => "user name begins with \"@\"; netgroups are for hosts",
        [b'/', ..] => "user name begins with \"/\"; files are for hosts",
        [b'.', ..] => "user name begins with a dot",
        [.., b'.'] => "user name ends in a dot",
        _ if user.eq_ignore_ascii_case(b"FAIL") => FAIL,
        _ if user.eq_ignore_ascii_case(b"LOCAL") || user.eq_ignore_ascii_case(PARANOID) => {
            "a word for hosts, not a user name"
        }
        _ => return,
    };
    report.warn([user, b": ", problem.as_bytes()].concat());
}

/// Looks at a host pattern. How many addresses the host has, where it names one.
pub(super) fn check_host(pattern: HostPattern<'_>, report: &mut Report) -> usize {
    host(pattern, &mut Files::default(), report)
}

/// The files that a pattern names, by itself or through others.
#[derive(Default)]
struct Files {
    /// Those being read, outermost first.
    open: Vec<Vec<u8>>,
    /// Those read, and how deep they were. From where one is deeper, what it names may be too deep.
    deepest: HashMap<Vec<u8>, usize>,
}

fn host(pattern: HostPattern<'_>, files: &mut Files, report: &mut Report) -> usize {
    match pattern {
        HostPattern::Known | HostPattern::Local => {}
        HostPattern::Brace(Brace::Wrong(mistake)) => report.warn(mistake.to_string()),
        HostPattern::Brace(_) => {}
        HostPattern::Netgroup(group) => {
            if !netdb::netgroup_exists(group) {
                report.warn([b"@", group, b": the netgroup is unknown or empty"].concat());
            }
        }
        HostPattern::File(path) => file(path, files, report),
        HostPattern::Net { net, mask } => network(net, mask, report),
        HostPattern::Text { pattern, tries_name } => return text(pattern, tries_name, report),
    }
    1
}

fn file(path: &[u8], files: &mut Files, report: &mut Report) {
    let shown: Arc<Path> = Arc::from(Path::new(OsStr::from_bytes(path)));
    let depth = files.open.len();
    if depth >= MAX_FILE_DEPTH || files.open.iter().any(|outer| outer == path) {
        let problem: &[u8] = if depth >= MAX_FILE_DEPTH {
            b": nested too deeply: it matches nothing here"
        } else {
            b": names itself: it matches nothing here"
        };
        return report.warn([path, problem].concat());
    }
    if files.deepest.get(path).is_some_and(|deepest| depth <= *deepest) {
        return;
    }
    files.deepest.insert(path.to_vec(), depth);
    let text = match read(&shown) {
        Ok(text) => text,
        Err(error) => {
            let why = reason(&error);
            return report.warn([path, b": matches nothing: ", why.as_bytes()].concat());
        }
    };
    let outside = report.place().cloned();
    files.open.push(path.to_vec());
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        report.at(Some(Place {
            file: Arc::clone(&shown),
            line: number,
        }));
        for word in line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
        {
            // Commas separate in tables, not in these files.
            if tokens(word).count() > 1 {
                report.warn([word, b": read as one pattern, with its commas"].concat());
            }
            host(HostPattern::parse(word), files, report);
        }
    }
    files.open.pop();
    report.at(outside);
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.is_file() {
        source::bytes(path)
    } else {
        Err(io::Error::other("not a regular file"))
    }
}

fn network(net: &[u8], mask: &[u8], report: &mut Report) {
    let problem: &[u8] = match Network::parse(net, mask) {
        None => b": bad net/mask: it matches no address",
        Some(Network::V4 { net, mask }) if net & !mask != 0 => {
            b": the net has bits that the mask does not: it matches no address"
        }
        Some(_) => return,
    };
    report.warn([net, b"/", mask, problem].concat());
}

fn text(pattern: StringPattern<'_>, tries_name: bool, report: &mut Report) -> usize {
    let (text, problem) = match pattern {
        StringPattern::All | StringPattern::Known | StringPattern::Wildcard(_) => return 1,
        StringPattern::Suffix(text) if !tries_name => (
            text,
            "begins with a dot: no address does, and host names are no numbers",
        ),
        StringPattern::Suffix(_) => return 1,
        StringPattern::Prefix(text) if tries_name => {
            (text, "ends in a dot: an address may begin so, no host name does")
        }
        StringPattern::Prefix(_) => return 1,
        StringPattern::Bracketed(inner) => match Ipv6::parse(inner) {
            Some(address) if address.bits >> 32 == 0xffff => (
                inner,
                "an IPv4 address in IPv6 form never matches; write it as IPv4",
            ),
            Some(_) => return 1,
            None if inner.contains(&b'%') => (inner, "no IPv6 address on an interface of this host"),
            None => (inner, "no IPv6 address, although in brackets"),
        },
        StringPattern::Exact(name) if name.eq_ignore_ascii_case(b"FAIL") => (name, FAIL),
        StringPattern::Exact(name) if is_host_word(name) => return 1,
        StringPattern::Exact(b"0.0.0.0" | b"255.255.255.255") => return 1,
        StringPattern::Exact(name) if !tries_name && dotted_quad(name).is_none() => {
            (name, "no address; the beginning of one ends in a dot")
        }
        StringPattern::Exact(name) => return single(name, tries_name, report),
    };
    report.warn([text, b": ", problem.as_bytes()].concat());
    1
}

/// One host, by name or address.
fn single(name: &[u8], by_name: bool, report: &mut Report) -> usize {
    let (official, addresses) = hosts::find(name, report);
    if by_name && !netdb::is_numeric(name) {
        for address in &addresses {
            // Clients from there have the name that the address leads to.
            let known = hosts::verified_name(address, report);
            if known != PARANOID && !known.eq_ignore_ascii_case(&official) {
                let number = netdb::numeric(address);
                let text = [name, b": its address ", &number, b" has the name ", &known];
                report.warn(text.concat());
            }
        }
    }
    addresses.len()
}
