//! Two tables and a request make a decision (hosts_access(5), ACCESS CONTROL FILES).
//!
//! [`Tables`] is for the process that decides once: it reads the files and scans them. The scan and
//! the compiled [`Policy`](crate::policy::Policy) differ only in which lines they look at; both hand
//! every line to the same evaluator.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::decision::{Deciding, Decision, Reason, TableKind, Verdict};
use crate::diagnostic::{Kind, Place};
use crate::files::HostFile;
use crate::index::TableIndex;
use crate::matching::{self, MAX_FILE_DEPTH, Matching, host_matches};
use crate::options::{self, End, Ran};
use crate::request::{Request, Side};
use crate::skip::Skipper;
use crate::source::{self, Contents, Ending, Line, Lines, Reader};
use crate::syntax::pattern::HostPattern;
use crate::syntax::{LineKind, fields, line_kind};
use crate::work;

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

    /// Decides one request by reading the tables from the first line to the rule that decides.
    ///
    /// ```
    /// use hosts_access::{Request, Tables, Verdict, dry::DryHost};
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("hosts.deny"), "ALL: .example.com EXCEPT good.example.com\n")?;
    /// let tables = Tables::in_directory(dir.path());
    /// let mut host = DryHost::new("192.0.2.1").named("bad.example.com");
    /// let decision = tables.decide(&mut Request::new(&mut host, "sshd"));
    /// assert_eq!(decision.verdict, Verdict::Denied);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn decide(&self, request: &mut Request<'_>) -> Decision {
        self.decide_traced(request, NoTrace).0
    }

    /// The same, followed by `trace`.
    pub fn decide_traced<T: Trace>(&self, request: &mut Request<'_>, trace: T) -> (Decision, T) {
        let mut evaluation = Evaluation::new(FilesRead::default(), trace);
        let decision = evaluation.decide(request, |evaluation, table, request| {
            let path = self.path(table);
            evaluation.scan(table, path, request)
        });
        (decision, evaluation.trace)
    }

    /// Tries every rule of both tables, whether or not an earlier one decides. Their options are not run.
    pub fn try_all<T: Trace>(&self, request: &mut Request<'_>, trace: T) -> T {
        let mut evaluation = Evaluation::new(FilesRead::default(), trace);
        for table in [TableKind::Allow, TableKind::Deny] {
            evaluation.try_all(table, self.path(table), request);
        }
        evaluation.trace
    }
}

/// Follows a decision rule by rule and token by token.
pub trait Trace {
    /// May rules that cannot matter be passed over without being told of?
    const PASSES_OVER: bool = false;

    /// A rule is looked at next.
    fn rule(&mut self, _table: TableKind, _path: &Arc<Path>, _line: &Line<'_>) {}
    /// One of its tokens was tried.
    fn token(&mut self, _token: &[u8], _matched: bool) {}
    /// Both its lists matched, or one did not.
    fn matched(&mut self, _matched: bool) {}
}

/// Follows nothing, at no cost.
pub(crate) struct NoTrace;

impl Trace for NoTrace {
    const PASSES_OVER: bool = true;
}

/// Supplies the files that `/path` patterns name.
pub(crate) trait Files {
    /// The file's patterns that could match this end; none where it is missing or, with a warning, cannot be read.
    fn open(&mut self, path: &[u8], side: Side, request: &mut Request<'_>) -> Arc<HostFile>;
}

/// Files read when a pattern first needs them, and kept until the decision ends.
#[derive(Default)]
pub(crate) struct FilesRead {
    read: HashMap<(Vec<u8>, Side), Arc<HostFile>>,
}

impl Files for FilesRead {
    fn open(&mut self, path: &[u8], side: Side, request: &mut Request<'_>) -> Arc<HostFile> {
        let file = self.read.entry((path.to_vec(), side)).or_insert_with(|| {
            Arc::new(match side {
                Side::Client => HostFile::read_for(path, request),
                Side::Server => HostFile::read(path),
            })
        });
        file.warn(path, request);
        Arc::clone(file)
    }
}

/// What C calls `strerror`: the error without Rust's note of its number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// How the reading of one table ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TableEnd {
    /// No rule matched.
    NoMatch,
    /// A rule gave a verdict.
    Decided(Verdict, Reason, Deciding),
    /// The table cannot be read to its end.
    Error,
    /// A matching rule of the allow table had an `aclexec` command that failed.
    CommandFailed,
}

/// What one line turned out to be.
enum Examined<'l> {
    /// Nothing to act on.
    Next,
    /// A rule whose lists match, and its options.
    Matches(Option<&'l [u8]>),
    /// The end of what can be read of the table.
    Error,
}

/// One decision in the making.
pub(crate) struct Evaluation<F, T> {
    pub(crate) files: F,
    pub(crate) trace: T,
    ran: Ran,
    open_files: Vec<Vec<u8>>,
}

impl<F: Files, T: Trace> Evaluation<F, T> {
    pub(crate) fn new(files: F, trace: T) -> Self {
        Evaluation {
            files,
            trace,
            ran: Ran::default(),
            open_files: Vec::new(),
        }
    }

