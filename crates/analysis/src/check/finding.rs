//! One thing found: where, what it really means, and how to mend it.

use std::ops::Range;
use std::path::Path;

use crate::document::{Document, Entry};
use hosts_access::TableKind;

use super::code::{Code, Level};

/// A stretch of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Physical line of its start, counted from 1.
    pub line: u32,
    /// Byte column of its start, counted from 1.
    pub column: u32,
    /// Byte offsets into the file.
    pub bytes: Range<usize>,
}

/// Another place that has to do with a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// The table it stands in.
    pub table: TableKind,
    /// Where.
    pub span: Span,
    /// What it has to do with it.
    pub text: String,
}

/// One replacement in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The bytes to replace.
    pub bytes: Range<usize>,
    /// What to put there.
    pub text: Vec<u8>,
}

/// How to mend a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What the edits do, as an instruction.
    pub title: String,
    /// What was meant is beyond doubt, so the edit may be made unasked.
    pub is_safe: bool,
    /// Clients may be let in by it who were not; the title says so.
    pub lets_in: bool,
    /// The edits, all or none.
    pub edits: Vec<Edit>,
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub code: &'static Code,
    /// Its level: the code's, unless the case is clearer than most.
    pub level: Level,
    /// The table it is in.
    pub table: TableKind,
    /// Where.
    pub span: Span,
    /// What the text really means, in one sentence.
    pub message: String,
    /// Other places to look at.
    pub related: Vec<Related>,
    /// How to mend it.
    pub fix: Option<Fix>,
    /// What to do, where no edit can be given.
    pub help: Option<String>,
    /// The file, where it is neither table: one that a `/file` pattern names.
    pub other_file: Option<Box<Path>>,
}

impl Finding {
    /// Something found, with nothing more to say of it.
    pub fn new(code: &'static Code, table: TableKind, span: Span, message: impl Into<String>) -> Self {
        Finding {
            code,
            level: code.level,
            table,
            span,
            message: message.into(),
            related: Vec::new(),
            fix: None,
            help: None,
            other_file: None,
        }
    }

    /// Something found, with what is always to be done about it.
    pub fn with_remedy(code: &'static Code, table: TableKind, span: Span, message: String) -> Self {
        let mut finding = Finding::new(code, table, span, message);
        finding.help(code.remedy);
        finding
    }

    /// Raises or lowers the level.
    pub fn level(&mut self, level: Level) -> &mut Self {
        self.level = level;
        self
    }

    /// Says what to do, where no edit can be given.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    /// Points at another place.
    pub fn related(&mut self, table: TableKind, span: Span, text: impl Into<String>) -> &mut Self {
        self.related.push(Related {
            table,
            span,
            text: text.into(),
        });
        self
    }

    /// Offers an edit.
    pub fn fix(&mut self, fix: Fix) -> &mut Self {
        self.fix = Some(fix);
        self
    }
}

impl Fix {
    /// An edit that may be made unasked.
    pub fn safe(title: impl Into<String>, edits: Vec<Edit>) -> Self {
        Fix {
            title: title.into(),
            is_safe: true,
            lets_in: false,
            edits,
        }
    }

    /// The same edits in a text that begins so many bytes further on.
    pub(super) fn moved_back(&self, by: usize) -> Self {
        let mut moved = self.clone();
        for edit in &mut moved.edits {
            edit.bytes = edit.bytes.start - by..edit.bytes.end - by;
        }
        moved
    }

    /// An edit that somebody must want.
    pub(crate) fn suggested(title: impl Into<String>, edits: Vec<Edit>) -> Self {
        Fix {
            is_safe: false,
            ..Fix::safe(title, edits)
        }
    }
}

impl Edit {
    /// Puts `text` in the place of `bytes`.
    pub fn new(bytes: Range<usize>, text: impl Into<Vec<u8>>) -> Self {
        Edit {
            bytes,
            text: text.into(),
        }
    }
}

impl Span {
    /// The span of a stretch of an entry's logical line.
    pub fn of(document: &Document, entry: &Entry, at: &Range<usize>) -> Self {
        let start = document.position(entry, at.start);
        let end = if at.end > at.start {
            document.position(entry, at.end - 1).offset + 1
        } else {
            start.offset
        };
        Span {
            line: start.line,
            column: start.column,
            bytes: start.offset..end,
        }
    }
}

/// Makes the edits of `fixes` in `text`, each fix whole or, where it touches an earlier one, not at all.
/// Returns the new text and how many fixes were made.
///
/// ```
/// use analysis::check::{Edit, Fix, apply};
/// let fix = Fix::safe("bracket it", vec![Edit::new(6..6, "["), Edit::new(9..9, "]")]);
/// assert_eq!(apply(b"sshd: ::1\n", [&fix]), (b"sshd: [::1]\n".to_vec(), 1));
/// ```
pub fn apply<'f>(text: &[u8], fixes: impl IntoIterator<Item = &'f Fix>) -> (Vec<u8>, usize) {
    let mut fixes: Vec<_> = fixes
        .into_iter()
        .map(|fix| {
            let mut edits: Vec<_> = fix.edits.iter().collect();
            edits.sort_by_key(|e| (e.bytes.start, e.bytes.end));
            edits
        })
        .filter(|edits| !edits.is_empty())
        .collect();
    fixes.sort_by_key(|edits| edits[0].bytes.start);
    let mut out = Vec::with_capacity(text.len() + 64);
    let (mut at, mut made) = (0, 0);
    let mut touched = None;
    for edits in fixes {
        // Two insertions at one place would leave their order to chance.
        let start = edits[0].bytes.start;
        if touched.is_some_and(|end| start <= end) || edits.iter().any(|e| e.bytes.end > text.len()) {
            continue;
        }
        for edit in &edits {
            out.extend_from_slice(&text[at..edit.bytes.start]);
            out.extend_from_slice(&edit.text);
            at = edit.bytes.end;
        }
        touched = Some(at);
        made += 1;
    }
    out.extend_from_slice(&text[at..]);
    (out, made)
}
