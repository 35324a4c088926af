//! May this connection be handed to the program? The rules' answer, at once where nothing has to be waited
//! for, else from a thread that may wait.
//!
//! Both drive the same [`Evaluation`]. [`begin`] takes it as far as it goes without waiting: addresses are known, and
//! names found lately; [`Undecided::finish`] goes on from there. What an option wants done to the server's own
//! process cannot be done and denies.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use hosts_access::host::{self, ask};
use hosts_access::policy::Compiled;
use hosts_access::{
    Decision, Effect, Evaluation, Fact, Host, Known, LogLine, LookUpTimes, Need, Outcome, Reason, Record,
    Request, Severity, Side, Step, Tables, Then, Verdict,
};
use system::endpoints::Endpoint;
use system::host::SocketHost;
use system::syslog::Log as Sink;
use system::{commands, connection, facts, ident, syslog};

use crate::accept::{Accepted, set_nonblocking};
use crate::current::Current;
use crate::log::Log;
use crate::names::Names;
use crate::repeated::Repeated;
use crate::room::Room;
use crate::rules;

/// What does not change from connection to connection.
#[derive(Debug)]
pub(crate) struct Rules {
    current: Current,
    /// What the rules call the program.
    pub daemon: Vec<u8>,
    pub names: Names,
    repeated: Repeated,
    pub log: Log,
    /// Commands that have a connection: each lasts as long as its client likes, and takes a descriptor of the guard's.
    pub commands: Room,
    /// The user this process decides as.
    uid: u32,
    /// The files are in memory that answer questions about places, networks and bans.
    read: [AtomicBool; 3],
}

impl Rules {
    /// Rules by which at most so many commands have a connection at one time.
    pub(crate) fn new(
        tables: Tables,
        required: Vec<PathBuf>,
        daemon: Vec<u8>,
        log: Log,
        commands: usize,
    ) -> Self {
        Rules {
            current: Current::new(tables, required),
            daemon,
            names: Names::default(),
            repeated: Repeated::default(),
            log,
            commands: Room::new(commands),
            // SAFETY: takes nothing and cannot fail.
            uid: unsafe { libc::geteuid() },
            read: [const { AtomicBool::new(false) }; 3],
        }
    }

    /// The files that the answer to a question is read from, if it is read from files.
    fn files_of(&self, fact: &Fact) -> Option<&AtomicBool> {
        match fact {
            Fact::Location => Some(&self.read[0]),
            Fact::System => Some(&self.read[1]),
            Fact::Banned => Some(&self.read[2]),
            Fact::Addresses(_)
            | Fact::Listed(_)
            | Fact::Nearness
            | Fact::Time(_)
            | Fact::Rate { .. }
            | Fact::Connections(_) => None,
        }
    }

    /// Can the question be answered without waiting, and by a thread that is [confined](crate::confine)?
    fn is_at_hand(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Time(_) => true,
            Fact::Rate { .. } | Fact::Connections(_) => facts::STAYS.has_memory(),
            Fact::Nearness | Fact::Addresses(_) | Fact::Listed(_) => false,
            Fact::Location | Fact::System | Fact::Banned => {
                self.files_of(fact).is_some_and(|read| read.load(Relaxed))
            }
        }
    }

    /// These were answered by a thread that may wait. Files that gave an answer are in memory now; what is damaged or
    /// missing is looked for again each time.
    fn are_read(&self, facts: &[(Fact, Known)]) {
        let answered = facts.iter().filter(|(_, known)| known.is_ok());
        for read in answered.filter_map(|(fact, _)| self.files_of(fact)) {
            read.store(true, Relaxed);
        }
    }
}

/// A connection to decide about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'c> {
    pub connection: &'c Accepted,
    pub client: SocketAddr,
    /// The process that accepts.
    pub process: u32,
}

impl Question<'_> {
    fn host<'h>(&'h self, log: &'h Sink<'h>) -> SocketHost<'h> {
        SocketHost::with_client(self.connection.fd.as_fd(), Endpoint::Internet(self.client), log)
    }
}

/// Why there is no answer at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// The rules, which are new.
    Rules,
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

/// A decision that is not made yet.
#[derive(Debug)]
pub(crate) struct Undecided {
    /// By the rules that held when it began; nothing where these are to be read first.
    evaluation: Option<Evaluation<'static>>,
    request: Request,
    times: LookUpTimes,
    ident_timeout: Duration,
    /// What it waits for.
    pub(crate) wants: Wants,
    /// The rules, as long as they have asked for nothing, done nothing and said nothing.
    repeats: Option<Arc<Compiled>>,
}

