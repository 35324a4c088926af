//! One screen for people, and one line for monitoring systems. Names that processes give themselves are other people's
//! text: they are cut to size, and cannot drive the terminal.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::about::About;
use super::facts::{Level, Service, Status, Table, ago};
use crate::output::{BAD, DIM, GOOD, NOTE, Text, utf8};

/// The widest that a column becomes.
const WIDEST: usize = 28;

/// Text on one line: what is no letter is shown as its number.
pub fn clean(text: &[u8]) -> String {
    let mut out = String::new();
    for c in utf8(text).chars() {
        let is_unseen = c.width() == Some(0);
        match c {
            c if system::syslog::is_hidden(c) || is_unseen => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

fn cut(text: &str, most: usize) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut width = 0;
    for c in text.chars() {
        width += c.width().unwrap_or(0);
        if width >= most {
            break;
        }
        out.push(c);
    }
    out + "…"
}

/// Everything.
pub fn whole(status: &Status) -> String {
    let mut out = String::new();
    if status.listeners.is_empty() {
        out.push_str("Nothing waits for clients here.\n");
    } else {
        listeners(&status.listeners, status.session.is_some(), &mut out);
    }
    out.push('\n');
    for table in &status.tables {
        one_table(table, &mut out);
    }
    if let Some(bans) = &status.bans {
        let file = clean(&bans.file.0);
        let _ = match &bans.problem {
            Some(problem) => writeln!(out, "{BAD}bans{BAD:#}    {file}: {}", clean(problem.as_bytes())),
            None => writeln!(out, "bans    {file}: {} in force", bans.active),
        };
    }
    for database in &status.databases {
        let (before, after) = match database.problem {
            Some(_) => (format!("{BAD}"), format!("{BAD:#}")),
            None => Default::default(),
        };
        let _ = write!(out, "{before}{:<7}{after} ", database.what);
        if let (Some(file), Some(made), Some(days)) = (&database.file, &database.made, database.days) {
            let _ = write!(out, "{} of {made}, {days} days old", clean(&file.0));
        }
        // Where the copy is what is asked, it has been named.
        if let Some(copy) = database
            .copy
            .as_ref()
            .filter(|copy| Some(&copy.file) != database.file.as_ref())
        {
            let _ = write!(out, ", and its copy of {}, {} days old", copy.made, copy.days);
        }
        let between = if database.file.is_some() { ": " } else { "" };
        let problem = database
            .problem
            .as_deref()
            .map(|problem| clean(problem.as_bytes()));
        let _ = writeln!(
            out,
            "{}{}",
            problem.as_ref().map_or("", |_| between),
            problem.unwrap_or_default()
        );
    }
    for guard in &status.guards {
        let daemon = guard.daemon.as_ref().map_or_else(
            || "a program that is not visible".to_owned(),
            |name| clean(&name.0),
        );
        let _ = write!(out, "guard   {} of {daemon}", guard.process);
        if let Some(unit) = &guard.unit {
            let _ = write!(out, " ({})", clean(&unit.0));
        }
        if guard.is_stopped {
            let _ = write!(out, ": {BAD}stopped, so nobody is let in{BAD:#}");
        }
        out.push('\n');
    }
    if let Some(session) = &status.session {
        let _ = writeln!(out, "session from {session}");
    }
    for problem in &status.problems {
        let _ = writeln!(out, "{NOTE}note{NOTE:#}    {}", clean(problem.as_bytes()));
    }
    if status.hidden_processes > 0 {
        let _ = writeln!(
            out,
            "{NOTE}note{NOTE:#}    the sockets of {} processes are not visible to this user: root sees everything",
            status.hidden_processes
        );
    }
    out
}

/// A line for each, under headings.
fn listeners(services: &[Service], has_session: bool, out: &mut String) {
    const HEADINGS: [&str; 4] = ["ADDRESS", "PROGRAM", "DAEMON", "OBEYS"];
    let rows: Vec<[String; 4]> = services.iter().map(columns).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].width());
        cells
            .chain([HEADINGS[column].len()])
            .max()
            .unwrap_or(0)
            .min(WIDEST)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |cells: [&str; 4], style: Style, last: &str, out: &mut String| {
        let _ = write!(out, "{style}");
        for (cell, width) in cells.iter().zip(widths) {
            let cell = cut(cell, width);
            let _ = write!(out, "{cell}{}  ", " ".repeat(width.saturating_sub(cell.width())));
        }
        let _ = writeln!(out, "{last}{style:#}");
    };
    line(HEADINGS, DIM, "OPEN TO", out);
    for (service, row) in services.iter().zip(&rows) {
        let style = match service.level {
            Level::Critical => BAD,
            Level::Warning => NOTE,
            _ => Style::new(),
        };
        let cells = [&row[0][..], &row[1], &row[2], &row[3]];
        line(cells, style, &open_to(service, has_session), out);
        for more in details(service) {
            let _ = writeln!(out, "    {style}{more}{style:#}");
        }
    }
}

