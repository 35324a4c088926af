//! `#` where it starts no comment. Only in the first column of a line does it (hosts_access(5),
//! ACCESS CONTROL RULES).

use std::ops::Range;

use super::code::{Code, Level, allow, codes};
use super::finding::{Edit, Fix};
use super::{Context, quoted};
use crate::document::{Document, Rule};
use hosts_access::TableKind;
use hosts_access::syntax::list::tokens;
use hosts_access::syntax::pattern::{ClientPattern, HostPattern, StringPattern};
use hosts_access::syntax::{LineKind, line_kind};

codes! {
    pub(super) INLINE = "W021" "inline-comment" Warning {
        meaning: "A `#` makes a comment only as the very first character of a line. Anywhere else it is text: \
            the words after it are read as more clients, daemons or option values. Some of those words may \
            mean something: `all`, `local` or `known` in a remark is a live wildcard, in either case of \
            letters. Other systems, FreeBSD among them, do read a comment there.",
        remedy: "Put the remark on a line of its own above the rule.",
        bad: allow("sshd: 10.0.0.1 # not for all\n"),
        good: allow("# not for all\nsshd: 10.0.0.1\n"),
    }

    pub(super) INDENTED = "W022" "indented-comment" Warning {
        meaning: "Blanks before the `#` make the line a rule, not a comment. Without a `:` it is logged at \
            every request and skipped; with one it is a rule for a daemon called `#`, and every word after it.",
        remedy: "Remove the blanks before the `#`.",
        bad: allow("  # office: the second floor\nsshd: 10.0.0.1\n"),
        good: allow("# office: the second floor\nsshd: 10.0.0.1\n"),
    }

    pub(super) SWALLOWED = "W023" "comment-swallows-rule" Warning {
        meaning: "A comment that ends in a backslash goes on in the next line, so what looks like a rule there \
            is part of the comment and does nothing.",
        remedy: "Remove the backslash, or put a `#` before the next line too if it is meant to be switched off.",
        bad: allow("# the office \\\nsshd: 10.0.0.1\n"),
        good: allow("# the office\nsshd: 10.0.0.1\n"),
    }

    pub(super) CONTINUED = "W024" "rule-swallows-line" Warning {
        meaning: "A rule that ends in a backslash goes on in the next line, whatever that is: a comment there \
            becomes clients or options, and another rule loses its own meaning.",
        remedy: "Remove the backslash at the end of the rule.",
        bad: allow("sshd: 10.0.0.1, \\\n# the office\n 10.0.0.2\n"),
        good: allow("# the office\nsshd: 10.0.0.1, \\\n 10.0.0.2\n"),
    }

    pub(super) FOREIGN = "W025" "foreign-comment" Error {
        meaning: "`//`, `--`, `;` and `/*` start comments in other files. Here they are words like any other, and so is \
            what follows them: names of daemons, clients or files, and wildcards if `all`, `local` or `known` is \
            among them.",
        remedy: "Put the remark on a line of its own, with a `#` in the first column.",
        bad: allow("sshd: 10.0.0.1 // open for all\n"),
        good: allow("# open for one\nsshd: 10.0.0.1\n"),
    }

    pub(super) DANGLING = "W026" "blank-after-backslash" Error {
        meaning: "A backslash continues a line only where it is the very last character. With a blank behind it the rule \
            ends there, the backslash is the name of a host, and the next line is taken for a rule of its own.",
        remedy: "Remove what follows the backslash.",
        bad: allow("sshd: 10.0.0.1, \\ \n 10.0.0.2\n"),
        good: allow("sshd: 10.0.0.1, \\\n 10.0.0.2\n"),
    }
}

