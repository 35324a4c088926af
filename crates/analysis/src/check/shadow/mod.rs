//! Rules that never decide, because earlier ones decide every request they match (hosts_access(5),
//! ACCESS CONTROL FILES: the first match wins, and the allow table comes first).
//!
//! The answer is never wrong, but may be silent: a rule is called shadowed only where each pair of its
//! daemons and clients lies within earlier rules that always decide. The work for each rule does not
//! grow with the number of rules above it.

mod blocks;
mod clients;
mod quick;

use std::borrow::Cow;
use std::collections::HashMap;

use super::code::{Code, Example, Level, codes};
use super::finding::{Fix, Span};
use super::reach::{Reach, string_covers, strings_apart};
use super::{Context, Finding, foreign, policy};
use crate::document::{Content, Document, Entry, List, Rule, Token};
use blocks::Cover;
use clients::{Client, Clients, lower};
use hosts_access::TableKind;
use hosts_access::syntax::option::Keyword;
use hosts_access::syntax::pattern::{ClientPattern, DaemonPattern, HostPattern, Service, StringPattern};
use quick::Quick;

codes! {
    pub(super) SHADOWED = "W401" "shadowed-rule" Warning {
        meaning: "The first rule that matches decides, and the allow table is read before the deny table. Every \
            request this rule matches is decided by rules above it, or by the allow table, so it never decides \
            anything.",
        remedy: "Move the rule above the ones that hide it, or remove it.",
        bad: Example {
            allow: "sshd: 10.\nsshd: 10.1.2.3 : deny\n",
            deny: "ALL: ALL\n",
        },
        good: Example {
            allow: "sshd: 10.1.2.3 : deny\nsshd: 10.\n",
            deny: "ALL: ALL\n",
        },
    }

    pub(super) DUPLICATE = "W402" "duplicate-rule" Warning {
        meaning: "A rule for the same daemons and the same clients stands above. The first one decides; this one \
            never does, even if its options differ.",
        remedy: "Remove one of the two.",
        bad: Example {
            allow: "sshd: 10.0.0.1\nSSHD : 10.0.0.1\n",
            deny: "ALL: ALL\n",
        },
        good: Example {
            allow: "sshd: 10.0.0.1\nsshd: 10.0.0.2\n",
            deny: "ALL: ALL\n",
        },
    }

    pub(super) MOOT_BAN = "W403" "ban-without-effect" Warning {
        meaning: "This rule is to refuse one address, and a rule above it, or in `hosts.allow`, lets that address in: the \
            first match decides. Whoever wrote it, a program or a person, believes the address locked out. Said \
            once of all such rules behind the same one.",
        remedy: "Put an exception into the rule that lets them in, such as `ALL EXCEPT /etc/hosts.banned`, or let only \
            those in who are meant.",
        bad: Example {
            allow: "sshd: ALL\n",
            deny: "sshd: 192.0.2.7\nsshd: 192.0.2.9\n",
        },
        good: Example {
            allow: "sshd: 10.\n",
            deny: "sshd: 192.0.2.7\nsshd: 192.0.2.9\nALL: ALL\n",
        },
    }
}

/// Leaves out what has to do with rules of this table that do not do what they say: who hides whom says nothing as long
/// as they do not.
pub(super) fn forget(found: &mut Vec<Finding>, table: TableKind, is_broken: impl Fn(usize) -> bool) {
    found.retain(|finding| {
        let places = std::iter::once((finding.table, &finding.span));
        let mut places = places.chain(finding.related.iter().map(|r| (r.table, &r.span)));
        !CODES.contains(&finding.code) || !places.any(|(of, span)| of == table && is_broken(span.bytes.start))
    });
}

