//! What `status` shows, as data: the JSON output is this as it is.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use analysis::check::Level as Gravity;
use obey::{Listeners, Machine, listeners};
use serde::Serialize;

use super::about::About;
use super::policies::{Pair, Policies, pair};
use super::survey::{Survey, counts_for};
use crate::check::findings;
use crate::databases::{self, What};
use crate::output::Text;
use crate::rules::{self, Rules};
use crate::session;

/// How grave something is. In order: the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be, or no rule's concern.
    Ok,
    /// It cannot be seen.
    Unknown,
    /// Worth a look.
    Warning,
    /// A rule is about it, and nothing makes it obey.
    Critical,
}

/// Everything that is shown.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Where this session's user sits, if it comes over the network.
    pub session: Option<String>,
    /// What waits for clients, the gravest first.
    pub listeners: Vec<Service>,
    /// The tables that count for them.
    pub tables: Vec<Table>,
    /// The ban list, where there is one.
    pub bans: Option<Bans>,
    /// The databases that rules ask.
    pub databases: Vec<Database>,
    /// The guards of `tcpwrap run`.
    pub guards: Vec<Guard>,
    /// Processes whose sockets this user may not see.
    pub hidden_processes: usize,
    /// What is wrong with the configuration of inetd, xinetd and systemd.
    pub problems: Vec<String>,
}

/// What waits for clients at one address or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// How grave it is.
    pub level: Level,
    /// `tcp` or `udp`
    pub protocol: &'static str,
    /// Addresses with ports.
    pub addresses: Vec<String>,
    /// The network namespace, with `--all`.
    pub network: Option<u64>,
    /// The process that holds it.
    pub process: Option<u32>,
    /// How many processes hold it.
    pub processes: usize,
    /// The program that serves.
    pub program: Option<Text>,
    /// The unit it belongs to.
    pub unit: Option<Text>,
    /// The user who made the socket.
    pub user: u32,
    /// The daemon's name in the rules.
    pub daemon: Option<Text>,
    /// What makes it obey: `libwrap`, `tcpd`, `super-server`, `run`, `guard-gone`, `perhaps`, `switched-off`,
    /// `nothing` or `hidden`.
    pub obeys: &'static str,
    /// The same, in words.
    pub by: Text,
    /// `named`, `all` or `nothing`: which rules are about it.
    pub rules: About,
    /// To whom the rules open it, in words. Nothing where it is too much to follow, or cannot be known.
    pub open_to: Option<Text>,
    /// A command decides for some of them.
    pub command_decides: bool,
    /// It can be reached from this host alone.
    pub is_local: bool,
    /// What the rules say to each network this host is directly on: `all`, `some` or `none` of it.
    pub local_networks: BTreeMap<String, &'static str>,
    /// What they say to this session's client: `granted`, `denied` or `delegated`.
    pub this_session: Option<&'static str>,
    /// Other tables than this machine's count for it.
    pub other_tables: Option<Text>,
}

/// A table.
#[derive(Debug, Serialize)]
pub struct Table {
    /// Its file.
    pub file: Text,
    /// It is there.
    pub exists: bool,
    /// How many rules it has.
    pub rules: usize,
    /// When it was last changed, in seconds since 1970.
    pub changed: Option<u64>,
    /// What `check` finds in it: errors and warnings.
    pub errors: usize,
    /// See `errors`.
    pub warnings: usize,
    /// Why it cannot be read.
    pub problem: Option<String>,
}

/// The ban list.
#[derive(Debug, Serialize)]
pub struct Bans {
    /// Its file.
    pub file: Text,
    /// How many are in force.
    pub active: usize,
    /// Why it cannot be read.
    pub problem: Option<String>,
}

