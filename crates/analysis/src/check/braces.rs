//! Patterns in braces that are misspelt, torn, or stand where they are none (hosts_access(5), ADDITIONS).

use std::ops::Range;

use super::code::{Code, Level, allow, codes};
use super::countries::{self, Instead};
use super::finding::Fix;
use super::lists::is_near;
use super::policy::{RuleVerdict, outcome};
use super::{Context, quoted};
use crate::document::{Rule, Token};
use hosts_access::syntax::brace::{Brace, BraceName, Mistake, Values, code};
use hosts_access::syntax::find_outside_brackets;
use hosts_access::syntax::pattern::{ClientPattern, HostPattern};

codes! {
    pub(super) BAD = "W701" "bad-braces" Error {
        meaning: "A pattern in braces has a name that there is not, or a value that cannot be. What it matches is then \
            never known, and what is not known opens no door: a rule that lets in lets nobody in by it, a rule that \
            refuses refuses everyone who is held against it.",
        remedy: "Correct the pattern; hosts_access(5) has them all.",
        bad: allow("sshd: {country=DEU}\n"),
        good: allow("sshd: {country=DE}\n"),
    }

    pub(super) TORN = "W702" "torn-braces" Error {
        meaning: "A blank or a comma inside the braces makes two words of the pattern, which are the names of hosts that \
            nobody has; a colon ends the list of clients there. Values are separated by `|`, days from hours by `/`, \
            and hours are written as `0800-1800`.",
        remedy: "Write the pattern in one piece.",
        bad: allow("sshd: {country=DE,AT}\n"),
        good: allow("sshd: {country=DE|AT}\n"),
    }

    pub(super) MISPLACED = "W703" "misplaced-braces" Error {
        meaning: "Patterns in braces are about clients. In a list of daemons, for the server's host behind `daemon@`, or \
            for the user before `@`, they are the text they are, which nobody has for a name.",
        remedy: "Write the pattern as a client.",
        bad: allow("sshd@{samenet}: 10.\n"),
        good: allow("sshd: {samenet}\n"),
    }

    pub(super) NEAR = "W704" "misspelt-braces" Error {
        meaning: "The word in braces is nearly that of a pattern, and none. It is read as the name of a host that nobody \
            has, so it matches nothing.",
        remedy: "Correct the word.",
        bad: allow("sshd: {same_net}\n"),
        good: allow("sshd: {samenet}\n"),
    }

    pub(super) COUNTRY = "W705" "unknown-country" Warning {
        meaning: "No country has this code (ISO 3166-1), so no client is located there, unless the database has a code of \
            its own making. A rule that is to refuse refuses nobody by it.",
        remedy: "Write the country's two letters.",
        bad: allow("sshd: {country=UK}\n"),
        good: allow("sshd: {country=GB}\n"),
    }
}

/// Lints of patterns in braces; words from `end` on are a comment's.
pub(super) fn lint(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) {
    if !cx.line.contains(&b'{') {
        return;
    }
    misplaced(cx, rule, end);
    let verdict = outcome(cx.table, rule);
    for (at, part) in rule.clients.parts.iter().enumerate() {
        for token in part.iter().filter(|token| token.span.start < end) {
            client(cx, token, verdict, at % 2 == 1);
        }
    }
}

/// Lints of one client; `is_excepted` where it stands behind an `EXCEPT`.
pub(super) fn client(
    cx: &mut Context<'_, '_>,
    token: &Token<'_, ClientPattern<'_>>,
    verdict: RuleVerdict,
    is_excepted: bool,
) {
    let user = token.pattern.user.map_or(0, |user| user.len() + 1);
    let (text, span) = (&token.text[user..], token.span.start + user..token.span.end);
    match token.pattern.host {
        HostPattern::Brace(Brace::Wrong(mistake)) => wrong(cx, text, &span, mistake, verdict),
        HostPattern::Brace(Brace::Country(values)) => {
            unknown_countries(cx, values, (text, &span), is_excepted)
        }
        HostPattern::Brace(_) => {}
        HostPattern::Netgroup(_)
        | HostPattern::File(_)
        | HostPattern::Known
        | HostPattern::Local
        | HostPattern::Net { .. }
        | HostPattern::Text { .. } => {
            if let Some(meant) = meant(text) {
                let message = format!(
                    "{} is read as a host's name, and matches nothing; did you mean `{{{}}}`?",
                    quoted(text),
                    shape(meant)
                );
                let edit = meant
                    .value()
                    .is_empty()
                    .then(|| cx.edit(&span, format!("{{{}}}", meant.as_str())));
                let finding = cx.report(&NEAR, &span, message);
                match edit {
                    Some(edit) => finding.fix(Fix::suggested(
                        format!("write `{{{}}}`", meant.as_str()),
                        vec![edit],
                    )),
                    None => finding.help(format!("write `{{{}=…}}` with {}", meant.as_str(), meant.value())),
                };
            }
        }
    }
}

