//! Client names that match more hosts, or fewer, than they seem to (hosts_access(5), PATTERNS and
//! WILDCARDS).

use std::ops::Range;

use super::code::{Code, Level, allow, codes};
use super::finding::Fix;
use super::{Context, braces, quoted};
use crate::document::Rule;
use hosts_access::TableKind;
use hosts_access::syntax::brace::Brace;
use hosts_access::syntax::pattern::StringPattern;

codes! {
    pub(super) NO_DOT = "W231" "domain-without-dot" Warning {
        meaning: "A name without a dot in front matches the one host of exactly this name. The hosts of a domain \
            are matched by `.example.com`, with the dot, which does not match `example.com` itself.",
        remedy: "Put a dot in front, if the domain's hosts are meant.",
        bad: allow("sshd: example.com\n"),
        good: allow("sshd: .example.com\n"),
    }

    pub(super) TRAILING_DOT = "W232" "name-prefix" Warning {
        meaning: "A dot at the end makes a pattern a prefix, for names as well: it matches every host whose name \
            begins so, in anybody's domain. It does not mark a name as complete, as in DNS.",
        remedy: "Remove the dot at the end.",
        bad: allow("sshd: host.example.com.\n"),
        good: allow("sshd: host.example.com\n"),
    }

    pub(super) STARRED_ADDRESS = "W233" "starred-address" Warning {
        meaning: "A pattern with `*` or `?` is tried against the client's name as well as its address, and \
            `192.168.*` matches the host `192.168.example.org`, which anybody can set up. The prefix `192.168.` \
            is tried against the address alone.",
        remedy: "Write the prefix, with a dot at its end, or a network.",
        bad: allow("sshd: 192.168.*\n"),
        good: allow("sshd: 192.168.\n"),
    }

    pub(super) OTHER_SYSTEM = "W234" "other-system" Error {
        meaning: "`{…}` is a blocklist lookup or a list of choices in other implementations. Here it is part of \
            a host's name, and matches nothing.",
        remedy: "Remove it; look addresses up in blocklists with `aclexec`.",
        bad: allow("sshd: {RBL}.zen.example.org\n"),
        good: allow("sshd: ALL : aclexec /usr/local/sbin/rbl %a\n"),
    }

    pub(super) IDENT = "W235" "user-pattern" Info {
        meaning: "The user's name comes from the client's own ident service, which may be missing or lie, and \
            asking it delays the connection.",
        remedy: "Rely on it only for hosts you run yourself.",
        bad: allow("sshd: root@10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) BAD_USER = "W236" "bad-user-pattern" Warning {
        meaning: "What stands before the `@` is compared with the user's name alone. Paths, netgroups and the \
            words for hosts mean nothing there, and a dot at its beginning or end makes it the end or the \
            beginning of a name.",
        remedy: "Write the user's name.",
        bad: allow("sshd: LOCAL@10.0.0.1\n"),
        good: allow("sshd: operator@10.0.0.1\n"),
    }
}

/// Lints of the user part of clients; words from `end` on are a comment's.
pub(super) fn lint(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) {
    for token in rule.clients.tokens().filter(|t| t.span.start < end) {
        if let Some(user) = token.pattern.user {
            let span = token.span.start..token.span.start + user.len();
            let is_host_word = [&b"LOCAL"[..], b"PARANOID"]
                .iter()
                .any(|w| w.eq_ignore_ascii_case(user));
            let is_odd = matches!(user.first(), Some(b'@' | b'/' | b'.')) || user.last() == Some(&b'.');
            if is_host_word || is_odd {
                let message = format!("{} stands where the user's name belongs", quoted(user));
                cx.report(&BAD_USER, &span, message).help("write the user's name");
                continue;
            }
            let message = format!(
                "whether the user is {} is asked of the client itself",
                quoted(user)
            );
            cx.report(&IDENT, &span, message);
        }
    }
}

/// Lints of a pattern for a name.
pub(super) fn pattern(
    cx: &mut Context<'_, '_>,
    pattern: StringPattern<'_>,
    text: &[u8],
    span: &Range<usize>,
) {
    if text.contains(&b'{') {
        if braces::is_misplaced(text) || braces::meant(text).is_some() {
            return;
        }
        if let Some(zone) = netbsd_list(text) {
            let message = format!("{} is part of a name here, and matches nothing", quoted(text));
            let pattern = format!("{{rbl={zone}}}");
            let edit = cx.edit(span, pattern.as_str());
            let title =
                format!("ask the list by `{pattern}`, which is what this means on NetBSD, and not here");
            cx.report(&OTHER_SYSTEM, span, message)
                .fix(Fix::suggested(title, vec![edit]));
            return;
        }
        let message = format!("{} is part of a name here, and matches nothing", quoted(text));
        cx.report(&OTHER_SYSTEM, span, message)
            .help("write the hosts one by one; for lists in the DNS write `{rbl=zone}`");
        return;
    }
    match pattern {
        StringPattern::Exact(name) if is_domain(name) => {
            let message = format!(
                "{} matches the one host of this name, not the hosts in that domain",
                quoted(name)
            );
            let edit = cx.edit(&(span.start..span.start), ".");
            cx.report(&NO_DOT, span, message)
                .fix(Fix::suggested("put a dot in front", vec![edit]));
        }
        StringPattern::Suffix(name) if name.len() > 1 && name.ends_with(b".") => {
            let message = format!("{} matches no name: names have no dot at their end", quoted(name));
            let edit = cx.edit(&(span.end - 1..span.end), "");
            cx.report(&TRAILING_DOT, span, message)
                .level(Level::Error)
                .fix(Fix::suggested("remove the dot at the end", vec![edit]));
        }
        StringPattern::Prefix(name) => {
            let message = format!(
                "{} matches every name that begins so, in anybody's domain",
                quoted(name)
            );
            let edit = cx.edit(&(span.end - 1..span.end), "");
            cx.report(&TRAILING_DOT, span, message)
                .fix(Fix::suggested("remove the dot at the end", vec![edit]));
        }
        StringPattern::Wildcard(stars) if is_starred_address(stars) => {
            let message = format!(
                "{} also matches names, such as {}",
                quoted(stars),
                quoted(&example_name(stars))
            );
            let meant = starred_prefix(stars);
            let edit = meant.map(|prefix| (cx.edit(span, prefix), quoted(prefix)));
            let finding = cx.report(&STARRED_ADDRESS, span, message);
            // In the deny table the pattern refuses more than was meant, and opens nothing.
            let is_allow = finding.table == TableKind::Allow;
            if !is_allow {
                finding.level(Level::Info);
            }
            match edit {
                Some((edit, shown)) => finding.fix(Fix {
                    is_safe: is_allow,
                    ..Fix::safe(format!("write {shown}"), vec![edit])
                }),
                None => finding.help("write the network's address and mask"),
            };
        }
        StringPattern::Wildcard(_)
        | StringPattern::Suffix(_)
        | StringPattern::All
        | StringPattern::Known
        | StringPattern::Bracketed(_)
        | StringPattern::Exact(_) => {}
    }
}

/// The list that `{RBL}.zone` asks on NetBSD.
fn netbsd_list(text: &[u8]) -> Option<&str> {
    let at = text
        .get(..6)
        .filter(|at| at.eq_ignore_ascii_case(b"{rbl}."))?
        .len();
    let zone = std::str::from_utf8(&text[at..]).ok()?;
    let pattern = format!("{{rbl={zone}}}");
    let is_sound = Brace::parse(pattern.as_bytes()).is_some_and(|brace| brace.name().is_ok());
    (is_sound && !zone.contains('|')).then_some(zone)
}

/// `example.com` and `example.co.uk`: names under which hosts stand.
fn is_domain(name: &[u8]) -> bool {
    const LOCAL: [&[u8]; 9] = [
        b"localdomain",
        b"local",
        b"lan",
        b"home",
        b"internal",
        b"intranet",
        b"localnet",
        b"arpa",
        b"test",
    ];
    const SECOND: [&[u8]; 7] = [b"co", b"com", b"ac", b"org", b"net", b"gov", b"edu"];
    let lower = name.to_ascii_lowercase();
    let labels: Vec<&[u8]> = lower.split(|b| *b == b'.').collect();
    let is_name = labels
        .iter()
        .all(|label| !label.is_empty() && label.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-'));
    let is_top = |label: &[u8]| {
        label.len() >= 2 && label.iter().all(u8::is_ascii_alphabetic) && !LOCAL.contains(&label)
    };
    match labels.as_slice() {
        [_, top] => is_name && is_top(top),
        [_, second, top] => is_name && top.len() == 2 && is_top(top) && SECOND.contains(second),
        _ => false,
    }
}

/// Digits, dots and wildcards, and not wildcards alone.
fn is_starred_address(text: &[u8]) -> bool {
    text.iter()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'*' | b'?'))
        && text.iter().any(u8::is_ascii_digit)
        && text.contains(&b'*')
}