/// A guard of `tcpwrap run`.
#[derive(Debug, Serialize)]
pub struct Guard {
    /// Its process.
    pub process: u32,
    /// The daemon it guards; nothing where this user may not know.
    pub daemon: Option<Text>,
    /// The first process of its program.
    pub program: Option<u32>,
    /// Its unit.
    pub unit: Option<Text>,
    /// It is stopped, so nobody is let in or refused.
    pub is_stopped: bool,
}

impl Status {
    /// This machine, now.
    ///
    /// # Errors
    /// A message, where it cannot be found out.
    pub fn now(rules: &Rules, every_network: bool) -> Result<Self, String> {
        let usual = pair(&rules.existing_tables()?);
        let machine = Machine::of_this_host(None).map_err(|error| hosts_access::decide::reason(&error))?;
        let found = listeners(&machine, every_network)
            .map_err(|error| format!("/proc/net: {}", hosts_access::decide::reason(&error)))?;
        let Listeners {
            all: found,
            mut guards,
            hidden,
        } = found;
        let network = |id| obey::process::Process::namespace(id, "net");
        let own = network(std::process::id());
        guards.retain(|guard| {
            every_network || network(guard.process.id).is_none_or(|number| Some(number) == own)
        });
        let session = session::present();
        let pairs: Vec<Pair> = found
            .iter()
            .map(|listener| counts_for(listener, &guards, &usual))
            .collect();
        let policies = Policies::read(pairs.iter().cloned().chain([usual.clone()]));
        let mut survey = Survey::new(&policies, &usual, session.as_ref());
        let mut services: Vec<Service> = Vec::new();
        for (listener, pair) in found.iter().zip(&pairs) {
            let service = survey.service(listener, pair, every_network);
            // They come by port.
            let mut near = services
                .iter_mut()
                .rev()
                .take_while(|known| known.port() == service.port());
            match near.find(|known| known.is_like(&service)) {
                Some(known) => known.addresses.extend(service.addresses),
                None => services.push(service),
            }
        }
        services.sort_by_key(|service| std::cmp::Reverse(service.level));
        Ok(Status {
            session: session.map(|session| session.client.to_string()),
            listeners: services,
            tables: shown_tables(&policies, &usual),
            bans: bans(),
            databases: databases(&usual),
            guards: guards.iter().map(shown_guard).collect(),
            hidden_processes: hidden,
            problems: machine.problems().iter().map(ToString::to_string).collect(),
        })
    }

    /// The gravest of all.
    pub fn level(&self) -> Level {
        let gravest = self.listeners.iter().map(|service| service.level).max();
        let unreadable = self.tables.iter().any(|table| table.problem.is_some())
            || self.bans.as_ref().is_some_and(|bans| bans.problem.is_some())
            || self.databases.iter().any(|database| database.problem.is_some());
        let stopped = self.guards.iter().any(|guard| guard.is_stopped);
        let others = if unreadable || stopped {
            Level::Warning
        } else {
            Level::Ok
        };
        gravest.unwrap_or(Level::Ok).max(others)
    }
}

impl Service {
    /// The same program in the same role, at another address.
    fn is_like(&self, other: &Service) -> bool {
        *self
            == Service {
                addresses: self.addresses.clone(),
                ..other.clone()
            }
    }

    fn port(&self) -> &str {
        let address = self.addresses.first().map_or("", String::as_str);
        address.rsplit(':').next().unwrap_or(address)
    }
}

fn shown_tables(policies: &Policies, usual: &Pair) -> Vec<Table> {
    let policy = policies.policy(usual);
    let found = match policy {
        Some(Ok(policy)) => findings(policy),
        _ => Vec::new(),
    };
    [hosts_access::TableKind::Allow, hosts_access::TableKind::Deny]
        .into_iter()
        .zip(usual)
        .map(|(kind, path)| {
            let document = policy.and_then(|policy| policy.ok()?.table(kind));
            let count = |level| {
                found
                    .iter()
                    .filter(|f| f.table == kind && f.level == level)
                    .count()
            };
            let changed = std::fs::metadata(path).and_then(|facts| facts.modified()).ok();
            Table {
                file: Text(path.as_os_str().as_encoded_bytes().to_vec()),
                exists: path.exists(),
                rules: document.map_or(0, rules::count),
                changed: changed
                    .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
                    .map(|since| since.as_secs()),
                errors: count(Gravity::Error),
                warnings: count(Gravity::Warning),
                problem: policy.and_then(Result::err).map(str::to_owned),
            }
        })
        .collect()
}