    /// Consults the allow table, then the deny table, as `read` reads them.
    pub(crate) fn decide(
        &mut self,
        request: &mut Request<'_>,
        mut read: impl FnMut(&mut Self, TableKind, &mut Request<'_>) -> TableEnd,
    ) -> Decision {
        let mut command_failed = false;
        let mut end = None;
        match read(self, TableKind::Allow, request) {
            TableEnd::Decided(verdict, reason, rule) => end = Some((verdict, reason, Some(rule))),
            TableEnd::CommandFailed => command_failed = true,
            TableEnd::NoMatch | TableEnd::Error => {}
        }
        request.set_place(None);
        let (verdict, reason, rule) = end.unwrap_or_else(|| match read(self, TableKind::Deny, request) {
            TableEnd::Decided(verdict, reason, rule) => (verdict, reason, Some(rule)),
            TableEnd::Error => (Verdict::Denied, Reason::TableError, None),
            _ if command_failed => (Verdict::Denied, Reason::AclexecFailed, None),
            _ => (Verdict::Granted, Reason::NoMatch, None),
        });
        request.set_place(None);
        let ran = std::mem::take(&mut self.ran);
        Decision {
            verdict,
            reason,
            rule,
            effects: ran.effects,
            severity: ran.severity,
        }
    }

    /// Decides by a table that is read and indexed already.
    pub(crate) fn consult(
        &mut self,
        table: TableKind,
        path: &Arc<Path>,
        contents: &Contents,
        index: Option<&TableIndex>,
        request: &mut Request<'_>,
    ) -> TableEnd {
        let text = match contents {
            Contents::Missing => return TableEnd::NoMatch,
            Contents::Unreadable(error) => return self.unreadable(path, error, request),
            // Comments alone, as allow tables often are.
            Contents::Text(_) if index.is_some_and(TableIndex::is_empty) => return TableEnd::NoMatch,
            Contents::Text(text) => text,
        };
        request.set_place(Some(Place {
            file: Arc::clone(path),
            line: 0,
        }));
        let mut candidates = index.map(|index| index.candidates(0));
        let mut all = Lines::new(text);
        loop {
            let mut from_here;
            let lines = match &mut candidates {
                None => &mut all,
                Some(candidates) => {
                    let Some((_, lines)) = candidates.next(text, request) else {
                        return TableEnd::NoMatch;
                    };
                    from_here = lines;
                    &mut from_here
                }
            };
            let Some(line) = lines.next() else {
                return TableEnd::NoMatch;
            };
            let end = match self.examine(table, path, &line, request) {
                Examined::Next => continue,
                Examined::Error => TableEnd::Error,
                Examined::Matches(options) => match self.conclude(table, path, &line, options, request) {
                    Some(end) => end,
                    None => continue,
                },
            };
            return end;
        }
    }

    /// Reads a table from its file, up to the rule that decides.
    fn scan(&mut self, table: TableKind, path: &Arc<Path>, request: &mut Request<'_>) -> TableEnd {
        match source::until_steady(|| self.scan_once(table, path, request)) {
            Ok(end) => end,
            Err(error) if error.kind() == io::ErrorKind::NotFound => TableEnd::NoMatch,
            Err(error) => {
                request.set_place(None);
                self.unreadable(path, &error, request)
            }
        }
    }

    /// One try at that; nothing where the file was changed before the rule's options could run.
    fn scan_once(
        &mut self,
        table: TableKind,
        path: &Arc<Path>,
        request: &mut Request<'_>,
    ) -> io::Result<Option<TableEnd>> {
        let mut reader = Reader::open(path)?;
        request.set_place(Some(Place {
            file: Arc::clone(path),
            line: 0,
        }));
        let mut skipper = Skipper::new();
        let mut lines_above = 0;
        loop {
            if !reader.read_piece()? {
                return Ok(reader.is_unchanged(true)?.then_some(TableEnd::NoMatch));
            }
            let mut lines = Lines::from(reader.piece(), 0, lines_above);
            loop {
                if T::PASSES_OVER {
                    lines.pass(skipper.pass(lines.text(), lines.position().0, request, self));
                }
                let Some(line) = lines.next() else { break };
                let end = match self.examine(table, path, &line, request) {
                    Examined::Next => continue,
                    _ if !reader.is_unchanged(false)? => return Ok(None),
                    Examined::Error => TableEnd::Error,
                    Examined::Matches(options) => match self.conclude(table, path, &line, options, request) {
                        Some(end) => end,
                        None => continue,
                    },
                };
                return Ok(Some(end));
            }
            lines_above = lines.position().1;
        }
    }

    /// Tries every rule of a table, whatever they decide.
    fn try_all(&mut self, table: TableKind, path: &Arc<Path>, request: &mut Request<'_>) {
        if let Contents::Text(text) = source::read(path).0 {
            request.set_place(Some(Place {
                file: Arc::clone(path),
                line: 0,
            }));
            let mut lines = Lines::new(&text);
            while let Some(line) = lines.next()
                && !matches!(self.examine(table, path, &line, request), Examined::Error)
            {}
            request.set_place(None);
        }
    }

    /// Logs that a table cannot be opened.
    fn unreadable(&mut self, path: &Path, error: &io::Error, request: &mut Request<'_>) -> TableEnd {
        let file = path.as_os_str().as_encoded_bytes();
        request.log(
            Kind::Warning,
            [b"cannot open ", file, b": ", reason(error).as_bytes()].concat(),
        );
        TableEnd::Error
    }

    /// Looks at one logical line: is it a rule, and do its lists match?
    #[inline]
    fn examine<'l>(
        &mut self,
        table: TableKind,
        path: &Arc<Path>,
        line: &Line<'l>,
        request: &mut Request<'_>,
    ) -> Examined<'l> {
        work::add(1);
        request.set_line(line.last);
        if line.ending != Ending::Newline {
            let text = match line.ending {
                Ending::Nul => "NUL byte in line",
                _ => "missing newline or line too long",
            };
            request.log(Kind::Warning, text);
            request.log(Kind::Warning, "all the subsequent rules will be ignored");
            return Examined::Error;
        }
        if line_kind(line.text) != LineKind::Rule {
            return Examined::Next;
        }
        let Some(fields) = fields(line.text) else {
            request.log(Kind::Warning, "missing \":\" separator");
            return Examined::Next;
        };
        self.trace.rule(table, path, line);
        let matched = matching::daemons_match(fields.daemons, request, self)
            && matching::clients_match(fields.clients, request, self);
        self.trace.matched(matched);
        if matched {
            Examined::Matches(fields.options)
        } else {
            Examined::Next
        }
    }