/// What one rule hides is told once: the first of the rules behind it at full level, with how many there are. Where
/// the rule that hides them is said to make all others idle, they are not told at all.
pub(super) fn gather(found: &mut Vec<Finding>) {
    /// So many rules behind one are told one by one.
    const FEW: usize = 3;
    let key = |finding: &Finding| {
        let by = finding.related.first()?;
        CODES
            .contains(&finding.code)
            .then_some((by.table == TableKind::Deny, by.span.bytes.start))
    };
    let idle: Vec<_> = found
        .iter()
        .filter(|f| f.code == &policy::ALL_ALLOWED)
        .map(|f| Some((f.table == TableKind::Deny, f.span.bytes.start)))
        .collect();
    found.retain(|finding| !idle.contains(&key(finding)) || key(finding).is_none());
    let mut groups: HashMap<_, Vec<usize>> = HashMap::new();
    for (at, finding) in found.iter().enumerate() {
        if let Some(by) = key(finding).filter(|_| finding.code != &DUPLICATE && finding.level > Level::Info) {
            groups.entry((by, finding.code.id)).or_default().push(at);
        }
    }
    for ((_, id), members) in groups {
        let few = if id == MOOT_BAN.id { 1 } else { FEW };
        let [first, others @ ..] = &members[..] else {
            continue;
        };
        if members.len() <= few {
            continue;
        }
        let finding = &mut found[*first];
        finding.message = format!(
            "{}, and so it is with {} more rules",
            finding.message,
            others.len()
        );
        for at in others {
            found[*at].level(Level::Info);
        }
    }
}

/// So many pairs of daemon and client of one rule are looked at; beyond it, nothing is claimed.
const MOST_PAIRS: usize = 1 << 16;
/// So many patterns that cannot be looked up are tried one by one.
const MOST_TRIED: usize = 32;

/// The rules that came before.
#[derive(Default)]
pub(super) struct Earlier<'t> {
    rules: Vec<RuleAt<'t>>,
    /// Those that decide every request they match.
    always: Index<'t>,
    /// Those of the allow table that do, unless a command above fails and the rest of the table is skipped.
    /// They hide rules of the same table only.
    unless_skipped: Index<'t>,
    may_be_skipped: bool,
}

/// Rules by what they match.
#[derive(Default)]
struct Index<'t> {
    all: Clients<'t>,
    daemons: HashMap<Cow<'t, [u8]>, Clients<'t>, Quick>,
    patterns: Vec<(StringPattern<'t>, Clients<'t>)>,
    excepting: Vec<Excepting<'t>>,
    with_except: HashMap<Vec<u8>, u32>,
    /// Rules that match only where something else is so, by all of their text.
    conditional: HashMap<Vec<u8>, u32>,
}

/// Where a rule stands.
#[derive(Clone, Copy)]
struct RuleAt<'t> {
    table: TableKind,
    /// It may let somebody in.
    grants: bool,
    document: &'t Document,
    entry: &'t Entry,
}

impl RuleAt<'_> {
    /// All of its text, without the newline.
    fn span(&self) -> Span {
        let line = self.document.line(self.entry);
        let start = line.len() - line.trim_ascii_start().len();
        Span::of(
            self.document,
            self.entry,
            &(start..line.trim_ascii_end().len().max(start)),
        )
    }
}

/// A rule with exceptions.
struct Excepting<'t> {
    rule: u32,
    daemons: Vec<DaemonPattern<'t>>,
    not_daemons: Vec<DaemonPattern<'t>>,
    clients: Vec<Client<'t>>,
    not_clients: Vec<Client<'t>>,
}

impl<'t> Earlier<'t> {
    /// Reports the rule if it never decides, then adds it to those that came before.
    pub(super) fn rule(&mut self, cx: &mut Context<'t, '_>, rule: &Rule<'t>) {
        let clients: Vec<_> = rule
            .clients
            .tokens()
            .map(|t| Client::new(t.text, &t.pattern))
            .collect();
        if !cx.is_foreign {
            self.report(cx, rule, &clients);
        }
        self.add(cx, rule, &clients);
    }

