//! Lists: empty ones, `EXCEPT` in the wrong place or misspelt, words that are no patterns (hosts_access(5),
//! OPERATORS).

use super::code::{Code, Level, allow, codes};
use super::finding::Fix;
use super::reach::{Reach, string_covers, strings_apart};
use super::{Context, quoted};
use crate::document::{List, Rule, Token};
use hosts_access::syntax::brace::Brace;
use hosts_access::syntax::pattern::{ClientPattern, DaemonPattern, HostPattern, Service, StringPattern};

codes! {
    pub(super) EMPTY = "W101" "empty-list" Error {
        meaning: "The list of daemons or of clients is empty. An empty list matches nothing, so the rule does \
            nothing.",
        remedy: "Name the daemons or clients, with `ALL` for every one, or remove the rule.",
        bad: allow("sshd:\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) EXCEPT_FIRST = "W102" "except-first" Error {
        meaning: "The list begins with `EXCEPT`. What stands before it is what is excepted from: with nothing \
            there the list matches nothing.",
        remedy: "Write `ALL EXCEPT …`.",
        bad: allow("sshd: EXCEPT 10.0.0.1\n"),
        good: allow("sshd: ALL EXCEPT 10.0.0.1\n"),
    }

    pub(super) EXCEPT_NOTHING = "W103" "except-without-list" Warning {
        meaning: "Nothing follows this `EXCEPT`, or another `EXCEPT` does: it excepts nothing, and in a doubled \
            `EXCEPT EXCEPT x` the clients `x` are not excepted either.",
        remedy: "Remove the surplus `EXCEPT`, or name what it was to except.",
        bad: allow("sshd: ALL EXCEPT EXCEPT 10.0.0.1\n"),
        good: allow("sshd: ALL EXCEPT 10.0.0.1\n"),
    }

    pub(super) EXCEPT_APART = "W104" "useless-except" Warning {
        meaning: "What is excepted here does not match anything the list before it matches, so the exception \
            changes nothing.",
        remedy: "Remove the exception, or correct it.",
        bad: allow("sshd: 10.0.0.0/8 EXCEPT 192.168.1.1\n"),
        good: allow("sshd: 10.0.0.0/8 EXCEPT 10.1.1.1\n"),
    }

    pub(super) MISSPELT = "W105" "misspelt-keyword" Error {
        meaning: "This word is nearly `EXCEPT` or one of the wildcards, or a word that the language does not \
            have, such as `AND`. It is read as the name of a host or daemon, and what follows it in the list is \
            matched as well: `ALL EXPECT .hacker.net` matches everyone.",
        remedy: "Correct the word. The operator is `EXCEPT`; the wildcards are `ALL`, `LOCAL`, `KNOWN`, `UNKNOWN` \
            and `PARANOID`; lists need no `AND`.",
        bad: allow("sshd: 10. EXPECT 10.0.0.1\n"),
        good: allow("sshd: 10. EXCEPT 10.0.0.1\n"),
    }

    pub(super) STRAY = "W106" "stray-character" Error {
        meaning: "The word holds a character that no daemon or host has in its name: a quote, a semicolon, a \
            parenthesis. Only blanks and commas separate words; everything else is part of the word, which then \
            matches nothing.",
        remedy: "Separate the words by commas or blanks, and remove quotes.",
        bad: allow("sshd: 10.0.0.1;10.0.0.2\n"),
        good: allow("sshd: 10.0.0.1, 10.0.0.2\n"),
    }

    pub(super) SWAPPED = "W107" "swapped-fields" Error {
        meaning: "Daemons stand first, clients after the colon. Here it looks the other way round: an address \
            where a daemon should be, or the names of daemons where clients should be.",
        remedy: "Write `daemons: clients`.",
        bad: allow("ALL: sshd, vsftpd, ALL\n"),
        good: allow("sshd, vsftpd: ALL\n"),
    }

    pub(super) MOOT = "W110" "all-and-others" Warning {
        meaning: "`ALL`, or another word that everyone matches, stands in a list beside others. One word that matches is \
            enough, so the list is for everyone, and the others do nothing.",
        remedy: "Remove `ALL` if only the others are meant, or else the others.",
        bad: allow("sshd: 10.0.0.1, ALL\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) REPEATED = "W108" "repeated-word" Info {
        meaning: "The same word stands twice in a list. The second does nothing.",
        remedy: "Remove one of them.",
        bad: allow("sshd: 10.0.0.1, 10.0.0.2, 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1, 10.0.0.2\n"),
    }
}

/// Lints of both lists; words from `end` on are a comment's.
pub(super) fn lint(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) {
    if cx.is_foreign {
        return;
    }
    let is_sound = list(cx, &rule.daemons, "daemons", end) & list(cx, &rule.clients, "clients", end);
    swapped(cx, rule, end);
    useless_exceptions(cx, rule, end);
    // `ALL EXPECT .example.com` has another cause.
    if is_sound {
        moot(cx, rule, end);
    }
}

/// Lints of one list, of daemons or clients. True where all its words are patterns.
pub(super) fn list<P>(cx: &mut Context<'_, '_>, list: &List<'_, P>, what: &str, end: usize) -> bool {
    shape(cx, list, what, end);
    !words(cx, list, end)
}

/// Words beside one that everyone matches.
fn moot(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) {
    let is_all = |t: &Token<'_, ClientPattern<'_>>| {
        t.pattern.user.is_none() && Reach::of(t.pattern.host) == Reach::All
    };
    // Where nobody is let in, no more than a word is lost.
    let level = if super::policy::may_grant(cx.table, rule) {
        MOOT.level
    } else {
        Level::Info
    };
    beside_all(cx, &rule.clients.parts[0], "client", (end, level), is_all);
    let is_all = |t: &Token<'_, DaemonPattern<'_>>| {
        t.pattern.host.is_none()
            && matches!(t.pattern.service, Service::Name(name) if string_covers(name, StringPattern::All))
    };
    beside_all(cx, &rule.daemons.parts[0], "daemon", (end, level), is_all);
}

fn beside_all<P>(
    cx: &mut Context<'_, '_>,
    part: &[Token<'_, P>],
    what: &str,
    (end, level): (usize, Level),
    is_all: impl Fn(&Token<'_, P>) -> bool,
) {
    let Some(all) = part.iter().find(|t| is_all(t)).filter(|t| t.span.start < end) else {
        return;
    };
    if part.iter().filter(|t| t.span.start < end).all(is_all) {
        return;
    }
    let message = format!(
        "{} is every {what}, so the other words of this list do nothing",
        quoted(all.text)
    );
    cx.report(&MOOT, &all.span, message)
        .help(MOOT.remedy)
        .level(level);
}

/// Emptiness, and where the `EXCEPT`s stand.
fn shape<P>(cx: &mut Context<'_, '_>, list: &List<'_, P>, what: &str, end: usize) {
    let first = list.tokens().next();
    if first.is_none() && list.excepts.is_empty() {
        // Where a comment or a bare IPv6 address stands there is something, if not what was meant.
        if list.span.end < end {
            // The colon before the clients, or behind the daemons.
            let at = match list.span.start.checked_sub(1) {
                Some(colon) => colon..colon + 1,
                None => list.span.end..list.span.end + 1,
            };
            cx.report(
                &EMPTY,
                &at,
                format!("there are no {what} here: the rule never matches"),
            )
            .help(format!("name the {what}, or remove the rule"));
        }
        return;
    }
    for (number, except) in list.excepts.iter().enumerate().filter(|(_, e)| e.start < end) {
        let is_empty_after = list.parts[number + 1].is_empty();
        if number == 0 && list.parts[0].is_empty() {
            let edit = cx.edit(&(except.start..except.start), "ALL ");
            cx.report(
                &EXCEPT_FIRST,
                except,
                format!("no {what} before this `EXCEPT`: the list matches nothing"),
            )
            .fix(Fix::suggested("except them from `ALL`", vec![edit]));
        } else if is_empty_after {
            let next = list.excepts.get(number + 1);
            let message = match next {
                Some(_) => "another `EXCEPT` follows at once, so neither excepts anything",
                None => "nothing follows this `EXCEPT`, so it excepts nothing",
            };
            let edit = next.map(|next| cx.edit(&(except.start..next.start), ""));
            let finding = cx.report(&EXCEPT_NOTHING, except, message);
            match edit {
                Some(edit) => finding.fix(Fix::suggested("write one `EXCEPT`", vec![edit])),
                None => finding.help("name what it was to except, or remove it"),
            };
        }
    }
}

/// Words that are no patterns. True if there are any.
fn words<P>(cx: &mut Context<'_, '_>, list: &List<'_, P>, end: usize) -> bool {
    let mut has_any = false;
    let mut seen = Vec::new();
    let is_short = (2..=64).contains(&list.tokens().take(65).count());
    for token in list.tokens().filter(|t| t.span.start < end) {
        if token.text.first() == Some(&b'!') {
            negated(cx, list, token);
            return true;
        }
        if let Some(meant) = misspelt(token.text) {
            has_any = true;
            let (message, edit) = match meant {
                Meant::Word(word) => (
                    format!("{} is read as a name; did you mean `{word}`?", quoted(token.text)),
                    Some((format!("write `{word}`"), cx.edit(&token.span, word))),
                ),
                Meant::Nothing => (
                    format!(
                        "{} is read as a name: the language has no such word",
                        quoted(token.text)
                    ),
                    None,
                ),
            };
            let finding = cx.report(&MISSPELT, &token.span, message);
            match edit {
                Some((title, edit)) => finding.fix(Fix::suggested(title, vec![edit])),
                None => finding.help("words of a list are separated by blanks or commas alone"),
            };
        } else if !is_in_braces(token.text)
            && let Some(at) = token.text.iter().position(|b| is_stray(*b))
        {
            has_any = true;
            let span = token.span.start + at..token.span.start + at + 1;
            let pieces = token.text.split(|b| *b == b';').filter(|piece| !piece.is_empty());
            // A comma lets each of them match; only of addresses that is sure to be meant.
            let is_semicolon = token.text[at] == b';'
                && pieces.clone().count() > 1
                && pieces.clone().all(|piece| {
                    matches!(Reach::of(HostPattern::parse(piece)), Reach::V4(..)) && piece.contains(&b'.')
                });
            let message = format!(
                "{} is part of the word {}, which matches nothing",
                quoted(&token.text[at..=at]),
                quoted(token.text)
            );
            let places = token.text.iter().enumerate().filter(|(_, b)| **b == b';');
            let edits = places
                .map(|(at, _)| cx.edit(&(token.span.start + at..token.span.start + at + 1), ","))
                .collect();
            let finding = cx.report(&STRAY, &span, message);
            if is_semicolon {
                finding.fix(Fix::suggested("separate the addresses by commas", edits));
            } else {
                finding.help("remove it; only blanks and commas separate words");
            }
        } else if is_short {
            let lower = token.text.to_ascii_lowercase();
            if seen.contains(&lower) {
                cx.report(
                    &REPEATED,
                    &token.span,
                    format!("{} stands in this list already", quoted(token.text)),
                )
                .help("remove one of them");
            } else {
                seen.push(lower);
            }
        }
    }
    has_any
}

/// `!` before a word, as other programs write exceptions.
fn negated<P>(cx: &mut Context<'_, '_>, list: &List<'_, P>, token: &Token<'_, P>) {
    let shown = quoted(token.text);
    let is_first = list.parts[0]
        .first()
        .is_some_and(|first| first.span == token.span);
    let message = if is_first {
        format!("{shown} is read as a name and matches nothing: the language has no `!`")
    } else {
        format!("{shown} is read as a name and excepts nothing: exceptions begin with `EXCEPT`")
    };
    // Every word from here on must be an exception, and none may be already.
    let later: Vec<_> = list
        .tokens()
        .filter(|t| t.span.start >= token.span.start)
        .collect();
    let is_plain = !is_first
        && list.excepts.is_empty()
        && later
            .iter()
            .all(|t| t.text.first() == Some(&b'!') && t.text.len() > 1);
    let edits = is_plain.then(|| {
        let except = cx.edit(&(token.span.start..token.span.start + 1), "EXCEPT ");
        let others = later[1..]
            .iter()
            .map(|t| cx.edit(&(t.span.start..t.span.start + 1), ""));
        std::iter::once(except).chain(others).collect()
    });
    let finding = cx.report(&MISSPELT, &token.span, message);
    match edits {
        Some(edits) => finding.fix(Fix::suggested("write `EXCEPT`", edits)),
        None => finding.help("write the list as `ALL EXCEPT` what is not to match"),
    };
}

/// Is it a pattern in braces, perhaps behind a user?
fn is_in_braces(token: &[u8]) -> bool {
    let host = token.rsplit(|b| *b == b'@').next().unwrap_or_default();
    Brace::parse(host).is_some()
}

fn is_stray(byte: u8) -> bool {
    matches!(
        byte,
        b';' | b'"' | b'\'' | b'`' | b'(' | b')' | b'|' | b'!' | b'&' | b'\\'
    )
}

/// What a word was meant to be.
enum Meant {
    Word(&'static str),
    Nothing,
}

fn misspelt(word: &[u8]) -> Option<Meant> {
    const KNOWN: [&str; 6] = ["ALL", "EXCEPT", "LOCAL", "KNOWN", "UNKNOWN", "PARANOID"];
    // The shortest and the longest word meant, one letter less or more.
    if !(2..=10).contains(&word.len()) || !word.iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    let mut upper = [0; 10];
    let upper = &mut upper[..word.len()];
    upper.copy_from_slice(word);
    upper.make_ascii_uppercase();
    let upper = std::str::from_utf8(upper).ok()?;
    match upper {
        "EXPECT" | "EXCLUDE" | "EXCLUDING" | "EXCEPTING" | "NOT" | "BUT" | "WITHOUT" => {
            return Some(Meant::Word("EXCEPT"));
        }
        // `FAIL` was a wildcard once.
        "AND" | "OR" | "TO" | "FROM" | "FAIL" => return Some(Meant::Nothing),
        "ANY" | "EVERYONE" | "EVERYBODY" | "ANYONE" => return Some(Meant::Word("ALL")),
        _ => {}
    }
    // Lower-case words may well be names of hosts.
    let is_shouted = word.iter().all(u8::is_ascii_uppercase) && word.len() >= 3;
    KNOWN
        .iter()
        .find(|known| is_shouted && **known != upper && is_near(upper, known) && !KNOWN.contains(&upper))
        .map(|known| Meant::Word(known))
}

/// One letter more, less, other, or two exchanged.
pub(super) fn is_near(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (ra, rb) = (&a[same..], &b[same..]);
    match (ra, rb) {
        ([x, y, resta @ ..], [v, w, restb @ ..]) if x == w && y == v && resta == restb => true,
        ([_, resta @ ..], [_, restb @ ..]) if resta == restb && b.len() > 3 => true,
        ([_, rest @ ..], other) if rest == other => true,
        (other, [_, rest @ ..]) if rest == other && b.len() > 3 => true,
        _ => false,
    }
}

/// Clients where daemons belong, and the other way round.
fn swapped(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) {
    for token in rule.daemons.tokens().filter(|t| t.span.start < end) {
        let is_net = token.text.iter().filter(|b| **b == b'.').count() == 3
            && token
                .text
                .iter()
                .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'/'));
        if is_net || token.text.starts_with(b"[") {
            let message = format!(
                "{} is an address, but daemons stand before the colon",
                quoted(token.text)
            );
            cx.report(&SWAPPED, &token.span, message)
                .help("write `daemons: clients`");
            return;
        }
    }
    let clients = || rule.clients.tokens().filter(|t| t.span.start < end);
    let daemon = clients().find(|t| super::daemons::is_certainly_daemon(t.text));
    if let Some(token) = daemon
        && rule.daemons.tokens().any(|t| {
            matches!(t.pattern.service, Service::Name(StringPattern::All))
                || matches!(Reach::of(HostPattern::parse(t.text)), Reach::V4(..))
        })
    {
        let message = format!(
            "{} is a daemon, but clients stand after the colon",
            quoted(token.text)
        );
        cx.report(&SWAPPED, &token.span, message)
            .help("write `daemons: clients`");
    }
}

/// Exceptions from something that does not hold them.
fn useless_exceptions(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) {
    const MOST: usize = 64;
    if let [base, excepted, ..] = rule.clients.parts.as_slice()
        && (1..=MOST).contains(&base.len())
        && excepted.len() <= MOST
    {
        let base: Vec<_> = base.iter().map(|t| Reach::of(t.pattern.host)).collect();
        for token in excepted.iter().filter(|t| t.span.end <= end) {
            let reach = Reach::of(token.pattern.host);
            if reach != Reach::Nothing && base.iter().all(|b| b.is_apart_from(&reach)) {
                let message = format!("the list does not match {} anyway", quoted(token.text));
                cx.report(&EXCEPT_APART, &token.span, message)
                    .help("remove the exception, or correct it");
            }
        }
    }
    if let [base, excepted, ..] = rule.daemons.parts.as_slice()
        && (1..=MOST).contains(&base.len())
        && excepted.len() <= MOST
    {
        for token in excepted.iter().filter(|t| t.span.end <= end) {
            let apart = |other: &Service<'_>| match (other, &token.pattern.service) {
                (Service::Name(a), Service::Name(b)) => strings_apart(*a, *b),
                (Service::Port(a), Service::Port(b)) => a != b,
                _ => false,
            };
            if base.iter().all(|b| apart(&b.pattern.service)) {
                let message = format!("the list does not match {} anyway", quoted(token.text));
                cx.report(&EXCEPT_APART, &token.span, message)
                    .help("remove the exception, or correct it");
            }
        }
    }
}