/// A line whose first word begins with `#` but not in the first column. True if it is one.
pub(super) fn indented(cx: &mut Context<'_, '_>, _rule: &Rule<'_>) -> bool {
    let whole = cx.whole();
    if cx.line.get(whole.start) != Some(&b'#') {
        return false;
    }
    let blanks = 0..whole.start;
    let edit = cx.edit(&blanks, "");
    let message = match live_word(&cx.line[whole.start..]) {
        Some(word) => format!(
            "this is a rule, not a comment, and its word {} is a live wildcard",
            quoted(word)
        ),
        None => "this is read as a rule: only a `#` in the first column makes a comment".to_owned(),
    };
    // Somebody may count on what such a rule refuses.
    let fix = Fix {
        is_safe: cx.table == TableKind::Allow,
        ..Fix::safe("remove the blanks before the `#`", vec![edit])
    };
    cx.report(&INDENTED, &whole, message).fix(fix);
    true
}

/// The mark of another language's comments that a text begins with, where words follow.
fn mark(text: &[u8]) -> Option<&[u8]> {
    let mark = [&b"//"[..], b"/*", b"--", b";"]
        .into_iter()
        .find(|mark| text.starts_with(mark))?;
    let rest = &text[mark.len()..];
    // `//etc/list` is a path, `---` a rule between things.
    let is_other = match mark {
        b"//" => rest.split(|b| b.is_ascii_whitespace()).next()?.contains(&b'/'),
        b"--" => rest.first() == Some(&b'-'),
        _ => false,
    };
    (!is_other && rest.iter().any(u8::is_ascii_alphanumeric)).then_some(mark)
}

/// A line that is a comment in another language. True if it is one.
pub(super) fn foreign(cx: &mut Context<'_, '_>, is_rule: bool) -> bool {
    let whole = cx.whole();
    let text = &cx.line[whole.clone()];
    let Some(mark) = mark(text) else { return false };
    let shown = quoted(mark);
    let message = match (is_rule, live_word(text)) {
        (true, Some(word)) => format!(
            "{shown} starts no comment: this is a rule, and its word {} is a live wildcard",
            quoted(word)
        ),
        (true, None) => format!("{shown} starts no comment: this is read as a rule"),
        (false, _) => format!("{shown} starts no comment: the line is logged at every request, and skipped"),
    };
    let edit = cx.edit(&(0..whole.start + mark.len()), "#");
    let fix = Fix {
        is_safe: !is_rule,
        ..Fix::safe("write `#` in the first column", vec![edit])
    };
    cx.report(&FOREIGN, &whole, message).fix(fix);
    true
}

/// A remark behind the clients, marked as in other languages; gives where it stands in the line.
pub(super) fn foreign_remark(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) -> Option<usize> {
    let may_be_mark = |text: &[u8]| matches!(text.first(), Some(b'/' | b'-' | b';'));
    if !rule.clients.tokens().any(|t| may_be_mark(t.text)) {
        return None;
    }
    let clients: Vec<_> = rule.clients.tokens().take_while(|t| t.span.start < end).collect();
    let at = clients.iter().position(|token| {
        let rest = &cx.line[token.span.start..rule.clients.span.end.min(end)];
        let is_mark = mark(rest).is_some_and(|mark| {
            // `10.0.0.1 ;10.0.0.2` was to separate clients.
            let after = rest[mark.len()..].trim_ascii_start();
            mark != b";" || after.first().is_some_and(u8::is_ascii_alphabetic)
        });
        is_mark && token.span.start > rule.clients.span.start
    })?;
    let start = clients[at].span.start;
    let whole = start..cx.whole().end;
    let words = &cx.line[start..rule.clients.span.end.min(end)];
    let mark = quoted(mark(words)?);
    let message = match live_word(words) {
        Some(word) => format!(
            "{mark} starts no comment: the words after it are clients, and {} is a live wildcard",
            quoted(word)
        ),
        None => format!("{mark} starts no comment: the words after it are read as clients"),
    };
    cx.report(&FOREIGN, &whole, message).help(FOREIGN.remedy);
    Some(start)
}

