//! Two tables and a request make a decision (hosts_access(5), ACCESS CONTROL FILES), step by step.
//!
//! An [`Evaluation`] waits for nothing: it says what it needs or wants done, and whoever drives it answers.
//! [`Tables`] is for the process that decides once: it reads the files and scans them. A
//! [`Policy`](crate::policy::Policy) keeps them. Both differ only in which lines they look at.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::decision::{Deciding, Decision, Note, Reason, TableKind, Verdict};
use crate::diagnostic::{Diagnostic, Kind};
use crate::effect::{Effect, Outcome};
use crate::fact::{Cause, Fact, Known};
use crate::host::{self, Host};
use crate::options::{self, Doubt, End, Next, Options, Ran};
use crate::policy::Compiled;
use crate::read::{Files, FilesSeen, Found, Matcher, Read, Resume, Table};
use crate::request::{Need, Request};
use crate::source::{self, Contents};
pub use crate::text::strerror as reason;
use crate::trace::{NoTrace, Trace};

/// The allow table's usual path.
pub const ALLOW_TABLE: &str = "/etc/hosts.allow";
/// The deny table's usual path.
pub const DENY_TABLE: &str = "/etc/hosts.deny";

/// Where the two tables are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tables {
    allow: Arc<Path>,
    deny: Arc<Path>,
}

impl Default for Tables {
    fn default() -> Self {
        Tables::new(ALLOW_TABLE, DENY_TABLE)
    }
}

impl Tables {
    /// Tables at these paths. They need not exist: a missing table is an empty one.
    pub fn new(allow: impl Into<PathBuf>, deny: impl Into<PathBuf>) -> Self {
        Tables {
            allow: Arc::from(allow.into()),
            deny: Arc::from(deny.into()),
        }
    }

    /// `hosts.allow` and `hosts.deny` in a directory.
    pub fn in_directory(directory: &Path) -> Self {
        Tables::new(directory.join("hosts.allow"), directory.join("hosts.deny"))
    }

    /// The path of one of the tables.
    pub fn path(&self, table: TableKind) -> &Arc<Path> {
        match table {
            TableKind::Allow => &self.allow,
            TableKind::Deny => &self.deny,
        }
    }

    /// Begins a decision that reads the tables from the first line to the rule that decides.
    pub fn evaluate(&self) -> Evaluation<'static> {
        self.evaluate_traced(NoTrace)
    }

    /// The same, followed by `trace`.
    pub fn evaluate_traced<T: Trace>(&self, trace: T) -> Evaluation<'static, T> {
        Evaluation::new(Rules::Scanned(self.clone()), trace)
    }

    /// Decides one request, waiting for what `host` answers.
    ///
    /// ```
    /// use hosts_access::{Request, Tables, Verdict, dry::DryHost};
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("hosts.deny"), "ALL: .example.com EXCEPT good.example.com\n")?;
    /// let tables = Tables::in_directory(dir.path());
    /// let mut host = DryHost::new("192.0.2.1").named("bad.example.com");
    /// let decision = tables.decide(&mut Request::new("sshd"), &mut host);
    /// assert_eq!(decision.verdict, Verdict::Denied);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn decide(&self, request: &mut Request, host: &mut dyn Host) -> Decision {
        host::decide(&mut self.evaluate(), request, host)
    }

    /// The same, followed by `trace`.
    pub fn decide_traced<T: Trace>(
        &self,
        request: &mut Request,
        host: &mut dyn Host,
        trace: T,
    ) -> (Decision, T) {
        let mut evaluation = self.evaluate_traced(trace);
        let decision = host::decide(&mut evaluation, request, host);
        (decision, evaluation.into_trace())
    }

    /// Tries every rule of both tables, whether or not an earlier one decides. Their options are not run.
    pub fn try_all<T: Trace>(&self, request: &mut Request, host: &mut dyn Host, mut trace: T) -> T {
        let mut files = FilesSeen::default();
        for kind in [TableKind::Allow, TableKind::Deny] {
            let path = self.path(kind);
            let Contents::Text(text) = source::read(path).0 else {
                continue;
            };
            let mut resume = (0, 0, false);
            let mut needed = |_: &Fact, _: &Request| None;
            host::ask(request, host, |request| {
                let mut matcher = Matcher::new(Files::Read, &mut files, &mut trace, &mut needed);
                matcher.try_all(Table { kind, path }, &text, &mut resume, request)
            });
        }
        trace
    }
}

