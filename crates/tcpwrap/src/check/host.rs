//! What is wrong with the tables on this very machine: programs, files, users and names that are not
//! there, or that others may change.

mod asked;
mod commands;
mod guarded;
mod names;
mod reach;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use analysis::check::{Code, Finding, Level, Span, host as codes, misread_from, quoted, words};
use analysis::document::{Content, Document, Entry, Rule, content};
use hosts_access::source::{self, Contents, Ending};
use hosts_access::syntax::brace::Brace;
use hosts_access::syntax::option::{Keyword, user_and_group};
use hosts_access::syntax::pattern::{HostPattern, Service, StringPattern};
use hosts_access::{TableKind, Tables, Verdict};

use system::netdb;

use super::input::Policy;
use crate::{output, session};
use names::Question;

/// Everything that can be said of the policy on this machine.
pub fn check(policy: &Policy) -> Vec<Finding> {
    let mut host = Host::default();
    for (table, document) in policy.tables().iter() {
        host.permissions(table, document);
        for entry in document.entries.iter().take_while(|e| e.ending != Ending::Nul) {
            let line = document.line(entry);
            if let Content::Rule(rule) = content(&line) {
                let at = At {
                    table,
                    document,
                    entry,
                };
                host.rule(&at, &rule, misread_from(document, entry, &line, &rule));
            }
        }
    }
    let deciders = host.daemons();
    host.names();
    host.asked(policy, &deciders);
    host.session(policy);
    host.found
}

/// A rule's place.
struct At<'d> {
    table: TableKind,
    document: &'d Document,
    entry: &'d Entry,
}

impl At<'_> {
    fn span(&self, at: &Range<usize>) -> Place {
        Place {
            table: self.table,
            span: Span::of(self.document, self.entry, at),
        }
    }
}

/// Where something stands.
#[derive(Debug, Clone)]
struct Place {
    table: TableKind,
    span: Span,
}

/// What is gathered from all rules; what costs something is looked at once for each name.
#[derive(Default)]
struct Host {
    found: Vec<Finding>,
    daemons: HashMap<Vec<u8>, Place>,
    ports: BTreeMap<u16, Place>,
    /// The first rule for all daemons.
    all: Option<Place>,
    hosts: HashMap<Vec<u8>, Place>,
    addresses: HashMap<Vec<u8>, Place>,
    endpoints: HashMap<Vec<u8>, Place>,
    /// Names whose addresses `{dns=…}` asks for.
    moving: HashMap<Vec<u8>, Place>,
    users: HashMap<Vec<u8>, bool>,
    groups: HashMap<Vec<u8>, bool>,
    files: HashMap<Vec<u8>, usize>,
    netgroups: HashMap<Vec<u8>, bool>,
    commands: HashMap<Vec<u8>, Option<(&'static Code, String)>>,
    asks: asked::Asked,
}

impl Host {
    fn report(&mut self, code: &'static Code, place: &Place, message: impl Into<String>) {
        let mut finding = Finding::new(code, place.table, place.span.clone(), message);
        finding.help(code.remedy);
        self.found.push(finding);
    }

    /// Who may change the table.
    fn permissions(&mut self, table: TableKind, document: &Document) {
        let place = Place {
            table,
            span: nowhere(),
        };
        if let Some(who) = changeable(&document.path) {
            let shown = document.path.display();
            self.report(
                &codes::WRITABLE_TABLE,
                &place,
                format!("{shown} can be changed by {who}"),
            );
        }
    }