/// A backslash that continues nothing, as a blank follows it; gives where it stands in the line.
pub(super) fn dangling(cx: &mut Context<'_, '_>) -> Option<usize> {
    let end = cx.whole().end;
    let rest = end..cx.line.len();
    let behind = cx.line[rest.clone()].strip_suffix(b"\n")?;
    if behind.is_empty() || behind == b"\r" || !cx.line[..end].ends_with(b"\\") {
        return None;
    }
    let cut = end..end + behind.len();
    let edit = cx.edit(&cut, "");
    cx.report(
        &DANGLING,
        &(end - 1..end),
        "a blank follows this backslash, so it continues nothing: the next line stands alone",
    )
    .fix(Fix::suggested("remove what follows the backslash", vec![edit]));
    Some(end - 1)
}

/// Was the line of this number to be the rest of a rule that a misplaced comment or blank cut off above it?
pub(super) fn is_cut_off(document: &Document, number: usize) -> bool {
    let Some(before) = number.checked_sub(1).and_then(|at| document.entries.get(at)) else {
        return false;
    };
    let raw = &document.text[before.bytes.clone()];
    if line_kind(raw) == LineKind::Comment {
        return false;
    }
    let shown = raw.trim_ascii_end();
    let is_dangling = shown.ends_with(b"\\") && raw.len() > shown.len() + 1;
    let is_indented = || {
        let this = &document.text[document.entries[number].bytes.clone()];
        this.first().is_some_and(|b| matches!(b, b' ' | b'\t'))
    };
    let ends_in_comment = || {
        let last = raw.trim_ascii_end().rsplit(|b| *b == b'\n').next();
        before.first_line != before.last_line && last.is_some_and(|line| line.first() == Some(&b'#'))
    };
    is_dangling || (is_indented() && ends_in_comment())
}

/// Finds a `#` that was meant to start a comment; gives where it stands in the line.
pub(super) fn inline(cx: &mut Context<'_, '_>, rule: &Rule<'_>) -> Option<usize> {
    memchr::memchr(b'#', cx.line)?;
    let at = in_lists(rule).or_else(|| in_options(cx.line, rule))?;
    let start = cx.span(&(at..at + 1));
    if start.line > cx.entry.first_line && start.column == 1 {
        // Told as a line that a rule swallows.
        return Some(at);
    }
    let end = cx.whole().end;
    let comment = at..end;
    let words = &cx.line[at..end];
    // Which words are read as what.
    let (place, live) = if at < rule.daemons.span.end {
        ("daemons and clients", live_word(words))
    } else if at < rule.clients.span.end {
        let read = &cx.line[at..rule.clients.span.end.min(end)];
        ("clients", live_word(read))
    } else {
        ("part of the option", None)
    };
    let message = match live {
        Some(word) => format!(
            "`#` starts no comment here: the words after it are {place}, and {} is a live wildcard",
            quoted(word)
        ),
        None => format!("`#` starts no comment here: it and the words after it are read as {place}"),
    };
    // Before a continuation the comment would take the following lines with it.
    let is_one_line = cx.entry.first_line == cx.entry.last_line;
    let before = &cx.line[..at];
    let blanks = before.len() - before.trim_ascii_end().len();
    let rest = before.trim_ascii();
    let fix = (is_one_line && !rest.is_empty() && !rest.ends_with(b":")).then(|| {
        let mut above = words.to_vec();
        while above.ends_with(b"\\") {
            above.pop();
        }
        above.push(b'\n');
        vec![cx.edit(&(0..0), above), cx.edit(&(at - blanks..end), "")]
    });
    let finding = cx.report(&INLINE, &comment, message);
    if live.is_some() {
        finding.level(Level::Error);
    }
    match fix {
        Some(edits) => finding.fix(Fix::safe("put the comment on a line of its own", edits)),
        None => finding.help("put the comment on a line of its own"),
    };
    Some(at)
}

