//! Client lists: hosts that exist, under their official names, and users that can be users.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use analysis::document::List;
use hosts_access::address::{Ipv6, dotted_quad};
use hosts_access::decide::reason;
use hosts_access::syntax::brace::Brace;
use hosts_access::syntax::list::tokens;
use hosts_access::syntax::pattern::{ClientPattern, HostPattern, StringPattern};
use hosts_access::{MAX_FILE_DEPTH, Network, PARANOID, Place, UNKNOWN, source};
use system::lookups::{Answer, Lookups};
use system::names;
use system::netdb::{self, NoAnswer};

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

/// What the name service says of the hosts and netgroups that rules name. Each is asked for once, and what has to be waited
/// for is reported when everything has been asked for.
pub(super) struct Names {
    hosts: Rc<Lookups<Vec<u8>, Found>>,
    netgroups: HashMap<Vec<u8>, bool>,
}

impl Names {
    pub(super) fn new() -> Self {
        Names {
            hosts: Rc::new(Lookups::new(|name| look_up(name))),
            netgroups: HashMap::new(),
        }
    }

    /// Looks at a client list.
    pub(super) fn check_clients(&mut self, list: &List<'_, ClientPattern<'_>>, report: &mut Report) {
        check_parts("client", list, report);
        for token in list.tokens() {
            if let Some(user) = token.pattern.user {
                check_user(user, report);
            }
            self.walk(None, report).host(token.pattern.host);
        }
    }

    /// Looks at the server's host of the token `daemon@host`.
    pub(super) fn check_server(&mut self, host: HostPattern<'_>, token: &[u8], report: &mut Report) {
        self.walk(Some(token), report).host(host);
    }

    fn walk<'w>(&'w mut self, server: Option<&'w [u8]>, report: &'w mut Report) -> Walk<'w> {
        Walk {
            names: self,
            report,
            server,
            open: Vec::new(),
            deepest: HashMap::new(),
        }
    }

    /// Reports how many hosts were not looked up.
    pub(super) fn finish(self, report: &mut Report) {
        report.later(move || {
            let left_out = self.hosts.not_asked();
            let text = format!("not looked up, as the name service takes too long: {left_out} more hosts");
            (left_out > 0).then(|| text.into_bytes()).into_iter().collect()
        });
    }
}

/// What the name service says of one host.
#[derive(Debug, Clone)]
struct Found {
    problems: Vec<Vec<u8>>,
    addresses: usize,
}

/// Looks one host up, by name or address.
fn look_up(name: &[u8]) -> Result<Found, NoAnswer> {
    let mut problems = Vec::new();
    let mut warn = |problem| problems.push(problem);
    let hosts::Host { official, addresses } = hosts::find(name, &mut warn)?;
    hosts::check_names(name, &addresses, &mut warn)?;
    if !netdb::is_numeric(name) {
        for address in &addresses {
            // Clients from there have the name that the address leads to.
            let known = names::ask(address, &mut warn)?;
            if known != PARANOID && !known.eq_ignore_ascii_case(&official) {
                let number = netdb::numeric(address);
                warn([name, b": its address ", &number, b" has the name ", &known].concat());
            }
        }
    }
    Ok(Found {
        problems,
        addresses: addresses.len(),
    })
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

/// One host pattern, and those in the files that it names, by itself or through others.
struct Walk<'w> {
    names: &'w mut Names,
    report: &'w mut Report,
    /// The token of a daemon list, where it is the server's host that is given.
    server: Option<&'w [u8]>,
    /// The files being read, outermost first.
    open: Vec<Vec<u8>>,
    /// Those read, and how deep they were. From where one is deeper, what it names may be too deep.
    deepest: HashMap<Vec<u8>, usize>,
}

