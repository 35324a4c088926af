//! IPv6 addresses without the brackets they need (hosts_access(5), PATTERNS).

use std::ops::Range;

use super::code::{Code, Level, allow, codes};
use super::finding::Fix;
use super::{Context, quoted};
use crate::document::Rule;
use hosts_access::address::Ipv6;
use hosts_access::syntax::is_separator;

codes! {
    pub(super) BARE = "W201" "bare-ipv6" Error {
        meaning: "An IPv6 address stands here without square brackets, so its colons separate fields: what \
            comes before the first is read as a client, what follows as options that do not exist. The address \
            never matches, and everyone whom the rest of the rule matches is denied, in either table.",
        remedy: "Put the address in brackets; a prefix length goes behind them: `[2001:db8::]/32`.",
        bad: allow("sshd: 2001:db8::1\n"),
        good: allow("sshd: [2001:db8::1]\n"),
    }
}

/// Finds bare IPv6 addresses; gives where the first stands in the line, from where on nothing is read as
/// it was meant.
pub(super) fn bare(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) -> Option<usize> {
    // Without a second colon there is none.
    rule.options.first()?;
    let clients = &cx.line[rule.clients.span.clone()];
    let last = clients.iter().rev().take_while(|b| !is_separator(**b)).count();
    let start = rule.clients.span.end - last;
    let stop = cx.whole().end.min(end);
    let first = address_at(cx.line, start, stop)?;
    // `2001:db8::5` alone: whether its beginning was meant for a port or a daemon is for a person to say.
    let line = cx.whole().start;
    if let Some(whole) = address_at(cx.line, line, stop).filter(|whole| whole.end >= first.end) {
        let message = format!(
            "{} stands where a daemon belongs: its beginning is read as a daemon or port, the rest as clients and options",
            quoted(&cx.line[whole.clone()])
        );
        let help = format!(
            "name the daemons: `daemon: [{}]`",
            String::from_utf8_lossy(&cx.line[whole.clone()])
        );
        cx.report(&BARE, &whole, message).help(help);
        return Some(whole.start);
    }
    let mut found = vec![first.clone()];
    let mut at = first.end;
    // More of them may follow, with separators between.
    loop {
        while at < stop && is_separator(cx.line[at]) {
            at += 1;
        }
        match address_at(cx.line, at, stop) {
            Some(next) => {
                at = next.end;
                found.push(next);
            }
            None => break,
        }
    }
    for address in &found {
        let text = &cx.line[address.clone()];
        let slash = memchr::memchr(b'/', text).unwrap_or(text.len());
        let fixed = [b"[", &text[..slash], b"]", &text[slash..]].concat();
        let before = memchr::memchr(b':', text).unwrap_or(0);
        let message = if before == 0 {
            format!(
                "{} needs brackets: here it is an empty client and options that do not exist",
                quoted(text)
            )
        } else {
            format!(
                "{} needs brackets: here it is the client {} and options that do not exist, so those \
                 the rule matches are denied",
                quoted(text),
                quoted(&text[..before])
            )
        };
        let edit = cx.edit(address, fixed);
        cx.report(&BARE, address, message)
            .fix(Fix::safe("put the address in brackets", vec![edit]));
    }
    Some(first.start)
}

/// The IPv6 address, with scope and prefix length, that begins at `start`.
fn address_at(line: &[u8], start: usize, stop: usize) -> Option<Range<usize>> {
    let text = line.get(start..stop)?;
    let run = text
        .iter()
        .take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        .count();
    let is_boundary = |at: usize| {
        text.get(at)
            .is_none_or(|b| is_separator(*b) || matches!(b, b'/' | b'%' | b':' | b'#'))
    };
    let length = (2..=run).rev().find(|at| {
        let candidate = &text[..*at];
        // `::` alone is an address too, but nobody means it.
        is_boundary(*at) && *at > 2 && Ipv6::parse(candidate).is_some()
    })?;
    let mut end = length;
    for mark in [b'%', b'/'] {
        if text.get(end) == Some(&mark) {
            let more = text[end + 1..]
                .iter()
                .take_while(|b| b.is_ascii_alphanumeric())
                .count();
            end += 1 + more;
        }
    }
    Some(start..start + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_fields() {
        let find = |text: &str| address_at(text.as_bytes(), 0, text.len()).map(|r| text[r].to_owned());
        assert_eq!(find("2001:db8::/36:allow").as_deref(), Some("2001:db8::/36"));
        assert_eq!(find("fe80::1%eth0 x").as_deref(), Some("fe80::1%eth0"));
        assert_eq!(find("::1:deny").as_deref(), Some("::1"));
        assert_eq!(find("10.0.0.1: deny"), None);
        assert_eq!(find("abc:deny"), None);
        assert_eq!(find("cafe: dead"), None);
        assert_eq!(find(":: deny"), None);
    }
}
