//! The trace of one decision: every rule and token tried, and what became of it.
//!
//! The decision itself is the ordinary one; this only listens to the evaluator.

use std::path::Path;
use std::sync::Arc;

use hosts_access::source::Line;
use hosts_access::{Decision, Host, Match, Place, Request, TableKind, Tables, Trace};

/// A decision and how it came about.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The rules that were tried, in order.
    pub rules: Vec<RuleTrace>,
}

/// One rule that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTrace {
    /// The table it stands in.
    pub table: TableKind,
    /// File and last line.
    pub place: Place,
    /// Its first physical line.
    pub first_line: u32,
    /// Its text, continuation lines joined, final newline included.
    pub text: Vec<u8>,
    /// Where it begins in the file, in bytes.
    pub offset: usize,
    /// The tokens tried, in order.
    pub tokens: Vec<TokenTrace>,
    /// Both its lists matched.
    pub matched: bool,
}

/// One token of a daemon or client list that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTrace {
    /// Where it stands in [`RuleTrace::text`].
    pub span: std::ops::Range<usize>,
    /// Which list it belongs to.
    pub list: ListKind,
    /// It matched.
    pub matched: bool,
}

/// Which of a rule's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// The daemon list.
    Daemons,
    /// The client list.
    Clients,
}

impl RuleTrace {
    /// The text of one of its tokens.
    pub fn token(&self, token: &TokenTrace) -> &[u8] {
        &self.text[token.span.clone()]
    }
}

#[derive(Default)]
struct Recorder {
    rules: Vec<RuleTrace>,
    /// Where the text of the rule being tried begins in memory, by which its tokens are placed.
    start: usize,
    clients_at: usize,
}

impl Trace for Recorder {
    fn rule(&mut self, table: TableKind, path: &Arc<Path>, line: &Line<'_>) {
        self.start = line.text.as_ptr() as usize;
        self.clients_at = hosts_access::syntax::fields(line.text).map_or(0, |fields| fields.daemons.len());
        self.rules.push(RuleTrace {
            table,
            place: Place {
                file: Arc::clone(path),
                line: line.last,
            },
            first_line: line.first,
            text: line.text.to_vec(),
            offset: line.offset,
            tokens: Vec::new(),
            matched: false,
        });
    }

    fn again(&mut self) {
        self.rules.pop();
    }

    fn token(&mut self, token: &[u8], matched: Match) {
        let Some(rule) = self.rules.last_mut() else { return };
        let at = token.as_ptr() as usize - self.start;
        let list = if at < self.clients_at {
            ListKind::Daemons
        } else {
            ListKind::Clients
        };
        rule.tokens.push(TokenTrace {
            span: at..at + token.len(),
            list,
            matched: matched == Match::Yes,
        });
    }

    fn matched(&mut self, matched: Match) {
        if let Some(rule) = self.rules.last_mut() {
            rule.matched = matched == Match::Yes;
        }
    }
}

/// Decides one request as [`Tables::decide`] does, and tells how.
///
/// ```
/// use analysis::explain::explain;
/// use hosts_access::{Request, Tables, dry::DryHost};
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("hosts.allow"), "sshd: 192.0.2.0/24 EXCEPT 192.0.2.9\n")?;
/// let tables = Tables::in_directory(dir.path());
/// let mut host = DryHost::new("192.0.2.9");
/// let explanation = explain(&tables, &mut Request::new("sshd"), &mut host);
/// let rule = &explanation.rules[0];
/// let tried: Vec<_> = rule.tokens.iter().map(|t| (rule.token(t), t.matched)).collect();
/// assert_eq!(tried, [(&b"sshd"[..], true), (b"192.0.2.0/24", true), (b"192.0.2.9", true)]);
/// assert!(!rule.matched);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn explain(tables: &Tables, request: &mut Request, host: &mut dyn Host) -> Explanation {
    let (decision, recorder) = tables.decide_traced(request, host, Recorder::default());
    Explanation {
        decision,
        rules: recorder.rules,
    }
}

/// Every rule of both tables whose lists match, whether or not an earlier one decides. Their
/// options are not run.
pub fn matching_rules(tables: &Tables, request: &mut Request, host: &mut dyn Host) -> Vec<RuleTrace> {
    let mut rules = tables.try_all(request, host, Recorder::default()).rules;
    rules.retain(|rule| rule.matched);
    rules
}
