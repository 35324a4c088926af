//! Lints: what two tables say that they cannot have been meant to say.
//!
//! The same tables give the same findings everywhere: nothing here looks at the machine. What depends
//! on it (programs, files that patterns name, who is logged in) has its codes here, in [`host`], and is
//! looked for by the command. Not for what goes to the log while deciding, which is
//! [`diagnostic`](hosts_access::diagnostic).
//!
//! Claims are about requests as they come in real life: addresses are numeric, written as the C
//! library writes them, or `unknown`; names are never numbers.

mod advice;
mod banned;
mod bounds;
mod braces;
mod characters;
mod clients;
pub mod code;
mod commands;
mod comments;
mod compat;
mod conditions;
mod countries;
mod daemons;
mod finding;
pub mod foreign;
pub mod host;
mod idle;
mod ipv6;
mod junk;
mod lines;
mod lists;
mod misplaced;
mod names;
mod options;
mod policy;
mod portable;
mod reach;
mod shadow;
mod shell;
#[cfg(test)]
mod tests;
mod words;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::thread::ScopedJoinHandle;

use advice::Advice;
pub use code::{Code, Example, Level};
pub use daemons::daemons_called;
pub use finding::{Edit, Finding, Fix, Related, Span, apply};
pub use policy::denies_in_doubt;
pub use words::words;

use crate::document::{Content, Document, Documents, Entry, Rule, content};
use hosts_access::TableKind;
use hosts_access::source::Ending;

/// Everything found, in the order of the files.
///
/// ```
/// use analysis::check::check;
/// use analysis::document::{Document, Documents};
/// let allow = Document::new("hosts.allow", &b"sshd: 10.1.2.3/8\n"[..]);
/// let found = check(Documents { allow: Some(&allow), deny: None });
/// assert_eq!((found[0].code.id, found[0].span.column), ("W205", 7));
/// ```
pub fn check(tables: Documents<'_>) -> Vec<Finding> {
    check_with(tables, Options::default())
}

/// What is looked for only where it is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Rules that grant without the word `allow`.
    pub implicit_allow: bool,
    /// What other implementations do not know.
    pub portable: bool,
    /// The date, in days since 1970: dates before it are told of as past.
    pub today: Option<i64>,
    /// What the files hold that patterns name, by path. What is not here may match anybody.
    pub files: HashMap<Vec<u8>, Vec<u8>>,
}

/// As [`check`], with what is asked for beside.
pub fn check_with(tables: Documents<'_>, options: Options) -> Vec<Finding> {
    let mut found = Vec::new();
    let lines: Vec<Vec<Cow<'_, [u8]>>> = tables
        .iter()
        .map(|(_, document)| {
            document
                .entries
                .iter()
                .map(|entry| document.line(entry))
                .collect()
        })
        .collect();
    let mut earlier = shadow::Earlier::default();
    let mut whole = policy::Whole::default();
    let mut banned = banned::Banned::default();
    for ((table, document), lines) in tables.iter().zip(&lines) {
        let is_read = |entry: &Entry| entry.ending != Ending::Nul;
        let read = document.entries.iter().position(|e| !is_read(e));
        let table = TableLines {
            tables,
            table,
            document,
            lines: &lines[..read.unwrap_or(lines.len())],
            blocks: foreign::Blocks::of(document),
        };
        let before = found.len();
        lines::table(table.table, document, &mut found);
        Advice::new(tables).tell(document, &mut found[before..]);
        let broken = table.check(
            &mut Together {
                earlier: &mut earlier,
                whole: &mut whole,
                banned: &mut banned,
            },
            &options,
            &mut found,
        );
        shadow::forget(&mut found, table.table, |at| is_in(&broken, at));
    }
    whole.end(tables, &mut found);
    idle::lint(tables, &options.files, &mut found);
    shadow::gather(&mut found);
    banned.end(&mut found);
    found.sort_by_key(|f| (f.table == TableKind::Deny, f.span.bytes.start, f.code.id));
    found
}

/// The lines of one table that are read.
struct TableLines<'l> {
    tables: Documents<'l>,
    table: TableKind,
    document: &'l Document,
    lines: &'l [Cow<'l, [u8]>],
    blocks: foreign::Blocks,
}

