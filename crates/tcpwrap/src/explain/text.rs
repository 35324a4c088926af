//! The answer for people.

use std::fmt::Write;

use anstyle::Style;

use super::report::{Report, Rule, Token};
use crate::output::{BAD, DIM, GOOD, NOTE, Text, escape};

/// All reports, one below the other.
pub fn reports(reports: &[Report]) -> String {
    let mut out = String::new();
    for (at, report) in reports.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        one(report, &mut out);
    }
    out
}

/// A line for each client, a column for each daemon.
pub fn matrix(reports: &[Report]) -> String {
    let mut daemons: Vec<&Text> = Vec::new();
    let mut clients: Vec<(&Text, &Text)> = Vec::new();
    for report in reports {
        let client = (&report.client, &report.address);
        if !daemons.contains(&&report.daemon) {
            daemons.push(&report.daemon);
        }
        if !clients.contains(&client) {
            clients.push(client);
        }
    }
    let width = clients
        .iter()
        .map(|(client, address)| named(client, address).chars().count())
        .max()
        .unwrap_or(0)
        .max("client".len());
    let mut out = String::new();
    let _ = write!(out, "{DIM}{:width$}{DIM:#}", "client");
    for daemon in &daemons {
        let _ = write!(out, "  {DIM}{:>9}{DIM:#}", escape(&daemon.0));
    }
    out.push('\n');
    for client in clients {
        let _ = write!(out, "{:width$}", named(client.0, client.1));
        for daemon in &daemons {
            let verdict = reports
                .iter()
                .find(|r| r.daemon == **daemon && (&r.client, &r.address) == client)
                .map_or("-", |r| r.verdict);
            let style = style(verdict);
            let column = escape(&daemon.0).chars().count().max(9);
            let _ = write!(out, "  {style}{verdict:>column$}{style:#}");
        }
        out.push('\n');
    }
    out
}

/// The client as it was written, and its address where that is something else.
fn named(client: &Text, address: &Text) -> String {
    let address = escape(&address.0);
    match escape(&client.0) {
        client if client == address => client,
        client => format!("{client} ({address})"),
    }
}

fn style(verdict: &str) -> Style {
    match verdict {
        "granted" => GOOD,
        "denied" => BAD,
        _ => NOTE,
    }
}

fn one(report: &Report, out: &mut String) {
    let verdict = style(report.verdict);
    let _ = writeln!(
        out,
        "{} from {}: {verdict}{}{verdict:#}",
        escape(&report.daemon.0),
        named(&report.client, &report.address),
        report.verdict
    );
    let _ = writeln!(out, "  {}", report.reason);
    if let Some(rule) = &report.rule {
        out.push('\n');
        show_rule(rule, out);
    }
    if !report.lookups.is_empty() || !report.effects.is_empty() || !report.log.is_empty() {
        out.push('\n');
    }
    for lookup in &report.lookups {
        let time = lookup
            .milliseconds
            .map_or_else(|| "given".to_owned(), |ms| format!("{ms:.1} ms"));
        let _ = writeln!(
            out,
            "  needed    {}: {} {DIM}({time}){DIM:#}",
            lookup.what,
            escape(&lookup.found.0)
        );
    }
    for action in &report.effects {
        let _ = writeln!(out, "  would do  {} {}", action.option, escape(&action.value.0));
    }
    if let Some(severity) = report.severity {
        let _ = writeln!(
            out,
            "  would log at facility {}, level {}",
            severity >> 3,
            severity & 7
        );
    }
    for line in &report.log {
        let _ = writeln!(out, "  {NOTE}log{NOTE:#}       {}", escape(line.as_bytes()));
    }
    if let Some(enforced) = &report.enforced {
        let (style, label) = match enforced.is {
            "yes" => (GOOD, "enforced by"),
            "no" => (BAD, "NOT enforced:"),
            _ => (NOTE, "perhaps enforced:"),
        };
        let _ = writeln!(
            out,
            "\n  {style}{label}{style:#} {}",
            escape(enforced.by.as_bytes())
        );
    }
    if let Some(rules) = &report.all_rules {
        let _ = writeln!(
            out,
            "\n  rules that match, the first one wins{}:",
            if rules.is_empty() { ": none" } else { "" }
        );
        for rule in rules {
            show_head(rule, out);
        }
    }
    if let Some(rules) = &report.trace {
        let _ = writeln!(
            out,
            "\n  rules tried{}:",
            if rules.is_empty() { ": none" } else { "" }
        );
        for rule in rules {
            show_head(rule, out);
            for token in &rule.tokens {
                show_token(token, out);
            }
            let end = if rule.matched {
                "the rule matches"
            } else {
                "the rule does not match"
            };
            let _ = writeln!(out, "           {end}");
        }
    }
}

fn lines(rule: &Rule) -> String {
    if rule.first_line == rule.line {
        rule.line.to_string()
    } else {
        format!("{}-{}", rule.first_line, rule.line)
    }
}

fn show_head(rule: &Rule, out: &mut String) {
    let _ = writeln!(
        out,
        "    {DIM}{}:{}:{DIM:#} {}",
        escape(&rule.file.0),
        lines(rule),
        flat(&rule.text.0)
    );
}

fn show_token(token: &Token, out: &mut String) {
    let (mark, style) = if token.matched { ("yes", GOOD) } else { ("no", DIM) };
    let _ = writeln!(
        out,
        "      {style}{mark:>3}{style:#}  {}  {DIM}{}{DIM:#}",
        escape(&token.text.0),
        token.meaning
    );
}

/// The rule as it stands in its file, with a pointer at the client token that matched.
fn show_rule(rule: &Rule, out: &mut String) {
    let number = lines(rule);
    let width = number.len();
    let _ = writeln!(
        out,
        "  {DIM}{:width$}-->{DIM:#} {}:{number}",
        "",
        escape(&rule.file.0)
    );
    let text = flat(&rule.text.0);
    let _ = writeln!(out, "  {DIM}{number} |{DIM:#} {text}");
    let matched = |list: &'static str| rule.tokens.iter().find(move |t| t.matched && t.list == list);
    if let Some(token) = matched("clients").or_else(|| matched("daemons")) {
        let before = flat(&rule.text.0[..token.offset.min(rule.text.0.len())])
            .chars()
            .count();
        let carets = "^".repeat(flat(&token.text.0).chars().count().max(1));
        let _ = writeln!(
            out,
            "  {DIM}{:width$} |{DIM:#} {:before$}{NOTE}{carets}{NOTE:#} {}",
            "",
            "",
            escape(token.meaning.as_bytes())
        );
    }
}

/// On one line, tabs as blanks.
fn flat(text: &[u8]) -> String {
    escape(text).replace(['\t', '\n'], " ")
}