    /// Runs the options of a rule whose lists match. Nothing, where the table is to be read on.
    fn conclude(
        &mut self,
        table: TableKind,
        path: &Arc<Path>,
        line: &Line<'_>,
        options: Option<&[u8]>,
        request: &mut Request<'_>,
    ) -> Option<TableEnd> {
        if request.verbosity() >= 2 {
            let file = path.as_os_str().as_encoded_bytes();
            let text = [b"matched:  ", file, b" line ", line.last.to_string().as_bytes()].concat();
            request.log(Kind::Debug, text);
        }
        let end = options.map_or(End::Through, |text| options::run(text, request, &mut self.ran));
        if end == End::CommandFailed {
            request.log(Kind::Info, "aclexec returned 1");
        }
        let (verdict, reason) = match (end, table) {
            (End::Verdict(verdict, reason), _) => (verdict, reason),
            (End::Through, TableKind::Allow) => (Verdict::Granted, Reason::Rule),
            (End::Through, TableKind::Deny) => (Verdict::Denied, Reason::Rule),
            (End::CommandFailed, TableKind::Allow) => return Some(TableEnd::CommandFailed),
            (End::CommandFailed, TableKind::Deny) => return None,
        };
        let text = line.text.strip_suffix(b"\n").unwrap_or(line.text).to_vec();
        let place = Place {
            file: Arc::clone(path),
            line: line.last,
        };
        let deciding = Deciding {
            table,
            place,
            first_line: line.first,
            text,
        };
        Some(TableEnd::Decided(verdict, reason, deciding))
    }
}

impl<F: Files, T: Trace> Matching for Evaluation<F, T> {
    fn file_matches(&mut self, request: &mut Request<'_>, side: Side, path: &[u8], depth: usize) -> bool {
        if depth >= MAX_FILE_DEPTH || self.open_files.iter().any(|open| open == path) {
            let problem: &[u8] = if depth >= MAX_FILE_DEPTH {
                b": nested too deeply"
            } else {
                b": names itself"
            };
            request.log(Kind::Warning, [b"open ", path, problem].concat());
            return false;
        }
        self.open_files.push(path.to_vec());
        let file = self.files.open(path, side, request);
        let mut words = file.words(side);
        let mut matched = false;
        while !matched && let Some(word) = words.next(request) {
            matched = host_matches(HostPattern::parse(word), side, request, self, depth + 1);
        }
        self.open_files.pop();
        matched
    }

    #[inline]
    fn tried(&mut self, token: &[u8], matched: bool) {
        self.trace.token(token, matched);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dry::DryHost;
    use crate::effect::{Effect, Outcome};
    use crate::request::Host;

    fn decide(tables: &Tables) -> Decision {
        let decision = tables.decide(&mut Request::new(&mut DryHost::new("192.0.2.1"), "sshd"));
        let policy = crate::Policy::new(tables.clone());
        assert_eq!(
            decision,
            policy.decide(&mut Request::new(&mut DryHost::new("192.0.2.1"), "sshd"))
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
        let decision = Tables::in_directory(directory.path()).decide(&mut Request::new(&mut host, "sshd"));
        assert_eq!(
            (decision.verdict, decision.reason),
            (Verdict::Denied, Reason::AclexecFailed)
        );
    }
}