/// What is remembered from rule to rule.
struct Together<'m, 'l> {
    earlier: &'m mut shadow::Earlier<'l>,
    whole: &'m mut policy::Whole,
    banned: &'m mut banned::Banned<'l>,
}

/// What the lints of single lines found, and what others want to know of it.
#[derive(Default)]
struct Linted {
    found: Vec<Finding>,
    /// Rules that do not do what they say. What they hide behind says nothing as long as they do not.
    broken: Vec<Range<usize>>,
}

impl<'l> TableLines<'l> {
    /// All lints of the table; gives where the rules are that do not do what they say. Lints of single lines run
    /// beside the one that looks at them all, which in large tables takes as long.
    fn check(
        &self,
        seen: &mut Together<'_, 'l>,
        options: &Options,
        found: &mut Vec<Finding>,
    ) -> Vec<Range<usize>> {
        const FEW: usize = 4096;
        let count = self.lines.len();
        let helpers = match std::thread::available_parallelism() {
            Ok(cores) if count > FEW => cores.get().saturating_sub(1).clamp(1, 8),
            _ => 0,
        };
        let mut hidden = Vec::new();
        let linted = std::thread::scope(|scope| {
            let chunk = count / helpers.max(1) + 1;
            let started: Vec<_> = (0..helpers)
                .map(|n| (n * chunk).min(count)..((n + 1) * chunk).min(count))
                .map(|range| {
                    let lints = std::thread::Builder::new();
                    let numbers = range.clone();
                    (lints.spawn_scoped(scope, || self.lint(numbers)), range)
                })
                .collect();
            self.together(seen, options, &mut hidden);
            if started.is_empty() {
                return vec![self.lint(0..count)];
            }
            // A thread that could not be had, or did not come back, is made up for here.
            let join = |(thread, range): (io::Result<ScopedJoinHandle<'_, Linted>>, Range<usize>)| {
                let done = thread.ok().and_then(|thread| thread.join().ok());
                done.unwrap_or_else(|| self.lint(range))
            };
            started.into_iter().map(join).collect()
        });
        let mut broken = Vec::new();
        for part in linted {
            found.extend(part.found);
            broken.extend(part.broken);
        }
        if self.table == TableKind::Allow {
            seen.whole.forget_grants(|at| is_in(&broken, at));
        }
        found.extend(hidden);
        broken
    }

    /// The lines of these numbers, each by itself.
    fn lint(&self, numbers: Range<usize>) -> Linted {
        let mut linted = Linted::default();
        let mut advice = Advice::new(self.tables);
        for number in numbers {
            let before = linted.found.len();
            let mut cx = self.context(number, &mut linted.found);
            match content(&self.lines[number]) {
                Content::Comment | Content::Blank => {}
                Content::NoSeparator if comments::is_cut_off(self.document, number) => {
                    comments::dangling(&mut cx);
                }
                Content::NoSeparator => lines::no_separator(&mut cx),
                Content::Rule(rule) => lints(&mut cx, &rule),
            }
            let new = &mut linted.found[before..];
            advice.tell(self.document, new.iter_mut());
            if self.blocks.contains(number) {
                // Whoever wrote it will look for it as it is.
                for fix in new.iter_mut().filter_map(|f| f.fix.as_mut()) {
                    fix.is_safe = false;
                }
            }
            if new.iter().any(|f| f.level == Level::Error) {
                linted.broken.push(self.document.entries[number].bytes.clone());
            }
        }
        linted
    }

    /// All rules in their order.
    fn together(&self, seen: &mut Together<'_, 'l>, options: &Options, found: &mut Vec<Finding>) {
        for (number, line) in self.lines.iter().enumerate() {
            // A line that is not read decides nothing and hides nothing.
            if self.document.entries[number].ending != Ending::Newline {
                continue;
            }
            if let Content::Rule(rule) = content(line) {
                let mut cx = self.context(number, found);
                seen.earlier.rule(&mut cx, &rule);
                seen.whole.rule(&mut cx, &rule, options);
                seen.banned.rule(&cx, &rule);
                if options.portable {
                    portable::lint(&mut cx, &rule, options);
                }
                if let Some(today) = options.today {
                    conditions::past(&mut cx, &rule, today);
                }
            }
        }
    }