    /// A rule, as far as it is read as it was meant: `end` is where a remark begins.
    fn rule(&mut self, at: &At<'_>, rule: &Rule<'_>, end: usize) {
        self.asks.rule(at, rule, end);
        for token in rule.daemons.tokens().filter(|t| t.span.start < end) {
            match token.pattern.service {
                Service::Name(StringPattern::Exact(name)) => {
                    let name = name.to_ascii_lowercase();
                    self.daemons.entry(name).or_insert_with(|| at.span(&token.span));
                }
                Service::Name(StringPattern::All) => {
                    self.all.get_or_insert_with(|| at.span(&token.span));
                }
                Service::Port(port) => {
                    self.ports.entry(port).or_insert_with(|| at.span(&token.span));
                }
                Service::Name(_) => {}
            }
            if let Some(host) = token.pattern.host {
                if let HostPattern::Text {
                    pattern: StringPattern::Exact(name),
                    tries_name: true,
                } = host
                    && names::is_host_name(name)
                {
                    let place = || at.span(&token.span);
                    let name = name.to_ascii_lowercase();
                    self.endpoints.entry(name).or_insert_with(place);
                }
                self.pattern(at, host, &token.span);
            }
        }
        for token in rule.clients.tokens().filter(|t| t.span.start < end) {
            self.pattern(at, token.pattern.host, &token.span);
        }
        for option in rule.options.iter().take_while(|o| o.problem.is_none()) {
            let (Some(keyword), Some(value)) = (option.keyword, option.value()) else {
                continue;
            };
            let place = || at.span(&option.span);
            if let Some(list) = option.condition() {
                for token in list.tokens() {
                    self.pattern(at, token.pattern.host, &token.span);
                }
            }
            match keyword {
                Keyword::Spawn | Keyword::Aclexec | Keyword::Twist => self.command(&place(), value),
                Keyword::Banners => {
                    let directory = Path::new(OsStr::from_bytes(value));
                    if !directory.is_dir() {
                        let message = format!("{} is no directory", quoted(value));
                        self.report(&codes::NO_BANNERS, &place(), message);
                    }
                }
                Keyword::User => {
                    let (user, group) = user_and_group(value);
                    self.user(&place(), user);
                    if let Some(group) = group {
                        self.group(&place(), group);
                    }
                }
                Keyword::Group => self.group(&place(), value),
                _ => {}
            }
        }
    }

    fn user(&mut self, place: &Place, user: &[u8]) {
        let exists = self.users.entry(user.to_vec());
        if !*exists.or_insert_with(|| netdb::user(user).is_some()) {
            let message = format!("there is no user {}", quoted(user));
            self.report(&codes::NO_USER, place, message);
        }
    }

    fn group(&mut self, place: &Place, group: &[u8]) {
        let exists = self.groups.entry(group.to_vec());
        if !*exists.or_insert_with(|| netdb::group(group).is_some()) {
            let message = format!("there is no group {}", quoted(group));
            self.report(&codes::NO_USER, place, message);
        }
    }

    fn command(&mut self, place: &Place, command: &[u8]) {
        for program in commands::programs(command) {
            let judged = self
                .commands
                .entry(program.clone())
                .or_insert_with(|| commands::judge(&program))
                .clone();
            if let Some((code, message)) = judged {
                self.report(code, place, message);
            }
        }
    }

    fn pattern(&mut self, at: &At<'_>, pattern: HostPattern<'_>, span: &Range<usize>) {
        match pattern {
            HostPattern::File(path) => {
                let place = at.span(span);
                self.file(&place, path, &mut Vec::new());
            }
            HostPattern::Netgroup(group) => {
                let exists = *self
                    .netgroups
                    .entry(group.to_vec())
                    .or_insert_with(|| netdb::netgroup_exists(group));
                if !exists {
                    let message = format!("there is no netgroup {} with members here", quoted(group));
                    self.report(&codes::NO_NETGROUP, &at.span(span), message);
                }
            }
            HostPattern::Net { net: scoped, .. }
            | HostPattern::Text {
                pattern: StringPattern::Bracketed(scoped),
                ..
            } => {
                let scoped = scoped.strip_suffix(b"]").unwrap_or(scoped);
                if let Some(scope) = scoped.iter().position(|b| *b == b'%')
                    && !interface_exists(&scoped[scope + 1..])
                {
                    let message = format!(
                        "there is no network interface {} here",
                        quoted(&scoped[scope + 1..])
                    );
                    self.report(&codes::NO_INTERFACE, &at.span(span), message);
                }
            }
            HostPattern::Text {
                pattern: StringPattern::Exact(name),
                tries_name: true,
            } if names::is_host_name(name) => {
                let name = name.to_ascii_lowercase();
                self.hosts.entry(name).or_insert_with(|| at.span(span));
            }
            HostPattern::Brace(Brace::Name(name)) => {
                let name = name.to_ascii_lowercase();
                self.moving.entry(name).or_insert_with(|| at.span(span));
            }
            HostPattern::Text {
                pattern: StringPattern::Exact(address),
                tries_name: false,
            } if self.addresses.len() <= names::MOST_ADDRESSES => {
                self.addresses
                    .entry(address.to_vec())
                    .or_insert_with(|| at.span(span));
            }
            _ => {}
        }
    }