/// What to do next in a decision.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Write this to the log.
    Log(Diagnostic),
    /// Find this out and tell the request, which has a method for each [`Need`]; what is not answered is needed
    /// again.
    Need(Need),
    /// Carry this out, and say what became of it: [`Evaluation::done`].
    Do(Effect),
    /// The decision.
    Done(Decision),
}

/// Answers a question of the additions to the language on the spot, or leaves it to be [`Need`]ed.
pub type Ask<'a> = dyn FnMut(&Fact, &Request) -> Option<Known> + 'a;

/// A decision in the making.
///
/// It waits for nothing, holds no descriptor between two steps, and may be sent to another thread there.
///
/// ```
/// use hosts_access::{Effect, Need, Outcome, Request, Side, Step, Tables, Verdict};
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("hosts.allow"), "sshd: .example.org: spawn echo %h\n")?;
/// let mut request = Request::new("sshd").known_address(Side::Client, "192.0.2.1");
/// let mut evaluation = Tables::in_directory(dir.path()).evaluate();
/// assert_eq!(evaluation.step(&mut request), Step::Need(Need::Name(Side::Client)));
/// request.set_name(Side::Client, b"client.example.org");
/// let echo = Effect::Spawn(b"echo client.example.org".to_vec());
/// assert_eq!(evaluation.step(&mut request), Step::Do(echo));
/// evaluation.done(Outcome::Done);
/// let Step::Done(decision) = evaluation.step(&mut request) else { panic!() };
/// assert_eq!(decision.verdict, Verdict::Granted);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Evaluation<'c, T = NoTrace> {
    rules: Rules<'c>,
    trace: T,
    stage: Stage,
    /// Where the table that is being read goes on.
    resume: Resume,
    /// What the options left behind of the rules that did not decide.
    ran: Ran,
    notes: Vec<Note>,
    /// An `aclexec` command of the allow table failed.
    command_failed: bool,
    /// The files that patterns name, as far as they were needed.
    files: FilesSeen,
    /// What comes after the lines that wait to be logged.
    held: Option<Box<Step>>,
}

/// Where the rules come from.
#[derive(Debug)]
pub(crate) enum Rules<'c> {
    /// From files, read as far as need be.
    Scanned(Tables),
    /// From tables that are kept.
    Compiled(&'c Compiled),
    /// From tables that are shared, and which of the files that they name are looked at anew.
    Shared(Arc<Compiled>, FilesKept),
}

/// Are kept files used as they are, or only if they are still what is there?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilesKept {
    AsTheyAre,
    IfUnchanged,
}

#[derive(Debug)]
enum Stage {
    /// A table is read.
    Read(TableKind),
    /// The options of a rule that matches are run.
    Options(Box<Options>, Deciding),
    /// The decision is made.
    Ended,
}