/// The pattern as the manual has it.
fn shape(name: BraceName) -> String {
    match name.value() {
        "" => name.as_str().to_owned(),
        _ => format!("{}=…", name.as_str()),
    }
}

/// The pattern that a word in braces without a value is nearly the name of. What is only like one may as well be a
/// template that was not filled in.
pub(super) fn meant(token: &[u8]) -> Option<BraceName> {
    let [b'{', name @ .., b'}'] = token else {
        return None;
    };
    (Brace::parse(token).is_none()).then(|| nearest(name)).flatten()
}

fn nearest(name: &[u8]) -> Option<BraceName> {
    let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    let plain: String = name.chars().filter(|c| !matches!(c, '_' | '-')).collect();
    let other = match plain.as_str() {
        "cc" | "geo" | "geoip" | "nation" => Some(BraceName::Country),
        "as" | "asnum" => Some(BraceName::System),
        "dnsbl" | "blocklist" | "blacklist" => Some(BraceName::Listed),
        "ban" | "bans" | "blocked" => Some(BraceName::Banned),
        "localnet" | "samenetwork" => Some(BraceName::SameNet),
        "hours" | "days" => Some(BraceName::Time),
        _ => None,
    };
    let near = |known: &BraceName| known.as_str().len() > 3 && is_near(&plain, known.as_str());
    let same = |known: &BraceName| known.as_str() == plain;
    let mut all = BraceName::ALL.into_iter();
    all.clone().find(same).or(other).or_else(|| all.find(near))
}

/// What cannot be read.
fn wrong(
    cx: &mut Context<'_, '_>,
    text: &[u8],
    span: &Range<usize>,
    mistake: Mistake<'_>,
    verdict: RuleVerdict,
) {
    let consequence = match verdict {
        RuleVerdict::Grants { .. } => "so the rule lets nobody in by it",
        RuleVerdict::Denies | RuleVerdict::Depends => "so the rule refuses everyone who is held against it",
        RuleVerdict::Nothing => "so the trial shows nothing",
    };
    let message = format!("{mistake}; whom it matches is never known, {consequence}");
    let meant: Option<Vec<u8>> = match mistake {
        Mistake::Name(name) => nearest(name).map(|known| {
            let value = &text[1 + name.len()..];
            [b"{", known.as_str().as_bytes(), value].concat()
        }),
        Mistake::NoValue(known) => Some(format!("{{{}}}", known.as_str()).into_bytes()),
        Mistake::OneValue(known) => {
            let before = known.as_str().len() + 2;
            let values = text.get(before..text.len() - 1).unwrap_or_default();
            let each: Vec<Vec<u8>> = values
                .split(|b| *b == b'|')
                .map(|value| [b"{", known.as_str().as_bytes(), b"=", value, b"}"].concat())
                .collect();
            Some(each.join(&b", "[..]))
        }
        Mistake::Value(_) | Mistake::Bad(..) => None,
    };
    let is_sound = |meant: &Vec<u8>| {
        let mut words = hosts_access::syntax::list::tokens(meant);
        words.all(|word| Brace::parse(word).is_some_and(|brace| brace.name().is_ok()))
    };
    let meant = meant
        .filter(is_sound)
        .map(|meant| (format!("write {}", quoted(&meant)), cx.edit(span, meant)));
    let finding = cx.report(&BAD, span, message);
    match meant {
        Some((title, edit)) => finding.fix(Fix::suggested(title, vec![edit])),
        None => finding.help(BAD.remedy),
    };
}

/// Codes that no country has.
fn unknown_countries(
    cx: &mut Context<'_, '_>,
    values: Values<'_>,
    (text, span): (&[u8], &Range<usize>),
    is_excepted: bool,
) {
    let mut at = span.start + text.iter().position(|b| *b == b'=').map_or(0, |at| at + 1);
    let count = values.iter().count();
    for value in values.iter() {
        let here = at..at + value.len();
        at = here.end + 1;
        let Some(instead) = code(value).and_then(countries::unknown) else {
            continue;
        };
        let nobody = if is_excepted {
            "excepts nobody"
        } else {
            "matches nobody"
        };
        let message = format!("no country has the code {}, so it {nobody}", quoted(value));
        let fix = match instead {
            Instead::Country(meant) => Some((format!("write `{meant}`"), cx.edit(&here, meant))),
            // The whole pattern is one of another kind.
            Instead::Continent(meant) if count == 1 => {
                let pattern = format!("{{continent={meant}}}");
                Some((format!("write `{pattern}`"), cx.edit(span, pattern)))
            }
            Instead::Continent(_) | Instead::Nothing => None,
        };
        let finding = cx.report(&COUNTRY, &here, message);
        match (fix, instead) {
            (Some((title, edit)), _) => finding.fix(Fix::suggested(title, vec![edit])),
            (None, Instead::Continent(meant)) => {
                finding.help(format!("write `{{continent={meant}}}` beside it"))
            }
            (None, _) => finding.help(COUNTRY.remedy),
        };
    }
}