    /// A file of patterns, and those it names; `open` holds the files around it.
    fn file(&mut self, place: &Place, path: &[u8], open: &mut Vec<Vec<u8>>) {
        const DEEPEST: usize = 16;
        let shown = quoted(path);
        if open.iter().any(|o| o == path) {
            self.report(
                &codes::CYCLE,
                place,
                format!("{shown} names itself, by itself or through others"),
            );
            return;
        }
        if open.len() >= DEEPEST {
            self.report(
                &codes::CYCLE,
                place,
                format!("{shown} is nested more than {DEEPEST} files deep"),
            );
            return;
        }
        // Each file is judged once; from where it is deeper than before, what it names may be too deep.
        let deepest = self.files.get(path).copied();
        if deepest.is_some_and(|deepest| open.len() <= deepest) {
            return;
        }
        self.files.insert(path.to_vec(), open.len());
        let file = Path::new(OsStr::from_bytes(path));
        if let Some(what) = source::endless(file) {
            let message = format!("{shown} is {what}, from which nothing is read: it matches nothing");
            self.report(&codes::NO_FILE, place, message);
            if let Some(last) = self.found.last_mut() {
                last.level(Level::Error);
            }
            return;
        }
        let text = match source::read(file).0 {
            Contents::Text(text) => text,
            Contents::Missing => {
                self.report(
                    &codes::NO_FILE,
                    place,
                    format!("{shown} does not exist, so it matches nothing"),
                );
                return;
            }
            Contents::Unreadable(error) => {
                let reason = hosts_access::decide::reason(&error);
                self.report(
                    &codes::NO_FILE,
                    place,
                    format!("{shown} cannot be read: {reason}"),
                );
                return;
            }
        };
        if deepest.is_none() {
            if let Some(who) = changeable(file) {
                self.report(
                    &codes::WRITABLE_TABLE,
                    place,
                    format!("{shown} can be changed by {who}"),
                );
            }
            self.found.extend(words(place.table, file, &text));
        }
        open.push(path.to_vec());
        for word in text
            .split(u8::is_ascii_whitespace)
            .filter(|w| w.starts_with(b"/"))
        {
            self.file(place, word, open);
        }
        open.pop();
    }

    /// What is wrong with the daemons; gives who decides for them.
    fn daemons(&mut self) -> Vec<reach::Decider> {
        let mut daemons: Vec<_> = std::mem::take(&mut self.daemons).into_iter().collect();
        daemons.sort_by(|a, b| a.0.cmp(&b.0));
        let mut guards = guarded::Guards::of_this_host();
        for (name, place) in daemons {
            if let Some((code, message)) = guards.judge(&name) {
                self.report(code, &place, message);
            }
        }
        for (port, place) in std::mem::take(&mut self.ports) {
            if let Some((code, message)) = guards.judge_port(port) {
                self.report(code, &place, message);
            }
        }
        if let Some(place) = self.all.take()
            && let Some((code, message)) = guards.judge_all()
        {
            self.report(code, &place, message);
        }
        for problem in guards.problems() {
            let text = output::escape(&problem.text);
            let place = Place {
                table: TableKind::Allow,
                span: Span {
                    line: problem.place.as_ref().map_or(1, |place| place.line),
                    column: 1,
                    bytes: 0..0,
                },
            };
            self.report(&codes::SERVICES, &place, text);
            if let (Some(finding), Some(at)) = (self.found.last_mut(), &problem.place) {
                finding.span.bytes = line_of(&at.file, at.line);
                finding.other_file = Some(Box::from(&*at.file));
            }
        }
        if self.asks.is_empty() {
            return Vec::new();
        }
        let mut deciders: Vec<_> = guards.listeners().filter_map(reach::Decider::of).collect();
        deciders.extend(guards.stopped(&deciders));
        deciders.dedup_by(|a, b| a.is_like(b));
        deciders
    }

    fn names(&mut self) {
        let sorted = |places: &mut HashMap<Vec<u8>, Place>| {
            let mut places: Vec<_> = std::mem::take(places).into_iter().collect();
            places.sort_by(|a, b| a.0.cmp(&b.0));
            places.into_iter()
        };
        let client = |(name, place)| (Question::Client(name), place);
        let mut questions: Vec<_> = sorted(&mut self.hosts).map(client).collect();
        // Whoever bans addresses by the thousand does not want each of them looked up.
        if self.addresses.len() <= names::MOST_ADDRESSES {
            questions.extend(sorted(&mut self.addresses).map(client));
        }
        let endpoints = sorted(&mut self.endpoints);
        questions.extend(endpoints.map(|(name, place)| (Question::Endpoint(name), place)));
        let moving = sorted(&mut self.moving);
        questions.extend(moving.map(|(name, place)| (Question::Moving(name), place)));
        for (place, (code, message)) in names::judge(&questions) {
            self.report(code, &place, message);
        }
    }