    fn report(&self, cx: &mut Context<'t, '_>, rule: &Rule<'t>, clients: &[Client<'t>]) {
        if is_conditional(rule) {
            let same = spelling_with_options(rule);
            if let Some(same) = self.indexes(cx.table).find_map(|i| i.conditional.get(&same)) {
                self.report_as(cx, rule, *same, true, false);
                return;
            }
        } else if !rule.clients.excepts.is_empty() || !rule.daemons.excepts.is_empty() {
            let spelling = spelling(rule);
            let same = self.indexes(cx.table).find_map(|i| i.with_except.get(&spelling));
            if let Some(same) = same {
                self.report_as(cx, rule, *same, true, false);
                return;
            }
        }
        let clients = &clients[..rule.clients.parts[0].len()];
        let daemons = &rule.daemons.parts[0];
        if daemons.len().saturating_mul(clients.len()) > MOST_PAIRS {
            return;
        }
        let mut last: Option<Cover> = None;
        let mut is_one = true;
        for daemon in daemons {
            for client in clients.iter().filter(|c| c.reach != Reach::Nothing) {
                let cover = self
                    .indexes(cx.table)
                    .find_map(|index| index.cover(daemon.text, &daemon.pattern, client));
                let Some(cover) = cover else { return };
                is_one &= !cover.together && last.is_none_or(|l| l.rule == cover.rule);
                last = Some(match last {
                    Some(l) if l.rule >= cover.rule => l,
                    _ => cover,
                });
            }
        }
        let Some(last) = last else { return };
        let is_plain = rule.clients.excepts.is_empty() && rule.daemons.excepts.is_empty();
        self.report_as(cx, rule, last.rule, is_plain && is_one, !is_one);
    }

    /// Reports the rule; `may_be_same` where it may be the same as the one that hides it.
    fn report_as(&self, cx: &mut Context<'t, '_>, rule: &Rule<'t>, by: u32, may_be_same: bool, many: bool) {
        let Some(place) = self.rules.get(by as usize).copied() else {
            return;
        };
        let is_ban = cx.table == TableKind::Deny && foreign::is_ban(rule);
        let table = match place.table {
            TableKind::Allow => "the allow table",
            TableKind::Deny => "the deny table",
        };
        let span = place.span();
        let line = span.line;
        let here = if place.table == cx.table {
            format!("line {line}")
        } else {
            format!("line {line} of {table}")
        };
        let whole = cx.whole();
        let at = whole.start..rule.clients.span.end.clamp(whole.start, whole.end);
        let document = cx.document;
        let by_text = (place.table == cx.table).then(|| &document.text[span.bytes.clone()]);
        let is_same =
            may_be_same && place.table == cx.table && by_text.is_some_and(|text| same_lists(text, rule));
        let finding = if is_same {
            let is_same_text = by_text.is_some_and(|text| text.trim_ascii() == cx.line.trim_ascii());
            let message = if is_same_text || same_options(by_text, rule) {
                format!("{here} is the same rule")
            } else if rule.options.is_empty() {
                format!("{here} is for the same daemons and clients, with options, and decides")
            } else {
                format!("{here} is for the same daemons and clients, and decides; these options never run")
            };
            let remove = cx.entry.bytes.clone();
            let edit = super::Edit::new(remove, "");
            let is_safe = same_options(by_text, rule);
            let fix = Fix {
                is_safe,
                ..Fix::safe("remove the line", vec![edit])
            };
            cx.report(&DUPLICATE, &at, message).fix(fix)
        } else {
            let message = if many {
                format!("this rule never decides: rules above it, the last in {here}, decide all it matches")
            } else {
                format!("this rule never decides: {here} decides all it matches")
            };
            let code = if is_ban && place.grants {
                &MOOT_BAN
            } else {
                &SHADOWED
            };
            cx.report(code, &at, message).help("move it up, or remove it")
        };
        finding.related(place.table, span, "this decides first");
        if is_ban && finding.code != &MOOT_BAN {
            finding.level(Level::Info);
            finding.fix = None;
        }
    }

    /// The indexes of rules that hide rules of this table.
    fn indexes(&self, table: TableKind) -> impl Iterator<Item = &Index<'t>> {
        let late = (table == TableKind::Allow).then_some(&self.unless_skipped);
        std::iter::once(&self.always).chain(late)
    }

    fn add(&mut self, cx: &Context<'t, '_>, rule: &Rule<'t>, clients: &[Client<'t>]) {
        let Ok(number) = u32::try_from(self.rules.len()) else {
            return;
        };
        self.rules.push(RuleAt {
            table: cx.table,
            grants: policy::may_grant(cx.table, rule),
            document: cx.document,
            entry: cx.entry,
        });
        let has_command = rule.options.iter().any(|o| o.keyword == Some(Keyword::Aclexec));
        match cx.table {
            // A command that fails here makes the rest of the table be skipped.
            TableKind::Allow => {
                self.may_be_skipped |= has_command;
                if self.may_be_skipped {
                    self.unless_skipped.add(rule, clients, number);
                } else {
                    self.always.add(rule, clients, number);
                }
            }
            // One that fails here lets the request go on.
            TableKind::Deny if has_command => {}
            TableKind::Deny => self.always.add(rule, clients, number),
        }
    }
}

