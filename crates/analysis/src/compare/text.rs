//! Sets of services and clients in words, for a person: what no word of ours can be mistaken for is left as it is, all
//! else is in quotes.

use std::fmt::Write;

use super::{Addresses, Answers, Block, Clients, Like, Ports, Service, Strings};

/// As text, bytes that are no UTF-8 as `\x…`.
pub fn utf8(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// Clients in one line.
pub fn clients(clients: &Clients, most: usize) -> String {
    let all = &clients.addresses;
    let mut text = match &clients.names {
        Some(names) if all.is_all() => strings(names, "name", most),
        names => {
            let mut text = match (all.is_all(), all.is_all_known()) {
                (true, _) => "any client".to_owned(),
                (_, true) => "any known address".to_owned(),
                _ => addresses(all, most),
            };
            if let Some(names) = names {
                let _ = write!(text, " named {}", strings(names, "name", most));
            }
            text
        }
    };
    if let Some(users) = &clients.users {
        let _ = write!(text, " as user {}", strings(users, "user", most));
    }
    for (group, holds) in &clients.netgroups {
        let is = if *holds { "in" } else { "not in" };
        let _ = write!(text, " {is} @{}", utf8(group));
    }
    for (at, one) in clients.answers.iter().enumerate() {
        let joint = if at == 0 { " where" } else { " and" };
        let _ = write!(text, "{joint} {}", answers(one));
    }
    text
}

/// The answers to a question, in patterns.
pub fn answers(answers: &Answers) -> String {
    let asks: Vec<String> = answers.asks.iter().map(|pattern| utf8(pattern)).collect();
    let asks = asks.join(" or ");
    let one = |(pattern, matches): &(Vec<u8>, bool)| match matches {
        true => utf8(pattern),
        false => format!("not {}", utf8(pattern)),
    };
    let all = |patterns: &Vec<(Vec<u8>, bool)>| {
        let patterns: Vec<String> = patterns.iter().map(one).collect();
        patterns.join(" and ")
    };
    match (&answers.any_of[..], answers.unknown) {
        ([], _) => format!("it is not known whether {asks}"),
        ([any], _) if any.is_empty() => format!("it is known whether {asks}"),
        (any_of, unknown) => {
            let any_of: Vec<String> = any_of.iter().map(all).collect();
            let or = if unknown { ", or that is not known" } else { "" };
            format!("{}{or}", any_of.join("; or "))
        }
    }
}

/// A list, with at most so many of a kind.
pub fn listed(mut items: Vec<String>, of: &str, most: usize) -> String {
    let more = items.len().saturating_sub(most);
    if more > 1 {
        items.truncate(most);
        items.push(format!("and {more} more {of}s"));
    }
    items.join(", ")
}

/// A set of strings of a kind: patterns first, each with what it is without, and then names that stand for themselves.
pub fn strings(strings: &[Strings], of: &str, most: usize) -> String {
    let mut likes = Vec::new();
    let mut exact = Vec::new();
    for one in strings {
        match one {
            Strings::Like(one) => likes.push(like(one, of, most)),
            Strings::Exactly(text) => exact.push(exactly(text)),
        }
    }
    let more = likes.len().saturating_sub(most);
    if more > 1 {
        likes.truncate(most);
        likes.push(format!("and {more} more patterns"));
    }
    if !exact.is_empty() {
        likes.push(listed(exact, of, most));
    }
    likes.join("; ")
}

fn like(one: &Like, of: &str, most: usize) -> String {
    let patterns: Vec<String> = one.like.iter().map(|pattern| utf8(pattern)).collect();
    let mut text = match &patterns[..] {
        [] => "any".to_owned(),
        patterns => patterns.join(" and "),
    };
    text.push_str(match one.dot {
        None => "",
        Some(true) => " with a dot",
        Some(false) => " without a dot",
    });
    let without = one.unlike.iter().map(|pattern| utf8(pattern));
    let without: Vec<String> = without.chain(one.but.iter().map(|text| exactly(text))).collect();
    if !without.is_empty() {
        let _ = write!(text, " but {}", listed(without, of, most));
    }
    text
}

/// A string that stands for itself, in quotes where it could be taken for a pattern or a word of ours.
fn exactly(text: &[u8]) -> String {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:%@/+~".contains(b) || *b >= 0x80;
    let is_name =
        text.iter().all(is_plain) && !text.starts_with(b".") && !text.ends_with(b".") && text != b"any";
    if is_name {
        utf8(text)
    } else {
        format!("\"{}\"", utf8(text).replace('"', "\\x22"))
    }
}

/// A set of addresses.
pub fn addresses(addresses: &Addresses, most: usize) -> String {
    if addresses.is_all() {
        return "any".to_owned();
    }
    if let Some(rest) = nearly_all(addresses) {
        return format!("any but {}", listed(rest, "block", most));
    }
    let texts_of = |blocks: &[Block]| blocks.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut texts = Vec::new();
    for part in &addresses.parts {
        let rest = part.rest();
        let mut text = if rest.len() < part.blocks.len() {
            let is_ipv4 = part.blocks.first().is_some_and(|block| block.address.is_ipv4());
            let family = if is_ipv4 { "IPv4" } else { "IPv6" };
            match rest.is_empty() {
                true => format!("any {family} address"),
                false => format!(
                    "any {family} address but {}",
                    listed(texts_of(&rest), "block", most)
                ),
            }
        } else {
            listed(texts_of(&part.blocks), "block", most)
        };
        for (at, (pattern, holds)) in part.spelled.iter().enumerate() {
            let joint = if at == 0 { ", where the text" } else { " and" };
            let is = if *holds { "matches" } else { "does not match" };
            let _ = write!(text, "{joint} {is} {}", utf8(pattern));
        }
        texts.push(text);
    }
    if addresses.unknown {
        texts.push("an unknown address".to_owned());
    }
    texts.join("; ")
}

/// The blocks that are left out of all addresses, where that is the shorter way to say it.
fn nearly_all(addresses: &Addresses) -> Option<Vec<String>> {
    let [v4, v6] = &addresses.parts[..] else {
        return None;
    };
    let is_plain = addresses.unknown && v4.spelled.is_empty() && v6.spelled.is_empty();
    let rest = [v4.rest(), v6.rest()].concat();
    let is_shorter = rest.len() < v4.blocks.len() + v6.blocks.len();
    let is_each = v4.blocks.first()?.address.is_ipv4() && v6.blocks.first()?.address.is_ipv6();
    (is_plain && is_shorter && is_each).then(|| rest.iter().map(ToString::to_string).collect())
}

/// A service in words.
pub fn service(service: &Service, most: usize) -> String {
    let mut text = match &service.daemons {
        None => "any".to_owned(),
        Some(daemons) => strings(daemons, "daemon", most),
    };
    if let Some(ports) = &service.ports {
        let (joint, ports) = match ports {
            Ports::These(ports) => ("", ports),
            Ports::AllBut(ports) => ("any but ", ports),
        };
        let ports = ports.iter().map(ToString::to_string).collect();
        let _ = write!(text, "; port {joint}{}", listed(ports, "port", most));
    }
    if let Some(at) = &service.addresses {
        let _ = write!(text, "; server address {}", addresses(at, most));
    }
    if let Some(names) = &service.names {
        let _ = write!(text, "; server name {}", strings(names, "name", most));
    }
    for (group, holds) in &service.netgroups {
        let is = if *holds { "in" } else { "not in" };
        let _ = write!(text, "; server {is} @{}", utf8(group));
    }
    text
}
