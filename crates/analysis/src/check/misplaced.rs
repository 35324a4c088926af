//! Options where clients belong: a `:` was forgotten, or the list of clients (hosts_access(5), ACCESS
//! CONTROL RULES).

use super::code::{Code, Level, allow, codes};
use super::finding::Fix;
use super::reach::Reach;
use super::{Context, quoted};
use crate::document::Rule;
use hosts_access::TableKind;
use hosts_access::syntax::option::{Keyword, keyword_and_value};
use hosts_access::syntax::pattern::HostPattern;

codes! {
    pub(super) OPTION = "W109" "option-among-clients" Error {
        meaning: "An option stands in the list of clients, where it is the name of a host that nobody has, and does \
            nothing: `sshd: 192.0.2.7 DENY` in `hosts.allow` lets that client in. A `:` is missing before it, or \
            the whole list of clients.",
        remedy: "Write `daemons: clients : option`.",
        bad: allow("sshd: 192.0.2.7 DENY\n"),
        good: allow("sshd: 192.0.2.7 : DENY\n"),
    }
}

/// Finds an option among the clients; gives where in the line what was misread begins.
pub(super) fn among_clients(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) -> Option<usize> {
    // Nearly every client is an address, and done with here.
    let is_word = |text: &[u8]| text.first().is_some_and(u8::is_ascii_alphabetic);
    if !rule.clients.tokens().any(|t| is_word(t.text)) {
        return None;
    }
    let clients: Vec<_> = rule.clients.tokens().take_while(|t| t.span.start < end).collect();
    let (at, keyword) = clients
        .iter()
        .enumerate()
        .find_map(|(at, token)| Some((at, option(token.text, at + 1 < clients.len())?)))?;
    let token = clients[at];
    let shown = quoted(token.text);
    if at > 0 {
        let effect = match (cx.table, keyword) {
            (TableKind::Allow, Keyword::Deny) => "these clients are let in",
            (TableKind::Deny, Keyword::Allow) => "these clients are refused",
            _ => "the option does nothing",
        };
        let message =
            format!("no `:` before the option {shown}, so it is the name of a client, and {effect}");
        let edit = cx.edit(&(token.span.start..token.span.start), ": ");
        cx.report(&OPTION, &token.span, message)
            .fix(Fix::suggested("put a `:` before the option", vec![edit]));
        return Some(token.span.start);
    }
    // `sshd 192.0.2.7: deny`: the clients are there, before the colon.
    let is_address = |text: &[u8]| {
        matches!(Reach::of(HostPattern::parse(text)), Reach::V4(..) | Reach::V6(..)) && text.contains(&b'.')
    };
    let first = rule.daemons.tokens().position(|t| is_address(t.text));
    if let Some(client) = first
        .filter(|at| *at > 0)
        .and_then(|at| rule.daemons.tokens().nth(at))
    {
        let message = format!(
            "no `:` between the daemons and {}: all of this is read as daemons, and {shown} as the client",
            quoted(client.text)
        );
        let edit = cx.edit(&(client.span.start..client.span.start), ": ");
        cx.report(&OPTION, &client.span, message)
            .fix(Fix::suggested("put a `:` before the clients", vec![edit]));
        return Some(client.span.start);
    }
    let message = format!("{shown} is an option, and stands where clients belong: the rule matches nobody");
    cx.report(&OPTION, &token.span, message)
        .help("name the clients before it: `daemons: clients : option`");
    Some(token.span.start)
}

/// The option a client token is. Words that may be hosts' names are taken for options only with more behind.
fn option(text: &[u8], has_more: bool) -> Option<Keyword> {
    let (word, value) = keyword_and_value(text);
    let keyword = Keyword::parse(word)?;
    match keyword {
        Keyword::User
        | Keyword::Group
        | Keyword::Nice
        | Keyword::Linger
        | Keyword::If
        | Keyword::Trial
        | Keyword::Limit
        | Keyword::Max
        | Keyword::Ban => (has_more || value.is_some()).then_some(keyword),
        Keyword::Allow
        | Keyword::Deny
        | Keyword::Severity
        | Keyword::Spawn
        | Keyword::Aclexec
        | Keyword::Twist
        | Keyword::Banners
        | Keyword::Keepalive
        | Keyword::Rfc931
        | Keyword::Umask
        | Keyword::Setenv => Some(keyword),
    }
}
