//! The answer for people.

use std::fmt::Write;

use anstyle::Style;

use super::report::{Report, Rule, Token};
use crate::output::{BAD, DIM, GOOD, NOTE, escape};

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
    let mut daemons: Vec<&str> = Vec::new();
    let mut clients: Vec<(&str, &str)> = Vec::new();
    for report in reports {
        let client = (report.client.as_str(), report.address.as_str());
        if !daemons.contains(&report.daemon.as_str()) {
            daemons.push(&report.daemon);
        }
        if !clients.contains(&client) {
            clients.push(client);
        }
    }
    let label = |(client, address): (&str, &str)| {
        if client == address {
            escape(client.as_bytes())
        } else {
            escape(format!("{client} ({address})").as_bytes())
        }
    };
    let width = clients
        .iter()
        .map(|c| label(*c).chars().count())
        .max()
        .unwrap_or(0)
        .max("client".len());
    let mut out = String::new();
    let _ = write!(out, "{DIM}{:width$}{DIM:#}", "client");
    for daemon in &daemons {
        let _ = write!(out, "  {DIM}{:>9}{DIM:#}", escape(daemon.as_bytes()));
    }
    out.push('\n');
    for client in clients {
        let _ = write!(out, "{:width$}", label(client));
        for daemon in &daemons {
            let verdict = reports
                .iter()
                .find(|r| r.daemon == *daemon && (r.client.as_str(), r.address.as_str()) == client)
                .map_or("-", |r| r.verdict);
            let style = style(verdict);
            let column = daemon.chars().count().max(9);
            let _ = write!(out, "  {style}{verdict:>column$}{style:#}");
        }
        out.push('\n');
    }
    out
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
    let mut client = report.address.clone();
    if report.client != report.address {
        client = format!("{} ({client})", report.client);
    }
    let _ = writeln!(
        out,
        "{} from {}: {verdict}{}{verdict:#}",
        escape(report.daemon.as_bytes()),
        escape(client.as_bytes()),
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
            escape(lookup.found.as_bytes())
        );
    }
    for action in &report.effects {
        let _ = writeln!(
            out,
            "  would do  {} {}",
            action.option,
            escape(action.value.as_bytes())
        );
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
    let place = format!("{}:{}:", rule.file, lines(rule));
    let _ = writeln!(
        out,
        "    {DIM}{}{DIM:#} {}",
        escape(place.as_bytes()),
        flat(rule.text.as_bytes())
    );
}

fn show_token(token: &Token, out: &mut String) {
    let (mark, style) = if token.matched { ("yes", GOOD) } else { ("no", DIM) };
    let _ = writeln!(
        out,
        "      {style}{mark:>3}{style:#}  {}  {DIM}{}{DIM:#}",
        escape(token.text.as_bytes()),
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
        escape(rule.file.as_bytes())
    );
    let text = flat(rule.text.as_bytes());
    let _ = writeln!(out, "  {DIM}{number} |{DIM:#} {text}");
    let matched = |list: &'static str| rule.tokens.iter().find(move |t| t.matched && t.list == list);
    if let Some(token) = matched("clients").or_else(|| matched("daemons")) {
        let before = flat(&rule.text.as_bytes()[..token.offset.min(rule.text.len())])
            .chars()
            .count();
        let carets = "^".repeat(flat(token.text.as_bytes()).chars().count().max(1));
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
