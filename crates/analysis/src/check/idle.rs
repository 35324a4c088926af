//! Rules that decide nothing, as computed: what the comparison of policies knows, asked of one (hosts_access(5), ACCESS
//! CONTROL FILES). [`shadow`](super::shadow) finds most of them in tables of any size; this finds all, in tables that
//! are not too large, and tells of those that nothing else explains.

use std::collections::HashMap;

use super::code::{Code, Example, Level, codes};
use super::{Context, Finding, conditions, foreign, policy, shadow};
use crate::compare::{FileTexts, Ways, idle};
use crate::document::{Content, Document, Documents, Entry, Rule, content};
use hosts_access::TableKind;

codes! {
    pub(super) IDLE = "W404" "rule-without-effect" Warning {
        meaning: "No request is decided by this rule: what its lists match has been computed, and either nothing is left of \
            it once the exceptions are taken away, or other rules decide all of that before. Removing the rule changes \
            nothing. This is computed for tables of up to 4,096 rules and 128 daemon lists in all, and given up where too \
            many clients must be told apart; W401 to W403 hold for all.",
        remedy: "Correct its lists, move it up, or remove it.",
        bad: Example {
            allow: "sshd: 10.1.2.128/25 EXCEPT 10.0.0.0/8\n",
            deny: "ALL: ALL\n",
        },
        good: Example {
            allow: "sshd: 10.0.0.0/8 EXCEPT 10.1.2.128/25\n",
            deny: "ALL: ALL\n",
        },
    }
}

/// Tells of the rules that decide nothing, where no other finding does. `files` are the texts of files that patterns
/// name.
pub(super) fn lint(tables: Documents<'_>, files: &HashMap<Vec<u8>, Vec<u8>>, found: &mut Vec<Finding>) {
    let files: &FileTexts = files;
    let Ok(idle) = idle(tables, files, &mut Ways::new()) else {
        return;
    };
    let mut new = Vec::new();
    for ((table, at), instead) in idle {
        let Some(placed) = Placed::of(tables, &(table, at)) else {
            continue;
        };
        let instead: Vec<Placed<'_>> = instead
            .iter()
            .filter_map(|place| Placed::of(tables, place))
            .collect();
        let Placed { document, entry, .. } = placed;
        let line = document.line(entry);
        let Content::Rule(rule) = content(&line) else {
            continue;
        };
        let is_ban = table == TableKind::Deny && foreign::is_ban(&rule);
        if is_told(&placed, &instead, found) || is_ban || foreign::Blocks::of(document).contains(at) {
            continue;
        }
        let mut cx = Context {
            table,
            document,
            entry,
            line: &line,
            is_foreign: false,
            found: &mut new,
        };
        report(&mut cx, &rule, &instead);
    }
    found.extend(new);
}

/// A rule in its table.
struct Placed<'t> {
    table: TableKind,
    document: &'t Document,
    entry: &'t Entry,
}

impl<'t> Placed<'t> {
    fn of(tables: Documents<'t>, (table, at): &(TableKind, usize)) -> Option<Self> {
        let document = match table {
            TableKind::Allow => tables.allow,
            TableKind::Deny => tables.deny,
        }?;
        Some(Placed {
            table: *table,
            document,
            entry: document.entries.get(*at)?,
        })
    }

    fn holds(&self, finding: &Finding) -> bool {
        finding.table == self.table && self.entry.bytes.contains(&finding.span.bytes.start)
    }
}

/// Does another finding explain it?
fn is_told(rule: &Placed<'_>, instead: &[Placed<'_>], found: &[Finding]) -> bool {
    let explains = |finding: &Finding| {
        finding.other_file.is_none()
            && rule.holds(finding)
            && (finding.level == Level::Error
                || shadow::CODES.contains(&finding.code)
                || finding.code == &conditions::NEVER)
    };
    // Who is behind a rule that is in error, or makes all others idle, is told there.
    let explains_behind = |finding: &Finding| {
        (finding.level == Level::Error || finding.code == &policy::ALL_ALLOWED)
            && instead.iter().any(|by| by.holds(finding))
    };
    found
        .iter()
        .any(|finding| explains(finding) || explains_behind(finding))
}

fn report(cx: &mut Context<'_, '_>, rule: &Rule<'_>, instead: &[Placed<'_>]) {
    let whole = cx.whole();
    let span = whole.start..rule.clients.span.end.clamp(whole.start, whole.end);
    let places: Vec<String> = instead
        .iter()
        .map(|by| place(cx.table, by.table, by.entry.first_line))
        .collect();
    let what = match &places[..] {
        [] => {
            let has_except = !(rule.daemons.excepts.is_empty() && rule.clients.excepts.is_empty());
            let message = if has_except {
                "no request matches this rule: its exceptions leave nothing"
            } else {
                "no request matches this rule"
            };
            cx.report(&IDLE, &span, message)
                .level(Level::Error)
                .help("correct its lists, or remove it");
            return;
        }
        [one] => format!("{one} decides"),
        [first, .., last] => format!("rules from {first} to {last} decide"),
    };
    let message = format!("this rule never decides: {what} all it matches");
    let finding = cx.report(&IDLE, &span, message).help("move it up, or remove it");
    for by in instead.iter().take(MOST_SHOWN) {
        let line = by.document.line(by.entry);
        let end = line.trim_ascii_end().len();
        let start = (line.len() - line.trim_ascii_start().len()).min(end);
        let span = super::Span::of(by.document, by.entry, &(start..end));
        finding.related(by.table, span, "this decides first");
    }
}

/// So many of the rules that decide instead are pointed at.
const MOST_SHOWN: usize = 4;

fn place(here: TableKind, table: TableKind, line: u32) -> String {
    match table {
        _ if table == here => format!("line {line}"),
        TableKind::Allow => format!("line {line} of the allow table"),
        TableKind::Deny => format!("line {line} of the deny table"),
    }
}
