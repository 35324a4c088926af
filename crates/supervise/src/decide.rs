//! May this connection be handed to the program? The rules' answer, at once where nothing has to be waited
//! for, else from a thread that may wait.
//!
//! Both ways ask the same engine. [`at_once`] asks it with a host that knows addresses, and names found
//! lately, and notes when the rules want more; then its answer is thrown away, and [`with_lookups`] asks
//! again. What an option wants done to the server's own process cannot be done and denies.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use hosts_access::expand::client_info;
use hosts_access::host::ask;
use hosts_access::policy::{Compiled, Policy};
use hosts_access::source::FileId;
use hosts_access::{
    Decision, Diagnostic, Effect, Host, Outcome, Place, Reason, Request, Side, TableKind, Tables, UNKNOWN,
    Verdict,
};
use system::endpoints::{Endpoint, Endpoints};
use system::host::SocketHost;
use system::{commands, connection, syslog};

use crate::accept::set_nonblocking;
use crate::log::{Log, Record};
use crate::names::Names;
use crate::rules;

/// What does not change from connection to connection.
#[derive(Debug)]
pub(crate) struct Rules {
    policy: Policy,
    /// Without one of these nobody is let in.
    required: Vec<PathBuf>,
    seen: Mutex<Seen>,
    /// What the rules call the program.
    pub daemon: Vec<u8>,
    pub names: Names,
    pub log: Log,
}

/// What `policy` was last seen with.
#[derive(Debug)]
struct Seen {
    compiled: Weak<Compiled>,
    tables: [State; 2],
    /// What is required and was not there, as the log has been told.
    gone: Option<PathBuf>,
}

/// What can be seen of a table without reading it.
type State = Result<FileId, ErrorKind>;

impl Rules {
    pub(crate) fn new(tables: Tables, required: Vec<PathBuf>, daemon: Vec<u8>, log: Log) -> Self {
        let state = states(&tables);
        let policy = Policy::new(tables);
        Rules {
            seen: Mutex::new(Seen {
                compiled: Arc::downgrade(&policy.current()),
                tables: state,
                gone: None,
            }),
            policy,
            required,
            daemon,
            names: Names::default(),
            log,
        }
    }

    fn decide(&self, request: &mut Request, host: &mut dyn Host) -> Decision {
        match self.current() {
            Some(rules) => rules.decide(request, host),
            None => Decision {
                verdict: Verdict::Denied,
                reason: Reason::TableError,
                rule: None,
                effects: Vec::new(),
                severity: None,
            },
        }
    }

    /// The rules as they are now, or nothing without what is required. When they are other ones than before,
    /// what is wrong with them is logged.
    fn current(&self) -> Option<Arc<Compiled>> {
        let mut current = self.policy.current();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.compiled.as_ptr() != Arc::as_ptr(&current) {
            // A table that cannot be read is tried again each time, and is no other one for that.
            let state = states(self.policy.tables());
            if seen.tables != state {
                seen.tables = state;
                self.log.tables_changed();
                for problem in rules::unfit(self.policy.tables(), &self.daemon) {
                    self.log.diagnostic(&problem);
                }
            }
            // A table that was missing when it was read may have been there again when it was looked at.
            current = self.policy.current();
            seen.compiled = Arc::downgrade(&current);
        }
        // Where both tables are, so is what holds them.
        let gone = match seen.tables.iter().all(Result::is_ok) {
            true => None,
            false => self.required.iter().find(|path| rules::is_gone(path)),
        };
        if gone != seen.gone.as_ref() {
            self.log_gone(gone, seen.gone.as_ref());
            seen.gone = gone.cloned();
        }
        gone.is_none().then_some(current)
    }

    fn log_gone(&self, gone: Option<&PathBuf>, before: Option<&PathBuf>) {
        if let Some(path) = gone {
            let line = format!(
                "error: {} is gone: nobody is let in until it is back",
                path.display()
            );
            self.log.line(syslog::ERR, line.as_bytes());
        } else if let Some(path) = before {
            let line = format!("{} is back, and its rules hold", path.display());
            self.log.line(syslog::WARNING, line.as_bytes());
        }
    }
}

fn states(tables: &Tables) -> [State; 2] {
    [TableKind::Allow, TableKind::Deny].map(|table| match std::fs::metadata(tables.path(table)) {
        Ok(metadata) => Ok(FileId::of(&metadata)),
        Err(error) => Err(error.kind()),
    })
}

/// A connection to decide about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'c> {
    pub connection: BorrowedFd<'c>,
    pub client: SocketAddr,
    pub server: SocketAddr,
    /// The process that accepts.
    pub process: u32,
}

