//! What a shell makes of a command: quotes and brackets without a partner, and statuses that decide otherwise
//! than they seem to (hosts_options(5)). What `%` does is judged in [`commands`](super::commands).

use super::code::{Code, Example, Level, allow, codes};
use super::finding::Fix;
use super::{Context, quoted};
use crate::document::OptionField;
use hosts_access::TableKind;
use hosts_access::syntax::option::Keyword;

codes! {
    pub(super) UNBALANCED = "W317" "unbalanced-shell" Error {
        meaning: "A quote, bracket or backquote of the command has no partner. The shell runs none of it, and every \
            such command fails: after `aclexec` nobody is let in, after `spawn` nothing is logged.",
        remedy: "Close the quote or bracket, or remove it.",
        bad: allow("sshd: 10.0.0.1 : spawn echo \"%a >> /var/log/s\n"),
        good: allow("sshd: 10.0.0.1 : spawn echo \"%a\" >> /var/log/s\n"),
    }

    pub(super) BACKGROUND = "W318" "aclexec-in-background" Error {
        meaning: "A command that ends in `&` goes to the background, and the shell says at once that all is well. \
            `aclexec` takes that for its answer: whoever the rule matches is let in, whatever the command finds.",
        remedy: "Remove the `&`.",
        bad: allow("sshd: ALL : aclexec /usr/local/bin/filter %a &\n"),
        good: allow("sshd: ALL : aclexec /usr/local/bin/filter %a\n"),
    }

    pub(super) REFUSES = "W319" "aclexec-in-deny-table" Info {
        meaning: "In `hosts.deny` a rule that matches refuses, and `aclexec` makes it match where its command \
            succeeds. So status 0 refuses the client here, and any other lets the next rules decide: the other way \
            round than in `hosts.allow`.",
        remedy: "Put the rule into `hosts.allow` if status 0 is to let the client in.",
        bad: Example {
            allow: "",
            deny: "sshd: ALL : aclexec /usr/local/bin/geoip-filter %a\n",
        },
        good: Example {
            allow: "sshd: ALL : aclexec /usr/local/bin/geoip-filter %a\n",
            deny: "ALL: ALL\n",
        },
    }

    pub(super) DENIES = "W320" "deny-after-aclexec" Warning {
        meaning: "A `deny` behind `aclexec` refuses everyone the rule matches, whether the command succeeds or fails: \
            the command decides nothing.",
        remedy: "Remove the `deny`: in `hosts.deny` the rule then refuses where the command succeeds, in `hosts.allow` it \
            lets in where it does.",
        bad: Example {
            allow: "",
            deny: "sshd: ALL : aclexec /usr/local/bin/is-banned %a : deny\n",
        },
        good: Example {
            allow: "",
            deny: "sshd: ALL : aclexec /usr/local/bin/is-banned %a\n",
        },
    }
}

/// Lints of one command; `deny` is the option by which the rule refuses, if there is one behind it.
pub(super) fn lint(
    cx: &mut Context<'_, '_>,
    option: &OptionField<'_>,
    keyword: Keyword,
    deny: Option<&OptionField<'_>>,
) {
    let Some(command) = option.value() else { return };
    let text = &cx.line[option.span.clone()];
    // Where `\:` stands for a colon, the text in the line is longer, and the whole option is pointed at.
    let start = text
        .len()
        .checked_sub(command.len())
        .filter(|at| text[*at..] == *command);
    let place = |at: usize| match start {
        Some(start) => option.span.start + start + at..option.span.start + start + at + 1,
        None => option.span.clone(),
    };
    if let Some(at) = unbalanced(command) {
        let message = format!(
            "no partner for this {}: the shell does not run the command at all",
            quoted(&command[at..=at])
        );
        cx.report(&UNBALANCED, &place(at), message)
            .help(UNBALANCED.remedy);
        return;
    }
    if keyword != Keyword::Aclexec {
        return;
    }
    let command = command.trim_ascii_end();
    if let [before @ .., b'&'] = command
        && !matches!(before.last(), Some(b'&' | b'\\' | b'>' | b'<'))
    {
        let at = place(before.len());
        let message = "in the background its status is 0 at once, so the command decides nothing";
        let blanks = before.len() - before.trim_ascii_end().len();
        let edit = start.map(|_| cx.edit(&(at.start - blanks..at.end), ""));
        let finding = cx.report(&BACKGROUND, &at, message);
        match edit {
            Some(edit) => finding.fix(Fix::suggested("remove the `&`", vec![edit])),
            None => finding.help(BACKGROUND.remedy),
        };
    }
    let word = option.span.start..option.span.start + "aclexec".len();
    if let Some(deny) = deny {
        cx.report(
            &DENIES,
            &deny.span,
            "this `deny` refuses whatever the command before it says",
        )
        .help(DENIES.remedy);
    } else if cx.table == TableKind::Deny {
        let message = "in the deny table a command that succeeds refuses the client";
        let is_reversed = seems_to_let_in(command);
        let finding = cx.report(&REFUSES, &word, message).help(REFUSES.remedy);
        if is_reversed {
            finding.level(Level::Warning);
        }
    }
}

