//! tcpdchk(8): holds the tables against this host and says what does not fit.
//!
//! One look at every rule: its lists against the services, the name service and the file system, its
//! options as the engine would run them. Not for what rules mean to each other (order, shadowing), which
//! is the work of `tcpwrap check`.

mod clients;
mod daemons;
mod options;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use analysis::document::{Content, Document, List, Rule, content};
use hosts_access::decide::reason;
use hosts_access::source::{self, Contents, Ending};
use hosts_access::syntax::fields;
use hosts_access::syntax::list::tokens;
use hosts_access::{Place, TableKind};
use system::services::Starter;

use crate::arguments::Instead;
use crate::configuration;
use crate::report::Report;
use clients::Names;
use daemons::Daemons;

const USAGE: &str = "\
usage: tcpdchk [-a] [-d] [-i inet_conf] [-v]
	-a: report rules with implicit \"ALLOW\" at end
	-d: use allow/deny files in current directory
	-i: location of inetd.conf file
	-v: list all rules
";

/// What the command line asks.
#[derive(Debug, Default)]
struct Wish {
    implicit_allow: bool,
    here: bool,
    inetd_conf: Option<PathBuf>,
    list: bool,
}

/// The program. Exits with 1 where it found anything to report.
pub fn main() -> ExitCode {
    match wish(lexopt::Parser::from_env()) {
        Ok(wish) => {
            let mut report = Report::default();
            check(&wish, &mut report);
            let status = ExitCode::from(u8::from(report.problems() > 0));
            report.finish(status)
        }
        Err(instead) => instead.answer("tcpdchk", USAGE),
    }
}

fn wish(mut parser: lexopt::Parser) -> Result<Wish, Instead> {
    use lexopt::prelude::*;
    let mut wish = Wish::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('a') => wish.implicit_allow = true,
            Short('d') => wish.here = true,
            Short('i') => wish.inetd_conf = Some(PathBuf::from(parser.value()?)),
            Short('v') => wish.list = true,
            Short('h') | Long("help") => return Err(Instead::Help),
            Long("version") => return Err(Instead::Version),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(wish)
}

/// One check of both tables.
struct Check<'c> {
    wish: &'c Wish,
    daemons: Daemons,
    names: Names,
    report: &'c mut Report,
}

fn check(wish: &Wish, report: &mut Report) {
    let machine = match configuration::machine(wish.inetd_conf.as_deref()) {
        Ok(machine) => machine,
        Err(problem) => return report.warn(problem),
    };
    for problem in machine.problems() {
        report.diagnostic(problem);
    }
    if wish.list {
        // Units are many and small; the other super servers each have one file to look at.
        for (_, file) in machine
            .services()
            .files
            .iter()
            .filter(|(s, _)| *s != Starter::Systemd)
        {
            let text = b"Using network configuration file: ";
            report.line([text, file.as_os_str().as_encoded_bytes()].concat());
        }
    }
    let mut check = Check {
        wish,
        daemons: Daemons::new(machine),
        names: Names::new(),
        report,
    };
    check.table(TableKind::Allow);
    check.table(TableKind::Deny);
    let Check { names, report, .. } = check;
    names.finish(report);
}

impl Check<'_> {
    fn table(&mut self, kind: TableKind) {
        let tables = configuration::tables(self.wish.here);
        let path = tables.path(kind);
        self.report.at(None);
        let text = match source::read(path).0 {
            Contents::Text(text) => text,
            Contents::Missing => return,
            Contents::Unreadable(error) => {
                let text = format!("cannot open {}: {}", path.display(), reason(&error));
                return self.report.warn(text);
            }
        };
        let document = Document::new(path.to_path_buf(), text);
        for entry in &document.entries {
            self.report.at(Some(Place {
                file: Arc::clone(path),
                line: entry.last_line,
            }));
            match entry.ending {
                Ending::Newline => {}
                Ending::Nul => {
                    self.report
                        .warn("NUL byte in line: all the subsequent rules will be ignored");
                    return;
                }
                _ => {
                    self.report.warn("missing newline or line too long");
                    return;
                }
            }
            let line = document.line(entry);
            match content(&line) {
                Content::Comment | Content::Blank => {}
                Content::NoSeparator => self.report.warn("missing \":\" separator"),
                Content::Rule(rule) => {
                    if self.wish.list {
                        self.report.line("");
                        let number = entry.last_line;
                        self.report
                            .line(format!(">>> Rule {} line {number}:", path.display()));
                    }
                    self.rule(kind, &rule, &line);
                }
            }
        }
        self.report.at(None);
    }

    /// `line` is the text that the rule was read from.
    fn rule(&mut self, kind: TableKind, rule: &Rule<'_>, line: &[u8]) {
        self.list("daemons:  ", &line[rule.daemons.span.clone()]);
        self.daemons.check(&rule.daemons, &mut self.names, self.report);
        self.list("clients:  ", &line[rule.clients.span.clone()]);
        self.names.check_clients(&rule.clients, self.report);
        options::check_commands(&rule.options, self.report);
        let text = fields(line).and_then(|fields| fields.options);
        let granted = options::check(kind, text, self.wish, self.report);
        if self.wish.list {
            self.report.line(if granted {
                "access:   granted"
            } else {
                "access:   denied"
            });
        }
    }

    /// Shows a list, one blank between its tokens.
    fn list(&mut self, title: &str, list: &[u8]) {
        if self.wish.list {
            let tokens: Vec<_> = tokens(list).collect();
            self.report.line([title.as_bytes(), &tokens.join(&b' ')].concat());
        }
    }
}

/// Says which of a list's parts are empty, and so can never match.
fn check_parts<P>(what: &str, list: &List<'_, P>, report: &mut Report) {
    for (at, part) in list.parts.iter().enumerate() {
        if !part.is_empty() {
            continue;
        }
        let last = at + 1 == list.parts.len();
        report.warn(match (at, last) {
            (0, true) => format!("{what} list is empty: the rule never matches"),
            (0, false) => format!("{what} list begins with EXCEPT: the rule never matches"),
            (_, true) => format!("{what} list ends in EXCEPT, which excepts nothing"),
            (_, false) => format!("{what} list has EXCEPT twice, which excepts nothing"),
        });
    }
}