/// Why there is no answer at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// The name of the client.
    Name,
    /// A user, a netgroup, a command or a banner.
    More,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Answer {
    /// The program may have the connection.
    Granted,
    /// It may not.
    Refused,
    /// A command has it, in this process.
    Twisted(libc::pid_t),
}

/// How long was spent finding out who the client is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub name: Option<Duration>,
    pub user: Option<Duration>,
}

fn endpoints(question: &Question<'_>) -> Endpoints {
    Endpoints {
        client: Endpoint::Internet(question.client),
        server: Endpoint::Internet(question.server),
        datagram: false,
    }
}

fn is_about_the_process(effect: &Effect) -> Option<&'static str> {
    match effect {
        Effect::Nice(_) => Some("nice"),
        Effect::Umask(_) => Some("umask"),
        Effect::Setenv { .. } => Some("setenv"),
        Effect::User { .. } => Some("user"),
        Effect::Group(_) => Some("group"),
        _ => None,
    }
}

/// Decides, and logs the decision, unless something has to be waited for.
pub(crate) fn at_once(rules: &Rules, question: Question<'_>) -> Result<Answer, Wants> {
    if let Some(answer) = source_routed(rules, &question) {
        return Ok(answer);
    }
    let no_log = |_, _: &[u8]| {};
    let mut host = Hasty {
        host: SocketHost::with_endpoints(question.connection, endpoints(&question), &no_log),
        rules,
        client: question.client,
        wants: None,
        diagnostics: Vec::new(),
    };
    let mut request = request(&host.host, rules, &question);
    let decision = rules.decide(&mut request, &mut host);
    let client = ask(&mut request, &mut host, client_info);
    let name = request.looked_up_name(Side::Client).map(<[u8]>::to_vec);
    if let Some(wants) = host.wants {
        return Err(wants);
    }
    for diagnostic in &host.diagnostics {
        rules.log.diagnostic(diagnostic);
    }
    Ok(finish(
        rules,
        &question,
        &decision,
        &client,
        name,
        Times::default(),
        None,
    ))
}

/// Decides, and logs the decision, however long that takes.
pub(crate) fn with_lookups(rules: &Rules, question: Question<'_>) -> Answer {
    let log = |severity, line: &[u8]| rules.log.line(severity, line);
    let mut host = Patient {
        host: SocketHost::with_endpoints(question.connection, endpoints(&question), &log),
        rules,
        client: question.client,
        times: Times::default(),
    };
    let mut request = request(&host.host, rules, &question);
    let decision = rules.decide(&mut request, &mut host);
    let client = ask(&mut request, &mut host, client_info);
    let name = request.looked_up_name(Side::Client).map(<[u8]>::to_vec);
    let user = request.looked_up_user().map(<[u8]>::to_vec);
    let times = host.times;
    finish(rules, &question, &decision, &client, name, times, user)
}

fn request(host: &SocketHost<'_>, rules: &Rules, question: &Question<'_>) -> Request {
    host.request(&rules.daemon).process(question.process.to_string())
}

/// Logs the decision, and gives the connection to the command of a `twist`.
fn finish(
    rules: &Rules,
    question: &Question<'_>,
    decision: &Decision,
    client: &[u8],
    name: Option<Vec<u8>>,
    times: Times,
    user: Option<Vec<u8>>,
) -> Answer {
    let mut record = Record {
        daemon: &rules.daemon,
        process: question.process,
        client,
        name: name.as_deref(),
        user: user.as_deref(),
        ends: (question.client, question.server),
        verdict: decision.verdict,
        command: None,
        rule: decision.rule.as_ref(),
        reason: decision.reason,
        times,
        severity: decision.severity,
    };
    match (decision.verdict, decision.effects.last()) {
        (Verdict::Granted, _) => {
            rules.log.decision(&record);
            Answer::Granted
        }
        (Verdict::Delegated, Some(Effect::Twist(command))) => {
            record.command = Some(command);
            rules.log.decision(&record);
            set_nonblocking(question.connection, false);
            match commands::twist_in_child(command, question.connection) {
                Ok(process) => Answer::Twisted(process),
                Err(error) => {
                    let reason = hosts_access::decide::reason(&error);
                    let line = format!("warning: twist_option: /bin/sh: {reason}");
                    rules.log.line(syslog::ERR, line.as_bytes());
                    Answer::Refused
                }
            }
        }
        _ => {
            rules.log.decision(&record);
            Answer::Refused
        }
    }
}

/// Refuses a client that chose the route of its packets, as tcpd does.
fn source_routed(rules: &Rules, question: &Question<'_>) -> Option<Answer> {
    // Only IPv4 has them, also where a socket of IPv6 speaks it.
    if !question.client.ip().to_canonical().is_ipv4() {
        return None;
    }
    let options = connection::ip_options(question.connection).unwrap_or_default();
    if !connection::source_routed(&options) {
        return None;
    }
    let address = system::netdb::numeric(&question.client);
    let line = [
        b"refused connect from ",
        &address[..],
        b" with IP source routing options",
    ];
    rules.log.line(syslog::WARNING, &line.concat());
    Some(Answer::Refused)
}