/// Begins to decide. The answer, logged, unless something has to be waited for.
pub(crate) fn begin(rules: &Rules, question: Question<'_>) -> Result<Answer, Box<Undecided>> {
    if let Some(answer) = source_routed(rules, &question) {
        return Ok(answer);
    }
    let holding = rules.current.at_once().and_then(|current| current.rules());
    let request = || {
        let request = question.host(&|_, _| {}).request(&rules.daemon);
        request.process(question.process.to_string())
    };
    let repeated = |by| rules.repeated.get(by, &question.client);
    if let Some(decided) = holding.as_ref().and_then(repeated) {
        let (decision, line) = &*decided;
        log(
            rules,
            &question,
            decision,
            line.clone(),
            LookUpTimes::default(),
            request,
        );
        return Ok(answer(rules, &question, decision));
    }
    let mut undecided = Undecided {
        evaluation: holding.clone().map(Into::into),
        request: request(),
        times: LookUpTimes::default(),
        ident_timeout: ident::TIMEOUT,
        wants: Wants::Rules,
        repeats: holding,
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

    /// Logs the decision, and does what it says.
    fn conclude(mut self, rules: &Rules, question: &Question<'_>, decision: Decision) -> Answer {
        let usual = [Severity::INFO, Severity::WARNING];
        let line = ask(&mut self.request, &mut question.host(&|_, _| {}), |request| {
            decision.log_line(request, usual)
        });
        if let Some(by) = self.repeats {
            let decided = (decision.clone(), line.clone());
            rules.repeated.keep(&by, &question.client, decided);
        }
        log(rules, question, &decision, line, self.times, || self.request);
        answer(rules, question, &decision)
    }

    /// Steps to the decision. Nothing, where that would take waiting and it may not wait.
    fn go_on(&mut self, rules: &Rules, question: &Question<'_>, may_wait: bool) -> Option<Decision> {
        let mut evaluation = match self.evaluation.take() {
            Some(evaluation) => evaluation,
            None => {
                let current = match rules.current.at_once() {
                    Some(current) => current,
                    None if may_wait => rules.current.read(&rules.daemon, &rules.log),
                    None => {
                        self.wants = Wants::Rules;
                        return None;
                    }
                };
                match current.rules() {
                    Some(rules) => rules.into(),
                    None => return Some(denied()),
                }
            }
        };
        let decision = self.step(&mut evaluation, rules, question, may_wait);
        self.evaluation = Some(evaluation);
        decision
    }

    fn step(
        &mut self,
        evaluation: &mut Evaluation<'static>,
        rules: &Rules,
        question: &Question<'_>,
        may_wait: bool,
    ) -> Option<Decision> {
        let log = |severity, line: &[u8]| rules.log.line(severity, line);
        let mut host = question
            .host(&log)
            .remembering(&facts::STAYS)
            .ident_timeout(self.ident_timeout);
        loop {
            let mut is_asked = false;
            let mut ask = |fact: &Fact, request: &Request| {
                is_asked = true;
                let at_hand = rules.is_at_hand(fact);
                at_hand.then(|| host.fact(fact, request.looked_up_ip(), request.place()))
            };
            let step = evaluation.step_asking(&mut self.request, &mut ask);
            let repeats = matches!(step, Step::Done(_)) && !is_asked;
            self.repeats = self.repeats.take().filter(|_| repeats);
            match step {
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
                    evaluation.done(outcome);
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
            Need::Fact(fact) if rules.is_at_hand(fact) => {}
            Need::Name(Side::Server)
            | Need::User
            | Need::Netgroup { .. }
            | Need::Banner { .. }
            | Need::Fact(_)
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
            Need::Fact(_) => rules.are_read(self.request.facts()),
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

/// What becomes of everybody without what is required.
fn denied() -> Decision {
    Decision {
        verdict: Verdict::Denied,
        reason: Reason::TableError,
        rule: None,
        effects: Vec::new(),
        severity: None,
        notes: Vec::new(),
    }
}

fn log(
    rules: &Rules,
    question: &Question<'_>,
    decision: &Decision,
    line: LogLine,
    look_ups: LookUpTimes,
    request: impl FnOnce() -> Request,
) {
    rules.log.decision(question.process, line, |line| Record {
        client: Some(question.client),
        server: question.connection.server(),
        look_ups,
        ..Record::new(decision.clone(), line, &request(), (question.process, rules.uid))
    });
}

/// Gives the connection to the command of a `twist`.
fn answer(rules: &Rules, question: &Question<'_>, decision: &Decision) -> Answer {
    match decision.then() {
        Then::Serve => Answer::Granted,
        Then::Refuse => Answer::Refused,
        Then::Twist(_) if !rules.commands.has_place_for(question.client.ip()) => {
            refused(rules, question, b": too many commands have a connection")
        }
        Then::Twist(command) => {
            let connection = question.connection.fd.as_fd();
            set_nonblocking(connection, false);
            match commands::twist_in_child(command, connection) {
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
    let options = connection::ip_options(question.connection.fd.as_fd()).unwrap_or_default();
    if !connection::source_routed(&options) {
        return None;
    }
    Some(refused(rules, question, b" with IP source routing options"))
}

/// Refuses a client, and logs why.
fn refused(rules: &Rules, question: &Question<'_>, why: &[u8]) -> Answer {
    let address = system::netdb::numeric(&question.client);
    let line = [b"refused connect from ", &address[..], why].concat();
    rules.log.line(syslog::WARNING, &line);
    Answer::Refused
}

#[cfg(test)]
mod tests {
    use hosts_access::{Cause, Found};

    use super::*;
    use crate::log::Format;

    /// The main thread, which nobody may keep waiting, does not read a damaged database for each client.
    #[test]
    fn what_gave_no_answer_is_asked_where_one_may_wait() {
        let directory = tempfile::tempdir().unwrap();
        let (log, _writer) = Log::start(Format::Text, b"www").unwrap();
        let rules = Rules::new(
            Tables::in_directory(directory.path()),
            Vec::new(),
            b"www".to_vec(),
            log,
            1,
        );
        let damaged = (Fact::Location, Err(Cause::new("damaged")));
        rules.are_read(&[damaged, (Fact::Banned, Ok(Found::No))]);
        assert!(!rules.is_at_hand(&Fact::Location) && !rules.is_at_hand(&Fact::System));
        assert!(rules.is_at_hand(&Fact::Banned));
    }
}