/// A database that rules ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Database {
    /// `countries` or `systems`
    pub what: &'static str,
    /// Its file; nothing where there is none.
    pub file: Option<Text>,
    /// The date it was made.
    pub made: Option<String>,
    /// How many days ago.
    pub days: Option<u64>,
    /// The copy that is kept of it.
    pub copy: Option<Copy>,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// A copy of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// Its file.
    pub file: Text,
    /// The date its database was made.
    pub made: String,
    /// How many days ago.
    pub days: u64,
}

/// The databases that the rules of these tables ask.
fn databases(tables: &Pair) -> Vec<Database> {
    let texts: Vec<Vec<u8>> = tables
        .iter()
        .map(|path| std::fs::read(path).unwrap_or_default().to_ascii_lowercase())
        .collect();
    let has = |pattern: &str| {
        let begins = |text: &Vec<u8>| text.windows(pattern.len()).any(|part| part == pattern.as_bytes());
        texts.iter().any(begins)
    };
    let asked = [
        (
            "countries",
            What::Countries,
            has("{country=") || has("{continent="),
        ),
        ("systems", What::Systems, has("{asn=")),
    ];
    let state = state::State::new(false);
    let asked = asked.into_iter().filter(|(.., is_asked)| *is_asked);
    asked
        .map(|(name, what, _)| match databases::look_at(&state, what) {
            Ok(found) => Database {
                what: name,
                problem: found.problem(),
                copy: found.copy.and_then(Result::ok).map(|copy| Copy {
                    file: Text(copy.path.into_os_string().into_encoded_bytes()),
                    made: copy.made,
                    days: copy.days,
                }),
                file: Some(Text(found.path.as_os_str().as_encoded_bytes().to_vec())),
                made: Some(found.made),
                days: Some(found.days),
            },
            Err(unknown) => Database {
                what: name,
                file: None,
                made: None,
                days: None,
                copy: None,
                problem: Some(unknown.to_string()),
            },
        })
        .collect()
}

/// The ban list, where there is one.
fn bans() -> Option<Bans> {
    let path = match crate::ban::configured() {
        Ok(configured) => configured.file,
        Err(problem) => {
            return Some(Bans {
                file: Text(Vec::new()),
                active: 0,
                problem: Some(problem),
            });
        }
    };
    if !path.exists() {
        return None;
    }
    let now = state::stamp::now();
    let contents = state::bans::contents(&path);
    Some(Bans {
        file: Text(path.as_os_str().as_encoded_bytes().to_vec()),
        active: contents.as_ref().map_or(0, |contents| {
            contents
                .bans
                .iter()
                .filter(|ban| !ban.expiry.is_over(now))
                .count()
        }),
        problem: contents.err().map(|error| hosts_access::decide::reason(&error)),
    })
}

fn shown_guard(guard: &obey::run::Guard) -> Guard {
    Guard {
        process: guard.process.id,
        daemon: guard.label.as_ref().map(|label| Text(label.name.clone())),
        program: guard.label.as_ref().map(|label| label.first),
        unit: guard.process.unit().map(|unit| Text(unit.to_vec())),
        is_stopped: guard.process.is_stopped,
    }
}

/// How long ago that was, roughly.
pub fn ago(seconds: u64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let past = now.saturating_sub(seconds);
    let (count, unit) = match past {
        0..60 => return "just now".to_owned(),
        60..3600 => (past / 60, "minute"),
        3600..86_400 => (past / 3600, "hour"),
        _ => (past / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}