fn columns(service: &Service) -> [String; 4] {
    let text = |text: &Option<Text>| {
        text.as_ref()
            .map_or_else(|| "?".to_owned(), |text| clean(&text.0))
    };
    let base = |path: String| path.rsplit('/').next().unwrap_or_default().to_owned();
    let first = service.addresses.first().map_or("", String::as_str);
    let mut address = format!("{first}/{}", service.protocol);
    if service.addresses.len() > 1 {
        let _ = write!(address, " +{}", service.addresses.len() - 1);
    }
    let mut program = match (&service.program, service.obeys) {
        (None, "hidden") => format!("? of user {}", service.user),
        (None, _) => "the kernel".to_owned(),
        (Some(_), _) => base(text(&service.program)),
    };
    if let Some(process) = service.process {
        let _ = write!(program, "[{process}]");
    }
    let daemon = service
        .daemon
        .as_ref()
        .map_or_else(|| "-".to_owned(), |name| clean(&name.0));
    let obeys = match service.obeys {
        "nothing" => "NOTHING".to_owned(),
        "switched-off" => "NOTHING (switched off)".to_owned(),
        "hidden" => "?".to_owned(),
        "perhaps" => "perhaps".to_owned(),
        "guard-gone" => "run (guard gone)".to_owned(),
        _ => clean(&service.by.0),
    };
    [address, program, daemon, obeys]
}

/// To whom it is open, and what stands in the way of nobody.
fn open_to(service: &Service, has_session: bool) -> String {
    let rules = service.open_to.as_ref().map(|text| clean(&text.0));
    let mut text = match (service.obeys, rules) {
        ("hidden", _) => "?".to_owned(),
        ("guard-gone", _) => "nobody".to_owned(),
        ("nothing" | "switched-off", rules) => match rules {
            Some(rules) if service.rules != About::Nothing && rules != "everyone" => {
                format!("EVERYONE (rules: {rules})")
            }
            _ => "everyone".to_owned(),
        },
        (_, Some(rules)) => rules,
        (_, None) => "more than can be said".to_owned(),
    };
    if service.is_local {
        text = format!("{text}, on this host");
    }
    if service.command_decides {
        text.push_str(", a command decides");
    }
    // What is everybody's, or nobody's, is so for the networks here as well.
    let is_partial = !matches!(text.as_str(), "everyone" | "nobody" | "?") && !service.is_local;
    let is_asked = !matches!(
        service.obeys,
        "nothing" | "switched-off" | "hidden" | "guard-gone"
    );
    if is_partial && is_asked && !service.local_networks.is_empty() {
        let networks = service
            .local_networks
            .iter()
            .map(|(network, extent)| match *extent {
                "all" => format!("{network}: yes"),
                "some" => format!("{network}: in part"),
                _ => format!("{network}: no"),
            });
        let _ = write!(text, "; here: {}", networks.collect::<Vec<_>>().join(", "));
    }
    if has_session
        && is_asked
        && let Some(verdict) = service.this_session
    {
        let _ = write!(text, "; you: {verdict}");
    }
    text
}

