//! A whole table as a value, for the tools that study, check, compare and rewrite tables.
//!
//! Every line is kept: comments and blanks, good rules, and bad ones with what is wrong with them. The
//! pieces of a rule know where in the file they stand. Deciding does not go through here; it reads
//! lines with the same functions ([`syntax`](hosts_access::syntax)) and keeps nothing.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hosts_access::options;
use hosts_access::policy::Compiled;
use hosts_access::source::{Ending, Lines};
use hosts_access::syntax::list::{is_except, tokens};
use hosts_access::syntax::option::{Keyword, keyword_and_value, option_fields};
use hosts_access::syntax::pattern::{ClientPattern, DaemonPattern};
use hosts_access::syntax::{LineKind, fields, line_kind};
use hosts_access::{TableKind, Tables};

/// A table read whole.
///
/// ```
/// use analysis::document::{Content, Document, content};
/// let document = Document::new("hosts.deny", &b"# closed\nALL: ALL EXCEPT \\\n LOCAL\n"[..]);
/// let entry = &document.entries[1];
/// assert_eq!((entry.first_line, entry.last_line), (2, 3));
/// let line = document.line(entry);
/// let Content::Rule(rule) = content(&line) else { panic!() };
/// let local = &rule.clients.parts[1][0];
/// assert_eq!(local.text, b"LOCAL");
/// assert_eq!(document.position(entry, local.span.start).line, 3);
/// ```
#[derive(Debug, Clone)]
pub struct Document {
    /// The file's path, for messages.
    pub path: Arc<Path>,
    /// Its bytes.
    pub text: Vec<u8>,
    /// Its logical lines, in order.
    pub entries: Vec<Entry>,
}

/// The two tables of a policy, or one of them alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Documents<'d> {
    /// The allow table.
    pub allow: Option<&'d Document>,
    /// The deny table.
    pub deny: Option<&'d Document>,
}

impl<'d> Documents<'d> {
    /// The tables there are, in the order in which they are consulted.
    pub fn iter(&self) -> impl Iterator<Item = (TableKind, &'d Document)> + use<'d> {
        let allow = self.allow.map(|d| (TableKind::Allow, d));
        let deny = self.deny.map(|d| (TableKind::Deny, d));
        allow.into_iter().chain(deny)
    }

    /// Both tables, the allow table first.
    pub fn both([allow, deny]: &'d [Document; 2]) -> Self {
        Documents {
            allow: Some(allow),
            deny: Some(deny),
        }
    }

    /// The two, ready to decide.
    pub fn compiled(self) -> Compiled {
        let path = |document: Option<&Document>| document.map_or_else(PathBuf::new, |d| d.path.to_path_buf());
        let text = |document: Option<&Document>| document.map(|d| d.text.clone());
        let tables = Tables::new(path(self.allow), path(self.deny));
        Compiled::of_texts(&tables, text(self.allow), text(self.deny))
    }
}

/// One logical line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The first physical line, counted from 1.
    pub first_line: u32,
    /// The last physical line, by which log lines name the rule.
    pub last_line: u32,
    /// Where it stands in the file, final newline included.
    pub bytes: Range<usize>,
    /// How it ends; anything but a newline puts the table in error from here on.
    pub ending: Ending,
}

/// A place in the file, as a person counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Physical line, counted from 1.
    pub line: u32,
    /// Byte column, counted from 1.
    pub column: u32,
    /// Byte offset from the start of the file.
    pub offset: usize,
}

/// What a logical line holds.
#[derive(Debug, Clone)]
pub enum Content<'t> {
    /// A comment: `#` in the first column.
    Comment,
    /// Nothing.
    Blank,
    /// A rule.
    Rule(Rule<'t>),
    /// A line without any `:` outside brackets, which is skipped with a warning.
    NoSeparator,
}

/// A rule taken apart. Spans are byte ranges of the logical line; see [`Document::position`].
#[derive(Debug, Clone)]
pub struct Rule<'t> {
    /// The daemon list.
    pub daemons: List<'t, DaemonPattern<'t>>,
    /// The client list.
    pub clients: List<'t, ClientPattern<'t>>,
    /// The options, in order.
    pub options: Vec<OptionField<'t>>,
}

/// A list: the parts between its `EXCEPT`s. Part 0 matches unless the parts after it do, by the same
/// rule: `p0 EXCEPT (p1 EXCEPT (p2 …))`.
#[derive(Debug, Clone)]
pub struct List<'t, P> {
    /// Where the list stands.
    pub span: Range<usize>,
    /// The parts; always one at least.
    pub parts: Vec<Vec<Token<'t, P>>>,
    /// Where each `EXCEPT` stands.
    pub excepts: Vec<Range<usize>>,
}