impl Walk<'_> {
    fn host(&mut self, pattern: HostPattern<'_>) {
        match pattern {
            HostPattern::Known | HostPattern::Local => {}
            HostPattern::Brace(Brace::Wrong(mistake)) => self.report.warn(mistake.to_string()),
            HostPattern::Brace(_) => {}
            HostPattern::Netgroup(group) => {
                let netgroups = &mut self.names.netgroups;
                let exists = netgroups
                    .entry(group.to_vec())
                    .or_insert_with(|| netdb::netgroup_exists(group));
                if !*exists {
                    self.report
                        .warn([b"@", group, b": the netgroup is unknown or empty"].concat());
                }
            }
            HostPattern::File(path) => self.file(path),
            HostPattern::Net { net, mask } => network(net, mask, self.report),
            HostPattern::Text { pattern, tries_name } => match text_problem(pattern, tries_name) {
                Text::Fine => {}
                Text::Wrong(text, problem) => {
                    self.report.warn([text, b": ", problem.as_bytes()].concat());
                }
                Text::Host(name) => self.single(name),
            },
        }
    }

    /// One host, by name or address.
    fn single(&mut self, name: &[u8]) {
        let (hosts, name) = (Rc::clone(&self.names.hosts), name.to_vec());
        hosts.ask(&name);
        let server = self.server.filter(|_| self.open.is_empty()).map(<[u8]>::to_vec);
        self.report.later(move || match hosts.answer(&name) {
            Answer::Given(mut found) => {
                if let Some(token) = server.filter(|_| found.addresses > 1) {
                    let text = b": this host has several addresses; an address says which one is meant";
                    found.problems.push([&token[..], &text[..]].concat());
                }
                found.problems
            }
            Answer::Silence => vec![hosts::no_answer(&name)],
            Answer::NotAsked => Vec::new(),
        });
    }

    fn file(&mut self, path: &[u8]) {
        let shown: Arc<Path> = Arc::from(Path::new(OsStr::from_bytes(path)));
        let depth = self.open.len();
        if depth >= MAX_FILE_DEPTH || self.open.iter().any(|outer| outer == path) {
            let problem: &[u8] = if depth >= MAX_FILE_DEPTH {
                b": nested too deeply: it matches nothing here"
            } else {
                b": names itself: it matches nothing here"
            };
            return self.report.warn([path, problem].concat());
        }
        if self.deepest.get(path).is_some_and(|deepest| depth <= *deepest) {
            return;
        }
        self.deepest.insert(path.to_vec(), depth);
        let text = match read(&shown) {
            Ok(text) => text,
            Err(error) => {
                let why = reason(&error);
                return self
                    .report
                    .warn([path, b": matches nothing: ", why.as_bytes()].concat());
            }
        };
        let outside = self.report.place().cloned();
        self.open.push(path.to_vec());
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            self.report.at(Some(Place {
                file: Arc::clone(&shown),
                line: number,
            }));
            for word in line
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty())
            {
                // Commas separate in tables, not in these files.
                if tokens(word).count() > 1 {
                    self.report
                        .warn([word, b": read as one pattern, with its commas"].concat());
                }
                self.host(HostPattern::parse(word));
            }
        }
        self.open.pop();
        self.report.at(outside);
    }
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

/// What is to be said of a pattern for strings.
enum Text<'t> {
    Fine,
    Wrong(&'t [u8], &'static str),
    /// It is the name or address of one host.
    Host(&'t [u8]),
}

fn text_problem(pattern: StringPattern<'_>, tries_name: bool) -> Text<'_> {
    let (text, problem) = match pattern {
        StringPattern::All | StringPattern::Known | StringPattern::Wildcard(_) => return Text::Fine,
        StringPattern::Suffix(text) if !tries_name => (
            text,
            "begins with a dot: no address does, and host names are no numbers",
        ),
        StringPattern::Suffix(_) => return Text::Fine,
        StringPattern::Prefix(text) if tries_name => {
            (text, "ends in a dot: an address may begin so, no host name does")
        }
        StringPattern::Prefix(_) => return Text::Fine,
        StringPattern::Bracketed(inner) => match Ipv6::parse(inner) {
            Some(address) if address.bits >> 32 == 0xffff => (
                inner,
                "an IPv4 address in IPv6 form never matches; write it as IPv4",
            ),
            Some(_) => return Text::Fine,
            None if inner.contains(&b'%') => (inner, "no IPv6 address on an interface of this host"),
            None => (inner, "no IPv6 address, although in brackets"),
        },
        StringPattern::Exact(name) if name.eq_ignore_ascii_case(b"FAIL") => (name, FAIL),
        StringPattern::Exact(name) if is_host_word(name) => return Text::Fine,
        StringPattern::Exact(b"0.0.0.0" | b"255.255.255.255") => return Text::Fine,
        StringPattern::Exact(name) if !tries_name && dotted_quad(name).is_none() => {
            (name, "no address; the beginning of one ends in a dot")
        }
        StringPattern::Exact(name) => return Text::Host(name),
    };
    Text::Wrong(text, problem)
}
