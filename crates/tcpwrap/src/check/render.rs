//! Findings as a person reads them: the source line with the place marked, what it means, what to do.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::ops::Range;

use analysis::check::{Edit, Finding, Fix, Level};
use analysis::document::Document;
use annotate_snippets::{AnnotationKind, Group, Level as Shown, Patch, Renderer, Snippet};

use super::input::Policy;

/// So many findings of one kind are shown; a million alike help nobody.
const MOST_ALIKE: usize = 20;

/// Writes the findings of one policy.
///
/// # Errors
/// Those of writing.
pub fn write(out: &mut dyn Write, policy: &Policy, found: &[Finding], renderer: &Renderer) -> io::Result<()> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for finding in found {
        let id = finding.code.id;
        let at = counts
            .iter()
            .position(|(known, _)| *known == id)
            .unwrap_or_else(|| {
                counts.push((id, 0));
                counts.len() - 1
            });
        counts[at].1 += 1;
        if counts[at].1 <= MOST_ALIKE {
            writeln!(out, "{}\n", one(policy, finding, renderer))?;
        }
    }
    for (id, count) in counts.iter().filter(|(_, count)| *count > MOST_ALIKE) {
        let more = count - MOST_ALIKE;
        writeln!(out, "… and {more} more findings {id}; --json lists them all\n")?;
    }
    Ok(())
}

/// One finding.
fn one(policy: &Policy, finding: &Finding, renderer: &Renderer) -> String {
    let level = match finding.level {
        Level::Error => Shown::ERROR,
        Level::Warning => Shown::WARNING,
        Level::Info => Shown::INFO,
    };
    let title = level.primary_title(finding.message.as_str()).id(finding.code.id);
    let document = match &finding.other_file {
        Some(path) => std::fs::read(path)
            .ok()
            .map(|text| Document::new(path.to_path_buf(), text)),
        None => None,
    };
    let document = document.as_ref().or_else(|| policy.table(finding.table));
    let Some(document) = document else {
        return renderer.render(&[Group::with_title(title)]);
    };
    let window = Window::around(document, &finding.span.bytes, finding.span.line);
    let mut marks = vec![AnnotationKind::Primary.span(window.shown(&finding.span.bytes))];
    let mut others = Vec::new();
    for related in &finding.related {
        if related.table == finding.table && window.holds(&related.span.bytes) {
            marks.push(
                AnnotationKind::Context
                    .span(window.shown(&related.span.bytes))
                    .label(related.text.as_str()),
            );
        } else if let Some(document) = policy.table(related.table) {
            others.push((
                related,
                Window::around(document, &related.span.bytes, related.span.line),
                document,
            ));
        }
    }
    let path = path_of(document);
    let mut group = title.element(
        Snippet::source(window.text.as_str())
            .line_start(window.line)
            .path(path.as_str())
            .annotations(marks),
    );
    let names: Vec<String> = others.iter().map(|(_, _, document)| path_of(document)).collect();
    for ((related, window, _), path) in others.iter().zip(&names) {
        group = group.element(
            Snippet::source(window.text.as_str())
                .line_start(window.line)
                .path(path.as_str())
                .annotation(
                    AnnotationKind::Context
                        .span(window.shown(&related.span.bytes))
                        .label(related.text.as_str()),
                ),
        );
    }
    let mut groups = vec![group];
    let texts;
    if let Some(fix) = &finding.fix {
        let title = Shown::HELP.secondary_title(fix.title.as_str());
        if let Some(shown) = patches(fix, &window) {
            texts = shown;
            groups.push(
                title.element(
                    Snippet::source(window.text.as_str())
                        .line_start(window.line)
                        .path(path.as_str())
                        .patches(
                            texts
                                .iter()
                                .map(|(at, text)| Patch::new(at.clone(), text.as_str())),
                        ),
                ),
            );
        } else {
            groups.push(Group::with_title(title));
        }
    } else if let Some(help) = &finding.help {
        groups.push(Group::with_title(Shown::HELP.secondary_title(plain(help))));
    }
    renderer.render(&groups)
}

