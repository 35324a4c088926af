//! May this connection be handed to the program? The rules' answer, at once where nothing has to be waited
//! for, else from a thread that may wait.
//!
//! Both drive the same [`Evaluation`]. [`begin`] takes it as far as it goes without waiting: addresses are known, and
//! names found lately; [`Undecided::finish`] goes on from there. What an option wants done to the server's own
//! process cannot be done and denies.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use hosts_access::host::{self, ask};
use hosts_access::policy::{Compiled, Policy};
use hosts_access::source::FileId;
use hosts_access::{
    Decision, Effect, Evaluation, Host, LookUpTimes, Need, Outcome, Reason, Record, Request, Severity, Side,
    Step, TableKind, Tables, Then, Verdict,
};
use system::endpoints::{Endpoint, Endpoints};
use system::host::SocketHost;
use system::{commands, connection, ident, syslog};

use crate::accept::set_nonblocking;
use crate::log::Log;
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
    /// The user this process decides as.
    uid: u32,
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
            // SAFETY: takes nothing and cannot fail.
            uid: unsafe { libc::geteuid() },
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

fn endpoints(question: &Question<'_>) -> Endpoints {
    Endpoints {
        client: Endpoint::Internet(question.client),
        server: Endpoint::Internet(question.server),
        datagram: false,
    }
}

/// A decision that is not made yet.
#[derive(Debug)]
pub(crate) struct Undecided {
    evaluation: Evaluation<'static>,
    request: Request,
    times: LookUpTimes,
    ident_timeout: Duration,
    /// What it waits for.
    pub(crate) wants: Wants,
}

/// Begins to decide. The answer, logged, unless something has to be waited for.
pub(crate) fn begin(rules: &Rules, question: Question<'_>) -> Result<Answer, Box<Undecided>> {
    if let Some(answer) = source_routed(rules, &question) {
        return Ok(answer);
    }
    let host = SocketHost::with_endpoints(question.connection, endpoints(&question), &|_, _| {});
    let request = host.request(&rules.daemon).process(question.process.to_string());
    let Some(current) = rules.current() else {
        let decision = Decision {
            verdict: Verdict::Denied,
            reason: Reason::TableError,
            rule: None,
            effects: Vec::new(),
            severity: None,
        };
        return Ok(conclude(
            rules,
            &question,
            decision,
            request,
            LookUpTimes::default(),
        ));
    };
    let mut undecided = Undecided {
        evaluation: current.into(),
        request,
        times: LookUpTimes::default(),
        ident_timeout: ident::TIMEOUT,
        wants: Wants::More,
    };
    match undecided.go_on(rules, &question, false) {
        Some(decision) => Ok(undecided.conclude(rules, &question, decision)),
        None => Err(Box::new(undecided)),
    }
}

impl Undecided {
    /// Goes on, now that more may be known. The answer, logged, unless something has to be waited for still.
    pub(crate) fn retry(
        mut self: Box<Self>,
        rules: &Rules,
        question: Question<'_>,
    ) -> Result<Answer, Box<Self>> {
        match self.go_on(rules, &question, false) {
            Some(decision) => Ok(self.conclude(rules, &question, decision)),
            None => Err(self),
        }
    }

    /// Decides, and logs the decision, however long that takes.
    pub(crate) fn finish(mut self, rules: &Rules, question: Question<'_>) -> Answer {
        match self.go_on(rules, &question, true) {
            Some(decision) => self.conclude(rules, &question, decision),
            None => Answer::Refused,
        }
    }

    fn conclude(self, rules: &Rules, question: &Question<'_>, decision: Decision) -> Answer {
        conclude(rules, question, decision, self.request, self.times)
    }

