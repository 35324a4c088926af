//! Lints: what two tables say that they cannot have been meant to say.
//!
//! The same tables give the same findings everywhere: nothing here looks at the machine. What depends
//! on it (programs, files that patterns name, who is logged in) has its codes here, in [`host`], and is
//! looked for by the command. Not for what goes to the log while deciding, which is
//! [`diagnostic`](crate::diagnostic).
//!
//! Claims are about requests as they come in real life: addresses are numeric, written as the C
//! library writes them, or `unknown`; names are never numbers.

mod clients;
pub mod code;
mod comments;
mod compat;
mod daemons;
mod finding;
pub mod foreign;
pub mod host;
mod ipv6;
mod lines;
mod lists;
mod names;
mod options;
mod policy;
mod reach;
mod shadow;
#[cfg(test)]
mod tests;
mod words;

use std::borrow::Cow;
use std::ops::Range;

pub use code::{Code, Example, Level};
pub use finding::{Edit, Finding, Fix, Related, Span, apply};
pub use words::words;

use crate::decision::TableKind;
use crate::document::{Content, Document, Entry, Rule, content};
use crate::source::Ending;

/// The tables to check. One of them alone can be checked too; what depends on both is then left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tables<'d> {
    /// The allow table.
    pub allow: Option<&'d Document>,
    /// The deny table.
    pub deny: Option<&'d Document>,
}

impl<'d> Tables<'d> {
    /// The tables there are, in the order in which they are consulted.
    pub fn iter(&self) -> impl Iterator<Item = (TableKind, &'d Document)> + use<'d> {
        let allow = self.allow.map(|d| (TableKind::Allow, d));
        let deny = self.deny.map(|d| (TableKind::Deny, d));
        allow.into_iter().chain(deny)
    }
}

/// Everything found, in the order of the files.
///
/// ```
/// use hosts_access::check::{Tables, check};
/// use hosts_access::document::Document;
/// let allow = Document::new("hosts.allow", &b"sshd: 10.1.2.3/8\n"[..]);
/// let found = check(Tables { allow: Some(&allow), deny: None });
/// assert_eq!((found[0].code.id, found[0].span.column), ("W205", 7));
/// ```
pub fn check(tables: Tables<'_>) -> Vec<Finding> {
    check_with(tables, Options::default())
}

/// What is looked for only where it is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Rules that grant without the word `allow`.
    pub implicit_allow: bool,
}

/// As [`check`], with what is asked for beside.
pub fn check_with(tables: Tables<'_>, options: Options) -> Vec<Finding> {
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
    for ((table, document), lines) in tables.iter().zip(&lines) {
        let blocks = foreign::Blocks::of(document);
        lines::table(table, document, &mut found);
        for (number, (entry, line)) in document.entries.iter().zip(lines).enumerate() {
            if entry.ending == Ending::Nul {
                break;
            }
            let mut cx = Context {
                table,
                document,
                entry,
                line,
                is_foreign: blocks.contains(number),
                found: &mut found,
            };
            match content(line) {
                Content::Comment | Content::Blank => {}
                Content::NoSeparator => lines::no_separator(&mut cx),
                Content::Rule(rule) => {
                    let before = cx.found.len();
                    lints(&mut cx, &rule);
                    let new = &cx.found[before..];
                    let is_broken = new.iter().any(|f| f.level == Level::Error);
                    // What such a rule hides behind says nothing about what was meant.
                    let is_misread = new.iter().any(|f| ipv6::CODES.contains(&f.code));
                    // A line that is not read decides nothing and hides nothing.
                    if entry.ending == Ending::Newline {
                        earlier.rule(&mut cx, &rule, is_misread);
                        whole.rule(&mut cx, &rule, is_broken, options);
                    }
                }
            }
        }
    }
    whole.end(tables, &mut found);
    found.sort_by_key(|f| (f.table == TableKind::Deny, f.span.bytes.start, f.code.id));
    found
}

/// The lints that look at one rule.
fn lints(cx: &mut Context<'_, '_>, rule: &Rule<'_>) {
    if comments::indented(cx, rule) {
        return;
    }
    let comment = comments::inline(cx, rule);
    let end = comment.unwrap_or(usize::MAX);
    let bare = ipv6::bare(cx, rule, end);
    let end = bare.unwrap_or(end).min(end);
    if !lines::junk(cx, rule, end) {
        lists::lint(cx, rule, end);
        daemons::lint(cx, rule, end);
        clients::lint(cx, rule, end);
        names::lint(cx, rule, end);
        if bare.is_none() {
            options::lint(cx, rule, end);
        }
    }
    compat::lint(cx, rule);
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
        self.found.push(Finding {
            code,
            level: code.level,
            table: self.table,
            span,
            message: message.into(),
            related: Vec::new(),
            fix: None,
            help: None,
            other_file: None,
        });
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
    let text = String::from_utf8_lossy(text);
    let mut shown = String::from("`");
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            shown.push('…');
            break;
        }
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown.push('`');
    shown
}