/// The host as far as it can answer without waiting.
struct Hasty<'r, 'c> {
    host: SocketHost<'c>,
    rules: &'r Rules,
    client: SocketAddr,
    /// What had to be waited for, first; from then on nothing answered here counts, and nothing is done.
    wants: Option<Wants>,
    diagnostics: Vec<Diagnostic>,
}

impl Hasty<'_, '_> {
    fn wants(&mut self, what: Wants) {
        self.wants.get_or_insert(what);
    }
}

impl Host for Hasty<'_, '_> {
    fn address(&mut self, side: Side, at: Option<&Place>) -> Vec<u8> {
        self.host.address(side, at)
    }

    fn name(&mut self, side: Side, _address: &[u8], _at: Option<&Place>) -> Vec<u8> {
        let known = match side {
            Side::Client => self.rules.names.recent(&self.client.ip()),
            Side::Server => None,
        };
        match known {
            Some(name) => name,
            None => {
                self.wants(match side {
                    Side::Client => Wants::Name,
                    Side::Server => Wants::More,
                });
                UNKNOWN.to_vec()
            }
        }
    }

    fn port(&mut self, side: Side) -> Option<u16> {
        self.host.port(side)
    }

    fn user(&mut self, _at: Option<&Place>) -> Vec<u8> {
        self.wants(Wants::More);
        UNKNOWN.to_vec()
    }

    fn netgroup(&mut self, _group: &[u8], _host: &[u8]) -> bool {
        self.wants(Wants::More);
        false
    }

    fn banner(&mut self, _directory: &[u8], _daemon: &[u8], _at: Option<&Place>) -> Option<Vec<u8>> {
        self.wants(Wants::More);
        None
    }

    fn perform(&mut self, effect: &Effect, at: Option<&Place>) -> Outcome {
        if let Some(option) = is_about_the_process(effect) {
            return Outcome::Refused(rules::cannot_act(option));
        }
        match effect {
            Effect::Keepalive | Effect::Linger(_) | Effect::IdentTimeout(_) if self.wants.is_none() => {
                self.host.perform(effect, at)
            }
            _ => {
                self.wants(Wants::More);
                Outcome::Done
            }
        }
    }

    fn log(&mut self, diagnostic: &Diagnostic) {
        self.diagnostics.push(diagnostic.clone());
    }
}

/// The host, waiting for whatever takes time.
struct Patient<'r, 'c> {
    host: SocketHost<'c>,
    rules: &'r Rules,
    client: SocketAddr,
    times: Times,
}

impl Host for Patient<'_, '_> {
    fn address(&mut self, side: Side, at: Option<&Place>) -> Vec<u8> {
        self.host.address(side, at)
    }

    fn name(&mut self, side: Side, address: &[u8], at: Option<&Place>) -> Vec<u8> {
        if side == Side::Server {
            return self.host.name(side, address, at);
        }
        let ip = self.client.ip();
        if let Some(name) = self.rules.names.recent(&ip) {
            return name;
        }
        let start = Instant::now();
        let name = self.host.name(side, address, at);
        self.times.name = Some(start.elapsed());
        self.rules.names.remember(ip, &name);
        name
    }

    fn port(&mut self, side: Side) -> Option<u16> {
        self.host.port(side)
    }

    fn user(&mut self, at: Option<&Place>) -> Vec<u8> {
        let start = Instant::now();
        let user = self.host.user(at);
        self.times.user = Some(start.elapsed());
        user
    }

    fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool {
        self.host.netgroup(group, host)
    }

    fn banner(&mut self, directory: &[u8], daemon: &[u8], at: Option<&Place>) -> Option<Vec<u8>> {
        self.host.banner(directory, daemon, at)
    }

    fn perform(&mut self, effect: &Effect, at: Option<&Place>) -> Outcome {
        match is_about_the_process(effect) {
            Some(option) => Outcome::Refused(rules::cannot_act(option)),
            None => self.host.perform(effect, at),
        }
    }

    fn log(&mut self, diagnostic: &Diagnostic) {
        self.rules.log.diagnostic(diagnostic);
    }
}

/// Borrows what a question is about.
pub(crate) fn question<'c>(
    fd: &'c impl AsFd,
    (client, server): (SocketAddr, SocketAddr),
    process: u32,
) -> Question<'c> {
    Question {
        connection: fd.as_fd(),
        client,
        server,
        process,
    }
}
