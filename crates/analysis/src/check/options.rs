//! Options that deny everyone the rule matches, because they are none, stand in the wrong place or have
//! a bad value (hosts_options(5)). What stands in commands is judged in [`commands`](super::commands).

use super::code::{Code, Example, Level, allow, codes};
use super::finding::Fix;
use super::{Context, bounds, commands, quoted, shell};
use crate::document::{OptionField, Rule};
use hosts_access::syntax::option::{Keyword, Takes, keyword_and_value};

codes! {
    pub(super) UNKNOWN = "W301" "unknown-option" Error {
        meaning: "There is no option of this name. A bad option denies everyone the rule matches, in \
            `hosts.allow` too.",
        remedy: "Correct the option or remove it.",
        bad: allow("sshd: 10.0.0.1 : alow\n"),
        good: allow("sshd: 10.0.0.1 : allow\n"),
    }

    pub(super) NO_SPAWN = "W302" "command-without-spawn" Error {
        meaning: "A shell command stands where an option should be. Tables for programs built without the \
            option language have it so; here it is an unknown option, which denies everyone the rule matches.",
        remedy: "Write `spawn` before the command.",
        bad: allow("sshd: 10.0.0.1 : /usr/bin/logger hello\n"),
        good: allow("sshd: 10.0.0.1 : spawn /usr/bin/logger hello\n"),
    }

    pub(super) SURPLUS = "W303" "surplus-value" Error {
        meaning: "`allow`, `deny` and `keepalive` take no value. Text behind them is an error, which denies \
            everyone the rule matches.",
        remedy: "Remove the text.",
        bad: allow("sshd: 10.0.0.1 : allow please\n"),
        good: allow("sshd: 10.0.0.1 : allow\n"),
    }

    pub(super) NOT_LAST = "W304" "option-not-last" Error {
        meaning: "`allow`, `deny` and `twist` end a rule. With anything after them, the rule is in error and \
            denies everyone it matches.",
        remedy: "Move the option to the end of the rule.",
        bad: allow("sshd: 10.0.0.1 : allow : severity auth.info\n"),
        good: allow("sshd: 10.0.0.1 : severity auth.info : allow\n"),
    }

    pub(super) EMPTY = "W305" "empty-option" Error {
        meaning: "A `:` with nothing behind it announces an option that is not there. That is an error, and \
            denies everyone the rule matches.",
        remedy: "Remove the `:`.",
        bad: allow("sshd: 10.0.0.1:\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) NO_VALUE = "W306" "missing-value" Error {
        meaning: "The option needs a value. Without one it is an error, and denies everyone the rule matches.",
        remedy: "Give the value.",
        bad: allow("sshd: 10.0.0.1 : umask\n"),
        good: allow("sshd: 10.0.0.1 : umask 022\n"),
    }

    pub(super) BAD_VALUE = "W307" "bad-value" Error {
        meaning: "The option cannot have this value. That is an error, and denies everyone the rule matches.",
        remedy: "Correct the value.",
        bad: allow("sshd: 10.0.0.1 : severity auth.loud\n"),
        good: allow("sshd: 10.0.0.1 : severity auth.notice\n"),
    }

    pub(super) COLON = "W308" "unescaped-colon" Error {
        meaning: "A `:` inside a command ends the option. What stands behind it is read as the next option, \
            which does not exist, so everyone the rule matches is denied.",
        remedy: "Write `\\:` inside commands.",
        bad: allow("sshd: 10.0.0.1 : spawn echo from: %a\n"),
        good: allow("sshd: 10.0.0.1 : spawn echo from\\: %a\n"),
    }

    pub(super) ACLEXEC_ALLOW = "W312" "allow-after-aclexec" Warning {
        meaning: "An `allow` behind `aclexec` seems to grant access whatever the command says. Here it does not \
            after the command has failed; in the reference it does.",
        remedy: "Remove the `allow`: in `hosts.allow` a command that succeeds grants by itself.",
        bad: allow("sshd: ALL : aclexec /usr/local/bin/filter %a : allow\n"),
        good: allow("sshd: ALL : aclexec /usr/local/bin/filter %a\n"),
    }

    pub(super) PORT = "W313" "client-port" Error {
        meaning: "A number behind a client's address is read as an option, which denies everyone the rule \
            matches. Rules know no ports of clients; the server's port can stand in the list of daemons.",
        remedy: "Remove the number, or write it as the daemon.",
        bad: allow("sshd: 10.0.0.1:22\n"),
        good: allow("22: 10.0.0.1\n"),
    }

    pub(super) RESIDENT = "W314" "not-for-resident-servers" Info {
        meaning: "`user`, `group`, `umask`, `nice` and `setenv` act on the process that serves the connection. \
            Under `tcpwrap run`, where one process serves them all, they cannot work: such a rule is an error \
            when the program starts, and denies.",
        remedy: "Use them only for services started per connection by inetd and tcpd.",
        bad: allow("in.ftpd: 10.0.0.1 : umask 022\n"),
        good: allow("in.ftpd: 10.0.0.1 : severity local0.info\n"),
    }

    pub(super) CLIENTS = "W315" "clients-as-option" Error {
        meaning: "Clients or another rule stand where options belong. Two rules may have run together on one \
            line. It is an unknown option, which denies everyone the rule matches.",
        remedy: "Put each rule on a line of its own; separate clients by blanks or commas.",
        bad: Example {
            allow: "sshd: 10.0.0.1 : 10.0.0.2\n",
            deny: "ALL: ALL\n",
        },
        good: Example {
            allow: "sshd: 10.0.0.1, 10.0.0.2\n",
            deny: "ALL: ALL\n",
        },
    }
}

/// Lints of the options; text from `end` on is a comment's.
pub(super) fn lint(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) {
    let options: Vec<_> = rule.options.iter().filter(|o| o.span.start < end).collect();
    let mut commands = 0;
    for (at, option) in options.iter().enumerate() {
        if let Some(problem) = &option.problem {
            // What follows the first error is never looked at.
            bad(cx, &options, at, problem);
            break;
        }
        let Some(keyword) = option.keyword else { break };
        match keyword {
            Keyword::Aclexec => commands += 1,
            Keyword::Allow if commands > 0 => {
                let message = "this `allow` does not grant where the command before it fails";
                cx.report(&ACLEXEC_ALLOW, &option.span, message)
                    .help("remove the `allow`");
            }
            Keyword::User | Keyword::Group | Keyword::Umask | Keyword::Nice | Keyword::Setenv => {
                let message = format!("`{}` cannot work under `tcpwrap run`", keyword.as_str());
                cx.report(&RESIDENT, &option.span, message);
            }
            Keyword::Allow
            | Keyword::Deny
            | Keyword::Severity
            | Keyword::Spawn
            | Keyword::Twist
            | Keyword::Banners
            | Keyword::Keepalive
            | Keyword::Linger
            | Keyword::Rfc931
            | Keyword::If
            | Keyword::Trial
            | Keyword::Limit
            | Keyword::Max
            | Keyword::Ban => {}
        }
        if keyword.is_expanded() {
            commands::expansions(cx, option);
        }
        // A `:` in quotes ends the command; that is told of what follows it.
        let is_cut = options.get(at + 1).is_some_and(|next| next.problem.is_some());
        if matches!(keyword, Keyword::Spawn | Keyword::Twist | Keyword::Aclexec) && !is_cut {
            let deny = options[at + 1..]
                .iter()
                .find(|o| o.keyword == Some(Keyword::Deny));
            shell::lint(cx, option, keyword, deny.copied());
        }
        if keyword == Keyword::Spawn {
            commands::status(cx, &options, at);
        }
    }
}

/// An option that denies.
fn bad(cx: &mut Context<'_, '_>, options: &[&OptionField<'_>], at: usize, problem: &[u8]) {
    let option = options[at];
    let text = &cx.line[option.span.clone()];
    let denies = "so everyone the rule matches is denied";
    if text.is_empty() {
        // sshguard leaves such a field behind when its list is full; it matches nobody then.
        if !cx.is_foreign {
            empty(cx, options, at);
        }
        return;
    }
    let Some(keyword) = option.keyword else {
        unknown(cx, options, at);
        return;
    };
    if bounds::out_of_order(cx, options, at) {
        return;
    }
    let (_, value) = keyword_and_value(&option.text);
    let name = keyword.as_str();
    match (keyword.takes(), value) {
        (Takes::Nothing, Some(value)) => {
            let start = option.span.end - value.len().min(text.len());
            let surplus = start..option.span.end;
            let message = format!("`{name}` takes no value, {denies}");
            let cut = option.span.start + name.len()..option.span.end;
            let edit = cx.edit(&cut, "");
            let runs_on = super::daemons::is_certainly_daemon(value) || value.contains(&b'#');
            let finding = cx.report(&SURPLUS, &surplus, message);
            if runs_on || !keyword.must_be_last() {
                finding.help("put each rule on a line of its own");
            } else {
                finding.fix(Fix::suggested(format!("leave `{name}` alone"), vec![edit]));
            }
        }
        (Takes::Value, None) => {
            let message = format!("`{name}` needs a value, {denies}");
            cx.report(&NO_VALUE, &option.span, message).help("give the value");
        }
        _ if keyword.must_be_last() && at + 1 < options.len() => not_last(cx, options, at, keyword),
        _ => {
            let message = format!("{}, {denies}", String::from_utf8_lossy(problem));
            let help = match keyword {
                Keyword::Severity => {
                    "write a level (emerg, alert, crit, err, warning, notice, info, debug), \
                     with a facility and a dot before it if you like"
                }
                Keyword::Umask => "write an octal number up to 0777",
                Keyword::Linger => "write a number of seconds, 0 or more",
                Keyword::Rfc931 => "write a number of seconds above 0",
                Keyword::Limit => {
                    "write `N/PERIOD [burst B] [per /L4 [/L6]]`, with a period of second, minute, hour, day or so many \
                     of them: `5/10minutes`"
                }
                Keyword::Max => "write `N [per /L4 [/L6]]`, or `N total`",
                Keyword::Ban => "write a duration: `90s`, `30m`, `2h`, `7d`",
                Keyword::If => "write a list of clients",
                Keyword::Allow
                | Keyword::Deny
                | Keyword::Spawn
                | Keyword::Aclexec
                | Keyword::Twist
                | Keyword::Banners
                | Keyword::Keepalive
                | Keyword::Nice
                | Keyword::Setenv
                | Keyword::User
                | Keyword::Group
                | Keyword::Trial => "write a number",
            };
            cx.report(&BAD_VALUE, &option.span, message).help(help);
        }
    }
}

fn empty(cx: &mut Context<'_, '_>, options: &[&OptionField<'_>], at: usize) {
    // The colon before the field.
    let colon = cx.line[..options[at].span.start]
        .iter()
        .rposition(|b| *b == b':')
        .unwrap_or(options[at].span.start);
    let span = colon..colon + 1;
    let cut = colon - blanks_before(cx.line, colon)..colon + 1;
    let edit = cx.edit(&cut, "");
    cx.report(
        &EMPTY,
        &span,
        "no option behind this `:`, which is an error: everyone the rule matches is denied",
    )
    .fix(Fix::safe("remove the `:`", vec![edit]));
}

fn blanks_before(line: &[u8], at: usize) -> usize {
    line[..at].len() - line[..at].trim_ascii_end().len()
}

/// `allow`, `deny` or `twist` with more behind it.
fn not_last(cx: &mut Context<'_, '_>, options: &[&OptionField<'_>], at: usize, keyword: Keyword) {
    let option = options[at];
    let rest = &options[at + 1..];
    let name = keyword.as_str();
    let message = format!("`{name}` is not the last option, so everyone the rule matches is denied");
    // `allow:` at the end of the line: only an empty field follows.
    if rest.iter().all(|o| cx.line[o.span.clone()].is_empty()) {
        let cut = option.span.end..cx.whole().end.max(option.span.end);
        let edit = cx.edit(&cut, "");
        cx.report(
            &EMPTY,
            &(cut.start..cut.end),
            "nothing may follow the last option, so everyone is denied",
        )
        .fix(Fix::safe("remove the `:`", vec![edit]));
        return;
    }
    // Only where the other options are sound and decide nothing is the order beyond doubt.
    let is_plain = keyword != Keyword::Twist
        && rest.iter().all(|o| {
            o.problem.is_none()
                && o.keyword
                    .is_some_and(|k| !k.must_be_last() && k != Keyword::Aclexec)
        });
    let edits = is_plain.then(|| {
        let end = rest.last().map_or(option.span.end, |o| o.span.end);
        let next = rest[0].span.start;
        let moved = [b" : ", &cx.line[option.span.clone()]].concat();
        vec![
            cx.edit(&(option.span.start..next), ""),
            cx.edit(&(end..end), moved),
        ]
    });
    let finding = cx.report(&NOT_LAST, &option.span, message);
    match edits {
        Some(edits) => finding.fix(Fix::safe(format!("move `{name}` to the end"), edits)),
        None => finding.help(format!("keep `{name}` as the last option")),
    };
}

/// No option at all: what was meant?
fn unknown(cx: &mut Context<'_, '_>, options: &[&OptionField<'_>], at: usize) {
    let option = options[at];
    let text = &cx.line[option.span.clone()];
    let word = keyword_and_value(text).0;
    let shown = quoted(word);
    let denies = "so everyone the rule matches is denied";
    let command = at.checked_sub(1).map(|before| options[before]).filter(|o| {
        matches!(
            o.keyword,
            Some(Keyword::Spawn | Keyword::Twist | Keyword::Aclexec)
        ) || (o.keyword == Some(Keyword::Setenv))
    });
    if let Some(command) = command {
        let colon = cx.line[command.span.end..option.span.start]
            .iter()
            .position(|b| *b == b':')
            .map_or(command.span.end, |at| command.span.end + at);
        let edit = cx.edit(&(colon..colon), "\\");
        let message = format!("this `:` ends the command; {shown} is no option, {denies}");
        cx.report(&COLON, &(colon..colon + 1), message)
            .fix(Fix::safe("write `\\:`", vec![edit]));
        return;
    }
    if at == 0 && text.iter().all(u8::is_ascii_digit) {
        let message = format!("{} is read as an option, {denies}", quoted(text));
        cx.report(&PORT, &option.span, message)
            .help("remove it; the server's port can stand in the list of daemons");
        return;
    }
    if is_command(text) {
        let edit = cx.edit(&(option.span.start..option.span.start), "spawn ");
        let message = format!("a command needs `spawn` before it; this is read as an option, {denies}");
        cx.report(&NO_SPAWN, &option.span, message)
            .fix(Fix::suggested("write `spawn` before the command", vec![edit]));
        return;
    }
    if is_clients(word) {
        let message = format!("{shown} is read as an option, {denies}");
        cx.report(&CLIENTS, &option.span, message)
            .help("separate clients by blanks or commas, and put each rule on a line of its own");
        return;
    }
    let near = nearest(word);
    let message = match near {
        Some(keyword) => format!("there is no option {shown}, {denies}; did you mean `{keyword}`?"),
        None => format!("there is no option {shown}, {denies}"),
    };
    let span = option.span.start..option.span.start + word.len();
    let edit = near.map(|keyword| (keyword, cx.edit(&span, keyword)));
    let finding = cx.report(&UNKNOWN, &span, message);
    match edit {
        Some((keyword, edit)) => finding.fix(Fix::suggested(format!("write `{keyword}`"), vec![edit])),
        None => finding.help("correct the option or remove it"),
    };
}

/// The option a misspelt word is nearest to.
fn nearest(word: &[u8]) -> Option<&'static str> {
    let word = std::str::from_utf8(word).ok()?.to_ascii_lowercase();
    match word.as_str() {
        "accept" | "permit" | "allowed" | "grant" => return Some("allow"),
        "reject" | "drop" | "denied" | "block" | "refuse" => return Some("deny"),
        "banner" => return Some("banners"),
        "exec" => return Some("spawn"),
        "rate" | "ratelimit" => return Some("limit"),
        "instances" | "connections" => return Some("max"),
        "when" => return Some("if"),
        _ => {}
    }
    Keyword::ALL
        .iter()
        .map(|keyword| keyword.as_str())
        .map(|keyword| (distance(word.as_bytes(), keyword.as_bytes()), keyword))
        .filter(|(distance, keyword)| *distance <= 2 && *distance * 2 < keyword.len())
        .min()
        .map(|(_, keyword)| keyword)
}

/// How many letters must be added, taken out or changed.
fn distance(a: &[u8], b: &[u8]) -> usize {
    if a.len() > 2 * b.len() {
        return a.len();
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn is_command(text: &[u8]) -> bool {
    const PROGRAMS: [&[u8]; 12] = [
        b"echo",
        b"mail",
        b"mailx",
        b"logger",
        b"wall",
        b"date",
        b"sh",
        b"finger",
        b"safe_finger",
        b"cat",
        b"exec",
        b"sendmail",
    ];
    let first = text.split(|b| b.is_ascii_whitespace()).next().unwrap_or_default();
    text.starts_with(b"(")
        || text.starts_with(b"/")
        || PROGRAMS.contains(&first)
        || memchr::memmem::find(text, b">>").is_some()
        || text.contains(&b'|')
}

fn is_clients(word: &[u8]) -> bool {
    let is_address = word.iter().filter(|b| **b == b'.').count() >= 2
        && word
            .iter()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'/' | b',' | b'*'));
    is_address
        || word.starts_with(b"[")
        || super::daemons::is_certainly_daemon(word)
        || word.eq_ignore_ascii_case(b"ALL")
        || word.eq_ignore_ascii_case(b"LOCAL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words() {
        assert_eq!(nearest(b"alow"), Some("allow"));
        assert_eq!(nearest(b"ALLOW,"), Some("allow"));
        assert_eq!(nearest(b"dney"), None);
        assert_eq!(nearest(b"denny"), Some("deny"));
        assert_eq!(nearest(b"reject"), Some("deny"));
        assert_eq!(nearest(b"portability"), None);
    }
}
