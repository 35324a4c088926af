//! Shell commands of options that do not do what they seem to: what % expansion does to them, and whose
//! status decides nothing (hosts_access(5), % EXPANSIONS; hosts_options(5)).

use std::ops::Range;

use super::code::{Code, Level, allow, codes};
use super::finding::Fix;
use super::{Context, quoted};
use crate::document::OptionField;
use hosts_access::TableKind;
use hosts_access::syntax::option::Keyword;

codes! {
    pub(super) FORMAT = "W309" "expanded-format" Warning {
        meaning: "Before the shell sees the command, every `%` with a letter behind it is expanded, inside \
            quotes too. A format for `date`, `printf` or `awk` is broken by it: `%d` becomes the daemon's name, \
            `%H` the server's, and unknown letters vanish. Characters outside letters, digits and \
            `!@%-_=+:,./` become `_` in what is put in.",
        remedy: "Write `%%` where the command is to see a `%`.",
        bad: allow("sshd: 10.0.0.1 : spawn date \"+%H %d\" >> /var/log/s\n"),
        good: allow("sshd: 10.0.0.1 : spawn date \"+%%H %%d\" >> /var/log/s\n"),
    }

    pub(super) EXPANSION = "W310" "unknown-expansion" Warning {
        meaning: "There is no expansion of this letter. It vanishes from the command, and every time is logged.",
        remedy: "Write one of `%a %A %c %d %h %H %n %N %p %r %R %s %u`, or `%%` for a percent sign.",
        bad: allow("sshd: 10.0.0.1 : spawn echo %x >> /var/log/s\n"),
        good: allow("sshd: 10.0.0.1 : spawn echo %a >> /var/log/s\n"),
    }

    pub(super) STATUS = "W311" "spawn-decides-nothing" Warning {
        meaning: "The command looks like a filter, but the status of a `spawn` command does not matter: in \
            `hosts.allow` the client is granted access whatever it says.",
        remedy: "Use `aclexec`, whose command decides by its exit status.",
        bad: allow("sshd: ALL : spawn /usr/local/bin/geoipfilter.sh %a\n"),
        good: allow("sshd: ALL : aclexec /usr/local/bin/geoipfilter.sh %a\n"),
    }

    pub(super) QUOTED = "W316" "quoted-expansion" Info {
        meaning: "What the client says of its user stands in quotes here. Every character of it outside letters, \
            digits and `!@%-_=+:,./` has become `_` before the shell sees it, so a name with a blank, a backslash \
            or a quote is neither shown nor compared as it is. Quotes are not needed to be safe.",
        remedy: "Compare with the name as it is after that, or match the user in the list of clients.",
        bad: allow("sshd: ALL : aclexec [ \"%u\" = 'office user' ]\n"),
        good: allow("sshd: ALL : aclexec [ %u = office_user ]\n"),
    }
}

/// `%` sequences of a command that mean something else, or nothing.
pub(super) fn expansions(cx: &mut Context<'_, '_>, option: &OptionField<'_>) {
    let text = cx.line[option.span.clone()].to_vec();
    let mut at = 0;
    while let Some(next) = memchr::memchr(b'%', &text[at..]) {
        let percent = at + next;
        let Some(letter) = text.get(percent + 1) else {
            break;
        };
        at = percent + 2;
        let span = option.span.start + percent..option.span.start + at;
        let is_known = b"aAcdhHnNprRsu%".contains(letter);
        if *letter != b'%' && is_format(&text, percent) {
            let edits = format_edits(cx, &text, option.span.start, percent);
            let message = if is_known {
                format!(
                    "`%{}` is expanded before the command sees it",
                    char::from(*letter)
                )
            } else {
                format!(
                    "`%{}` vanishes before the command sees it",
                    char::from(*letter).escape_default()
                )
            };
            cx.report(&FORMAT, &span, message)
                .fix(Fix::suggested("write `%%` for each `%` of the format", edits));
            // One finding for a format: its edits cover all of it.
            return;
        }
        if matches!(letter, b'u' | b'c') && in_quotes(&text, percent) {
            let message = format!(
                "in quotes or not, unusual characters of `%{}` are `_` when the shell sees them",
                char::from(*letter)
            );
            cx.report(&QUOTED, &span, message);
        }
        if !is_known {
            let shown = quoted(&text[percent..at]);
            let edit = cx.edit(&(span.start..span.start), "%");
            cx.report(
                &EXPANSION,
                &span,
                format!("there is no expansion {shown}: it vanishes"),
            )
            .fix(Fix::suggested("write `%%` for a percent sign", vec![edit]));
        }
    }
}