fn in_lists(rule: &Rule<'_>) -> Option<usize> {
    let daemons = rule.daemons.tokens().map(|t| (&t.span, t.text));
    let clients = rule.clients.tokens().map(|t| (&t.span, t.text));
    for (span, text) in daemons.chain(clients) {
        match memchr::memchr(b'#', text) {
            // `a#b` in the middle of a word is more likely a slip of another kind.
            Some(at) if at == 0 || at + 1 == text.len() || is_address(&text[..at]) => {
                return Some(span.start + at);
            }
            _ => {}
        }
    }
    None
}

fn is_address(text: &[u8]) -> bool {
    text.iter()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'/'))
        || (text.first() == Some(&b'[') && text.contains(&b']'))
}

/// A `#` after a blank in an option that is wrong as it stands. In a command it is the shell's.
fn in_options(line: &[u8], rule: &Rule<'_>) -> Option<usize> {
    let option = rule.options.iter().find(|o| o.problem.is_some())?;
    let text = &line[option.span.clone()];
    let is_start = |at: usize| at == 0 || text[at - 1].is_ascii_whitespace();
    let at = memchr::memchr_iter(b'#', text).find(|at| is_start(*at))?;
    Some(option.span.start + at)
}

/// A word of a remark that is a pattern for more than one host.
fn live_word(text: &[u8]) -> Option<&[u8]> {
    tokens(text).find(|word| {
        matches!(
            ClientPattern::parse(word).host,
            HostPattern::Known
                | HostPattern::Local
                | HostPattern::Text {
                    pattern: StringPattern::All,
                    ..
                }
        )
    })
}

/// Continuations in the physical lines of an entry that hide something.
pub(super) fn continuations(cx: &mut Context<'_, '_>, is_comment: bool) {
    let bytes = cx.entry.bytes.clone();
    let raw = &cx.document.text[bytes.clone()];
    let mut start = 0;
    let mut joined = 0;
    for (number, piece) in raw.split_inclusive(|b| *b == b'\n').enumerate() {
        let shown = piece.strip_suffix(b"\\\n").unwrap_or(piece);
        if number > 0 && !shown.trim_ascii().is_empty() {
            let at: Range<usize> = joined..joined + shown.trim_ascii_end().len();
            let backslash = bytes.start + start - 2..bytes.start + start - 1;
            if is_comment && looks_like_rule(shown) {
                let edit = Edit::new(backslash, "");
                cx.report(
                    &SWALLOWED,
                    &at,
                    "this line belongs to the comment above it, which ends in a backslash, and does nothing",
                )
                .fix(Fix::suggested("end the comment before this line", vec![edit]));
                return;
            }
            if !is_comment && shown.first() == Some(&b'#') {
                let is_last = start + piece.len() == raw.len();
                let next = &cx.document.text[bytes.end..];
                let goes_on = !is_last || next.first().is_some_and(|b| matches!(b, b' ' | b'\t'));
                let fix = if goes_on {
                    let mut above = shown.trim_ascii_end().to_vec();
                    above.push(b'\n');
                    let here = bytes.start + start..bytes.start + start + piece.len();
                    Fix::suggested(
                        "put the comment above the rule",
                        vec![Edit::new(bytes.start..bytes.start, above), Edit::new(here, "")],
                    )
                } else {
                    Fix::suggested("end the rule before this line", vec![Edit::new(backslash, "")])
                };
                cx.report(
                    &CONTINUED,
                    &at,
                    "this is no comment: the line above ends in a backslash, so it belongs to that rule",
                )
                .fix(fix);
                return;
            }
        }
        start += piece.len();
        joined += shown.len();
    }
}

/// Does a physical line that begins in the first column look like a rule of its own?
fn looks_like_rule(line: &[u8]) -> bool {
    line.first().is_some_and(|b| b.is_ascii_alphanumeric())
        && hosts_access::syntax::fields(line).is_some_and(|fields| {
            let words = tokens(fields.daemons).count();
            let is_name = |t: &[u8]| t.iter().all(|b| b.is_ascii_alphanumeric() || b"._-@".contains(b));
            (1..=8).contains(&words)
                && tokens(fields.daemons).all(is_name)
                && tokens(fields.clients).count() > 0
        })
}