/// Braces where they are text like any other.
fn misplaced(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) {
    let is_pattern = |text: &[u8]| Brace::parse(text).is_some();
    let mut report = |at: Range<usize>, text: &[u8], place: &str| {
        let message = format!(
            "{} is a pattern for clients; {place} it is a name that nobody has",
            quoted(text)
        );
        cx.report(&MISPLACED, &at, message).help(MISPLACED.remedy);
    };
    for token in rule.daemons.tokens().filter(|token| token.span.start < end) {
        let at = find_outside_brackets(token.text, b'@').filter(|at| *at > 0);
        let (daemon, host) = match at {
            Some(at) => (&token.text[..at], Some(&token.text[at + 1..])),
            None => (token.text, None),
        };
        if is_pattern(daemon) {
            let span = token.span.start..token.span.start + daemon.len();
            report(span, daemon, "in a list of daemons");
        }
        if let Some(host) = host.filter(|host| is_pattern(host)) {
            report(
                token.span.end - host.len()..token.span.end,
                host,
                "for the server's host",
            );
        }
    }
    for token in rule.clients.tokens().filter(|token| token.span.start < end) {
        if let Some(user) = token.pattern.user.filter(|user| is_pattern(user)) {
            report(
                token.span.start..token.span.start + user.len(),
                user,
                "before the `@`",
            );
        }
    }
}

/// Is the host of a daemon, or the user of a client, in braces and told of here?
pub(super) fn is_misplaced(text: &[u8]) -> bool {
    Brace::parse(text).is_some()
}

/// A pattern that a blank, a comma or a colon tears; gives where it begins.
pub(super) fn torn(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) -> Option<usize> {
    let first = rule
        .clients
        .tokens()
        .find(|token| token.span.start < end && is_begun(token.text))?;
    let start = first.span.start;
    let rest = &cx.line[start..cx.whole().end.min(end).max(start)];
    let close = memchr::memchr(b'}', rest);
    let whole = start..start + close.map_or(first.text.len(), |at| at + 1);
    let text = cx.line[whole.clone()].to_vec();
    let has_colon = text.contains(&b':') || (close.is_none() && !rule.options.is_empty());
    let cause = match (has_colon, text.contains(&b',')) {
        (true, _) => "a `:` ends the list of clients",
        (false, true) => "a comma separates clients",
        (false, false) if close.is_some() => "a blank separates clients",
        (false, false) => "the `}` is missing",
    };
    let message = format!(
        "{cause}, so {} is the name of a client that nobody has",
        quoted(first.text)
    );
    let meant = close.and_then(|_| in_one_piece(&text));
    let edit = meant.map(|meant| (format!("write {}", quoted(&meant)), cx.edit(&whole, meant)));
    let finding = cx.report(&TORN, &whole, message);
    match edit {
        Some((title, edit)) => finding.fix(Fix::suggested(title, vec![edit])),
        None => {
            finding.help("separate values by `|`, days from hours by `/`, and write hours as `0800-1800`")
        }
    };
    Some(start)
}

/// Does a known pattern begin here, and not end?
fn is_begun(token: &[u8]) -> bool {
    let Some(inner) = token.strip_prefix(b"{").filter(|inner| !inner.contains(&b'}')) else {
        return false;
    };
    let name = memchr::memchr(b'=', inner).map(|at| &inner[..at]);
    name.and_then(nearest).is_some()
}

/// The pattern that was meant, where that is beyond doubt.
fn in_one_piece(text: &[u8]) -> Option<Vec<u8>> {
    let is_time = text.len() > 6 && text[..6].eq_ignore_ascii_case(b"{time=");
    let sound = |text: Vec<u8>| {
        let is_sound = Brace::parse(&text).is_some_and(|brace| brace.name().is_ok());
        is_sound.then_some(text)
    };
    let joined = |by: &[u8]| {
        let pieces = text
            .split(|b| b.is_ascii_whitespace() || matches!(b, b',' | b':'))
            .filter(|piece| !piece.is_empty());
        sound(pieces.collect::<Vec<_>>().join(by))
    };
    match (is_time, text.contains(&b','), text.contains(&b':')) {
        // Each alternative has its own days and hours.
        (true, true, _) => None,
        (true, false, true) => sound(text.iter().filter(|b| **b != b':').copied().collect()),
        (true, false, false) => joined(b"/"),
        (false, ..) => joined(b"|"),
    }
}
