//! A table made ready for many decisions: where its rules are, grouped by daemon list, and which of
//! them a client could match.

use std::collections::HashMap;

use super::hosts::{Candidates, Groups, HostIndex, HostIndexBuilder};
use super::postings::{Posting, Postings, hash_tails, key};
use crate::matching::{Matching, daemons_match, string_matches};
use crate::request::{Request, Side};
use crate::source::{Ending, Lines};
use crate::syntax::list::{is_except, tokens};
use crate::syntax::pattern::{ClientPattern, DaemonPattern, Service, StringPattern};
use crate::syntax::{LineKind, fields, line_kind};

/// Where a rule stands.
#[derive(Debug, Clone, Copy)]
struct RuleAt {
    /// Byte offset in the text.
    offset: u32,
    /// How many physical lines are above it.
    lines_above: u32,
}

/// The rules that share one daemon list.
#[derive(Debug)]
struct Group {
    daemons: Box<[u8]>,
    kind: GroupKind,
}

/// What there is to a daemon list. Nearly all are of the first two kinds, which need no reading again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GroupKind {
    /// Names, one of which the daemon must have.
    Names,
    /// `ALL` alone.
    All,
    /// Some token names a server host, which must be looked up rule by rule.
    NamesServer,
    /// Anything else.
    List,
}

impl GroupKind {
    fn of(daemons: &[u8]) -> Self {
        let mut patterns = tokens(daemons).map(DaemonPattern::parse);
        if patterns.any(|pattern| pattern.host.is_some()) {
            return GroupKind::NamesServer;
        }
        let is_name = |token: &[u8]| match DaemonPattern::parse(token).service {
            Service::Name(StringPattern::Exact(name)) => !is_except(name),
            _ => false,
        };
        let mut tokens = tokens(daemons);
        if tokens.clone().all(is_name) {
            GroupKind::Names
        } else if tokens
            .next()
            .is_some_and(|token| token.eq_ignore_ascii_case(b"ALL"))
            && tokens.next().is_none()
        {
            GroupKind::All
        } else {
            GroupKind::List
        }
    }
}

/// The index of one table.
#[derive(Debug)]
pub(crate) struct TableIndex {
    rules: Vec<RuleAt>,
    /// Lines that every request has to pass: those that log a warning, or end the table.
    always: Vec<Posting>,
    groups: Vec<Group>,
    /// Groups by the daemon names in their lists.
    by_daemon: Postings,
    /// Groups whose lists hold a pattern that is no plain name.
    general: Vec<u32>,
    hosts: HostIndex,
}

const NAME: u32 = 0;

impl TableIndex {
    /// Indexes a table; nothing where it is too large for 32-bit offsets.
    pub(crate) fn new(text: &[u8]) -> Option<Self> {
        u32::try_from(text.len()).ok().filter(|n| *n < u32::MAX)?;
        let count = memchr::memchr_iter(b'\n', text).count();
        let mut build = Builder::default();
        build.rules.reserve_exact(count);
        build.hosts.reserve(count);
        let mut lines = Lines::new(text);
        loop {
            let (offset, lines_above) = lines.position();
            let Some(line) = lines.next() else { break };
            if line.ending == Ending::Newline && line_kind(line.text) != LineKind::Rule {
                continue;
            }
            // `as`: checked above.
            build.rules.push(RuleAt {
                offset: offset as u32,
                lines_above,
            });
            let fields = fields(line.text).filter(|_| line.ending == Ending::Newline);
            build.add(fields.map(|f| (f.daemons, f.clients)));
            if line.ending != Ending::Newline {
                break;
            }
        }
        Some(build.finish())
    }

    /// How many rules there are.
    pub(crate) fn len(&self) -> u32 {
        self.rules.len() as u32
    }