/// Does the position stand between quotes of the shell?
fn in_quotes(text: &[u8], at: usize) -> bool {
    let mut quote = None;
    for byte in &text[..at] {
        match quote {
            Some(open) if open == *byte => quote = None,
            None if matches!(byte, b'"' | b'\'') => quote = Some(*byte),
            _ => {}
        }
    }
    quote.is_some()
}

/// Edits that double every single `%` of the word that holds the one at `at`.
fn format_edits(cx: &Context<'_, '_>, text: &[u8], start: usize, at: usize) -> Vec<super::Edit> {
    let word = format_word(text, at);
    let mut edits = Vec::new();
    let mut p = word.start;
    while p < word.end {
        if text[p] == b'%' {
            if text.get(p + 1) != Some(&b'%') {
                edits.push(cx.edit(&(start + p..start + p), "%"));
            } else {
                p += 1;
            }
        }
        p += 1;
    }
    edits
}

/// The word, quotes and all, around a position of a command.
fn format_word(text: &[u8], at: usize) -> Range<usize> {
    let mut quote = None;
    let mut start = 0;
    for (p, b) in text.iter().enumerate() {
        match (quote, b) {
            (Some(q), b) if *b == q => quote = None,
            (None, b'"' | b'\'') => quote = Some(*b),
            (None, b' ' | b'\t' | b'|' | b';' | b'(' | b')' | b'`' | b'&') => {
                if p > at {
                    return start..p;
                }
                start = p + 1;
            }
            _ => {}
        }
    }
    start..text.len()
}

/// Is the `%` at `at` part of a format for `date`, `printf` or `awk`?
fn is_format(text: &[u8], at: usize) -> bool {
    let word = format_word(text, at);
    let word_text = &text[word.clone()];
    let bare: Vec<u8> = word_text
        .iter()
        .copied()
        .filter(|b| !matches!(b, b'"' | b'\''))
        .collect();
    let before: Vec<&[u8]> = text[..word.start]
        .split(|b| matches!(b, b' ' | b'\t' | b'(' | b'`' | b'|' | b';' | b'$'))
        .filter(|w| !w.is_empty())
        .collect();
    let command = |name: &[u8]| {
        before
            .iter()
            .rev()
            .take(3)
            .any(|w| w.rsplit(|b| *b == b'/').next() == Some(name))
    };
    (bare.starts_with(b"+") && command(b"date"))
        || (command(b"printf") && before.last().is_some_and(|w| w.ends_with(b"printf")))
        || ((command(b"awk") || command(b"gawk")) && memchr::memmem::find(word_text, b"printf").is_some())
        || ((command(b"strftime")) || memchr::memmem::find(word_text, b"strftime").is_some())
}

/// A `spawn` whose command's status seems meant to decide.
pub(super) fn status(cx: &mut Context<'_, '_>, options: &[&OptionField<'_>], at: usize) {
    const FILTERS: [&[u8]; 10] = [
        b"filter",
        b"geoip",
        b"country",
        b"block",
        b"check",
        b"verify",
        b"acl",
        b"whitelist",
        b"blacklist",
        b"rbl",
    ];
    let option = options[at];
    if cx.table != TableKind::Allow || option.text.is_empty() {
        return;
    }
    let decides_deny = options[at + 1..]
        .iter()
        .any(|o| matches!(o.keyword, Some(Keyword::Deny | Keyword::Twist | Keyword::Aclexec)));
    let Some(value) = option.value() else { return };
    let command = value.trim_ascii_start();
    let command = command.strip_prefix(b"(").unwrap_or(command).trim_ascii_start();
    let program = command
        .split(|b| b.is_ascii_whitespace() || matches!(b, b')' | b'&' | b';' | b'|'))
        .next()
        .unwrap_or_default();
    let name = program
        .rsplit(|b| *b == b'/')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    // What writes to a file or goes to the background is not waited for as a filter would be.
    let is_logging = command.contains(&b'>');
    if !decides_deny && !is_logging && FILTERS.iter().any(|f| memchr::memmem::find(&name, f).is_some()) {
        let word = option.span.start..option.span.start + "spawn".len();
        let edit = cx.edit(&word, "aclexec");
        let message = format!(
            "access is granted whatever {} answers: the status of `spawn` does not matter",
            quoted(program)
        );
        cx.report(&STATUS, &option.span, message)
            .fix(Fix::suggested("use `aclexec`", vec![edit]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_commands() {
        let text = br#"echo `date "+%F %T"` x"#;
        let at = text.iter().position(|b| *b == b'%').unwrap();
        assert_eq!(&text[format_word(text, at)], br#""+%F %T""#);
        assert!(is_format(text, at));
        assert!(!is_format(b"echo \"%h %d\"", 6));
    }
}