    /// Would the one who asks be let in again?
    fn session(&mut self, policy: &Policy) {
        let (Some(allow), Some(deny)) = (&policy.allow, &policy.deny) else {
            return;
        };
        let Some(session) = session::present() else { return };
        let tables = Tables::new(allow.path.to_path_buf(), deny.path.to_path_buf());
        let decision = session::decide(&session, "sshd", &tables);
        if decision.verdict != Verdict::Denied {
            return;
        }
        let (table, span) = match &decision.rule {
            Some(rule) => {
                let document = if rule.table == TableKind::Allow {
                    allow
                } else {
                    deny
                };
                let entry = document.entries.iter().find(|e| e.last_line == rule.place.line);
                let whole = entry.map(|entry| {
                    let line = document.line(entry);
                    Span::of(document, entry, &(0..line.trim_ascii_end().len()))
                });
                (rule.table, whole)
            }
            None => (TableKind::Deny, None),
        };
        let span = span.unwrap_or_else(nowhere);
        let message = format!(
            "you are connected from {}, which `sshd` would refuse",
            session.client
        );
        self.report(&codes::LOCKOUT, &Place { table, span }, message);
        if let Some(last) = self.found.last_mut() {
            last.level(Level::Error);
        }
    }
}

/// The start of a table, for what has no place in it.
fn nowhere() -> Span {
    Span {
        line: 1,
        column: 1,
        bytes: 0..0,
    }
}

/// The daemons that rules of a table name.
fn daemons_of(document: &Document) -> impl Iterator<Item = Vec<u8>> {
    document.entries.iter().flat_map(|entry| {
        let line = document.line(entry);
        let Content::Rule(rule) = content(&line) else {
            return Vec::new();
        };
        let exact = rule
            .daemons
            .tokens()
            .filter_map(|token| match token.pattern.service {
                Service::Name(StringPattern::Exact(name)) => Some(name.to_ascii_lowercase()),
                Service::Name(_) | Service::Port(_) => None,
            });
        exact.collect()
    })
}

/// Where a line of a file stands in it.
fn line_of(path: &Path, line: u32) -> Range<usize> {
    let text = std::fs::read(path).unwrap_or_default();
    let mut start = 0;
    for (number, piece) in (1..).zip(text.split_inclusive(|b| *b == b'\n')) {
        if number == line {
            return start..start + piece.trim_ascii_end().len();
        }
        start += piece.len();
    }
    0..0
}

/// Is there such an interface? Numbers are not looked at when rules are matched.
fn interface_exists(name: &[u8]) -> bool {
    name.iter().all(u8::is_ascii_digit)
        || std::fs::read_dir("/sys/class/net")
            .into_iter()
            .flatten()
            .flatten()
            .any(|interface| interface.file_name().as_bytes() == name)
}

/// Who beside root may change a file, by itself or by its directories.
fn changeable(path: &Path) -> Option<&'static str> {
    const STICKY: u32 = 0o1000;
    let path = path.canonicalize().ok()?;
    let who = |metadata: &std::fs::Metadata| {
        let mode = metadata.mode();
        if mode & 0o002 != 0 {
            Some("everyone")
        } else if mode & 0o020 != 0 && metadata.gid() != 0 {
            Some("the members of its group")
        } else if metadata.uid() != 0 {
            Some("its owner, who is not root")
        } else {
            None
        }
    };
    if let Some(who) = std::fs::metadata(&path).ok().as_ref().and_then(who) {
        return Some(who);
    }
    let directories = path.ancestors().skip(1);
    for metadata in directories.filter_map(|d| std::fs::metadata(d).ok()) {
        // In a sticky directory nobody replaces what belongs to root.
        let is_sticky = metadata.mode() & STICKY != 0 && metadata.uid() == 0;
        if !is_sticky && who(&metadata).is_some() {
            return Some("whoever may write to one of its directories");
        }
    }
    None
}