impl<'t> Index<'t> {
    fn cover(&self, text: &[u8], daemon: &DaemonPattern<'_>, client: &Client<'_>) -> Option<Cover> {
        if let Some(cover) = self.all.cover(client) {
            return Some(cover);
        }
        let by_text = |text: &[u8]| self.daemons.get(daemon_key(text).as_ref())?.cover(client);
        if let Some(cover) = by_text(text) {
            return Some(cover);
        }
        if daemon.host.is_some()
            && let Some(at) = hosts_access::syntax::find_outside_brackets(&text[1..], b'@')
            && let Some(cover) = by_text(&text[..at + 1])
        {
            return Some(cover);
        }
        if let Service::Name(name) = daemon.service {
            let found = self
                .patterns
                .iter()
                .filter(|(pattern, _)| string_covers(*pattern, name))
                .find_map(|(_, clients)| clients.cover(client));
            if found.is_some() {
                return found;
            }
        }
        self.excepting
            .iter()
            .find(|rule| {
                rule.clients.iter().any(|c| c.covers(client))
                    && rule
                        .not_clients
                        .iter()
                        .all(|c| c.reach.is_apart_from(&client.reach))
                    && rule.daemons.iter().any(|d| daemon_covers(d, daemon))
                    && rule.not_daemons.iter().all(|d| daemons_apart(d, daemon))
            })
            .map(|rule| Cover {
                rule: rule.rule,
                together: false,
            })
    }

    fn add(&mut self, rule: &Rule<'t>, clients: &[Client<'t>], number: u32) {
        if is_conditional(rule) {
            if !is_on_trial(rule) {
                self.conditional
                    .entry(spelling_with_options(rule))
                    .or_insert(number);
            }
            return;
        }
        if rule.clients.excepts.is_empty() && rule.daemons.excepts.is_empty() {
            let daemons = &rule.daemons.parts[0];
            if daemons.len().saturating_mul(clients.len()) > MOST_PAIRS {
                return;
            }
            for daemon in daemons {
                let Some(index) = self.index_for(daemon.text, &daemon.pattern) else {
                    continue;
                };
                for client in clients {
                    index.add(client, number);
                }
            }
            return;
        }
        self.with_except.entry(spelling(rule)).or_insert(number);
        let is_small = rule.clients.tokens().count() + rule.daemons.tokens().count() <= 2 * MOST_TRIED;
        if self.excepting.len() < MOST_TRIED && is_small {
            let split = rule.clients.parts[0].len();
            let not = rule.clients.parts.get(1).map_or(0, Vec::len);
            let daemons = |part: usize| {
                let tokens = rule.daemons.parts.get(part).into_iter().flatten();
                tokens.map(|t| t.pattern).collect()
            };
            self.excepting.push(Excepting {
                rule: number,
                daemons: daemons(0),
                not_daemons: daemons(1),
                clients: clients[..split].to_vec(),
                not_clients: clients[split..split + not].to_vec(),
            });
        }
    }

    /// Where the clients of a daemon token are kept.
    fn index_for(&mut self, text: &'t [u8], daemon: &DaemonPattern<'t>) -> Option<&mut Clients<'t>> {
        match daemon {
            DaemonPattern {
                service: Service::Name(name),
                host: None,
            } => match name {
                StringPattern::All => Some(&mut self.all),
                StringPattern::Wildcard(stars) if stars.iter().all(|b| *b == b'*') => Some(&mut self.all),
                StringPattern::Exact(_) => Some(self.daemons.entry(daemon_key(text)).or_default()),
                StringPattern::Wildcard(_)
                | StringPattern::Suffix(_)
                | StringPattern::Known
                | StringPattern::Prefix(_)
                | StringPattern::Bracketed(_) => {
                    let known = self.patterns.iter().position(|(pattern, _)| pattern == name);
                    let at = match known {
                        Some(at) => at,
                        None if self.patterns.len() < MOST_TRIED => {
                            self.patterns.push((*name, Clients::default()));
                            self.patterns.len() - 1
                        }
                        None => return None,
                    };
                    Some(&mut self.patterns[at].1)
                }
            },
            _ => Some(self.daemons.entry(daemon_key(text)).or_default()),
        }
    }
}

