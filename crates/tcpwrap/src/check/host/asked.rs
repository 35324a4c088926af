//! What rules ask of this machine by the additions to the language, and whether it can be told: databases, the ban list,
//! time zones, and daemons that cannot reach what is remembered.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use analysis::check::{denies_in_doubt, host as codes, quoted};
use analysis::document::{OptionField, Rule};
use hosts_access::dry::DryHost;
use hosts_access::syntax::brace::Brace;
use hosts_access::syntax::option::Keyword;
use hosts_access::syntax::pattern::{HostPattern, Service, StringPattern};
use hosts_access::syntax::time::times;
use hosts_access::{Request, TableKind, Tables, files, source, string_matches};
use state::bans::{self, Ban};
use state::{Answer, State, stamp};

use super::super::input::Policy;
use super::reach::{Decider, Thing};
use super::{At, Host, Place};
use crate::answering::Answering;
use crate::databases::{self, What};

/// What a rule asks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    Country,
    System,
    Banned,
    Zone(Vec<u8>),
    Interfaces,
    Limits,
    Connections,
    Banning,
}

/// A rule that asks something.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    pub(super) place: Place,
    /// The pattern or option by which it asks.
    by: Vec<u8>,
    /// The daemons it is for.
    daemons: Vec<Vec<u8>>,
    /// Who is not known to match is denied, and not passed over.
    denies: bool,
}

/// All that is asked.
#[derive(Default)]
pub(super) struct Asked(BTreeMap<Need, Vec<Asking>>);

impl Asked {
    /// Looks at a rule, as far as it is read as it was meant.
    pub(super) fn rule(&mut self, at: &At<'_>, rule: &Rule<'_>, end: usize) {
        let denies = denies_in_doubt(at.table, rule);
        let daemons: Vec<Vec<u8>> = rule.daemons.parts[0]
            .iter()
            .map(|token| token.text.to_vec())
            .collect();
        let mut add = |need: Need, by: &[u8], span| {
            let asking = Asking {
                place: at.span(span),
                by: by.to_vec(),
                daemons: daemons.clone(),
                denies,
            };
            self.0.entry(need).or_default().push(asking);
        };
        let options: Vec<&OptionField<'_>> =
            rule.options.iter().take_while(|o| o.problem.is_none()).collect();
        let conditions: Vec<_> = options.iter().filter_map(|option| option.condition()).collect();
        let clients = rule.clients.tokens().filter(|token| token.span.start < end);
        for token in clients.chain(conditions.iter().flat_map(|list| list.tokens())) {
            match token.pattern.host {
                HostPattern::Brace(brace) => {
                    if let Some(need) = need(brace) {
                        add(need, token.text, &token.span);
                    }
                }
                HostPattern::File(path) => {
                    let mut found = Vec::new();
                    in_file(path, &mut found, &mut HashSet::new());
                    for (need, word) in found {
                        add(need, &word, &token.span);
                    }
                }
                _ => {}
            }
        }
        for option in options {
            let need = match option.keyword {
                Some(Keyword::Limit) => Need::Limits,
                Some(Keyword::Max) => Need::Connections,
                Some(Keyword::Ban) => Need::Banning,
                _ => continue,
            };
            add(need, option.text.trim_ascii(), &option.span);
        }
    }

    /// Is nothing asked?
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn first(&self, need: &Need) -> Option<&Asking> {
        self.0.get(need)?.first()
    }
}

fn need(brace: Brace<'_>) -> Option<Need> {
    match brace {
        Brace::Country(_) | Brace::Continent(_) => Some(Need::Country),
        Brace::System(_) => Some(Need::System),
        Brace::Banned => Some(Need::Banned),
        Brace::SameHost | Brace::SameNet => Some(Need::Interfaces),
        Brace::Time(value) => times(value).ok()?.zone.map(|zone| Need::Zone(zone.to_vec())),
        Brace::Name(_) | Brace::Listed { .. } | Brace::Wrong(_) => None,
    }
}

/// What the words of a file ask, and of those that it names.
fn in_file(path: &[u8], found: &mut Vec<(Need, Vec<u8>)>, seen: &mut HashSet<Vec<u8>>) {
    const MOST: usize = 64;
    if seen.len() == MOST || !seen.insert(path.to_vec()) {
        return;
    }
    let file = files::path(path);
    if source::endless(file).is_some() {
        return;
    }
    let source::Contents::Text(text) = source::read(file).0 else {
        return;
    };
    for (_, word) in files::words(&text) {
        match HostPattern::parse(word) {
            HostPattern::Brace(brace) => found.extend(need(brace).map(|need| (need, word.to_vec()))),
            HostPattern::File(path) => in_file(path, found, seen),
            _ => {}
        }
    }
}