/// A token and what it means.
#[derive(Debug, Clone)]
pub struct Token<'t, P> {
    /// Where it stands.
    pub span: Range<usize>,
    /// Its text.
    pub text: &'t [u8],
    /// Its meaning.
    pub pattern: P,
}

/// One option of a rule.
#[derive(Debug, Clone)]
pub struct OptionField<'t> {
    /// Where the field stands, between its colons, without the blanks around it.
    pub span: Range<usize>,
    /// The field's text with `\:` made `:`.
    pub text: Cow<'t, [u8]>,
    /// The option; nothing where the word is none, or missing.
    pub keyword: Option<Keyword>,
    /// What is wrong with it, in the words of the log. Such an option denies.
    pub problem: Option<Vec<u8>>,
}

impl OptionField<'_> {
    /// The option's value, if it has one.
    pub fn value(&self) -> Option<&[u8]> {
        keyword_and_value(&self.text).1
    }

    /// The client list of an `if` option. Its spans are of the logical line, or the option's own where that has
    /// backslashes in it.
    pub fn condition(&self) -> Option<List<'_, ClientPattern<'_>>> {
        let value = self.value().filter(|_| self.keyword == Some(Keyword::If))?;
        let at = match &self.text {
            // The field begins with the blanks before its span.
            Cow::Borrowed(field) => {
                let start = self.span.start - (field.len() - field.trim_ascii_start().len());
                Some(start + (value.as_ptr() as usize - field.as_ptr() as usize))
            }
            Cow::Owned(_) => None,
        };
        let mut list = List::parse(value, at.unwrap_or_default(), ClientPattern::parse);
        if at.is_none() {
            let spans = list.parts.iter_mut().flatten().map(|token| &mut token.span);
            for span in spans.chain(&mut list.excepts).chain([&mut list.span]) {
                *span = self.span.clone();
            }
        }
        Some(list)
    }
}

impl Document {
    /// A table from its text.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        let mut entries = Vec::new();
        let mut lines = Lines::new(&text);
        while let Some(line) = lines.next() {
            let (first_line, last_line, offset, ending) = (line.first, line.last, line.offset, line.ending);
            let end = lines.position().0;
            entries.push(Entry {
                first_line,
                last_line,
                bytes: offset..end,
                ending,
            });
        }
        Document {
            path: Arc::from(path.into()),
            text,
            entries,
        }
    }

    /// The logical line of an entry: continuations joined, final newline included if there is one.
    pub fn line(&self, entry: &Entry) -> Cow<'_, [u8]> {
        let raw = &self.text[entry.bytes.clone()];
        if entry.first_line == entry.last_line && !raw.ends_with(b"\\\n") {
            return Cow::Borrowed(raw);
        }
        let mut joined = Vec::with_capacity(raw.len());
        for piece in raw.split_inclusive(|b| *b == b'\n') {
            joined.extend_from_slice(piece.strip_suffix(b"\\\n").unwrap_or(piece));
        }
        Cow::Owned(joined)
    }

    /// Where the byte `at` of an entry's logical line stands in the file.
    pub fn position(&self, entry: &Entry, at: usize) -> Position {
        let raw = &self.text[entry.bytes.clone()];
        let mut start = 0;
        let mut left = at;
        let mut line = entry.first_line;
        for piece in raw.split_inclusive(|b| *b == b'\n') {
            let length = piece.strip_suffix(b"\\\n").unwrap_or(piece).len();
            if left < length || start + piece.len() == raw.len() {
                break;
            }
            left -= length;
            start += piece.len();
            line += 1;
        }
        let column = u32::try_from(left).unwrap_or(u32::MAX - 1) + 1;
        Position {
            line,
            column,
            offset: entry.bytes.start + start + left,
        }
    }
}

/// What a logical line holds: the parts borrow from the line, which [`Document::line`] gives.
pub fn content(line: &[u8]) -> Content<'_> {
    match line_kind(line) {
        LineKind::Comment => Content::Comment,
        LineKind::Blank => Content::Blank,
        LineKind::Rule => Rule::parse(line).map_or(Content::NoSeparator, Content::Rule),
    }
}

/// Does a logical line hold a rule? The same as [`content`] says, without taking the rule apart.
pub fn is_rule(line: &[u8]) -> bool {
    line_kind(line) == LineKind::Rule && fields(line).is_some()
}