/// Is the command called as if its success were to let the client in?
fn seems_to_let_in(command: &[u8]) -> bool {
    const IN: [&[u8]; 8] = [
        b"allow", b"accept", b"permit", b"white", b"geoip", b"country", b"verify", b"trusted",
    ];
    const OUT: [&[u8]; 7] = [b"deny", b"block", b"ban", b"black", b"rbl", b"reject", b"refuse"];
    let lower = command.to_ascii_lowercase();
    let has = |words: &[&[u8]]| {
        words
            .iter()
            .any(|word| memchr::memmem::find(&lower, word).is_some())
    };
    has(&IN) && !has(&OUT)
}

/// What is open in a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Double,
    Backquote,
    Parenthesis,
    Brace,
}

/// The first quote or bracket that keeps the shell from running the command. Commands that are merely odd are not
/// its business.
fn unbalanced(command: &[u8]) -> Option<usize> {
    // The patterns of `case` end in brackets that nothing opens.
    let has_case = command
        .split(|b| !b.is_ascii_alphanumeric())
        .any(|word| word == b"case");
    let mut open: Vec<(Open, usize)> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = command.get(at) {
        let inner = open.last().map(|(what, _)| *what);
        let is_double = inner == Some(Open::Double);
        match byte {
            b'\\' => at += 1,
            // Shells do not agree on quotes there.
            b'"' | b'\'' | b'`' if inner == Some(Open::Brace) => return None,
            b'\'' if !is_double => {
                let length = command[at + 1..].iter().position(|b| *b == b'\'');
                let Some(length) = length else { return Some(at) };
                at += length + 1;
            }
            b'"' if is_double => drop(open.pop()),
            b'"' => open.push((Open::Double, at)),
            b'`' => match open.iter().rposition(|(what, _)| *what == Open::Backquote) {
                // What was opened within it must be closed within it.
                Some(outer) if outer + 1 < open.len() => return open.last().map(|(_, at)| *at),
                Some(_) => drop(open.pop()),
                None => open.push((Open::Backquote, at)),
            },
            b'$' if command.get(at + 1) == Some(&b'(') => {
                open.push((Open::Parenthesis, at + 1));
                at += 1;
            }
            b'$' if command.get(at + 1) == Some(&b'{') => {
                open.push((Open::Brace, at + 1));
                at += 1;
            }
            b'}' if inner == Some(Open::Brace) => drop(open.pop()),
            b'(' if !is_double && inner != Some(Open::Brace) => open.push((Open::Parenthesis, at)),
            b')' if inner == Some(Open::Parenthesis) => drop(open.pop()),
            b')' if !is_double && inner != Some(Open::Brace) && !has_case => return Some(at),
            b'#' if !is_double && inner != Some(Open::Brace) && starts_word(command, at) => break,
            _ => {}
        }
        at += 1;
    }
    open.last().map(|(_, at)| *at)
}

fn starts_word(command: &[u8], at: usize) -> bool {
    at.checked_sub(1)
        .is_none_or(|before| matches!(command[before], b' ' | b'\t' | b';' | b'|' | b'&' | b'(' | b')'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn what_has_no_partner() {
        for (text, expected) in [
            ("echo \"a", Some(5)),
            ("echo 'it", Some(5)),
            ("echo `date", Some(5)),
            ("(echo a) &", None),
            ("(echo a", Some(0)),
            ("echo a)", Some(6)),
            ("echo $(date \"+%F\")", None),
            ("echo $(date", Some(6)),
            ("echo \"`date`\" '(' \\( # it's", None),
            ("case %a in 10.*) exit 0;; esac", None),
            ("echo ${X:-(}", None),
            ("echo a#b'c", Some(8)),
        ] {
            assert_eq!(unbalanced(text.as_bytes()), expected, "{text}");
        }
    }

    /// Held against a real shell: what is said to be broken, it refuses to read.
    #[test]
    fn a_shell_refuses_what_is_said_to_be_unbalanced() {
        const PIECES: [&str; 22] = [
            "\"", "'", "`", "(", ")", "$(", "${X", "}", "\\", "#", " ", " ", "echo ", "a", "date", ";", "|",
            "&", "x=1", "%a", "[", "]",
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut below = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % n as u64) as usize
        };
        let mut claimed = 0;
        while claimed < 250 {
            let text: String = (0..1 + below(9)).map(|_| PIECES[below(PIECES.len())]).collect();
            if unbalanced(text.as_bytes()).is_none() {
                continue;
            }
            claimed += 1;
            let status = Command::new("sh")
                .args(["-n", "-c", &text])
                .stderr(Stdio::null())
                .status()
                .unwrap();
            assert!(!status.success(), "{text:?}");
        }
    }
}
