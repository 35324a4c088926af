//! Sets of clients in words, the fewest that tell them from everybody else.

use analysis::compare::{Clients, Like, Strings, text};

use super::ranges::Ranges;
use crate::output::utf8;

/// So many things are named.
const MOST_SHOWN: usize = 4;

/// Clients in words, those apart that are said by their address alone, by their name alone, and otherwise. `others` is
/// everybody else. Nothing where words do not do.
pub(super) fn described(these: &[Clients], others: &[Clients]) -> Option<String> {
    let mut words = Vec::new();
    // Addresses from which nobody else comes.
    let elsewhere: Vec<Ranges> = others.iter().map(Ranges::of).collect();
    let plain = Ranges::all().without(&Ranges::union(elsewhere.iter()));
    let mut blocks = plain.words();
    let more = blocks.len().saturating_sub(MOST_SHOWN);
    if more > 1 {
        blocks.truncate(MOST_SHOWN);
        blocks.push(format!("{more} more networks"));
    }
    words.extend(blocks);
    // Names that nobody else has.
    let has_name = |clients: &Clients, name: &Strings| {
        clients
            .names
            .as_ref()
            .is_none_or(|names| names.iter().any(|one| one.may_meet(name)))
    };
    let is_own = |name: &&Strings| !others.iter().any(|clients| has_name(clients, name));
    let mut names: Vec<&Strings> = these
        .iter()
        .flat_map(|clients| clients.names.iter().flatten())
        .filter(is_own)
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.iter().any(|name| is_rest(name)) {
        return None;
    }
    let groups = |clients: &Clients| clients.netgroups.clone();
    let is_own_group = |group: &(Vec<u8>, bool)| {
        let opposite = (group.0.clone(), !group.1);
        group.1 && others.iter().all(|clients| clients.netgroups.contains(&opposite))
    };
    let mut own_groups: Vec<(Vec<u8>, bool)> = these.iter().flat_map(groups).filter(is_own_group).collect();
    own_groups.sort_unstable();
    own_groups.dedup();
    words.extend(names.iter().map(|name| name_words(name)));
    words.extend(
        own_groups
            .iter()
            .map(|(group, _)| format!("the netgroup @{}", utf8(group))),
    );
    // The rest, each set by all that it takes.
    for clients in these {
        let addresses = Ranges::of(clients).without(&plain);
        let is_told = addresses.is_empty()
            || clients
                .names
                .as_ref()
                .is_some_and(|all| all.iter().all(|name| names.contains(&name)))
            || clients.netgroups.iter().any(|group| own_groups.contains(group));
        if !is_told {
            words.push(set_words(clients, &addresses, &names)?);
        }
    }
    words.dedup();
    let more = words.len().saturating_sub(2 * MOST_SHOWN);
    if more > 1 {
        words.truncate(2 * MOST_SHOWN);
        words.push(format!("{more} more"));
    }
    match &words[..] {
        [] => None,
        [one] => Some(one.clone()),
        [first @ .., last] => Some(format!("{} and {last}", first.join(", "))),
    }
}

/// A set that takes more than an address or a name to be one of.
fn set_words(clients: &Clients, addresses: &Ranges, told: &[&Strings]) -> Option<String> {
    let mut blocks = addresses.words();
    if blocks.len() > MOST_SHOWN {
        blocks.truncate(MOST_SHOWN);
        blocks.push("other networks".to_owned());
    }
    let mut text = blocks.join(", ");
    if clients
        .addresses
        .parts
        .iter()
        .any(|part| !part.spelled.is_empty())
    {
        let patterns = clients.addresses.parts.iter().flat_map(|part| &part.spelled);
        let patterns: Vec<String> = patterns
            .filter(|(_, holds)| *holds)
            .map(|(text, _)| utf8(text))
            .collect();
        text = match patterns.is_empty() {
            true => return None,
            false => format!("addresses like {}", patterns.join(", ")),
        };
    }
    if let Some(users) = &clients.users {
        let users: Vec<String> = users.iter().filter_map(exactly).collect();
        text = match users.is_empty() {
            true => return None,
            false => format!("{} at {text}", users.join(", ")),
        };
    }
    if let Some(names) = &clients.names {
        let names: Vec<&Strings> = names.iter().filter(|name| !told.contains(name)).collect();
        // All names that others do not have besides: no word is needed.
        if !names.iter().any(|name| is_rest(name)) && !names.is_empty() {
            let names: Vec<String> = names.into_iter().map(name_words).collect();
            text = format!("{text} ({})", names.join(", "));
        }
    }
    if !clients.answers.is_empty() {
        let answers: Vec<String> = clients.answers.iter().map(text::answers).collect();
        let answers = answers.join(" and ");
        text = match *addresses == Ranges::all() {
            true => format!("everyone where {answers}"),
            false => format!("{text} where {answers}"),
        };
    }
    Some(text)
}

/// Is it nearly every string?
fn is_rest(strings: &Strings) -> bool {
    matches!(strings, Strings::Like(like) if like.like.is_empty() && like.dot.is_none())
}

fn exactly(strings: &Strings) -> Option<String> {
    match strings {
        Strings::Exactly(text) if text != b"unknown" => Some(utf8(text)),
        Strings::Like(like) if !like.like.is_empty() => Some(pattern_words(like) + &without_words(like)),
        _ => None,
    }
}

fn pattern_words(like: &Like) -> String {
    let patterns: Vec<String> = like.like.iter().map(|text| utf8(text)).collect();
    patterns.join(" and ")
}

/// What is taken away again. That a name is not known, or not to be trusted, goes without saying.
fn without_words(like: &Like) -> String {
    let is_name = |text: &&Vec<u8>| ![hosts_access::UNKNOWN, hosts_access::PARANOID].contains(&&text[..]);
    let without = like.unlike.iter().chain(like.but.iter().filter(is_name));
    let mut without: Vec<String> = without.map(|text| utf8(text)).collect();
    let more = without.len().saturating_sub(MOST_SHOWN);
    if more > 1 {
        without.truncate(MOST_SHOWN);
        without.push(format!("{more} more"));
    }
    match without.is_empty() {
        true => String::new(),
        false => format!(" but {}", without.join(", ")),
    }
}

/// Clients by their name.
fn name_words(name: &Strings) -> String {
    match name {
        Strings::Exactly(text) if text == hosts_access::UNKNOWN => "clients without a name".to_owned(),
        Strings::Exactly(text) if text == hosts_access::PARANOID => {
            "clients whose name and address disagree".to_owned()
        }
        Strings::Exactly(text) => utf8(text),
        Strings::Like(like) => {
            let mut words = match &like.like[..] {
                [] => "names".to_owned(),
                [one] if one.starts_with(b".") => format!("names under {}", utf8(one)),
                _ => format!("names like {}", pattern_words(like)),
            };
            words.push_str(match like.dot {
                None => "",
                Some(true) => " with a dot",
                Some(false) => " without a dot",
            });
            words + &without_words(like)
        }
    }
}