/// The address prefix that means the same for addresses: `192.168.*`, `192.168.*.*`.
pub(super) fn starred_prefix(text: &[u8]) -> Option<&[u8]> {
    let star = memchr::memchr(b'*', text)?;
    let (prefix, rest) = text.split_at(star);
    let octets = prefix.split(|b| *b == b'.').count() - 1;
    let stars = rest.split(|b| *b == b'.').count();
    (prefix.ends_with(b".")
        && (1..=3).contains(&octets)
        && rest.split(|b| *b == b'.').all(|part| part == b"*")
        && octets + stars <= 4)
        .then_some(prefix)
}

/// A name the pattern matches.
fn example_name(stars: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    let last = stars.iter().rposition(|b| *b == b'*');
    for (at, byte) in stars.iter().enumerate() {
        match byte {
            b'*' if Some(at) == last => name.extend_from_slice(b"example.org"),
            b'*' | b'?' => name.push(b'1'),
            _ => name.push(*byte),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use hosts_access::string_matches;

    #[test]
    fn domains() {
        for name in ["example.com", "Example.co.uk", "uni.ac.jp"] {
            assert!(is_domain(name.as_bytes()), "{name}");
        }
        for name in [
            "localhost.localdomain",
            "host.lan",
            "a.example.com",
            "localhost",
            "10.0.0.1",
            "a.b1",
        ] {
            assert!(!is_domain(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_example_matches_its_pattern() {
        for stars in ["192.168.*", "10.*.1.*", "10.0.0.1*"] {
            let pattern = StringPattern::parse(stars.as_bytes());
            assert!(string_matches(pattern, &example_name(stars.as_bytes())));
        }
    }

    #[test]
    fn starred_prefixes() {
        assert_eq!(starred_prefix(b"192.168.*"), Some(&b"192.168."[..]));
        assert_eq!(starred_prefix(b"192.*.*.*"), Some(&b"192."[..]));
        assert_eq!(starred_prefix(b"192.168.*.1"), None);
        assert_eq!(starred_prefix(b"192.1*"), None);
        assert_eq!(starred_prefix(b"*"), None);
    }
}
