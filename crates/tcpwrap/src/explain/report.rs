//! The answer as data, which the JSON output shows as it is.

use std::os::unix::ffi::OsStrExt;

use analysis::document::Document;
use analysis::explain::{ListKind, RuleTrace, TokenTrace, explain, matching_rules};
use hosts_access::{Decision, Effect, Reason, Request, TableKind, Tables, Verdict};
use serde::Serialize;

use super::enforced::Enforced;
use super::host::{ExplainHost, Lookup};
use super::meaning::meaning;
use super::requests::Asked;
use crate::output::{self, Text};

/// The answer to one request.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The daemon's name.
    pub daemon: Text,
    /// The client as it was written.
    pub client: Text,
    /// Its address.
    pub address: Text,
    /// Its name, if a rule needed it.
    pub name: Option<Text>,
    /// `granted`, `denied` or `delegated`.
    pub verdict: &'static str,
    /// Why, in a sentence.
    pub reason: &'static str,
    /// The rule that decided.
    pub rule: Option<Rule>,
    /// What would be done, in order.
    pub effects: Vec<Action>,
    /// The syslog facility and level set by `severity`, as `facility * 8 + level`.
    pub severity: Option<u32>,
    /// What had to be looked up, in order.
    pub lookups: Vec<Lookup>,
    /// What would be logged on the way.
    pub log: Vec<String>,
    /// What makes that come true; nothing where the tables are not those of this machine.
    pub enforced: Option<Enforced>,
    /// Every rule that was tried (`--trace`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Vec<Rule>>,
    /// Every rule that would match (`--all-rules`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_rules: Option<Vec<Rule>>,
}

/// A rule and what became of it.
#[derive(Debug, Serialize)]
pub struct Rule {
    /// `allow` or `deny`: the table it stands in.
    pub table: &'static str,
    /// The table's path.
    pub file: Text,
    /// Its first physical line.
    pub first_line: u32,
    /// Its last, by which log lines name it.
    pub line: u32,
    /// Its text, continuation lines joined.
    pub text: Text,
    /// Both its lists matched.
    pub matched: bool,
    /// The tokens tried, in order.
    pub tokens: Vec<Token>,
}

/// A token and what became of it.
#[derive(Debug, Serialize)]
pub struct Token {
    /// `daemons` or `clients`: the list it belongs to.
    pub list: &'static str,
    /// Its text.
    pub text: Text,
    /// What it means.
    pub meaning: String,
    /// It matched.
    pub matched: bool,
    /// The physical line it stands in.
    pub line: u32,
    /// Its byte column there, counted from 1.
    pub column: u32,
    /// Its byte offset in the rule's text.
    pub offset: usize,
}

/// One effect.
#[derive(Debug, Serialize)]
pub struct Action {
    /// The option's keyword.
    pub option: &'static str,
    /// Its value, % expanded.
    pub value: Text,
}

/// Explains one request.
pub fn report(tables: &Tables, asked: &Asked, trace: bool, all_rules: bool) -> Report {
    let mut host = ExplainHost::new(asked);
    let explanation = explain(tables, &mut Request::new(&asked.daemon), &mut host);
    let decision = explanation.decision;
    let (lookups, log) = (host.lookups, host.log);
    let deciding = decision.rule.as_ref().and_then(|deciding| {
        let tried = explanation.rules.iter().rev();
        tried
            .into_iter()
            .find(|rule| rule.place == deciding.place && rule.table == deciding.table)
    });
    Report {
        daemon: Text(asked.daemon.clone()),
        client: Text(asked.client.clone()),
        address: Text(asked.address.clone()),
        name: lookups
            .iter()
            .find(|l| l.what == "client name")
            .map(|l| l.found.clone()),
        verdict: output::verdict(decision.verdict),
        reason: reason(&decision),
        rule: deciding.map(Rule::new),
        effects: decision.effects.iter().map(Action::new).collect(),
        severity: decision.severity.map(|s| s.0),
        lookups,
        log,
        enforced: None,
        trace: trace.then(|| explanation.rules.iter().map(Rule::new).collect()),
        all_rules: all_rules.then(|| {
            // Asked anew, since a rule further down may need what the decision did not.
            let mut host = ExplainHost::new(asked);
            let mut request = Request::new(&asked.daemon);
            matching_rules(tables, &mut request, &mut host)
                .iter()
                .map(Rule::new)
                .collect()
        }),
    }
}