/// The edits of a fix where they can be shown in the lines that are; what reaches beyond them is said in words alone.
fn patches(fix: &Fix, window: &Window) -> Option<Vec<(Range<usize>, String)>> {
    let fits = |edit: &Edit| window.holds(&edit.bytes) && !edit.text.contains(&b'\n');
    let removes_all = |edit: &Edit| edit.text.is_empty() && edit.bytes.len() >= window.bytes.len();
    let shown = |edit: &Edit| (window.shown(&edit.bytes), visible(&edit.text));
    let is_shown = fix.edits.iter().all(|edit| fits(edit) && !removes_all(edit));
    is_shown.then(|| fix.edits.iter().map(shown).collect())
}

/// A sentence as the other lines have it: no capital at its beginning, no full stop.
fn plain(help: &str) -> String {
    let help = match help.strip_suffix('.') {
        Some(one) if !one.contains(". ") => one,
        _ => help,
    };
    let mut letters = help.chars();
    match letters.next() {
        Some(first) if letters.as_str().starts_with(|c: char| c.is_lowercase()) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => help.to_owned(),
    }
}

fn path_of(document: &Document) -> String {
    visible(document.path.as_os_str().as_encoded_bytes())
}

/// Text without anything a terminal would obey.
fn visible(text: &[u8]) -> String {
    let mut out = String::new();
    for c in String::from_utf8_lossy(text).chars() {
        push_visible(&mut out, c);
    }
    out
}

fn push_visible(out: &mut String, c: char) {
    match c {
        '\t' => out.push(' '),
        // Direction marks can make a line read other than it is, and what is not seen cannot be pointed at.
        '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{200b}'..='\u{200f}'
        | '\u{a0}'
        | '\u{ad}'
        | '\u{2060}'
        | '\u{feff}' => {
            let _ = write!(out, "{}", c.escape_unicode());
        }
        c if c.is_control() => {
            let _ = write!(out, "{}", c.escape_default());
        }
        c => out.push(c),
    }
}

/// A few physical lines of a file, fit for a terminal, that know where their bytes came from.
struct Window {
    bytes: Range<usize>,
    text: String,
    line: usize,
    /// For each byte of the file in the window, where it stands in `text`; one more for the end.
    at: Vec<usize>,
}

impl Window {
    fn around(document: &Document, span: &Range<usize>, line: u32) -> Self {
        const WIDEST: usize = 300;
        let text = &document.text;
        let anchor = span.start.min(text.len());
        let mut start = text[..anchor]
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        if anchor > start + WIDEST {
            start = anchor - WIDEST;
        }
        let last = span.end.clamp(anchor, text.len()).min(anchor + WIDEST);
        let rest = &text[last..];
        // A span that ends with its newline needs no further line.
        let ends_line = last > anchor && text[last - 1] == b'\n';
        let mut end = if ends_line {
            last - 1
        } else {
            last + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
        };
        end = end.min(last + WIDEST);
        let mut shown = String::new();
        let mut at = Vec::with_capacity(end - start + 1);
        for chunk in text[start..end].utf8_chunks() {
            for c in chunk.valid().chars() {
                at.extend(std::iter::repeat_n(shown.len(), c.len_utf8()));
                if c == '\n' {
                    shown.push('\n');
                } else {
                    push_visible(&mut shown, c);
                }
            }
            for _ in chunk.invalid() {
                at.push(shown.len());
                shown.push('\u{fffd}');
            }
        }
        at.push(shown.len());
        Window {
            bytes: start..end,
            text: shown,
            line: line as usize,
            at,
        }
    }

    fn holds(&self, span: &Range<usize>) -> bool {
        span.start >= self.bytes.start && span.end <= self.bytes.end
    }

    /// A span of the file as one of the text shown.
    fn shown(&self, span: &Range<usize>) -> Range<usize> {
        let place = |byte: usize| self.at[byte.clamp(self.bytes.start, self.bytes.end) - self.bytes.start];
        place(span.start)..place(span.end)
    }
}