/// What does not go into columns.
fn details(service: &Service) -> Vec<String> {
    let mut lines = Vec::new();
    if matches!(service.obeys, "switched-off" | "perhaps" | "guard-gone") || service.level == Level::Critical
    {
        let by = clean(&service.by.0);
        match (service.level, service.obeys) {
            (Level::Critical, "nothing") => lines.push(format!(
                "a rule is about it, and nothing makes it obey: start it with tcpwrap run{}",
                service
                    .unit
                    .as_ref()
                    .map_or_else(String::new, |unit| format!(", tcpwrap attach {}", clean(&unit.0)))
            )),
            _ => lines.push(by),
        }
    }
    if let Some(tables) = &service.other_tables {
        lines.push(format!(
            "by other tables: {} and its deny table",
            clean(&tables.0)
        ));
    }
    if service.addresses.len() > 1 {
        let mut all = service.addresses[1..].to_vec();
        let more = all.len().saturating_sub(8);
        if more > 1 {
            all.truncate(8);
            all.push(format!("{more} more"));
        }
        lines.push(format!("also {}", all.join(", ")));
    }
    lines
}

fn one_table(table: &Table, out: &mut String) {
    let file = clean(&table.file.0);
    let _ = write!(out, "table   {file}: ");
    if let Some(problem) = &table.problem {
        let _ = writeln!(out, "{BAD}{}{BAD:#}", clean(problem.as_bytes()));
        return;
    }
    if !table.exists {
        let _ = writeln!(out, "{NOTE}not there, which is an empty table{NOTE:#}");
        return;
    }
    let plural = if table.rules == 1 { "" } else { "s" };
    let _ = write!(out, "{} rule{plural}", table.rules);
    if let Some(changed) = table.changed {
        let _ = write!(out, ", changed {}", ago(changed));
    }
    let _ = match (table.errors, table.warnings) {
        (0, 0) => writeln!(out, ", {GOOD}no findings{GOOD:#}"),
        (errors, warnings) => writeln!(
            out,
            ", {NOTE}tcpwrap check: {errors} error{}, {warnings} warning{}{NOTE:#}",
            if errors == 1 { "" } else { "s" },
            if warnings == 1 { "" } else { "s" }
        ),
    };
}

/// One line with performance data, as monitoring plugins print it.
pub fn nagios(status: &Status) -> String {
    let count = |level| {
        status
            .listeners
            .iter()
            .filter(|service| service.level == level)
            .count()
    };
    let (critical, warning, unknown) = (
        count(Level::Critical),
        count(Level::Warning),
        count(Level::Unknown),
    );
    let word = match status.level() {
        Level::Ok => "OK",
        Level::Unknown => "UNKNOWN",
        Level::Warning => "WARNING",
        Level::Critical => "CRITICAL",
    };
    let worst: Vec<String> = status
        .listeners
        .iter()
        .filter(|service| matches!(service.level, Level::Critical | Level::Warning))
        .take(5)
        .map(|service| {
            let [address, program, _, obeys] = columns(service);
            format!("{program} {address} obeys {obeys}")
        })
        .collect();
    let mut text = match &worst[..] {
        [] if unknown > 0 => format!("{unknown} listeners are not visible to this user"),
        [] if word != "OK" => "a table or the ban list cannot be read, or a guard is stopped".to_owned(),
        [] => format!(
            "{} listeners, nothing that rules are about is unprotected",
            status.listeners.len()
        ),
        worst => worst.join("; "),
    };
    // The bar ends the text.
    text = text.replace('|', "/");
    format!(
        "TCPWRAP {word} - {text} | listeners={} unprotected={critical};;0 doubtful={warning};0 unseen={unknown}\n",
        status.listeners.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_one_line_of_letters() {
        let shown = clean("a\x1b[2J\nb\u{202e}c\u{200b}\u{9b}d".as_bytes());
        assert_eq!(shown, "a\\u{1b}[2J\\u{a}b\\u{202e}c\\u{200b}\\u{9b}d");
        assert_eq!(clean(b"\xff"), "\\xff");
        assert_eq!(clean("größe".as_bytes()), "größe");
    }

    #[test]
    fn long_and_wide_names_are_cut() {
        assert_eq!(cut("short", 28), "short");
        assert_eq!(cut("abcdefgh", 5), "abcd…");
        let wide = cut(&"漢".repeat(40), 10);
        assert!(wide.width() <= 10 && wide.ends_with('…'), "{wide}");
    }
}