impl<T: Trace> Evaluation<'_, T> {
    #[inline]
    pub(crate) fn new(rules: Rules<'_>, trace: T) -> Evaluation<'_, T> {
        Evaluation {
            rules,
            trace,
            stage: Stage::Read(TableKind::Allow),
            resume: Resume::START,
            ran: Ran::default(),
            notes: Vec::new(),
            command_failed: false,
            files: FilesSeen::default(),
            held: None,
        }
    }

    /// Goes on as far as can be. Once the decision is made, there is nothing more to come, and a further step is
    /// [`Verdict::Denied`].
    pub fn step(&mut self, request: &mut Request) -> Step {
        self.step_asking(request, &mut |_, _| None)
    }

    /// The same, where `ask` may have answers at hand: the rule that asks is not read again for them.
    pub fn step_asking(&mut self, request: &mut Request, ask: &mut Ask<'_>) -> Step {
        loop {
            // Lines come before what follows them.
            if let Some(line) = request.next_log() {
                return Step::Log(line);
            }
            if let Some(step) = self.held.take() {
                return *step;
            }
            let step = self.advance(request, ask);
            match (request.next_log(), step) {
                (Some(line), step) => {
                    self.held = step.map(Box::new);
                    return Step::Log(line);
                }
                (None, Some(step)) => return step,
                (None, None) => {}
            }
        }
    }

    /// Says what became of the effect that the last step asked for.
    pub fn done(&mut self, outcome: Outcome) {
        if let Stage::Options(options, _) = &mut self.stage {
            options.done(outcome);
        }
    }

    /// What followed the decision.
    pub fn into_trace(self) -> T {
        self.trace
    }

    /// Nothing, where lines wait to be logged before there are many.
    fn advance(&mut self, request: &mut Request, ask: &mut Ask<'_>) -> Option<Step> {
        loop {
            match &mut self.stage {
                Stage::Read(kind) => {
                    let kind = *kind;
                    let read = self.read(kind, request, ask);
                    match read {
                        Read::Suspended => return request.take_need().map(Step::Need),
                        Read::NoMatch | Read::Error if kind == TableKind::Allow => {
                            self.go_on_to_deny(request)
                        }
                        Read::NoMatch if self.command_failed => {
                            return Some(self.finish(Verdict::Denied, Reason::AclexecFailed, None, request));
                        }
                        Read::NoMatch => {
                            return Some(self.finish(Verdict::Granted, Reason::NoMatch, None, request));
                        }
                        Read::Error => {
                            return Some(self.finish(Verdict::Denied, Reason::TableError, None, request));
                        }
                        Read::Doubtful(found) => {
                            if let Some(step) = self.doubtful(found, request) {
                                return Some(step);
                            }
                        }
                        Read::Rule(found) => {
                            if let Some(step) = self.matches(found, request) {
                                return Some(step);
                            }
                        }
                    }
                }
                Stage::Options(options, _) => match options.step_asking(request, ask) {
                    Err(_) => {
                        if let Some(need) = request.take_need() {
                            return Some(Step::Need(need));
                        }
                    }
                    Ok(Next::Do(effect)) => return Some(Step::Do(effect)),
                    Ok(Next::End(end)) => {
                        if let Some(step) = self.conclude(end, request) {
                            return Some(step);
                        }
                    }
                },
                Stage::Ended => {
                    return Some(self.finish(Verdict::Denied, Reason::TableError, None, request));
                }
            }
        }
    }

    fn read(&mut self, kind: TableKind, request: &mut Request, ask: &mut Ask<'_>) -> Read {
        let (compiled, kept) = match &self.rules {
            Rules::Scanned(tables) => {
                let path = tables.path(kind);
                let mut matcher = Matcher::new(Files::Read, &mut self.files, &mut self.trace, ask);
                return matcher.scan(Table { kind, path }, &mut self.resume, request);
            }
            Rules::Compiled(compiled) => (*compiled, FilesKept::AsTheyAre),
            Rules::Shared(compiled, kept) => (&**compiled, *kept),
        };
        let (path, contents) = compiled.for_reading(kind);
        let files = Files::Compiled(compiled, kept);
        let mut matcher = Matcher::new(files, &mut self.files, &mut self.trace, ask);
        matcher.consult(Table { kind, path }, contents, &mut self.resume, request)
    }

    fn go_on_to_deny(&mut self, request: &mut Request) {
        request.set_place(None);
        self.resume = Resume::START;
        self.stage = Stage::Read(TableKind::Deny);
    }

    /// A rule matches: its options run, if it has any.
    fn matches(&mut self, found: Found, request: &mut Request) -> Option<Step> {
        let Found { rule, options } = found;
        request.attempt(false);
        if request.verbosity() >= 2 {
            log_match(&rule, request);
        }
        match options {
            None => Some(self.finish(rule.table.verdict(), Reason::Rule, Some(rule), request)),
            Some(start) => {
                let mut options = Options::of_rule(&rule, start, true);
                options.ran = std::mem::take(&mut self.ran);
                self.stage = Stage::Options(Box::new(options), rule);
                None
            }
        }
    }

    /// It cannot be told whether a rule matches. Nothing, where that is no matter by itself.
    fn doubtful(&mut self, found: Found, request: &mut Request) -> Option<Step> {
        let Found { rule, options } = found;
        let causes = request.take_causes();
        let cause = causes.first().map_or_else(String::new, Cause::to_string);
        let note = Note::NotKnown {
            rule: rule.clone(),
            causes,
        };
        self.notes.push(note);
        request.attempt(false);
        let doubt = options::doubt(options.map(|start| &rule.line[start..]), rule.table);
        let follows = match doubt {
            Doubt::Denies => "denied",
            Doubt::Passes | Doubt::Asks => "passed over",
        };
        let text = format!("{follows}, since it is not known whether the client matches: {cause}");
        request.log(Kind::Warning, text);
        match (doubt, options) {
            (Doubt::Denies, _) => Some(self.finish(Verdict::Denied, Reason::NotKnown, Some(rule), request)),
            (Doubt::Asks, Some(start)) => {
                let mut options = Options::of_rule(&rule, start, false);
                options.ran = std::mem::take(&mut self.ran);
                self.stage = Stage::Options(Box::new(options), rule);
                None
            }
            (Doubt::Passes | Doubt::Asks, _) => None,
        }
    }

    /// A rule's options have run. Nothing, where the tables are to be read on.
    fn conclude(&mut self, end: End, request: &mut Request) -> Option<Step> {
        let Stage::Options(options, rule) = std::mem::replace(&mut self.stage, Stage::Ended) else {
            return None;
        };
        self.ran = options.ran;
        if let Some(verdict) = options.tried {
            let rule = rule.clone();
            self.notes.push(Note::Trial { rule, verdict });
        }
        if let Some(cause) = options.cause {
            let (rule, causes) = (rule.clone(), vec![cause]);
            self.notes.push(Note::NotKnown { rule, causes });
        }
        let (verdict, reason) = match end {
            End::Verdict(verdict, reason) => (verdict, reason),
            End::Through => (rule.table.verdict(), Reason::Rule),
            End::Passed => {
                self.stage = Stage::Read(rule.table);
                return None;
            }
            End::CommandFailed => {
                request.log(Kind::Info, "aclexec returned 1");
                match rule.table {
                    TableKind::Allow => {
                        self.command_failed = true;
                        self.go_on_to_deny(request);
                    }
                    TableKind::Deny => self.stage = Stage::Read(TableKind::Deny),
                }
                return None;
            }
        };
        Some(self.finish(verdict, reason, Some(rule), request))
    }

    fn finish(
        &mut self,
        verdict: Verdict,
        reason: Reason,
        rule: Option<Deciding>,
        request: &mut Request,
    ) -> Step {
        request.set_place(None);
        self.stage = Stage::Ended;
        let ran = std::mem::take(&mut self.ran);
        Step::Done(Decision {
            verdict,
            reason,
            rule,
            effects: ran.effects,
            severity: ran.severity,
            notes: std::mem::take(&mut self.notes),
        })
    }
}

