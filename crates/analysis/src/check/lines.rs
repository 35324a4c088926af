//! Lines and files as such: how they end, and lines that are no rule at all (hosts_access(5), ACCESS
//! CONTROL RULES).

use super::code::{Code, Level, allow, codes};
use super::finding::{Edit, Finding, Fix, Span};
use super::junk::{is_junk, is_placeholder};
use super::{Context, braces, comments, quoted};
use crate::document::{Document, Rule};
use hosts_access::TableKind;
use hosts_access::source::Ending;
use hosts_access::syntax::list::tokens;
use hosts_access::syntax::option::Keyword;
use hosts_access::syntax::{LineKind, line_kind};

codes! {
    pub(super) UNTERMINATED = "W001" "missing-newline" Error {
        meaning: "The last line does not end in a newline. Such a line is not read: the table is in error \
            there. In `hosts.allow` the rule never grants; in `hosts.deny` every request that gets as far is \
            denied, whatever the line says, even if it is a comment.",
        remedy: "End the line with a newline.",
        bad: allow("sshd: 10.0.0.1"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) NUL = "W002" "nul-byte" Error {
        meaning: "The line holds a NUL byte. The table is in error from there on: no later line is read, and \
            `hosts.deny` denies every request that gets as far. The reference glues such lines together.",
        remedy: "Write the file again as plain text.",
        bad: allow("sshd: 10.0.0.1\0\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) CRLF = "W003" "crlf" Warning {
        meaning: "The lines end in CR LF, as DOS and Windows write them. The CR counts as a blank, so rules \
            still work, but a backslash before it continues no line, and other programs that read the file \
            take the CR as part of the last word.",
        remedy: "Convert the file to LF line ends.",
        bad: allow("sshd: 10.0.0.1\r\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) NO_SEPARATOR = "W004" "missing-colon" Error {
        meaning: "A rule needs a `:` between its daemons and its clients. A line without one is logged at every \
            request that reads it, and skipped.",
        remedy: "Write `daemon: clients`, or make the line a comment with a `#` in its first column.",
        bad: allow("sshd 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) BRACKETS = "W005" "unbalanced-bracket" Error {
        meaning: "Colons between square brackets belong to an IPv6 address. Where a bracket has no partner, \
            every colon after it is hidden, and the line has fewer fields than it seems to.",
        remedy: "Close the bracket after the address.",
        bad: allow("sshd: [2001:db8::1 : allow\n"),
        good: allow("sshd: [2001:db8::1] : allow\n"),
    }

    pub(super) JUNK = "W006" "pasted-junk" Warning {
        meaning: "The line looks like something that came along when text was copied from a web page or a \
            terminal: markup, a shell prompt, a command. It is read as a rule all the same.",
        remedy: "Remove the line, or the part that does not belong to the rule.",
        bad: allow("<pre>sshd: 10.0.0.1</pre>\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) PLACEHOLDER = "W007" "placeholder" Error {
        meaning: "A word that somebody was to replace by a real value is still there. It is compared letter by \
            letter and matches nothing, or nothing that was meant.",
        remedy: "Put the real value in its place.",
        bad: allow("sshd: <your-ip>\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) MARK = "W008" "byte-order-mark" Error {
        meaning: "The file begins with the three bytes of a byte order mark, as editors on Windows write them. They \
            are not seen, but belong to the first word: a rule in the first line is for a daemon of another name, \
            and a comment there is none. A `hosts.deny` with no other line than `ALL: ALL` refuses nobody.",
        remedy: "Remove the mark: save the file as plain text or as UTF-8 without BOM.",
        bad: allow("\u{feff}sshd: 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }
}

/// What concerns the file as a whole, and how its lines hang together.
pub(super) fn table(table: TableKind, document: &Document, found: &mut Vec<Finding>) {
    mark(table, document, found);
    crlf(table, document, found);
    for entry in &document.entries {
        let is_last = entry.bytes.end == document.text.len();
        if entry.ending == Ending::Newline && entry.first_line == entry.last_line {
            continue;
        }
        let line = document.line(entry);
        let mut cx = Context {
            table,
            document,
            entry,
            line: &line,
            is_foreign: false,
            found,
        };
        if entry.first_line != entry.last_line {
            comments::continuations(&mut cx, line_kind(&line) == LineKind::Comment);
        }
        if entry.ending == Ending::Nul {
            let at = memchr::memchr(0, &line).unwrap_or(0);
            let message = match table {
                TableKind::Allow => "a NUL byte: no rule from this line on is read",
                TableKind::Deny => "a NUL byte: every request that gets here is denied",
            };
            let is_utf16 = matches!(
                document.text[..],
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [_, 0, _, 0, ..]
            );
            cx.report(&NUL, &(at..at + 1), message).help(if is_utf16 {
                "this is UTF-16, as some editors on Windows write: save the file as plain text"
            } else {
                "write the file again as plain text"
            });
            return;
        }
        if entry.ending == Ending::Unterminated && is_last {
            unterminated(&mut cx);
        }
    }
}

/// A byte order mark, which makes the first word another.
fn mark(table: TableKind, document: &Document, found: &mut Vec<Finding>) {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let Some(rest) = document.text.strip_prefix(MARK) else {
        return;
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let message = match line_kind(line) {
        LineKind::Comment => "an invisible byte order mark before the `#`, so this is no comment".to_owned(),
        LineKind::Blank => "an invisible byte order mark, so this line is not blank".to_owned(),
        LineKind::Rule => {
            let daemon = tokens(line).next().unwrap_or_default();
            let daemon = daemon.split(|byte| *byte == b':').next().unwrap_or_default();
            format!(
                "an invisible byte order mark before {}, which makes it another word",
                quoted(daemon)
            )
        }
    };
    let at = 0..MARK.len();
    found.push(Finding {
        code: &self::MARK,
        level: Level::Error,
        table,
        span: Span {
            line: 1,
            column: 1,
            bytes: at.clone(),
        },
        message,
        related: Vec::new(),
        fix: Some(Fix::safe("remove the mark", vec![Edit::new(at, "")])),
        help: None,
        other_file: None,
    });
}

/// Lines as old Macs ended them: to every reader of the file they are one.
fn cr_alone(table: TableKind, document: &Document, found: &mut Vec<Finding>) {
    let text = &document.text;
    let all: Vec<usize> = memchr::memchr_iter(b'\r', text).collect();
    let lines = memchr::memchr_iter(b'\n', text).count();
    let Some(first) = all.first().filter(|_| all.len() > lines) else {
        return;
    };
    let edits = all.iter().map(|at| Edit::new(*at..at + 1, "\n")).collect();
    found.push(Finding {
        code: &CRLF,
        level: Level::Error,
        table,
        span: Span {
            line: 1,
            column: u32::try_from(*first).unwrap_or(u32::MAX - 1) + 1,
            bytes: *first..first + 1,
        },
        message: "lines end in CR alone, which ends no line: the file is read as one".to_owned(),
        related: Vec::new(),
        fix: Some(Fix::suggested("convert the file to LF line ends", edits)),
        help: None,
        other_file: None,
    });
}

fn crlf(table: TableKind, document: &Document, found: &mut Vec<Finding>) {
    let is_crlf = |at: &usize| document.text.get(at + 1) == Some(&b'\n');
    let Some(first) = memchr::memchr_iter(b'\r', &document.text).find(is_crlf) else {
        return cr_alone(table, document, found);
    };
    let Some(entry) = document.entries.iter().find(|e| e.bytes.contains(&first)) else {
        return;
    };
    let all: Vec<usize> = memchr::memchr_iter(b'\r', &document.text)
        .filter(is_crlf)
        .collect();
    let edits = all.iter().map(|at| Edit::new(*at..at + 1, "")).collect();
    let before = &document.text[entry.bytes.start..first];
    let line = entry.first_line + u32::try_from(memchr::memchr_iter(b'\n', before).count()).unwrap_or(0);
    let start = memchr::memrchr(b'\n', before).map_or(entry.bytes.start, |at| entry.bytes.start + at + 1);
    let splits = all.iter().any(|at| *at > 0 && document.text[at - 1] == b'\\');
    let message = match (all.len(), splits) {
        (_, true) => "lines end in CR LF, and a backslash before that does not continue the line".to_owned(),
        (1, _) => "this line ends in CR LF".to_owned(),
        (count, _) => format!("{count} lines end in CR LF, this one first"),
    };
    found.push(Finding {
        code: &CRLF,
        level: if splits { Level::Error } else { CRLF.level },
        table,
        span: Span {
            line,
            column: u32::try_from(first - start).unwrap_or(u32::MAX - 1) + 1,
            bytes: first..first + 1,
        },
        message,
        related: Vec::new(),
        // With the CR gone a backslash before it would join lines.
        fix: Some(Fix {
            is_safe: !splits,
            ..Fix::safe("convert the file to LF line ends", edits)
        }),
        help: None,
        other_file: None,
    });
}

fn unterminated(cx: &mut Context<'_, '_>) {
    let line = cx.line;
    let end = line.len();
    let ends_in_backslash = cx.document.text.ends_with(b"\\\n");
    let is_rule = line_kind(line) == LineKind::Rule;
    let message = match (cx.table, is_rule) {
        (TableKind::Allow, true) => "the last line has no newline at its end, so this rule is never read",
        (TableKind::Allow, false) => {
            "the last line has no newline at its end, and the table counts as in error"
        }
        (TableKind::Deny, _) => {
            "the last line has no newline at its end: every request that gets here is denied, whatever it says"
        }
    };
    let at = end.saturating_sub(1)..end;
    let file_end = cx.document.text.len();
    let edit = Edit::new(file_end..file_end, "\n");
    let finding = cx.report(&UNTERMINATED, &at, message);
    if cx_allows_plain_comment(finding.table, is_rule) {
        finding.level(Level::Warning);
    }
    if ends_in_backslash {
        finding.help("remove the backslash at the end of the file");
    } else {
        finding.fix(Fix::safe("end the line with a newline", vec![edit]));
    }
}

/// A comment or blank end of the allow table loses nothing but a line in the log.
fn cx_allows_plain_comment(table: TableKind, is_rule: bool) -> bool {
    table == TableKind::Allow && !is_rule
}

/// A line that has no `:` outside brackets.
pub(super) fn no_separator(cx: &mut Context<'_, '_>) {
    if comments::foreign(cx, false) {
        return;
    }
    let whole = cx.whole();
    let text = &cx.line[whole.clone()];
    if text.starts_with(b"#") {
        let blanks = 0..whole.start;
        let edit = cx.edit(&blanks, "");
        cx.report(
            &comments::INDENTED,
            &whole,
            "this is no comment, as the `#` is not in the first column: it is logged at every request",
        )
        .fix(Fix::safe("remove the blanks before the `#`", vec![edit]));
        return;
    }
    if let Some(at) = unbalanced(text)
        && memchr::memchr(b':', text).is_some()
    {
        let at = whole.start + at..whole.start + at + 1;
        cx.report(
            &BRACKETS,
            &at,
            "no partner for this bracket: it hides every `:` after it, and the line is skipped",
        )
        .help("close the bracket after the address");
        return;
    }
    if is_junk(text) {
        cx.report(
            &JUNK,
            &whole,
            "this looks like something pasted by mistake; the line is skipped",
        )
        .help("remove the line");
        return;
    }
    let words: Vec<&[u8]> = tokens(text).take(3).collect();
    let message = format!("no `:`, so this is no rule: {} is skipped", quoted(text));
    let edit = match words.as_slice() {
        // `sshd 10.0.0.1`: what goes where is plain.
        [first, second] if second.first().is_some_and(u8::is_ascii_digit) => {
            let at = whole.start + first.len();
            Some(cx.edit(&(at..at), ":"))
        }
        _ => None,
    };
    let is_option = tokens(text).skip(1).any(|word| Keyword::parse(word).is_some());
    let finding = cx.report(&NO_SEPARATOR, &whole, message);
    match edit {
        Some(edit) => finding.fix(Fix::suggested("put a `:` after the daemon", vec![edit])),
        None if is_option => {
            finding.help("put a `:` before and behind the clients: `daemons: clients : option`")
        }
        None => finding.help("write `daemon: clients`, or put a `#` in the first column"),
    };
}

/// Rules that are junk, or hold a placeholder or an unbalanced bracket. True where the rest of the
/// lints would only add noise.
pub(super) fn junk(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) -> bool {
    let whole = cx.whole();
    let text = &cx.line[whole.clone()];
    if is_junk(text) {
        cx.report(
            &JUNK,
            &whole,
            "this looks like something pasted by mistake, and is read as a rule",
        )
        .help("remove what does not belong to the rule");
        return true;
    }
    let clients = rule.clients.tokens().last().map_or(0, |last| last.span.end);
    if cx.line[clients..].starts_with(b"://") {
        let at = clients..clients + 3;
        cx.report(
            &JUNK,
            &at,
            "no client is a URL: this `:` begins an option, so everyone the rule matches is denied",
        )
        .help("write the host's name alone");
        return true;
    }
    let mut spans = Vec::new();
    let daemons = rule.daemons.tokens().map(|t| (&t.span, t.text));
    let clients = rule.clients.tokens().map(|t| (&t.span, t.text));
    for (span, token) in daemons.chain(clients) {
        if span.start < end && is_placeholder(token) && braces::meant(token).is_none() {
            spans.push(span.clone());
        }
    }
    for span in &spans {
        let word = quoted(&cx.line[span.clone()]);
        cx.report(
            &PLACEHOLDER,
            span,
            format!("{word} was to be replaced by a real value"),
        )
        .help("put the real value in its place");
    }
    // Only the lists: what brackets do in commands is the shell's.
    let lists = &cx.line[..rule.clients.span.end];
    if let Some(at) = unbalanced(lists) {
        cx.report(
            &BRACKETS,
            &(at..at + 1),
            "no partner for this bracket: it hides every `:` after it",
        )
        .help("close the bracket after the address");
        return true;
    }
    !spans.is_empty()
}

/// The first bracket without a partner.
fn unbalanced(text: &[u8]) -> Option<usize> {
    memchr::memchr2(b'[', b']', text)?;
    let mut open = None;
    let mut depth = 0usize;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'[' => {
                if depth == 0 {
                    open = Some(at);
                }
                depth += 1;
            }
            b']' if depth == 0 => return Some(at),
            b']' => depth -= 1,
            _ => {}
        }
    }
    open.filter(|_| depth > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets() {
        assert_eq!(unbalanced(b"a [b] c"), None);
        assert_eq!(unbalanced(b"a [b"), Some(2));
        assert_eq!(unbalanced(b"a b]"), Some(3));
    }
}