/// The text under which a daemon token is kept. Netgroups and files keep the case of their letters.
fn daemon_key(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'@', text).is_some() {
        Cow::Borrowed(text)
    } else {
        lower(text)
    }
}

pub(super) fn daemon_covers(outer: &DaemonPattern<'_>, inner: &DaemonPattern<'_>) -> bool {
    let service = match (outer.service, inner.service) {
        (Service::Name(StringPattern::All), _) => true,
        (Service::Name(a), Service::Name(b)) => string_covers(a, b),
        (Service::Port(a), Service::Port(b)) => a == b,
        _ => false,
    };
    service
        && match (outer.host, inner.host) {
            (None, _) => true,
            (Some(a), Some(b)) => Reach::of(a).covers(&Reach::of(b)),
            (Some(_), None) => false,
        }
}

pub(super) fn daemons_apart(a: &DaemonPattern<'_>, b: &DaemonPattern<'_>) -> bool {
    match (a.service, b.service) {
        (Service::Name(a), Service::Name(b)) => strings_apart(a, b),
        (Service::Port(a), Service::Port(b)) => a != b,
        _ => false,
    }
}

/// Does the rule, where its lists match, decide only if something else is so too, or not at all? What is asked by a
/// pattern in braces may not be known, and then the rule may be passed over.
fn is_conditional(rule: &Rule<'_>) -> bool {
    let in_braces =
        |token: &Token<'_, ClientPattern<'_>>| matches!(token.pattern.host, HostPattern::Brace(_));
    is_on_trial(rule)
        || rule.options.iter().any(|o| o.keyword == Some(Keyword::If))
        || rule.clients.tokens().any(in_braces)
}

fn is_on_trial(rule: &Rule<'_>) -> bool {
    rule.options.iter().any(|o| o.keyword == Some(Keyword::Trial))
}

fn spelling_with_options(rule: &Rule<'_>) -> Vec<u8> {
    let mut text = spelling(rule);
    for option in &rule.options {
        text.push(b':');
        text.extend_from_slice(option.text.trim_ascii());
    }
    text
}

/// The lists of a rule in one spelling: the words of each part in order, in lower case.
fn spelling(rule: &Rule<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    push_list(&mut text, &rule.daemons);
    text.push(b':');
    push_list(&mut text, &rule.clients);
    text
}

fn push_list<P>(text: &mut Vec<u8>, list: &List<'_, P>) {
    for part in &list.parts {
        let mut words: Vec<_> = part
            .iter()
            .map(|t| {
                let keeps_case = t.text.iter().any(|b| matches!(b, b'@' | b'/'));
                if keeps_case {
                    Cow::Borrowed(t.text)
                } else {
                    lower(t.text)
                }
            })
            .collect();
        words.sort_unstable();
        words.dedup();
        for word in words {
            text.extend_from_slice(&word);
            text.push(b' ');
        }
        text.push(b'\n');
    }
}

fn parsed(text: &[u8]) -> Option<Rule<'_>> {
    match crate::document::content(text) {
        Content::Rule(rule) => Some(rule),
        Content::Comment | Content::Blank | Content::NoSeparator => None,
    }
}

fn same_lists(text: &[u8], rule: &Rule<'_>) -> bool {
    parsed(text).is_some_and(|other| spelling(&other) == spelling(rule))
}

fn same_options(text: Option<&[u8]>, rule: &Rule<'_>) -> bool {
    let Some(other) = text.and_then(parsed) else {
        return false;
    };
    other.options.len() == rule.options.len()
        && other
            .options
            .iter()
            .zip(&rule.options)
            .all(|(a, b)| a.text.trim_ascii() == b.text.trim_ascii())
}