#[cold]
fn log_match(rule: &Deciding, request: &mut Request) {
    let file = rule.place.file.as_os_str().as_encoded_bytes();
    let line = rule.place.line.to_string();
    request.log(
        Kind::Debug,
        [b"matched:  ", file, b" line ", line.as_bytes()].concat(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Place;
    use crate::dry::DryHost;
    use crate::matching::Match;
    use crate::request::Side;

    fn decide(tables: &Tables) -> Decision {
        let decision = tables.decide(&mut Request::new("sshd"), &mut DryHost::new("192.0.2.1"));
        let policy = crate::Policy::new(tables.clone());
        assert_eq!(
            decision,
            policy.decide(&mut Request::new("sshd"), &mut DryHost::new("192.0.2.1"))
        );
        decision
    }

    #[test]
    fn a_directory_is_no_empty_table() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let denied = decide(&Tables::new(&missing, directory.path()));
        assert_eq!(
            (denied.verdict, denied.reason),
            (Verdict::Denied, Reason::TableError)
        );
        assert_eq!(
            decide(&Tables::new(directory.path(), &missing)).verdict,
            Verdict::Granted
        );
    }

    /// Sixteen files that each name the next one thirty times: 30 to the 15th ways to the last.
    #[test]
    fn files_that_name_files_are_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = |n: usize| directory.path().join(format!("list{n}"));
        for n in 0..16 {
            let next = format!("{}\n", path(n + 1).display()).repeat(30);
            std::fs::write(path(n), next).unwrap();
        }
        let [allow, deny] = ["allow", "deny"].map(|name| directory.path().join(name));
        std::fs::write(&allow, format!("sshd: {}\n", path(0).display())).unwrap();
        std::fs::write(&deny, "ALL: ALL\n").unwrap();
        let tables = Tables::new(allow, deny);
        let denied = || assert_eq!(decide(&tables).verdict, Verdict::Denied);
        let steps = crate::work::counter::steps(denied);
        assert!(steps < 10_000, "{steps}");
        // All the same, what the last one holds is found, also by a shorter way than the first.
        std::fs::write(path(15), "192.0.2.1\n").unwrap();
        assert_eq!(decide(&tables).verdict, Verdict::Granted);
        let longer = (0..16).rev().map(|n| format!("{}\n", path(n).display()));
        std::fs::write(path(16), longer.collect::<String>()).unwrap();
        std::fs::write(path(15), format!("{}\n", path(17).display())).unwrap();
        std::fs::write(path(17), "192.0.2.1\n").unwrap();
        std::fs::write(
            tables.path(TableKind::Allow),
            format!("sshd: {}\n", path(16).display()),
        )
        .unwrap();
        assert_eq!(decide(&tables).verdict, Verdict::Granted);
    }

    #[test]
    fn trials_and_what_is_not_known_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let [allow, deny] = ["hosts.allow", "hosts.deny"].map(|name| directory.path().join(name));
        let rules = "sshd: ALL: trial: deny\nsshd: {country=DE} {asn=1} EXCEPT {banned}\n";
        std::fs::write(allow, format!("{rules}sshd: ALL: max 3\n")).unwrap();
        std::fs::write(deny, "").unwrap();
        let decision = decide(&Tables::in_directory(directory.path()));
        assert_eq!(
            (decision.verdict, decision.reason),
            (Verdict::Denied, Reason::NotKnown)
        );
        let shown = decision.notes.iter().map(|note| match note {
            Note::Trial { rule, verdict } => (rule.place.line, *verdict, 0),
            Note::NotKnown { rule, causes } => (rule.place.line, None, causes.len()),
        });
        let wanted = [(1, Some(Verdict::Denied), 0), (2, None, 1), (3, None, 1)];
        assert_eq!(shown.collect::<Vec<_>>(), wanted);
    }

    /// The rules that were tried, by table and line, and whether each matched.
    #[derive(Default)]
    struct Tried(Vec<(TableKind, u32, usize, Option<Match>)>);

    impl Trace for Tried {
        fn rule(&mut self, table: TableKind, _: &Arc<Path>, line: &source::Line<'_>) {
            self.0.push((table, line.first, 0, None));
        }
        fn again(&mut self) {
            self.0.pop();
        }
        fn token(&mut self, _: &[u8], _: Match) {
            self.0.last_mut().unwrap().2 += 1;
        }
        fn matched(&mut self, matched: Match) {
            self.0.last_mut().unwrap().3 = Some(matched);
        }
    }

    /// Whether or not an earlier one decides, and however often more must be known for it.
    #[test]
    fn every_rule_of_both_tables_is_tried_once() {
        let directory = tempfile::tempdir().unwrap();
        let tables = Tables::in_directory(directory.path());
        let allow = "sshd: ALL\n# none\nno rule\nsshd: .example.net @g u1@192.0.2.1: deny\n";
        std::fs::write(tables.path(TableKind::Allow), allow).unwrap();
        let deny = "vsftpd: ALL\nsshd: {country=DE}: spawn a\nsshd: 198.51.100.\n ALL: ALL";
        std::fs::write(tables.path(TableKind::Deny), deny).unwrap();
        let mut host = DryHost::new("192.0.2.1").named("a.example.org").with_user("u1");
        let mut request = Request::new("sshd").verbose(2);
        let tried = tables.try_all(&mut request, &mut host, Tried::default()).0;
        let (allow, deny) = (TableKind::Allow, TableKind::Deny);
        let wanted = [
            (allow, 1, 2, Some(Match::Yes)),
            (allow, 4, 4, Some(Match::Yes)),
            (deny, 1, 1, Some(Match::No)),
            (deny, 2, 2, Some(Match::Unknown)),
            (deny, 3, 2, Some(Match::No)),
        ];
        assert_eq!(tried, wanted);
        let said: Vec<_> = host
            .log
            .iter()
            .map(|line| line.place.as_ref().unwrap().line)
            .collect();
        assert_eq!(said, [3, 4, 4], "what is no rule, and a line that does not end");
        assert!(request.place().is_none());
        std::fs::remove_file(tables.path(TableKind::Allow)).unwrap();
        let tried = tables
            .try_all(&mut Request::new("sshd"), &mut host, Tried::default())
            .0;
        assert_eq!(tried.len(), 3);
    }

    /// A table of plain lines is passed over line by line.
    #[test]
    fn a_line_for_another_client_costs_one_step() {
        let directory = tempfile::tempdir().unwrap();
        let tables = Tables::in_directory(directory.path());
        let line = |n| format!("sshd: 10.{}.{}.1\n", n / 250, n % 250);
        std::fs::write(
            tables.path(TableKind::Deny),
            (0..20_000).map(line).collect::<String>(),
        )
        .unwrap();
        let steps = crate::work::counter::steps(|| {
            let mut host = DryHost::new("192.0.2.1");
            assert!(
                tables
                    .decide(&mut Request::new("sshd"), &mut host)
                    .verdict
                    .is_granted()
            );
        });
        assert!((20_000..20_200).contains(&steps), "{steps}");
    }

    /// Lines that would look up a name if they were rules are no reason to do so.
    #[test]
    fn a_comment_asks_for_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let tables = Tables::in_directory(directory.path());
        let mistakes = "no rule\n".repeat(2000);
        let text = format!("{mistakes}# ALL: a.example.net\n{mistakes}");
        std::fs::write(tables.path(TableKind::Deny), text).unwrap();
        let mut evaluation = tables.evaluate();
        let mut request = Request::new("sshd").known_address(Side::Client, "192.0.2.1");
        let mut lines = 0;
        loop {
            match evaluation.step(&mut request) {
                Step::Log(_) => lines += 1,
                Step::Done(decision) => break assert!(decision.verdict.is_granted()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(lines, 4000);
    }

    /// Lines wait for the log, but not more than a few pieces of them.
    #[test]
    fn a_table_of_mistakes_is_not_read_in_one_step() {
        let directory = tempfile::tempdir().unwrap();
        let tables = Tables::in_directory(directory.path());
        std::fs::write(tables.path(TableKind::Deny), "no rule\n".repeat(20_000)).unwrap();
        let policy = crate::Policy::new(tables.clone());
        for mut evaluation in [tables.evaluate(), policy.evaluate()] {
            let mut request = Request::new("sshd").known_address(Side::Client, "192.0.2.1");
            let steps = crate::work::counter::steps(|| {
                assert!(matches!(evaluation.step(&mut request), Step::Log(_)));
            });
            assert!(steps < 5_000, "{steps}");
        }
    }

    /// Fails the first command and no other.
    struct FirstFails(DryHost, bool);

    impl Host for FirstFails {
        fn address(&mut self, side: Side, at: Option<&Place>) -> Vec<u8> {
            self.0.address(side, at)
        }
        fn name(&mut self, side: Side, address: &[u8], at: Option<&Place>) -> Vec<u8> {
            self.0.name(side, address, at)
        }
        fn port(&mut self, side: Side) -> Option<u16> {
            self.0.port(side)
        }
        fn user(&mut self, at: Option<&Place>) -> Vec<u8> {
            self.0.user(at)
        }
        fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool {
            self.0.netgroup(group, host)
        }
        fn banner(&mut self, directory: &[u8], daemon: &[u8], at: Option<&Place>) -> Option<Vec<u8>> {
            self.0.banner(directory, daemon, at)
        }
        fn fact(
            &mut self,
            fact: &crate::Fact,
            client: Option<std::net::IpAddr>,
            at: Option<&Place>,
        ) -> crate::Known {
            self.0.fact(fact, client, at)
        }
        fn perform(&mut self, _effect: &Effect, _at: Option<&Place>) -> Outcome {
            match std::mem::replace(&mut self.1, true) {
                true => Outcome::Done,
                false => Outcome::Failed,
            }
        }
        fn log(&mut self, diagnostic: &crate::Diagnostic) {
            self.0.log(diagnostic);
        }
    }

    #[test]
    fn one_failed_command_of_a_rule_is_enough() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(
            directory.path().join("hosts.allow"),
            "ALL: ALL: aclexec a: aclexec b\n",
        )
        .unwrap();
        let mut host = FirstFails(DryHost::new("192.0.2.1"), false);
        let decision = Tables::in_directory(directory.path()).decide(&mut Request::new("sshd"), &mut host);
        assert_eq!(
            (decision.verdict, decision.reason),
            (Verdict::Denied, Reason::AclexecFailed)
        );
    }
}