fn reason(decision: &Decision) -> &'static str {
    match (
        decision.reason,
        decision.verdict,
        decision.rule.as_ref().map(|r| r.table),
    ) {
        (Reason::NoMatch, ..) => "no rule in either table matches, and what no rule matches is granted",
        (Reason::TableError, ..) => {
            "the deny table cannot be read to its end, so everything that gets there is denied"
        }
        (Reason::OptionError, ..) => "a rule matches, but one of its options is wrong, which denies",
        (Reason::AclexecFailed, ..) => {
            "an aclexec command in the allow table failed and no later rule decides"
        }
        (Reason::OverLimit, ..) => "a rule matches, and more connections have come than its limit lets in",
        (Reason::TooMany, ..) => "a rule matches, and there are as many connections as it lets in",
        (Reason::NotKnown, ..) => "what a rule asks cannot be determined, which never opens a door",
        (Reason::Rule, Verdict::Delegated, _) => "a command decides, or takes the place of the service",
        (Reason::Rule, Verdict::Granted, Some(TableKind::Deny)) => {
            "a rule in the deny table matches and says allow"
        }
        (Reason::Rule, Verdict::Denied, Some(TableKind::Allow)) => {
            "a rule in the allow table matches and says deny"
        }
        (Reason::Rule, Verdict::Granted, _) => "a rule in the allow table matches",
        (Reason::Rule, Verdict::Denied, _) => "a rule in the deny table matches",
    }
}

impl Rule {
    fn new(trace: &RuleTrace) -> Self {
        let positions = Positions::of(trace);
        Rule {
            table: match trace.table {
                TableKind::Allow => "allow",
                TableKind::Deny => "deny",
            },
            file: Text(trace.place.file.as_os_str().as_bytes().to_vec()),
            first_line: trace.first_line,
            line: trace.place.line,
            text: Text(trace.text.strip_suffix(b"\n").unwrap_or(&trace.text).to_vec()),
            matched: trace.matched,
            tokens: trace
                .tokens
                .iter()
                .map(|token| Token::new(trace, token, &positions))
                .collect(),
        }
    }
}

/// Where the tokens of a rule stand in its file.
struct Positions(Option<Document>);

impl Positions {
    fn of(trace: &RuleTrace) -> Self {
        // Only continued rules need the file once more.
        let continued = trace.first_line != trace.place.line;
        let text = continued.then(|| std::fs::read(&trace.place.file).ok()).flatten();
        Positions(text.and_then(|text| {
            let rest = text.get(trace.offset..)?.to_vec();
            Some(Document::new(trace.place.file.to_path_buf(), rest))
        }))
    }

    fn line_and_column(&self, trace: &RuleTrace, at: usize) -> (u32, u32) {
        match self
            .0
            .as_ref()
            .and_then(|document| Some((document, document.entries.first()?)))
        {
            Some((document, entry)) => {
                let position = document.position(entry, at);
                (trace.first_line + position.line - 1, position.column)
            }
            None => (trace.first_line, u32::try_from(at).unwrap_or(u32::MAX - 1) + 1),
        }
    }
}

impl Token {
    fn new(rule: &RuleTrace, token: &TokenTrace, positions: &Positions) -> Self {
        let (line, column) = positions.line_and_column(rule, token.span.start);
        Token {
            list: match token.list {
                ListKind::Daemons => "daemons",
                ListKind::Clients => "clients",
            },
            text: Text(rule.token(token).to_vec()),
            meaning: meaning(token.list, rule.token(token)),
            matched: token.matched,
            line,
            column,
            offset: token.span.start,
        }
    }
}

impl Action {
    fn new(effect: &Effect) -> Self {
        Action {
            option: effect.option().as_str(),
            value: Text(effect.value()),
        }
    }
}