    /// Steps to the decision. Nothing, where that would take waiting and it may not wait.
    fn go_on(&mut self, rules: &Rules, question: &Question<'_>, may_wait: bool) -> Option<Decision> {
        let log = |severity, line: &[u8]| rules.log.line(severity, line);
        let mut host = SocketHost::with_endpoints(question.connection, endpoints(question), &log)
            .ident_timeout(self.ident_timeout);
        loop {
            match self.evaluation.step(&mut self.request) {
                Step::Log(diagnostic) => rules.log.diagnostic(&diagnostic),
                Step::Done(decision) => return Some(decision),
                Step::Need(need) => {
                    if !self.answer(&need, rules, question, &mut host, may_wait) {
                        return None;
                    }
                }
                Step::Do(effect) => {
                    let outcome = match (rules::is_about_the_process(&effect), &effect) {
                        (Some(option), _) => Outcome::Refused(rules::cannot_act(option)),
                        (None, Effect::IdentTimeout(seconds)) => {
                            self.ident_timeout = Duration::from_secs((*seconds).into());
                            host.perform(&effect, self.request.place())
                        }
                        (None, Effect::Keepalive | Effect::Linger(_)) => {
                            host.perform(&effect, self.request.place())
                        }
                        (None, _) if may_wait => host.perform(&effect, self.request.place()),
                        (None, _) => {
                            self.wants = Wants::More;
                            return None;
                        }
                    };
                    self.evaluation.done(outcome);
                }
            }
        }
    }

    /// Answers what is needed. False, where that would take waiting and it may not wait.
    fn answer(
        &mut self,
        need: &Need,
        rules: &Rules,
        question: &Question<'_>,
        host: &mut SocketHost<'_>,
        may_wait: bool,
    ) -> bool {
        let ip = question.client.ip();
        match need {
            Need::Address(_) | Need::Port(_) => {}
            Need::Name(Side::Client) => {
                if let Some(name) = rules.names.recent(&ip) {
                    self.request.set_name(Side::Client, &name);
                    return true;
                }
                self.wants = Wants::Name;
                if !may_wait {
                    return false;
                }
            }
            Need::Name(Side::Server)
            | Need::User
            | Need::Netgroup { .. }
            | Need::Banner { .. }
            | Need::Pause(_) => {
                self.wants = Wants::More;
                if !may_wait {
                    return false;
                }
            }
        }
        let start = Instant::now();
        host::answer(need, &mut self.request, host);
        match need {
            Need::Name(Side::Client) => {
                self.times.name = Some(start.elapsed());
                let name = self.request.looked_up_name(Side::Client).unwrap_or_default();
                rules.names.remember(ip, name);
            }
            Need::User => self.times.user = Some(start.elapsed()),
            Need::Address(_)
            | Need::Port(_)
            | Need::Name(Side::Server)
            | Need::Netgroup { .. }
            | Need::Banner { .. }
            | Need::Pause(_) => {}
        }
        true
    }
}

/// Logs the decision, and gives the connection to the command of a `twist`.
fn conclude(
    rules: &Rules,
    question: &Question<'_>,
    decision: Decision,
    mut request: Request,
    look_ups: LookUpTimes,
) -> Answer {
    let usual = [Severity::INFO, Severity::WARNING];
    let mut host = SocketHost::with_endpoints(question.connection, endpoints(question), &|_, _| {});
    let line = ask(&mut request, &mut host, |request| {
        decision.log_line(request, usual)
    });
    let record = Record {
        client: Some(question.client),
        server: Some(question.server),
        look_ups,
        ..Record::new(decision, line, &request, (question.process, rules.uid))
    };
    rules.log.decision(&record);
    match record.decision.then() {
        Then::Serve => Answer::Granted,
        Then::Refuse => Answer::Refused,
        Then::Twist(command) => {
            set_nonblocking(question.connection, false);
            match commands::twist_in_child(command, question.connection) {
                Ok(process) => Answer::Twisted(process),
                Err(error) => {
                    let reason = hosts_access::strerror(&error);
                    let line = format!("warning: twist_option: /bin/sh: {reason}");
                    rules.log.line(syslog::ERR, line.as_bytes());
                    Answer::Refused
                }
            }
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
