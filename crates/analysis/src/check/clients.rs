//! Client addresses and networks that match nothing, or not what they seem to (hosts_access(5),
//! PATTERNS).

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::code::{Code, Level, allow, codes};
use super::finding::Fix;
use super::reach::{Never, masked_v6, never, v6};
use super::{Context, daemons, names, quoted};
use crate::document::Rule;
use hosts_access::Network;
use hosts_access::TableKind;
use hosts_access::address::dotted_quad;
use hosts_access::syntax::pattern::{HostPattern, StringPattern};

codes! {
    pub(super) LENGTH_INSIDE = "W202" "prefix-inside-brackets" Error {
        meaning: "NetBSD and Solaris write IPv6 networks as `[net/len]`. Here the prefix length stands behind the \
     bracket; with the length inside, the pattern is no address and never matches.",
        remedy: "Write `[net]/len`.",
        bad: allow("sshd: [2001:db8::/32]\n"),
        good: allow("sshd: [2001:db8::]/32\n"),
    }

    pub(super) BAD_V6 = "W203" "bad-bracketed-address" Error {
        meaning: "What stands between the brackets is no IPv6 address, so the pattern never matches. IPv4 addresses are \
     written without brackets.",
        remedy: "Correct the address.",
        bad: allow("sshd: [10.0.0.1]\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) MAPPED = "W204" "mapped-address" Error {
        meaning: "Clients with an IPv4-mapped IPv6 address are treated as the IPv4 clients they are, before any pattern \
     is tried. A pattern with the mapped form never matches.",
        remedy: "Write the IPv4 address.",
        bad: allow("sshd: [::ffff:10.0.0.1]\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) HOST_BITS = "W205" "host-bits" Error {
        meaning: "An IPv4 client matches when its address, cut to the mask, equals the network as written. A network with \
     bits set outside its mask equals none of them, so it never matches.",
        remedy: "Write the network's own address, or the one host meant, without mask.",
        bad: allow("sshd: 10.1.2.3/8\n"),
        good: allow("sshd: 10.0.0.0/8\n"),
    }

    pub(super) V6_HOST_BITS = "W206" "ipv6-host-bits" Info {
        meaning: "The IPv6 network has bits set outside its prefix. Unlike in IPv4 they are ignored, so the whole network \
     matches. The one host may have been meant.",
        remedy: "Clear the bits, or write the host without prefix length.",
        bad: allow("sshd: [2001:db8::1]/32\n"),
        good: allow("sshd: [2001:db8::]/32\n"),
    }

    pub(super) FULL_MASK = "W207" "full-mask" Error {
        meaning: "The mask 255.255.255.255 is taken for an error, as the C library's function that reads it returns the \
     same number for both. The pattern never matches; `/32` does.",
        remedy: "Write the address without a mask.",
        bad: allow("sshd: 10.0.0.1/255.255.255.255\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) ZERO = "W208" "zero-length" Error {
        meaning: "The IPv4 prefix length 0 is taken for an error, so the pattern never matches.",
        remedy: "Write `ALL` for every client, or `0.0.0.0/0.0.0.0` for every IPv4 client.",
        bad: allow("sshd: 0.0.0.0/0\n"),
        good: allow("sshd: 0.0.0.0/0.0.0.0\n"),
    }

    pub(super) LENGTH = "W209" "bad-prefix-length" Error {
        meaning: "What stands after the slash is no prefix length (1 to 32, in IPv6 0 to 128) and no mask, so the pattern \
     never matches. In IPv6 a missing length counts as 0 and matches every IPv6 client.",
        remedy: "Correct the prefix length.",
        bad: allow("sshd: 10.0.0.0/33\n"),
        good: allow("sshd: 10.0.0.0/24\n"),
    }

    pub(super) LENGTH_JUNK = "W210" "junk-after-prefix-length" Warning {
        meaning: "Only the digits after the slash are read; what follows them is ignored.",
        remedy: "Remove what follows the number.",
        bad: allow("sshd: 10.0.0.0/8x\n"),
        good: allow("sshd: 10.0.0.0/8\n"),
    }

    pub(super) HOLES = "W211" "non-contiguous-mask" Warning {
        meaning: "The mask has zeros between its ones. That is allowed, and matches a scattered set of addresses, but is \
     nearly always a slip.",
        remedy: "Correct the mask.",
        bad: allow("sshd: 10.0.0.0/255.0.255.0\n"),
        good: allow("sshd: 10.0.0.0/255.255.0.0\n"),
    }

    pub(super) OCTAL = "W212" "leading-zero" Error {
        meaning: "A leading zero makes a number octal in a network (`010` is 8), and in an address that is compared as \
     text it matches nothing, as clients' addresses are written without.",
        remedy: "Remove the leading zeros.",
        bad: allow("sshd: 192.168.001.005\n"),
        good: allow("sshd: 192.168.1.5\n"),
    }

    pub(super) IMPOSSIBLE = "W213" "impossible-address" Error {
        meaning: "This is no possible IPv4 address: a number above 255, too many or too few of them, or none between two \
     dots. It never matches.",
        remedy: "Correct the address.",
        bad: allow("sshd: 192.168.1.256\n"),
        good: allow("sshd: 192.168.1.25\n"),
    }

    pub(super) UNFINISHED = "W214" "prefix-without-dot" Error {
        meaning: "The first numbers of an address match a network only with a dot at their end. Without it they are \
     compared with the whole address, and match nothing.",
        remedy: "Put a dot at the end. A port belongs into the list of daemons.",
        bad: allow("sshd: 192.168\n"),
        good: allow("sshd: 192.168.\n"),
    }

    pub(super) NETWORK_AS_HOST = "W215" "network-without-mask" Warning {
        meaning: "An address that ends in `.0` looks like that of a network, but without a mask it matches only the one \
     host of this address.",
        remedy: "Write the prefix length, as in `192.168.1.0/24`, or the prefix, as in `192.168.1.`.",
        bad: allow("sshd: 192.168.1.0\n"),
        good: allow("sshd: 192.168.1.0/24\n"),
    }

    pub(super) BAD_NET = "W216" "bad-network" Error {
        meaning: "Before the slash must stand a whole IPv4 address, or an IPv6 address in brackets. With a shortened \
     address, a name or a wildcard there the pattern never matches.",
        remedy: "Write the network's address in full.",
        bad: allow("sshd: 192.168/16\n"),
        good: allow("sshd: 192.168.0.0/16\n"),
    }

    pub(super) RANGE = "W217" "address-range" Error {
        meaning: "The language has no ranges and no lists inside an address. The pattern is compared letter by letter and \
     matches nothing.",
        remedy: "Write the addresses one by one, or the networks that make up the range.",
        bad: allow("sshd: 10.0.0.1-10.0.0.20\n"),
        good: allow("sshd: 10.0.0.0/28, 10.0.0.16/30\n"),
    }

    pub(super) NUMBER_SUFFIX = "W218" "suffix-of-address" Warning {
        meaning: "The pattern begins with a dot, so it matches addresses that end with it. For addresses of a network the \
     dot belongs at the end.",
        remedy: "Put the dot at the end.",
        bad: allow("sshd: .192.168\n"),
        good: allow("sshd: 192.168.\n"),
    }
}

/// Lints of addresses in both lists; words from `end` on are a comment's.
pub(super) fn lint(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) {
    for token in rule.daemons.tokens().filter(|t| t.span.start < end) {
        if let Some(host) = token.pattern.host {
            let at =
                hosts_access::syntax::find_outside_brackets(&token.text[1..], b'@').map_or(0, |at| at + 2);
            pattern(cx, host, &token.text[at..], token.span.start + at..token.span.end);
        }
    }
    let mut clients = rule.clients.tokens().filter(|t| t.span.start < end).peekable();
    while let Some(token) = clients.next() {
        if let Some(next) = clients.next_if(|next| is_torn(token.text, next.text)) {
            let gap = token.span.end..next.span.start;
            let message = format!(
                "the blank makes this two patterns, {} and {}",
                quoted(token.text),
                quoted(next.text)
            );
            let edit = cx.edit(&gap, "");
            cx.report(&LENGTH, &(token.span.start..next.span.end), message)
                .fix(Fix::suggested("remove the blank", vec![edit]));
            continue;
        }
        if token.text.contains(&b'#') || daemons::is_certainly_daemon(token.text) {
            continue;
        }
        let user = token.pattern.user.map_or(0, |user| user.len() + 1);
        pattern(
            cx,
            token.pattern.host,
            &token.text[user..],
            token.span.start + user..token.span.end,
        );
    }
}

/// Lints of one host pattern.
pub(super) fn pattern(cx: &mut Context<'_, '_>, host: HostPattern<'_>, text: &[u8], span: Range<usize>) {
    match never(&host) {
        Some(why) => unmatched(cx, text, &span, why),
        None => doubtful(cx, host, text, &span),
    }
}

/// A pattern that matches nothing.
fn unmatched(cx: &mut Context<'_, '_>, text: &[u8], span: &Range<usize>, why: Never) {
    let Told { code, reason, meant } = told(text, why);
    let fix = meant.map(|(is_safe, meant)| Fix {
        is_safe,
        ..Fix::safe(format!("write {}", quoted(&meant)), vec![cx.edit(span, meant)])
    });
    let finding = cx.report(code, span, format!("{} never matches: {reason}", quoted(text)));
    match fix {
        Some(fix) => finding.fix(fix),
        None => finding.help(code.remedy),
    };
}

/// Why a pattern matches nothing.
struct Told {
    code: &'static Code,
    /// In words.
    reason: Cow<'static, str>,
    /// What was meant, and whether that is certain.
    meant: Option<(bool, Vec<u8>)>,
}

fn told(text: &[u8], why: Never) -> Told {
    let (code, reason, meant) = match why {
        Never::HostBits(net, mask) => return host_bits(text, net, mask),
        Never::FullMask => (
            &FULL_MASK,
            "the mask 255.255.255.255 is taken for an error",
            Some((true, before_slash(text).to_vec())),
        ),
        Never::Zero => (
            &ZERO,
            "the length 0 is taken for an error",
            (before_slash(text) == b"0.0.0.0").then(|| (false, b"ALL".to_vec())),
        ),
        Never::Length | Never::NoLength => (&LENGTH, "what stands after the slash is no prefix length", None),
        Never::Net | Never::Impossible if is_range(text) => (&RANGE, "there are no ranges", None),
        Never::Net => return bad_net(text),
        Never::Impossible => match text {
            [whole @ .., b'.'] if is_plain_quad(whole) => (
                &IMPOSSIBLE,
                "no address goes on after four numbers",
                Some((false, whole.to_vec())),
            ),
            _ => (&IMPOSSIBLE, "it is no possible address", None),
        },
        Never::LeadingZero => (
            &OCTAL,
            "addresses are written without leading zeros",
            Some((true, without_zeros(text))),
        ),
        Never::Unfinished => (
            &UNFINISHED,
            "without a dot at its end it is compared with the whole address",
            // A number alone may as well be a port, or the length of a prefix that went astray.
            text.contains(&b'.').then(|| (false, [text, b"."].concat())),
        ),
        Never::BracketedV4 => {
            let is_bracket = |b: &&u8| matches!(**b, b'[' | b']');
            let bare = text.iter().filter(|b| !is_bracket(b)).copied().collect();
            (&BAD_V6, "brackets are for IPv6", Some((true, bare)))
        }
        Never::LengthInside => {
            let inner = &text[1..text.len() - 1];
            let slash = memchr::memchr(b'/', inner).unwrap_or(inner.len());
            let (net, length) = inner.split_at(slash);
            (
                &LENGTH_INSIDE,
                "the prefix length belongs behind the bracket",
                v6(net)
                    .is_some()
                    .then(|| (true, [b"[", net, b"]", length].concat())),
            )
        }
        Never::NotV6 => (&BAD_V6, "this is no IPv6 address", None),
        Never::Mapped(v4, length) => {
            let meant = match length {
                Some(length @ 1..32) => format!("{v4}/{length}"),
                Some(0) => "0.0.0.0/0.0.0.0".to_owned(),
                _ => v4.to_string(),
            };
            (
                &MAPPED,
                "such clients are treated as IPv4",
                Some((true, meant.into_bytes())),
            )
        }
    };
    Told {
        code,
        reason: reason.into(),
        meant,
    }
}

/// A network with bits set outside its mask, `net` being what is within.
fn host_bits(text: &[u8], net: u32, mask: u32) -> Told {
    let (reason, meant) = if let Some(meant) = inverse(text) {
        let reason = "the mask is the wrong way round, ones where zeros belong".into();
        (reason, Some(meant))
    } else if mask.leading_ones() != mask.count_ones() {
        (
            "it has bits set outside the mask, and the mask has holes".into(),
            None,
        )
    } else {
        let meant = block(net, mask);
        let reason = format!("it has bits set outside the mask; the network is {meant}").into();
        (reason, Some(meant))
    };
    Told {
        code: &HOST_BITS,
        reason,
        meant: meant.map(|meant| (false, meant.into_bytes())),
    }
}

/// What stands before the slash is no whole address.
fn bad_net(text: &[u8]) -> Told {
    let net = before_slash(text);
    let is_number = net.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    let shortened = |meant| Told {
        code: &BAD_NET,
        reason: "before the slash there must be a whole address".into(),
        meant,
    };
    if !is_number {
        return shortened(None);
    }
    // `192.168/16` and `10./8`: the missing numbers are zeros.
    let stem = net.strip_suffix(b".").unwrap_or(net);
    let octets = stem.split(|b| *b == b'.').count();
    let full = [stem, &b".0.0.0"[..2 * (4usize.saturating_sub(octets))]].concat();
    if octets < 4 && dotted_quad(&full).is_some() {
        return shortened(Some((false, [&full, &text[net.len()..]].concat())));
    }
    Told {
        code: &IMPOSSIBLE,
        reason: format!("{} is no possible address", quoted(net)).into(),
        meant: None,
    }
}

/// A pattern that matches something, but perhaps not what was meant.
fn doubtful(cx: &mut Context<'_, '_>, host: HostPattern<'_>, text: &[u8], span: &Range<usize>) {
    match host {
        // Whether a scope is there is for the machine to say.
        HostPattern::Net { net, .. } if net.contains(&b'%') => {}
        HostPattern::Net { net, mask } => net_doubts(cx, net, mask, text, span),
        HostPattern::Text {
            pattern: StringPattern::Exact(exact),
            tries_name: false,
        } if exact.ends_with(b".0") && !cx.is_foreign => {
            let zeros = exact.rsplit(|b| *b == b'.').take_while(|o| *o == b"0").count();
            let finding = if zeros == 4 {
                // 0.0.0.0 is nobody's address.
                let edit = cx.edit(span, "ALL");
                let message = "`0.0.0.0` is nobody's address: it does not stand for every client";
                let finding = cx.report(&NETWORK_AS_HOST, span, message);
                finding.fix(Fix::suggested("write `ALL`", vec![edit]))
            } else {
                let prefix = &exact[..exact.len() - 2 * zeros + 1];
                let meant = [exact, format!("/{}", 32 - 8 * zeros).as_bytes()].concat();
                let edit = cx.edit(span, meant.clone());
                let message = format!(
                    "{} matches one host only, not the network; that is {} or {}",
                    quoted(exact),
                    quoted(&meant),
                    quoted(prefix)
                );
                let finding = cx.report(&NETWORK_AS_HOST, span, message);
                finding.fix(Fix::suggested(format!("write {}", quoted(&meant)), vec![edit]))
            };
            // Among banned addresses one that ends in zero is nothing special.
            if finding.table == TableKind::Deny {
                finding.level(Level::Info);
            }
        }
        HostPattern::Text {
            pattern: StringPattern::Suffix(suffix),
            tries_name: false,
        } => {
            let meant = [&suffix[1..], b"."].concat();
            let message = format!("{} matches addresses that end so, of any network", quoted(text));
            let edit = cx.edit(span, meant.clone());
            cx.report(&NUMBER_SUFFIX, span, message)
                .fix(Fix::suggested(format!("write {}", quoted(&meant)), vec![edit]));
        }
        HostPattern::Text { .. }
            if text.first() == Some(&b'[') && text.iter().any(|b| matches!(b, b'*' | b'?')) =>
        {
            let message = format!(
                "{} never matches: it is compared letter by letter, and no address is written in brackets",
                quoted(text)
            );
            let inner = &text[1..text.len() - usize::from(text.ends_with(b"]"))];
            let meant = names::starred_prefix(inner).map(|prefix| (quoted(prefix), cx.edit(span, prefix)));
            let finding = cx.report(&BAD_V6, span, message);
            match meant {
                Some((shown, edit)) => finding.fix(Fix::suggested(format!("write {shown}"), vec![edit])),
                None => finding.help("write a network: `[2001:db8::]/32`"),
            };
        }
        HostPattern::Text { .. } if is_range(text) => {
            let message = format!(
                "{} is compared letter by letter: there are no ranges",
                quoted(text)
            );
            cx.report(&RANGE, span, message)
                .help("write the addresses one by one, or as networks");
        }
        HostPattern::Text {
            pattern,
            tries_name: true,
        } => names::pattern(cx, pattern, text, span),
        HostPattern::Netgroup(_)
        | HostPattern::File(_)
        | HostPattern::Known
        | HostPattern::Local
        | HostPattern::Text { .. }
        | HostPattern::Brace(_) => {}
    }
}

fn net_doubts(cx: &mut Context<'_, '_>, net: &[u8], mask: &[u8], text: &[u8], span: &Range<usize>) {
    let digits = mask.iter().take_while(|b| b.is_ascii_digit()).count();
    let mask_span = span.end - mask.len()..span.end;
    match Network::parse(net, mask) {
        Some(Network::V6 { net: bits, length }) => {
            if digits == 0 {
                let message = "without a number after the slash this matches every IPv6 client";
                cx.report(&LENGTH, &mask_span, message)
                    .help("write the prefix length");
                return;
            }
            if masked_v6(bits, length) != bits {
                let meant = format!("[{}]/{length}", Ipv6Addr::from_bits(masked_v6(bits, length)));
                let message = format!("{} matches the whole network {meant}", quoted(text));
                let edit = cx.edit(span, meant.clone());
                cx.report(&V6_HOST_BITS, span, message)
                    .fix(Fix::suggested(format!("write `{meant}`"), vec![edit]));
            }
        }
        Some(Network::V4 { mask: bits, .. }) => {
            if has_leading_zero(net) || (dotted_quad(mask).is_some() && has_leading_zero(mask)) {
                let meant = dotted_quad(net).map_or_else(String::new, |n| block(n, bits));
                let message = format!("numbers with a leading zero are octal: this is {meant}");
                cx.report(&OCTAL, span, message)
                    .level(Level::Warning)
                    .help("remove the leading zeros");
            }
            if bits.leading_ones() != bits.count_ones() {
                let message = format!("{} is a mask with holes", quoted(mask));
                let help = match inverse(text) {
                    Some(meant) => format!("a mask has its ones in front; perhaps `{meant}` is meant"),
                    None => "correct the mask".to_owned(),
                };
                cx.report(&HOLES, &mask_span, message).help(help);
                return;
            }
            if dotted_quad(mask).is_some() {
                return;
            }
        }
        None => return,
    }
    if digits < mask.len() {
        let junk = mask_span.start + digits..mask_span.end;
        let message = format!("{} after the prefix length is ignored", quoted(&mask[digits..]));
        let edit = cx.edit(&junk, "");
        cx.report(&LENGTH_JUNK, &junk, message)
            .fix(Fix::safe("remove what follows the number", vec![edit]));
    }
}

/// `10.0.0.0 /8` and `10.0.0.0/ 8`
fn is_torn(text: &[u8], next: &[u8]) -> bool {
    let is_length = |text: &[u8]| !text.is_empty() && text.len() <= 3 && text.iter().all(u8::is_ascii_digit);
    match (text.strip_suffix(b"/"), next.strip_prefix(b"/")) {
        (Some(net), None) => is_plain_quad(net) && is_length(next),
        (None, Some(length)) => is_plain_quad(text) && is_length(length),
        _ => false,
    }
}

/// The network of `a.b.c.d/0.0.0.255`, whose mask is that of other programs, ones for zeros.
fn inverse(text: &[u8]) -> Option<String> {
    let slash = memchr::memchr(b'/', text)?;
    let (address, mask) = (dotted_quad(&text[..slash])?, dotted_quad(&text[slash + 1..])?);
    let is_inverse = mask != 0 && mask.trailing_ones() == mask.count_ones();
    (is_inverse && mask != u32::MAX).then(|| block(address & !mask, !mask))
}

fn before_slash(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr(b'/', text).unwrap_or(text.len())]
}

fn is_plain_quad(text: &[u8]) -> bool {
    dotted_quad(text).is_some()
}

fn has_leading_zero(text: &[u8]) -> bool {
    text.split(|b| *b == b'.').any(|o| o.len() > 1 && o[0] == b'0')
}

fn without_zeros(text: &[u8]) -> Vec<u8> {
    let octets: Vec<&[u8]> = text
        .split(|b| *b == b'.')
        .map(|octet| {
            let zeros = octet.iter().take_while(|b| **b == b'0').count();
            &octet[zeros.min(octet.len().saturating_sub(1))..]
        })
        .collect();
    octets.join(&b'.')
}

/// An IPv4 block as people write it.
fn block(net: u32, mask: u32) -> String {
    let address = Ipv4Addr::from_bits(net);
    match mask.count_ones() {
        32 => address.to_string(),
        ones if ones == mask.leading_ones() => format!("{address}/{ones}"),
        _ => format!("{address}/{}", Ipv4Addr::from_bits(mask)),
    }
}

/// `10.0.0.1-20`, `10.0.0.{1..20}`, `10.0.[0-9].1`
fn is_range(text: &[u8]) -> bool {
    let digits = text.iter().filter(|b| b.is_ascii_digit()).count();
    let dots = text.iter().filter(|b| **b == b'.').count();
    digits >= 3
        && dots >= 2
        && !text
            .iter()
            .any(|b| b.is_ascii_alphabetic() || matches!(b, b':' | b'/'))
        && text.iter().any(|b| matches!(b, b'-' | b'{' | b'['))
}