impl Host {
    /// What is wrong with what rules ask.
    pub(super) fn asked(&mut self, policy: &Policy, deciders: &[Decider]) {
        let asked = std::mem::take(&mut self.asks);
        let state = State::new(false);
        self.databases(&asked, &state);
        for (need, asking) in &asked.0 {
            if let (Need::Zone(zone), Some(first)) = (need, asking.first())
                && let Err(unknown) = state.clock(Some(&String::from_utf8_lossy(zone)))
            {
                let message = format!("{}: {unknown}; {}", quoted(&first.by), consequence(first));
                self.report(&codes::NO_ZONE, &first.place, message);
            }
        }
        self.bans(&asked, &state, policy);
        self.out_of_reach(&asked, &state, deciders);
    }

    /// Databases that are not there, cannot be read, or are old.
    fn databases(&mut self, asked: &Asked, state: &State) {
        for (need, what) in [(Need::Country, What::Countries), (Need::System, What::Systems)] {
            let Some(first) = asked.first(&need) else { continue };
            match databases::look_at(state, what) {
                Err(unknown) => {
                    let means_no = state.config().geo.as_ref().is_ok_and(|geo| geo.missing_is_no);
                    let then = if means_no {
                        "and by when_missing in tcpwrap.toml that means no".to_owned()
                    } else {
                        consequence(first)
                    };
                    let message = format!("{} has no answer: {unknown}; {then}", quoted(&first.by));
                    self.report(&codes::NOT_KNOWN, &first.place, message);
                }
                Ok(found) => {
                    if let Some(problem) = found.problem() {
                        self.report(&codes::OLD_DATABASE, &first.place, problem);
                    }
                }
            }
        }
    }

    /// A ban list that cannot be read, that nobody asks, or that is asked too late.
    fn bans(&mut self, asked: &Asked, state: &State, policy: &Policy) {
        let list = match &state.config().bans {
            Ok(configured) => bans::contents(&configured.file).map_err(|error| {
                format!(
                    "{}: {}",
                    configured.file.display(),
                    hosts_access::decide::reason(&error)
                )
            }),
            Err(unknown) => Err(unknown.to_string()),
        };
        let first = asked.first(&Need::Banned);
        let (contents, first) = match (list, first) {
            (Err(problem), Some(first)) => {
                let message = format!(
                    "{} has no answer: {problem}; {}",
                    quoted(&first.by),
                    consequence(first)
                );
                self.report(&codes::NOT_KNOWN, &first.place, message);
                return;
            }
            (Err(_), None) => return,
            (Ok(contents), first) => (contents, first),
        };
        let now = stamp::now();
        let active: Vec<&Ban> = contents
            .bans
            .iter()
            .filter(|ban| !ban.expiry.is_over(now))
            .collect();
        let Some(first) = first else {
            let (Some(ban), Some((table, _))) = (active.first(), policy.tables().iter().next()) else {
                return;
            };
            let place = Place {
                table,
                span: super::nowhere(),
            };
            let more = match active.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let message = format!(
                "{} is banned{more}, and no rule asks for bans: nothing happens",
                ban.network
            );
            self.report(&codes::BANS_UNASKED, &place, message);
            return;
        };
        if let Some((line, text)) = contents.damaged.first() {
            let message = format!(
                "line {line} of the ban list cannot be read ({}): it may be anybody's, and {}",
                quoted(text),
                consequence(first)
            );
            self.report(&codes::NOT_KNOWN, &first.place, message);
        }
        self.let_in_all_the_same(asked, &active, policy);
    }

