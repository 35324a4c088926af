//! Rules that decide nothing, as computed: what the comparison of policies knows, asked of one (hosts_access(5), ACCESS
//! CONTROL FILES). [`shadow`](super::shadow) finds most of them in tables of any size; this finds all, in tables that
//! are not too large, and tells of those that nothing else explains.

use std::collections::HashMap;

use super::code::{Code, Example, Level, codes};
use super::{Context, Finding, conditions, foreign, policy, shadow};
use crate::compare::{FileTexts, Ways, idle};
use crate::document::{Content, Document, Documents, content};
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
    if idle.is_empty() {
        return;
    }
    let document = |table: TableKind| -> Option<&Document> {
        match table {
            TableKind::Allow => tables.allow,
            TableKind::Deny => tables.deny,
        }
    };
    let mut new = Vec::new();
    for ((table, at), instead) in idle {
        let Some(document_of) = document(table) else {
            continue;
        };
        let entry = &document_of.entries[at];
        let explains = |finding: &Finding, table: TableKind, bytes: &std::ops::Range<usize>| {
            finding.table == table
                && finding.other_file.is_none()
                && bytes.contains(&finding.span.bytes.start)
                && (finding.level == Level::Error
                    || shadow::CODES.contains(&finding.code)
                    || finding.code == &conditions::NEVER)
        };
        let is_told = found.iter().any(|f| explains(f, table, &entry.bytes));
        let by = |(table, at): &(TableKind, usize)| Some((*table, document(*table)?.entries.get(*at)?));
        let instead: Vec<_> = instead.iter().filter_map(by).collect();
        // Who is behind a rule that is in error, or makes all others idle, is told there.
        let is_behind_told = instead.iter().any(|(by, entry)| {
            found.iter().any(|f| {
                f.table == *by
                    && entry.bytes.contains(&f.span.bytes.start)
                    && (f.level == Level::Error || f.code == &policy::ALL_ALLOWED)
            })
        });
        let line = document_of.line(entry);
        let Content::Rule(rule) = content(&line) else {
            continue;
        };
        let is_ban = table == TableKind::Deny && foreign::is_ban(&rule);
        if is_told || is_behind_told || is_ban || foreign::Blocks::of(document_of).contains(at) {
            continue;
        }
        let mut cx = Context {
            table,
            document: document_of,
            entry,
            line: &line,
            is_foreign: false,
            found: &mut new,
        };
        let whole = cx.whole();
        let span = whole.start..rule.clients.span.end.clamp(whole.start, whole.end);
        if instead.is_empty() {
            let has_except = !(rule.daemons.excepts.is_empty() && rule.clients.excepts.is_empty());
            let message = if has_except {
                "no request matches this rule: its exceptions leave nothing"
            } else {
                "no request matches this rule"
            };
            cx.report(&IDLE, &span, message)
                .level(Level::Error)
                .help("correct its lists, or remove it");
            continue;
        }
        let places: Vec<String> = instead
            .iter()
            .map(|(by, entry)| place(table, *by, entry.first_line))
            .collect();
        let what = match &places[..] {
            [one] => format!("{one} decides"),
            [first, .., last] => format!("rules from {first} to {last} decide"),
            [] => continue,
        };
        let message = format!("this rule never decides: {what} all it matches");
        let finding = cx.report(&IDLE, &span, message).help("move it up, or remove it");
        for (by, entry) in instead.iter().take(MOST_SHOWN) {
            let Some(document) = document(*by) else { continue };
            let line = document.line(entry);
            let end = line.trim_ascii_end().len();
            let start = (line.len() - line.trim_ascii_start().len()).min(end);
            finding.related(
                *by,
                super::Span::of(document, entry, &(start..end)),
                "this decides first",
            );
        }
    }
    found.extend(new);
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