    fn context<'f>(&self, number: usize, found: &'f mut Vec<Finding>) -> Context<'l, 'f> {
        Context {
            table: self.table,
            document: self.document,
            entry: &self.document.entries[number],
            line: &self.lines[number],
            is_foreign: self.blocks.contains(number),
            found,
        }
    }
}

/// Does one of the ranges, which are in order, hold the place?
fn is_in(ranges: &[Range<usize>], at: usize) -> bool {
    let next = ranges.partition_point(|range| range.end <= at);
    ranges.get(next).is_some_and(|range| range.contains(&at))
}

/// The lints that look at one rule.
fn lints(cx: &mut Context<'_, '_>, rule: &Rule<'_>) {
    if comments::indented(cx, rule) || comments::foreign(cx, true) {
        return;
    }
    // What is found to be misread ends what the others look at.
    let (end, has_options) = misread(cx, rule);
    let lists_end = rule.clients.span.end.min(end);
    characters::lint(cx, lists_end);
    if !lines::junk(cx, rule, end) {
        lists::lint(cx, rule, end);
        daemons::lint(cx, rule, end);
        clients::lint(cx, rule, end);
        names::lint(cx, rule, end);
        braces::lint(cx, rule, end);
        if has_options {
            options::lint(cx, rule, end);
            conditions::lint(cx, rule, end);
            bounds::lint(cx, rule, end);
        }
    }
    compat::lint(cx, rule);
}

/// Where in a rule's line a remark begins, or anything else that was not meant to be read as it is: words from there on
/// name nothing that is worth looking for.
pub fn misread_from(document: &Document, entry: &Entry, line: &[u8], rule: &Rule<'_>) -> usize {
    let mut found = Vec::new();
    let mut cx = Context {
        table: TableKind::Allow,
        document,
        entry,
        line,
        is_foreign: false,
        found: &mut found,
    };
    if comments::indented(&mut cx, rule) || comments::foreign(&mut cx, true) {
        return 0;
    }
    misread(&mut cx, rule).0
}

/// Finds what ends the readable part of a rule; gives where, and whether the options can still be looked at.
fn misread(cx: &mut Context<'_, '_>, rule: &Rule<'_>) -> (usize, bool) {
    let end = comments::inline(cx, rule).unwrap_or(usize::MAX);
    let end = comments::dangling(cx).unwrap_or(end).min(end);
    let end = comments::foreign_remark(cx, rule, end).unwrap_or(end);
    let bare = ipv6::bare(cx, rule, end);
    let end = bare.unwrap_or(end).min(end);
    let torn = braces::torn(cx, rule, end);
    let end = torn.unwrap_or(end).min(end);
    let option = misplaced::among_clients(cx, rule, end);
    let is_whole = bare.is_none() && torn.is_none() && option.is_none();
    (option.unwrap_or(end), is_whole)
}

/// The line being looked at, and where findings go.
struct Context<'l, 'f> {
    table: TableKind,
    document: &'l Document,
    entry: &'l Entry,
    line: &'l [u8],
    /// Another program wrote the line and looks for it to the letter.
    is_foreign: bool,
    found: &'f mut Vec<Finding>,
}

impl Context<'_, '_> {
    /// Reports something about a stretch of the logical line.
    fn report(&mut self, code: &'static Code, at: &Range<usize>, message: impl Into<String>) -> &mut Finding {
        let span = self.span(at);
        let at = self.found.len();
        self.found.push(Finding::new(code, self.table, span, message));
        &mut self.found[at]
    }

    fn span(&self, at: &Range<usize>) -> Span {
        Span::of(self.document, self.entry, at)
    }

    /// An edit of a stretch of the logical line.
    fn edit(&self, at: &Range<usize>, text: impl Into<Vec<u8>>) -> Edit {
        Edit::new(self.span(at).bytes, text)
    }

    /// The whole line without its newline and the blanks around it.
    fn whole(&self) -> Range<usize> {
        let start = self.line.len() - self.line.trim_ascii_start().len();
        start..self.line.trim_ascii_end().len().max(start)
    }
}

/// Text of a table made fit for a message: quotes around it, control characters escaped, not too long.
pub fn quoted(text: &[u8]) -> String {
    const LONGEST: usize = 60;
    format!("`{}`", fit(&String::from_utf8_lossy(text), LONGEST))
}

/// The same without quotes.
fn fit(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == longest {
            shown.push('…');
            break;
        }
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