    /// Clients that are banned, and that rules let in before they ask.
    fn let_in_all_the_same(&mut self, asked: &Asked, active: &[&Ban], policy: &Policy) {
        const MOST_BANS: usize = 200;
        const MOST_DAEMONS: usize = 20;
        let (Some(allow), Some(deny)) = (&policy.allow, &policy.deny) else {
            return;
        };
        let asking: Vec<&Vec<u8>> = asked
            .0
            .get(&Need::Banned)
            .into_iter()
            .flatten()
            .flat_map(|a| &a.daemons)
            .collect();
        let exact = policy
            .tables()
            .iter()
            .flat_map(|(_, document)| super::daemons_of(document));
        let is_asked = |name: &Vec<u8>| {
            let mut tokens = asking.iter();
            tokens.any(|token| string_matches(StringPattern::parse(token), name))
        };
        let mut daemons: Vec<Vec<u8>> = exact.filter(is_asked).collect();
        daemons.sort_unstable();
        daemons.dedup();
        daemons.truncate(MOST_DAEMONS);
        let tables = Tables::new(allow.path.to_path_buf(), deny.path.to_path_buf());
        let tables = hosts_access::Policy::new(tables);
        let mut told: BTreeMap<(bool, u32), (String, usize)> = BTreeMap::new();
        for ban in active.iter().take(MOST_BANS) {
            let client = ban.network.address();
            for daemon in &daemons {
                let host = DryHost::new(client.to_string());
                let mut host = Answering::new(host, None).supposed_banned(true);
                let decision = tables.decide(&mut Request::new(daemon.as_slice()), &mut host);
                let Some(rule) = decision.rule.filter(|_| decision.verdict.is_granted()) else {
                    continue;
                };
                let key = (rule.table == TableKind::Deny, rule.place.line);
                let message = format!(
                    "{} is banned ({}), and this rule lets it in to {} before any rule asks",
                    ban.network,
                    ban.origin,
                    quoted(daemon)
                );
                told.entry(key).or_insert((message, 0)).1 += 1;
            }
        }
        for ((is_deny, line), (message, count)) in told {
            let document = if is_deny { deny } else { allow };
            let Some(entry) = document.entries.iter().find(|entry| entry.last_line == line) else {
                continue;
            };
            let text = document.line(entry);
            let place = Place {
                table: if is_deny {
                    TableKind::Deny
                } else {
                    TableKind::Allow
                },
                span: analysis::check::Span::of(document, entry, &(0..text.trim_ascii_end().len())),
            };
            let more = match count - 1 {
                0 => String::new(),
                more => format!("; so it is with {more} more"),
            };
            self.report(&codes::BANNED_LET_IN, &place, message + &more);
        }
    }

    /// Daemons that cannot come at what their rules ask.
    fn out_of_reach(&mut self, asked: &Asked, state: &State, deciders: &[Decider]) {
        let database = |database: Answer<&state::geo::Database>| -> Option<PathBuf> {
            Some(database.ok()?.edition().ok()?.path)
        };
        for (need, all) in &asked.0 {
            let thing = match need {
                Need::Country => database(state.countries()).map(Thing::Read),
                Need::System => database(state.systems()).map(Thing::Read),
                Need::Banned => {
                    let file = state.config().bans.as_ref().ok().map(|bans| bans.file.clone());
                    file.filter(|file| file.exists()).map(Thing::List)
                }
                Need::Limits => Some(Thing::Limits),
                Need::Banning => {
                    let file = state.config().bans.as_ref().ok().map(|bans| &bans.file);
                    file.and_then(|file| file.parent())
                        .map(|parent| Thing::Write(parent.to_path_buf()))
                }
                Need::Interfaces | Need::Connections => Some(Thing::Netlink),
                Need::Zone(_) => None,
            };
            let Some(thing) = thing else { continue };
            for decider in deciders {
                let is_for = |asking: &&Asking| asking.daemons.iter().any(|token| is_about(token, decider));
                let Some(asking) = all.iter().find(is_for) else {
                    continue;
                };
                let Some(why) = decider.cannot(&thing) else {
                    continue;
                };
                let then = match need {
                    Need::Banning => "nobody is banned by it".to_owned(),
                    Need::Limits | Need::Connections => "whoever the rule matches is denied".to_owned(),
                    Need::Banned if why.is_absent => "there nobody counts as banned".to_owned(),
                    _ => consequence(asking),
                };
                let message = format!(
                    "{} ({}) cannot come at what {} asks: {}; {then}",
                    quoted(&decider.daemon),
                    decider.who(),
                    quoted(&asking.by),
                    why.text
                );
                self.report(&codes::OUT_OF_REACH, &asking.place, message);
            }
        }
    }
}

/// What follows where it is not known.
fn consequence(asking: &Asking) -> String {
    match asking.denies {
        true => "everyone who is held against this rule is denied".to_owned(),
        false => "the rule is passed over, and lets nobody in by it".to_owned(),
    }
}

fn is_about(token: &[u8], decider: &Decider) -> bool {
    use hosts_access::syntax::pattern::DaemonPattern;
    match DaemonPattern::parse(token).service {
        Service::Port(port) => Some(port) == decider.port,
        Service::Name(pattern) => string_matches(pattern, &decider.daemon),
    }
}