/// A client list that stands alone, such as that of an `if` option.
pub(crate) fn client_list(text: &[u8]) -> List<'_, ClientPattern<'_>> {
    List::parse(text, 0, ClientPattern::parse)
}

impl<'t> Rule<'t> {
    /// Takes a rule apart. Nothing, where the line has no `:` outside brackets.
    fn parse(line: &'t [u8]) -> Option<Self> {
        let fields = fields(line)?;
        let clients_at = fields.daemons.len() + 1;
        Some(Rule {
            daemons: List::parse(fields.daemons, 0, DaemonPattern::parse),
            clients: List::parse(fields.clients, clients_at, ClientPattern::parse),
            options: fields.options.map_or_else(Vec::new, |text| {
                option_list(text, clients_at + fields.clients.len() + 1)
            }),
        })
    }
}

impl<'t, P> List<'t, P> {
    /// Reads a list that begins at `start` of its line.
    fn parse(list: &'t [u8], start: usize, pattern: impl Fn(&'t [u8]) -> P) -> Self {
        let mut parts = vec![Vec::new()];
        let mut excepts = Vec::new();
        for text in tokens(list) {
            // Both are pieces of the same line, so the distance of their addresses is the offset.
            let at = start + (text.as_ptr() as usize - list.as_ptr() as usize);
            let span = at..at + text.len();
            if is_except(text) {
                excepts.push(span);
                parts.push(Vec::new());
            } else if let Some(part) = parts.last_mut() {
                part.push(Token {
                    span,
                    text,
                    pattern: pattern(text),
                });
            }
        }
        List {
            span: start..start + list.len(),
            parts,
            excepts,
        }
    }

    /// All tokens, exceptions among them.
    pub fn tokens(&self) -> impl Iterator<Item = &Token<'t, P>> {
        self.parts.iter().flatten()
    }
}

fn option_list(text: &[u8], start: usize) -> Vec<OptionField<'_>> {
    let mut found = Vec::new();
    let mut fields = option_fields(text);
    let mut from = 0;
    let mut last = None;
    while let Some(field) = fields.next() {
        let raw = &text[from..fields.position_in(text)];
        let field_start = start + from;
        from += raw.len();
        let raw = if fields.ended_by_colon() {
            &raw[..raw.len() - 1]
        } else {
            raw
        };
        let blanks = raw.len() - raw.trim_ascii_start().len();
        let length = raw.trim_ascii().len();
        let checked = options::check(&field, fields.is_at_end());
        let (keyword, problem) = match &checked {
            Ok((keyword, value)) => {
                let placed = options::check_order(last.replace(*keyword), *keyword);
                let checked = placed.and_then(|()| options::effect(*keyword, *value));
                (Some(*keyword), checked.err().map(|error| error.message()))
            }
            Err(error) => (Keyword::parse(keyword_and_value(&field).0), Some(error.message())),
        };
        let span = field_start + blanks..field_start + blanks + length;
        found.push(OptionField {
            span,
            text: field,
            keyword,
            problem,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_point_at_the_text() {
        let document = Document::new(
            "t",
            &b"a, b@c : ALL EXCEPT x : spawn e\\:f : allow\\\nx:deny\n"[..],
        );
        let entry = &document.entries[0];
        let line = document.line(entry);
        let Content::Rule(rule) = content(&line) else {
            panic!()
        };
        let texts: Vec<_> = rule.daemons.tokens().map(|t| &line[t.span.clone()]).collect();
        assert_eq!(texts, [&b"a"[..], b"b@c"]);
        assert_eq!(rule.clients.parts.len(), 2);
        assert_eq!(&line[rule.clients.excepts[0].clone()], b"EXCEPT");
        let options: Vec<_> = rule.options.iter().map(|o| &line[o.span.clone()]).collect();
        assert_eq!(options, [&b"spawn e\\:f"[..], b"allowx", b"deny"]);
        assert_eq!(rule.options[0].text.as_ref(), b" spawn e:f ");
        assert_eq!(
            rule.options[1].problem.as_deref(),
            Some(&b"bad option name: \"allowx\""[..])
        );
        assert_eq!(rule.options[2].problem, None);
        let deny = document.position(entry, rule.options[2].span.start);
        assert_eq!((deny.line, deny.column), (2, 3));
        assert_eq!(&document.text[deny.offset..deny.offset + 4], b"deny");
    }
}