    /// The lines of the table's text, from a rule on.
    pub(crate) fn lines<'t>(&self, text: &'t [u8], position: u32) -> Lines<'t> {
        let rule = self.rules[position as usize];
        Lines::from(text, rule.offset as usize, rule.lines_above)
    }

    /// The rules that could match the request, in order.
    pub(crate) fn candidates(&self, request: &mut Request<'_>, with: &mut impl Matching) -> Candidates<'_> {
        let mut groups = Groups::new();
        let name = key(NAME, hash_tails(request.daemon(), |_| {}));
        let named = self.by_daemon.get(name).iter().map(|posting| posting.position);
        for at in named.chain(self.general.iter().copied()) {
            let group = &self.groups[at as usize];
            if match group.kind {
                GroupKind::Names => tokens(&group.daemons)
                    .any(|name| string_matches(StringPattern::Exact(name), request.daemon())),
                GroupKind::All => true,
                GroupKind::NamesServer => some_service_matches(&group.daemons, request),
                GroupKind::List => daemons_match(&group.daemons, request, with),
            } {
                groups.push(at);
            }
        }
        groups.sort_unstable();
        groups.dedup();
        let mut candidates = self.hosts.candidates(groups, Side::Client);
        candidates.add(&self.always);
        candidates
    }

    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.rules)
            + size_of_val(&*self.groups)
            + self.groups.iter().map(|g| g.daemons.len()).sum::<usize>()
            + self.by_daemon.bytes()
            + self.hosts.bytes()
    }
}

/// Does the service part of a token match, so that its server host gets looked up?
fn some_service_matches(list: &[u8], request: &mut Request<'_>) -> bool {
    tokens(list).any(|token| match DaemonPattern::parse(token).service {
        Service::Port(port) => request.port(Side::Server) == Some(port),
        Service::Name(name) => string_matches(name, request.daemon()),
    })
}

#[derive(Default)]
struct Builder {
    rules: Vec<RuleAt>,
    always: Vec<Posting>,
    groups: Vec<Group>,
    group_of: HashMap<Box<[u8]>, u32>,
    last_group: u32,
    by_daemon: Vec<(u64, u32)>,
    general: Vec<u32>,
    hosts: HostIndexBuilder,
}

impl Builder {
    /// Adds the rule just pushed: its lists, or nothing where it is no rule.
    fn add(&mut self, lists: Option<(&[u8], &[u8])>) {
        let position = self.rules.len() as u32 - 1;
        let Some((daemons, clients)) = lists else {
            self.always.push(Posting::at(position));
            return;
        };
        let group = self.group(daemons);
        if self.groups[group as usize].kind == GroupKind::NamesServer {
            self.hosts.add_any(group, position);
            return;
        }
        for token in tokens(clients).take_while(|t| !is_except(t)) {
            self.hosts.add(group, ClientPattern::parse(token).host, position);
        }
    }

    fn group(&mut self, daemons: &[u8]) -> u32 {
        // Neighbouring rules nearly always share their daemon list.
        if let Some(last) = self.groups.get(self.last_group as usize)
            && *last.daemons == *daemons
        {
            return self.last_group;
        }
        self.last_group = match self.group_of.get(daemons) {
            Some(group) => *group,
            None => self.new_group(daemons),
        };
        self.last_group
    }

    fn new_group(&mut self, daemons: &[u8]) -> u32 {
        let at = self.groups.len() as u32;
        let kind = GroupKind::of(daemons);
        let mut is_general = kind == GroupKind::NamesServer;
        for token in tokens(daemons).take_while(|t| !is_except(t)) {
            match DaemonPattern::parse(token).service {
                Service::Name(StringPattern::Exact(name)) => {
                    self.by_daemon.push((key(NAME, hash_tails(name, |_| {})), at));
                }
                _ => is_general = true,
            }
        }
        if is_general {
            self.general.push(at);
        }
        self.groups.push(Group {
            daemons: daemons.into(),
            kind,
        });
        self.group_of.insert(daemons.into(), at);
        at
    }

    fn finish(self) -> TableIndex {
        TableIndex {
            rules: self.rules,
            always: self.always,
            groups: self.groups,
            by_daemon: Postings::new(&self.by_daemon),
            general: self.general,
            hosts: self.hosts.build(),
        }
    }
}
